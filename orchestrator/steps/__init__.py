"""One unit of work each: submit, settle, look, end, fetch. Steps act on one task and know no engine."""

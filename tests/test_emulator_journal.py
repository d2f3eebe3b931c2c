"""The journal: on file before the answer, in order, and whole after a kill."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from orchestrator.emulator.journal import Journal


@pytest.mark.anyio
async def test_what_was_appended_is_read_again_in_order(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.jsonl"
    journal = Journal(path)
    assert await journal.open() == []
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(journal.append, {"number": number, "text": "Möwe\n\u2028"})
    journal.close()
    again = Journal(path)
    records = await again.open()
    again.close()
    assert [record["number"] for record in records] == list(range(50))
    assert records[0]["text"] == "Möwe\n\u2028"


@pytest.mark.anyio
async def test_a_record_is_on_file_when_append_returns(tmp_path: Path) -> None:
    path = anyio.Path(tmp_path / "journal.jsonl")
    journal = Journal(Path(path))
    await journal.open()
    await journal.append({"number": 1})
    assert await path.read_text() == '{"number":1}\n'
    journal.close()


@pytest.mark.anyio
@pytest.mark.parametrize("torn", ['{"number":2', '{"number":2}', "{", ""])
async def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"number":1}\n' + torn)
    journal = Journal(path)
    assert await journal.open() == [{"number": 1}]
    await journal.append({"number": 3})
    journal.close()
    assert path.read_text() == '{"number":1}\n{"number":3}\n'


@pytest.mark.anyio
async def test_damage_before_the_end_is_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"number":1}\n{"num\n{"number":3}\n')
    journal = Journal(path)
    with pytest.raises(ValueError, match=r"Line 2 of .*journal\.jsonl is damaged"):
        await journal.open()
    journal.close()

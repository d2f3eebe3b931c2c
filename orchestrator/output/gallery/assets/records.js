'use strict';
// Pictures as rows for other programs: JSON and CSV, under the names that `orchestrator export` gives.

(() => {
  // What makes a spreadsheet take a text for a formula; a number with a sign is none.
  const FORMULA = /^[=+\-@\t\r\n]/;
  const NUMBER = /^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$/;
  const OWN = [
    'task',
    'index',
    'state',
    'repeat',
    'output',
    'path',
    'content_type',
    'bytes',
    'sha256',
    'stars',
    'rejected',
    'tags',
    'note',
    'cost_usd',
    'elapsed_seconds',
    'submitted_at',
    'finished_at',
    'attempts',
    'error.kind',
    'error.message',
    'warnings',
  ];
  const GROUPS = ['axes', 'labels', 'parameters'];

  const moment = (unix) => (unix ? new Date(Math.round(unix * 1000)).toISOString() : null);

  /** The value of each axis and variable, and the names that the job file gives to values. */
  function place(card) {
    const found = { axes: {}, labels: {} };
    for (const axis of gallery.axes.all.slice(0, gallery.axes.own)) {
      const value = gallery.axes.value(axis, card);
      axis.names.forEach((name, member) => {
        if (value.of[member] !== null) found.axes[name] = value.of[member];
        if (value.labels[member]) found.labels[name] = value.labels[member];
      });
    }
    return found;
  }

  /** All that is known of a picture. */
  function record(card) {
    const { task } = card;
    const mark = gallery.marks.of(card.key);
    return {
      task: task.id,
      index: task.index,
      state: task.state,
      repeat: task.repeat,
      model: gallery.run.job.model,
      output: card.src ? card.n : null,
      path: card.src ? card.path : null,
      content_type: card.kind ?? null,
      bytes: card.bytes ?? null,
      sha256: card.sha256 ?? null,
      stars: mark.stars || null,
      rejected: card.src ? mark.reject : null,
      tags: mark.tags,
      note: mark.note || null,
      cost_usd: task.paid,
      elapsed_seconds: task.seconds,
      submitted_at: moment(task.submitted),
      finished_at: moment(task.finished),
      attempts: task.attempts,
      error: task.error ? { kind: task.error[0], message: task.error[1] } : null,
      warnings: task.warnings,
      ...place(card),
      parameters: gallery.run.parameters(task),
    };
  }

  function json(cards) {
    return `${JSON.stringify(cards.map(record), null, 2)}\n`;
  }

  /** A field of CSV (RFC 4180) that no spreadsheet takes for a formula. */
  function field(value) {
    let text = value === null || value === undefined ? '' : String(value);
    if (FORMULA.test(text) && !NUMBER.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** A record as the fields of a row. */
  function flat(held, isFirst) {
    const lists = { tags: held.tags.join(', '), warnings: held.warnings.join('; ') };
    const row = { ...held, ...lists, cost_usd: isFirst ? held.cost_usd : null };
    for (const [name, value] of Object.entries(held.error ?? {})) row[`error.${name}`] = value;
    for (const group of GROUPS)
      for (const [name, value] of Object.entries(held[group])) row[`${group}.${name}`] = Array.isArray(value) ? JSON.stringify(value) : value;
    return row;
  }

  /** A row for each picture; what a task cost stands in its first one, so that the column adds up. */
  function csv(cards) {
    const seen = new Set();
    const rows = cards.map((card) => {
      const isFirst = !seen.has(card.task.id);
      seen.add(card.task.id);
      return flat(record(card), isFirst);
    });
    const others = [...new Set(rows.flatMap(Object.keys))];
    const [axes, labels, parameters] = GROUPS.map((group) => others.filter((name) => name.startsWith(`${group}.`)));
    const names = [...OWN, ...axes, ...labels, ...parameters.sort()];
    const lines = [names, ...rows.map((row) => names.map((name) => row[name]))];
    return `${lines.map((line) => line.map(field).join(',')).join('\r\n')}\r\n`;
  }

  gallery.records = { record, json, csv, field };
})();

'use strict';
// Pictures as rows for other programs: JSON and CSV.

(() => {
  // What makes a spreadsheet take a text for a formula; a number with a sign is none.
  const FORMULA = /^[=+\-@\t\r]/;
  const NUMBER = /^[+-]?\d+(\.\d+)?$/;

  /** All that is known of a picture. */
  function record(card) {
    const { task } = card;
    const mark = gallery.marks.of(card.key);
    const axes = Object.fromEntries(
      gallery.axes.wide().map((axis) => [axis.name, gallery.axes.value(axis, card).label]),
    );
    return {
      task: task.id,
      index: task.index,
      state: task.state,
      model: gallery.run.job.model,
      parameters: gallery.run.parameters(task),
      axes,
      path: card.src ? card.path : null,
      cost_usd: task.cost,
      elapsed_seconds: task.seconds,
      error: task.error ? { kind: task.error[0], message: task.error[1] } : null,
      stars: mark.stars,
      rejected: mark.reject,
      tags: mark.tags,
      note: mark.note,
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

  function csv(cards) {
    const names = [...new Set(cards.flatMap((card) => Object.keys(gallery.run.parameters(card.task))))].sort();
    const axes = gallery.axes
      .wide()
      .map((axis) => axis.name)
      .filter((name) => !names.includes(name));
    const own = [
      'task',
      'index',
      'state',
      'path',
      'cost_usd',
      'elapsed_seconds',
      'stars',
      'rejected',
      'tags',
      'note',
      'error',
    ];
    const lines = cards.map((card) => {
      const held = record(card);
      const flat = { ...held, tags: held.tags.join(', '), error: held.error?.message ?? '' };
      return [
        ...own.map((name) => flat[name]),
        ...axes.map((name) => held.axes[name]),
        ...names.map((name) => shown(held.parameters[name])),
      ];
    });
    return [[...own, ...axes, ...names], ...lines].map((line) => line.map(field).join(',')).join('\r\n') + '\r\n';
  }

  const shown = (value) => (value === undefined ? '' : gallery.run.shown(value));

  gallery.records = { record, json, csv, field };
})();

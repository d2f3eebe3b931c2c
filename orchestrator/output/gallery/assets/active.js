'use strict';
// The picture that the keys are about: it stays the same one, whatever comes or goes before it.

(() => {
  const active = { row: 0, column: 0, n: 0 };
  active.gap = 0; // where the picture has gone: 1 where the one after it stands here now, -1 where the one before it does
  let key = null; // of the picture; null while nobody has chosen one, and where a cell has none
  let axes = ''; // of the model in which it was found last
  let lines = ''; // on which it stood there

  const between = (value, most) => Math.max(0, Math.min(value, most));
  const axesOf = (model) => [model.kind, model.x?.id, model.y?.id, model.ox?.id, model.oy?.id].join(' ');
  const linesOf = (model) =>
    [model.rows[active.row], model.columns[active.column]].map((line) => line && gallery.layout.name(line)).join(' ');

  /** Go to a place, or the nearest there is. */
  active.place = (model, row, column, n = active.n) => {
    active.row = between(row, model.rows.length - 1);
    active.column = between(column, model.across(active.row) - 1);
    active.n = n;
  };

  /** From now on it is the picture that stands here. */
  active.hold = (model) => {
    const cards = model.rows.length ? model.cards(active.row, active.column) : [];
    key = (cards[active.n] ?? cards[0])?.key ?? null;
    active.gap = 0;
    [axes, lines] = [axesOf(model), linesOf(model)];
  };

  /** Stay with the picture where it stands elsewhere now; where it has gone, others may have moved up to its place. */
  active.follow = (model) => {
    const found = key === null ? null : model.find(key);
    const { row, column } = found ?? active;
    const isBehind = row >= model.rows.length || column >= model.across(row);
    active.place(model, row, isBehind && model.kind === 'wall' ? Infinity : column, found?.n);
    const isMoved = model.kind === 'wall' || lines !== linesOf(model);
    active.gap = found || key === null || axes !== axesOf(model) || !isMoved ? 0 : isBehind ? -1 : 1;
    if (!active.gap && key !== null) active.hold(model);
  };

  /** How far a step goes: what stands at the place of one that has gone is itself the next one, or the one before. */
  active.step = (by) => (by * active.gap > 0 ? by - active.gap : by);

  gallery.active = active;
})();

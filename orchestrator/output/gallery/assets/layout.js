'use strict';
// What stands where: the grid as columns and rows of cells, and the wall as lines of one picture after another.

(() => {
  let cached = null;
  let acrossBefore = 0;
  let asked = '';

  /** The columns or rows that two axes make, the outer one slower; one without a value where there is no axis. */
  function lines(inner, outer) {
    const inners = inner ? gallery.axes.visible(inner) : [null];
    const outers = outer ? gallery.axes.visible(outer) : [null];
    return outers.flatMap((o, group) => inners.map((i) => ({ inner: i, outer: o, group })));
  }

  /** A function from a value of the outer and one of the inner axis to the number of the line. */
  function finder(found, inner, outer) {
    const places = new Map(found.map((line, number) => [`${line.inner?.number}.${line.outer?.number}`, number]));
    const number = (axis, card, at) => (axis ? gallery.axes.number(axis, card, at) : undefined);
    return (card, at) => places.get(`${number(inner, card, at)}.${number(outer, card, at)}`);
  }

  /** What tells lines apart. */
  const name = (line) => `${line.inner?.axis.id}${line.inner?.number}${line.outer?.axis.id}${line.outer?.number}`;

  /** Whether a picture is among those that the pickers beside the grid choose: of one value, or of all that are shown. */
  function picker() {
    const wanted = gallery.view.picked().map((axis) => {
      const number = gallery.view.pick(axis);
      const several = new Set(gallery.axes.visible(axis).map((value) => value.number));
      return [axis, number < 0 ? several : new Set([number])];
    });
    return (card, at) => wanted.every(([axis, numbers]) => numbers.has(gallery.axes.number(axis, card, at)));
  }

  /** A function from a picture to its place among those of its cell, by the values of the axes that are all together. */
  function ranker() {
    const together = gallery.view.picked().filter((axis) => gallery.view.pick(axis) < 0);
    const orders = together.map((axis) => {
      const places = new Map(gallery.axes.visible(axis).map((value, place) => [value.number, place]));
      return [axis, places];
    });
    return (card, at) =>
      orders.reduce((rank, [axis, places]) => rank * places.size + places.get(gallery.axes.number(axis, card, at)), 0);
  }

  /** Put pictures where they stand among columns and rows: those that are shown, and where others were left out. */
  function filled(columns, rows, passes) {
    const [x, y, ox, oy] = ['x', 'y', 'ox', 'oy'].map(gallery.view.axis);
    const columnOf = finder(columns, x, ox);
    const rowOf = finder(rows, y, oy);
    const isPicked = picker();
    const rank = ranker();
    const ranked = new Map();
    const left = new Set();
    const placed = new Set();
    for (const task of gallery.run.tasks.values()) {
      for (const at of [task.at, ...task.cells]) {
        for (const card of task.cards) {
          const column = isPicked(card, at) ? columnOf(card, at) : undefined;
          const row = column === undefined ? undefined : rowOf(card, at);
          if (row === undefined) continue;
          const key = row * columns.length + column;
          if (!passes(card)) {
            left.add(key);
            continue;
          }
          placed.add(card);
          if (!ranked.has(key)) ranked.set(key, []);
          ranked.get(key).push([rank(card, at), card]);
        }
      }
    }
    const inOrder = (cards) => cards.sort((a, b) => a[0] - b[0]).map(([, card]) => card);
    const cells = new Map([...ranked].map(([key, cards]) => [key, inOrder(cards)]));
    return { columns, rows, x, y, ox, oy, passes, cells, left, placed };
  }

  /** Whether a cell has something to show by the filters: pictures, or a task that is still to come. */
  function hasSomething({ columns, rows, passes, cells, left }, row, column) {
    const key = row * columns.length + column;
    if (cells.has(key) || left.has(key)) return cells.has(key);
    const at = place(rows[row], columns[column]);
    const state = gallery.run.stateAt(at);
    return state !== null && passes(gallery.run.unheard(at, state));
  }

  /** These lines of a grid, its groups numbered anew. */
  function some(of, isKept) {
    const kept = of.filter((_, number) => isKept(number));
    const groups = new Map([...new Set(kept.map((line) => line.group))].map((group, number) => [group, number]));
    return kept.map((line) => ({ ...line, group: groups.get(line.group) }));
  }

  /** Leave out columns and rows of which the filters leave nothing. */
  function narrowed(found) {
    if (gallery.choose.isAll()) return found;
    const { columns, rows } = found;
    const [across, down] = [new Set(), new Set()];
    for (let row = 0; row < rows.length; row += 1) {
      for (let column = 0; column < columns.length; column += 1) {
        if ((across.has(column) && down.has(row)) || !hasSomething(found, row, column)) continue;
        across.add(column);
        down.add(row);
      }
    }
    if (across.size === columns.length && down.size === rows.length) return found;
    const isAcross = (column) => across.has(column);
    return filled(some(columns, isAcross), some(rows, (row) => down.has(row)), found.passes);
  }

  function grid() {
    const [x, y, ox, oy] = ['x', 'y', 'ox', 'oy'].map(gallery.view.axis);
    const found = narrowed(filled(lines(x, ox), lines(y, oy), gallery.choose.matcher()));
    const { columns, rows, cells, left, placed } = found;
    return {
      ...found,
      kind: 'grid',
      cards: (row, column) => cells.get(row * columns.length + column) ?? [],
      most: [...cells.values()].reduce((most, each) => Math.max(most, each.length), 1),
      pictures: [...placed].reduce((sum, card) => sum + Number(card.src !== null), 0),
      isLeft: (row, column) => left.has(row * columns.length + column),
      at: (row, column) => place(rows[row], columns[column]),
      across: () => columns.length,
      find: (key) => find(found, key),
    };
  }

  /** Where in a grid a picture stands, null where it does not. */
  function find({ columns, cells }, key) {
    for (const [cell, cards] of cells) {
      const n = cards.findIndex((card) => card.key === key);
      if (n >= 0) return { row: Math.floor(cell / columns.length), column: cell % columns.length, n };
    }
    return null;
  }

  /** The place in the whole grid that a cell stands for. */
  function place(row, column) {
    const known = new Map();
    for (const line of [row, column]) {
      for (const value of [line.inner, line.outer]) if (value) known.set(value.axis, value.number);
    }
    const axes = gallery.axes.all.filter((axis) => axis !== gallery.axes.output);
    return axes.map((axis) => known.get(axis) ?? (axis.values.length > 1 ? gallery.view.pick(axis) : 0));
  }

  function wall(across) {
    const list = gallery.choose.list();
    const columns = Array.from({ length: Math.min(across, Math.max(list.length, 1)) }, () => ({
      inner: null,
      outer: null,
      group: 0,
    }));
    const rows = Array.from({ length: Math.ceil(list.length / columns.length) }, () => ({
      inner: null,
      outer: null,
      group: 0,
    }));
    const cards = (row, column) => list.slice(row * columns.length + column, row * columns.length + column + 1);
    const find = (key) => {
      const number = list.findIndex((card) => card.key === key);
      return number < 0 ? null : { row: Math.floor(number / columns.length), column: number % columns.length, n: 0 };
    };
    return {
      kind: 'wall',
      columns,
      rows,
      cards,
      most: 1,
      isLeft: () => false,
      at: () => null,
      across: (row) => Math.min(columns.length, list.length - row * columns.length), // in its last line there are fewer
      find,
      x: null,
      y: null,
      ox: null,
      oy: null,
    };
  }

  /** What is to be shown; `across` says how many pictures fit beside each other on the wall. */
  function current(across) {
    const isWall = gallery.view.tab === 'wall';
    if (!cached || (isWall && across !== acrossBefore)) {
      cached = isWall ? wall(across) : grid();
      acrossBefore = across;
    }
    return cached;
  }

  /** What a cell without pictures says: its state, null where there is no such cell. */
  function absent(model, row, column) {
    if (model.kind === 'wall') return null;
    if (model.isLeft(row, column)) return 'filtered';
    const at = model.at(row, column);
    const state = gallery.run.stateAt(at);
    return state && !model.passes(gallery.run.unheard(at, state)) ? 'filtered' : state;
  }

  /** All of the view that decides what stands where. */
  function question() {
    const { tab, x, y, ox, oy, picks, hidden, order, filters, sort, descending } = gallery.view;
    return JSON.stringify([tab, x, y, ox, oy, picks, hidden, order, filters, sort, descending]);
  }

  for (const name of ['tasks', 'head']) gallery.atOnce(name, () => (cached = null));
  gallery.atOnce('view', () => {
    if (question() !== asked) cached = null;
    asked = question();
  });
  gallery.atOnce('marks', () => (cached = gallery.choose.looksAtMarks() ? null : cached));

  gallery.layout = { current, absent, name };
})();

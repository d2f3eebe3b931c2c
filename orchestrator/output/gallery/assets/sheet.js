'use strict';
// The sheet on which cells stand, in both directions as large as it takes: only what is in view is in the document.

(() => {
  const { h } = gallery.dom;
  const GAP = 6;
  const GROUP_GAP = 18;
  const CAPTION_LINE = 18;
  const OVERSCAN = 1;
  const ROWS_IN_SIGHT = 2.5;
  const ABOVE = 204; // pixels, about: pictures stay as large as they are when the bar above them grows
  const ON_WALL = 190; // pixels, about
  const TALLEST = 15_000_000; // pixels: browsers know no larger elements

  const { active } = gallery;
  const sheet = { active, model: null };
  const drawn = new Map(); // rows in the document: their element and cells
  let box = null;
  let canvas = null;
  let head = null;
  let nothing = null; // what is said where there is nothing to show
  let size = null;
  let shape = ''; // what has to be the same for cells to stay where they are
  let stale = true;

  sheet.open = () => {
    box = document.getElementById('sheet');
    canvas = h('div.canvas', { role: 'presentation' });
    box.append(canvas);
    nothing = h('p.empty', { id: 'nothing', hidden: true });
    box.after(nothing);
    box.addEventListener('scroll', () => gallery.changed('scroll'), { passive: true });
    box.addEventListener('focus', focused);
    new ResizeObserver(() => gallery.changed('resize')).observe(box);
    for (const name of ['tasks', 'view', 'head', 'resize', 'picked', 'marks']) gallery.on(name, () => (stale = true));
    for (const name of ['tasks', 'view', 'head', 'resize', 'picked', 'marks', 'scroll', 'active'])
      gallery.on(name, draw);
  };

  /** How tall a picture is beside its width: as most of the first ones are. */
  function aspect() {
    const counts = new Map();
    let seen = 0;
    for (const task of gallery.run.tasks.values()) {
      const [shot] = task.shots;
      if (!shot?.width) continue;
      const ratio = (shot.height / shot.width).toFixed(3);
      counts.set(ratio, (counts.get(ratio) ?? 0) + 1);
      if ((seen += 1) > 200) break;
    }
    const [first] = [...counts].sort((a, b) => b[1] - a[1]);
    return Math.max(0.4, Math.min(1.8, first ? Number(first[0]) : 1));
  }

  const isNarrow = () => box.clientWidth < 640;

  /** The width of a cell that suits the window, where nobody has chosen one. */
  function fitting(columns, left, ratio, below) {
    const room = box.clientWidth - left - 2 * GAP - (columns.at(-1)?.group ?? 0) * GROUP_GAP;
    if (gallery.view.tab === 'wall')
      return Math.floor(room / (isNarrow() ? 2 : Math.max(1, Math.round(room / ON_WALL))) - GAP);
    const least = isNarrow() ? 104 : 128;
    const rows = Math.max(1, ROWS_IN_SIGHT / below); // of cells; of several pictures below each other fewer
    const most = Math.max(200, (window.innerHeight - ABOVE) / rows / ratio);
    return Math.floor(Math.max(least, Math.min(most, room / Math.max(columns.length, 1) - GAP)));
  }

  function measure() {
    const isWall = gallery.view.tab === 'wall';
    const { most, columns } = isWall ? { most: 1, columns: [] } : gallery.layout.current(1);
    const [beside, below] = gallery.cell.mosaic(most);
    const left = isWall || !(gallery.view.y || gallery.view.oy) ? 0 : isNarrow() ? 84 : 164;
    const ratio = (aspect() * below) / beside;
    const width = gallery.view.size || fitting(columns, left, ratio, below);
    const across = Math.max(1, Math.floor((box.clientWidth - left - GAP) / (width + GAP)));
    const top = isWall ? 0 : (gallery.view.ox ? 30 : 0) + (gallery.view.x ? 40 : 0);
    return { width, left, top, across, ratio };
  }

  /** Where lines begin, pixel by pixel: groups stand a little apart. */
  const start = (line, number, pitch) => GAP + number * pitch + line.group * GROUP_GAP;

  function layOut() {
    const isWall = gallery.view.tab === 'wall';
    size = measure();
    sheet.model = gallery.layout.current(size.across);
    const { columns, rows } = sheet.model;
    const captions = gallery.cell.lines() * CAPTION_LINE;
    const tallest = rows.length ? TALLEST / rows.length : TALLEST;
    size.height = Math.min(Math.round(size.width * size.ratio), tallest - captions - GAP);
    size.pitchX = size.width + GAP;
    size.pitchY = size.height + captions + GAP;
    const last = (lines, pitch) => (lines.length ? start(lines.at(-1), lines.length, pitch) : 0);
    canvas.style.width = `${size.left + last(columns, size.pitchX)}px`;
    canvas.style.height = `${size.top + last(rows, size.pitchY)}px`;
    canvas.style.setProperty('--left', `${size.left}px`);
    canvas.style.setProperty('--top', `${size.top}px`);
    canvas.style.setProperty('--cell', `${size.width}px`);
    canvas.style.setProperty('--picture', `${size.height}px`);
    box.setAttribute('aria-rowcount', rows.length + 1);
    box.setAttribute('aria-colcount', columns.length + 1);
    active.follow(sheet.model);
  }

  /** The numbers of the lines that are in view, from and to. */
  function range(lines, pitch, from, room) {
    let low = Math.max(0, Math.floor((from - GAP) / pitch) - OVERSCAN);
    while (low > 0 && start(lines[Math.min(low, lines.length - 1)], low, pitch) > from) low -= 1;
    let high = low;
    while (high < lines.length && start(lines[high], high, pitch) < from + room + pitch * OVERSCAN) high += 1;
    return [Math.min(low, lines.length), high];
  }

  function draw() {
    const isShown = ['grid', 'wall'].includes(gallery.view.tab);
    box.hidden = !isShown;
    nothing.hidden = true;
    if (!isShown || box.clientWidth === 0) return;
    if (stale) {
      layOut();
      if (shape !== shaped()) clear();
      else refresh();
      shape = shaped();
      stale = false;
    }
    const { columns, rows } = sheet.model;
    nothing.hidden = rows.length > 0 || gallery.run.isLoading();
    nothing.textContent = why();
    const [firstRow, lastRow] = range(rows, size.pitchY, box.scrollTop, box.clientHeight - size.top);
    const [firstColumn, lastColumn] = range(columns, size.pitchX, box.scrollLeft, box.clientWidth - size.left);
    drawHead(firstColumn, lastColumn);
    for (const [number, row] of drawn) if (number < firstRow || number >= lastRow) drop(number, row);
    for (let number = firstRow; number < lastRow; number += 1) drawRow(number, firstColumn, lastColumn);
    point();
  }

  /** Why there is nothing to show. */
  function why() {
    if (gallery.view.filters.length) return 'No picture passes the filters.';
    return gallery.choose.isAll() ? 'There is no picture yet.' : 'All of it is hidden.';
  }

  function shaped() {
    const { kind, columns, rows } = sheet.model;
    const { name } = gallery.layout;
    const lines = kind === 'grid' ? [columns.map(name), rows.map(name)] : [columns.length, gallery.view.sort];
    return JSON.stringify([kind, size, gallery.view.show, lines]);
  }

  /** Draw those cells anew of which there is something new to say: pictures that stay do not flicker. */
  function refresh() {
    for (const [number, row] of drawn) {
      for (const [column, cell] of row.cells) {
        if (number >= sheet.model.rows.length) drop(number, row);
        else if (cell.dataset.told !== told(number, column))
          cell.replaceWith(remember(row, column, drawCell(number, column)));
      }
    }
  }

  /** All that a cell shows, in short. */
  function told(row, column) {
    const cards = sheet.model.cards(row, column);
    const isActive = cards.length > 1 && row === active.row && column === active.column;
    const mark = ({ stars, reject, tags, note }) => `${stars}${reject}${tags.length}${note.length > 0}`;
    const each = (card) =>
      [
        card.key,
        card.task.state,
        card.thumbnail,
        mark(gallery.marks.of(card.key)),
        gallery.marks.picked.has(card.key),
      ].join();
    return `${cards.map(each).join(' ')} ${cards.some((card) => card.src) ? '' : gallery.layout.absent(sheet.model, row, column)} ${isActive ? active.n : ''}`;
  }

  function clear() {
    canvas.replaceChildren();
    drawn.clear();
    head = null;
  }

  function drop(number, row) {
    row.element.remove();
    drawn.delete(number);
  }

  function drawHead(first, last) {
    if (!size.top) return;
    if (head && head.first === first && head.last === last) return;
    const element = gallery.heads.columns(sheet.model, size, first, last, (line, number) =>
      start(line, number, size.pitchX),
    );
    if (head) head.element.replaceWith(element);
    else canvas.prepend(element);
    head = { element, first, last };
  }

  function drawRow(number, first, last) {
    let row = drawn.get(number);
    if (!row) {
      row = { element: gallery.heads.row(sheet.model, size, number), cells: new Map() };
      row.element.style.top = `${size.top + start(sheet.model.rows[number], number, size.pitchY)}px`;
      drawn.set(number, row);
      canvas.append(row.element);
    }
    for (const [column, cell] of row.cells) {
      if (column >= first && column < last) continue;
      cell.remove();
      row.cells.delete(column);
    }
    for (let column = first; column < last; column += 1) {
      if (!row.cells.has(column)) row.element.append(remember(row, column, drawCell(number, column)));
    }
  }

  function remember(row, column, cell) {
    row.cells.set(column, cell);
    return cell;
  }

  function drawCell(row, column) {
    const cards = sheet.model.cards(row, column);
    const state = cards.length ? null : gallery.layout.absent(sheet.model, row, column);
    const element = h('div.cell', {
      role: 'gridcell',
      id: `cell-${row}-${column}`,
      'aria-colindex': column + 2,
      'aria-label': gallery.cell.label(cards, state),
      'data-row': row,
      'data-column': column,
      'data-told': told(row, column),
    });
    element.style.left = `${size.left + start(sheet.model.columns[column], column, size.pitchX)}px`;
    if (cards.length) {
      const isActive = row === active.row && column === active.column;
      element.append(gallery.cell.pictures(cards, size.width, isActive ? active.n : -1));
      if (gallery.cell.lines()) element.append(gallery.cell.caption(cards));
    } else if (state) element.append(gallery.cell.said(gallery.cell.SAYINGS[state], state));
    else if (sheet.model.kind === 'grid') element.classList.add('void');
    return element;
  }

  /** Show which cell the keys are about. */
  function point() {
    canvas.querySelector('.cell.active')?.classList.remove('active');
    const { row, column } = active;
    const cell = drawn.get(row)?.cells.get(column);
    cell?.classList.add('active');
    if (cell) box.setAttribute('aria-activedescendant', cell.id);
    else box.removeAttribute('aria-activedescendant');
  }

  /** The pictures of the active cell, and the chosen one among them. */
  sheet.cards = () => (sheet.model?.rows.length ? sheet.model.cards(active.row, active.column) : []);
  sheet.card = () => sheet.cards()[active.n] ?? sheet.cards()[0] ?? null;

  sheet.moveTo = (row, column, n = 0) => {
    if (!sheet.model.rows.length) return;
    const before = { ...active };
    active.place(sheet.model, row, column, n);
    active.hold(sheet.model);
    redraw(before.row, before.column);
    redraw(active.row, active.column);
    reveal();
    gallery.changed('active');
  };

  /** Draw a cell anew where which of its pictures is chosen may have changed. */
  function redraw(row, column) {
    const held = drawn.get(row);
    const cell = held?.cells.get(column);
    if (!cell || sheet.model.cards(row, column).length < 2) return;
    cell.replaceWith(remember(held, column, drawCell(row, column)));
  }

  /** Who comes to the sheet by key sees where it is, and stays there. */
  function focused() {
    if (sheet.model && !active.gap) active.hold(sheet.model);
    if (box.matches(':focus-visible')) reveal();
  }

  /** Scroll as far as it takes to have the active cell in sight. */
  function reveal() {
    const { row, column } = active;
    if (!sheet.model?.rows.length) return;
    const top = start(sheet.model.rows[row], row, size.pitchY);
    const left = start(sheet.model.columns[column], column, size.pitchX);
    const height = box.clientHeight - size.top;
    const width = box.clientWidth - size.left;
    if (top - GAP < box.scrollTop) box.scrollTop = top - GAP;
    else if (top + size.pitchY > box.scrollTop + height) box.scrollTop = top + size.pitchY - height;
    if (left - GAP < box.scrollLeft) box.scrollLeft = left - GAP;
    else if (left + size.pitchX > box.scrollLeft + width) box.scrollLeft = left + size.pitchX - width;
  }

  /** How many rows are in sight. */
  sheet.page = () => Math.max(1, Math.floor((box.clientHeight - size.top) / size.pitchY) - 1);
  /** Try a width of cells; `view.set` is to follow with the one that it comes to. */
  sheet.resize = (width) => {
    gallery.view.size = width;
    gallery.changed('resize');
  };
  sheet.width = () => size?.width ?? 200;
  sheet.focus = () => box.focus({ preventScroll: true });

  gallery.sheet = sheet;
})();

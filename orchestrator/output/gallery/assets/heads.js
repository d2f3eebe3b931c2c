'use strict';
// The labels of columns and rows: always in sight, and the way to an axis's values.

(() => {
  const { h } = gallery.dom;
  const LETTER = 7; // pixels, about
  const FILLED = 0.8; // of a line, about
  const MOST = 400; // letters: the style cuts at their end what there is no room for

  /** How many letters lines of so many pixels hold, where words are broken between them. */
  const letters = (width, lines) => Math.floor(((width - 8) / LETTER) * (lines === 1 ? 1 : lines * FILLED));

  /** A text that may be broken between the words of a NameLikeThis. */
  function breakable(text) {
    const parts = text.split(/(?<=\p{Ll})(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u);
    return parts.flatMap((part, place) => (place ? [h('wbr'), part] : [part]));
  }

  /** A value's name, in letters that there is room for; a bare number says what it is a number of. */
  function label(value, room, kind = 'div.label') {
    return h(
      kind,
      { dir: 'auto', title: value.text },
      value.isBare && h('small', {}, `${value.axis.name} `),
      breakable(gallery.labels.short(value, MOST, room)),
    );
  }

  /** The row of column labels that are in view; outer ones span their columns. */
  function columns(model, size, first, last, left) {
    const row = h('div.columns', { role: 'row', 'aria-rowindex': 1 });
    if (size.left) row.append(h('div.corner', { role: 'columnheader', 'aria-colindex': 1 }, corner(model)));
    if (model.ox) row.append(...spans(model, size, first, last, left));
    for (let number = first; number < last; number += 1) {
      const line = model.columns[number];
      const names = [line.outer, line.inner].filter(Boolean).map(gallery.axes.word);
      const head = h('div.column', {
        role: 'columnheader',
        'aria-colindex': number + 2,
        'aria-label': names.join(', '),
      });
      if (line.inner) head.append(label(line.inner, letters(size.width, 2)));
      head.style.left = `${size.left + left(line, number)}px`;
      row.append(head);
    }
    return row;
  }

  /** The labels of the outer axis above the columns that are in view. */
  function spans(model, size, first, last, left) {
    const made = [];
    const groups = new Set(model.columns.slice(first, last).map((line) => line.group));
    for (const group of groups) {
      const start = model.columns.findIndex((line) => line.group === group);
      const end = model.columns.findLastIndex((line) => line.group === group);
      const width = left(model.columns[end], end) - left(model.columns[start], start) + size.width;
      const name = label(model.columns[start].outer, letters(width, 1));
      const span = h('div.span', { 'aria-hidden': 'true' }, name);
      span.style.left = `${size.left + left(model.columns[start], start)}px`;
      span.style.width = `${width}px`;
      made.push(span);
    }
    return made;
  }

  function corner(model) {
    const across = [model.ox, model.x]
      .filter(Boolean)
      .map((axis) => axis.name)
      .join(' › ');
    const down = [model.oy, model.y]
      .filter(Boolean)
      .map((axis) => axis.name)
      .join(' › ');
    return [across && h('span.across', {}, `${across} →`), down && h('span.down', {}, `${down} ↓`)];
  }

  /** An empty row with its label. */
  function row(model, size, number) {
    const line = model.rows[number];
    const element = h('div.row', { role: 'row', 'aria-rowindex': number + 2 });
    if (size.left) element.append(rowHead(line, size));
    if (line.group && model.rows[number - 1]?.group !== line.group) element.classList.add('first');
    return element;
  }

  function rowHead(line, size) {
    const head = h('div.rowhead', { role: 'rowheader', 'aria-colindex': 1 });
    if (line.outer) head.append(label(line.outer, letters(size.left - 8, 3), 'div.outer'));
    if (line.inner) head.append(label(line.inner, letters(size.left - 8, 4)));
    return head;
  }

  gallery.heads = { columns, row, breakable };
})();

'use strict';
// One picture as large as the window: arrow keys go along the axes of the grid, and what they change is marked.

(() => {
  const { h, icon, button, replace, apart } = gallery.dom;
  const zoom = gallery.stage.zoom();
  const STRIP = 24; // pictures, at most
  const viewer = { card: null };
  let dialog = null;
  let before = null; // the picture that was looked at before this one

  viewer.open = () => {
    dialog = document.getElementById('viewer');
    dialog.addEventListener('close', () => {
      if (dialog.open) return; // opened again before it was heard of
      viewer.card = null;
      replace(dialog);
      gallery.sheet.focus();
    });
    gallery.on('marks', () => viewer.card && update());
    gallery.on('picked', () => viewer.card && update());
  };

  viewer.show = (card) => {
    if (!card) return;
    before = viewer.card;
    viewer.card = card;
    if (!dialog.open) zoom.reset(); // it goes along from picture to picture
    draw();
    if (!dialog.open) dialog.showModal();
    zoom.settle(); // what it has room for is known now
  };

  viewer.isOpen = () => Boolean(dialog?.open);
  viewer.close = () => dialog.close();

  /** The next cell in a direction that has something to show. */
  function neighbour(rows, columns) {
    const { model, active } = gallery.sheet;
    let [row, column] = [active.row + active.step(rows), active.column + active.step(columns)];
    while (row >= 0 && row < model.rows.length && column >= 0 && column < model.columns.length) {
      const cards = model.cards(row, column);
      if (cards.length) return { row, column, cards };
      row += rows;
      column += columns;
    }
    return null;
  }

  /** On the wall, one line follows the other. */
  function following(step) {
    const { model, active } = gallery.sheet;
    const across = model.columns.length;
    const place = active.row * across + active.column + active.step(step);
    if (place < 0) return null;
    const [row, column] = [Math.floor(place / across), place % across];
    const cards = row < model.rows.length ? model.cards(row, column) : [];
    return cards.length ? { row, column, cards } : null;
  }

  /** A finger that goes one way fetches what stands the other way, as it would pull a sheet of paper. */
  zoom.swiped = (rows, columns) => viewer.go(rows, columns);

  const target = (rows, columns) =>
    gallery.sheet.model.kind === 'wall' && !rows ? following(columns) : neighbour(rows, columns);

  viewer.go = (rows, columns) => {
    const found = target(rows, columns);
    if (!found) return;
    const n = Math.min(gallery.sheet.active.n, found.cards.length - 1);
    gallery.sheet.moveTo(found.row, found.column, n);
    viewer.show(found.cards[n]);
  };

  /** Go to another output of the same cell. */
  viewer.turn = (step) => {
    const cards = gallery.sheet.cards();
    const n = (gallery.sheet.active.n + step + cards.length) % cards.length;
    gallery.sheet.moveTo(gallery.sheet.active.row, gallery.sheet.active.column, n);
    viewer.show(cards[n]);
  };

  function draw() {
    const { card } = viewer;
    zoom.stages.length = 0;
    const stage = gallery.stage.stage(card, zoom);
    replace(
      dialog,
      h('div.look', {}, stage.element, h('div.ways', {}, ways(), gallery.stage.sizing(zoom, 'way.size')), strip()),
      h('aside.panel', { 'aria-label': 'About this picture' }, head(), h('div.marking', {}), details()),
    );
    update();
    if (!dialog.contains(document.activeElement)) dialog.focus();
  }

  function update() {
    const place = dialog.querySelector('.marking');
    if (!gallery.marking.isWriting(place)) replace(place, gallery.marking.panel(viewer.card));
  }

  function way(name, rows, columns) {
    const found = target(rows, columns);
    const changed = found && differing(viewer.card, found.cards[0]);
    const words = (changed ?? [])
      .map((axis) => gallery.labels.word(gallery.axes.value(axis, found.cards[0]), 28))
      .map(gallery.words.isolated)
      .join(', ');
    const made = button(words, () => viewer.go(rows, columns), {
      iconName: name,
      title: `Go ${name}${words && `: ${words}`}`,
      kind: `way.${name}`,
    });
    made.disabled = !found;
    return made;
  }

  const differing = (a, b) =>
    gallery.axes.wide().filter((axis) => gallery.axes.number(axis, a) !== gallery.axes.number(axis, b));

  const ways = () => [way('left', 0, -1), way('right', 0, 1), way('up', -1, 0), way('down', 1, 0)];

  /** The outputs of the cell, where there is more than one. */
  function strip() {
    const cards = gallery.sheet.cards();
    if (cards.length < 2 || !cards.includes(viewer.card)) return null;
    const each = (card, n) => {
      const made = h('button', {
        type: 'button',
        'aria-label': `Output ${n + 1}`,
        'aria-pressed': String(card === viewer.card),
        onclick: () => viewer.turn(n - gallery.sheet.active.n),
      });
      made.append(gallery.cell.content(card, 64));
      return made;
    };
    const first = Math.max(0, Math.min(cards.indexOf(viewer.card) - STRIP / 2, cards.length - STRIP));
    return h('div.strip', {}, cards.slice(first, first + STRIP).map((card, place) => each(card, first + place)));
  }

  function head() {
    const { card } = viewer;
    const close = button('', viewer.close, { iconName: 'close', title: 'Close (Esc)', id: 'viewer-close' });
    return h(
      'div.title',
      {},
      h('h2', {}, apart(gallery.cell.names(card, 60), ' · ', gallery.heads.breakable)),
      close,
    );
  }

  function details() {
    const { card } = viewer;
    const { task } = card;
    return [
      task.error && h('p.error', {}, icon('warn'), `${task.error[0]}: ${task.error[1]}`),
      task.warnings.map((words) => h('p.error.calm', { dir: 'auto' }, icon('warn'), words)),
      parameters(card),
      h(
        'dl.facts',
        {},
        facts(card).map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
      ),
      actions(card),
    ];
  }

  /** What was sent: what was swept first; marked where it is not as in the picture before. */
  function parameters(card) {
    const held = gallery.run.parameters(card.task);
    const old = before && before.task !== card.task ? gallery.run.parameters(before.task) : null;
    const swept = new Set(gallery.axes.wide().flatMap((axis) => axis.names));
    const own = new Set(Object.keys(card.task.own));
    const isMoving = (name) => swept.has(name) || own.has(name);
    const names = Object.keys(held);
    const row = (name) =>
      parameter(name, held[name], old && String(old[name]) !== String(held[name]) ? old[name] : undefined);
    const fixed = names.filter((name) => !isMoving(name)).sort();
    return [
      h(
        'table.parameters',
        {},
        h('caption', {}, 'Parameters'),
        h('tbody', {}, names.filter(isMoving).map(row), variables(card, swept, held)),
      ),
      fixed.length > 0 &&
        h(
          'details',
          {},
          h('summary', {}, `${fixed.length} that are the same for all`),
          h('table.parameters', {}, h('tbody', {}, fixed.map(row))),
        ),
    ];
  }

  /** Variables are not sent, but they are what a template's text was made of. */
  function variables(card, swept, held) {
    const axes = gallery.axes
      .wide()
      .filter((axis) => !axis.names.some((name) => name in held) && axis.names.every((name) => swept.has(name)));
    return axes.map((axis) => parameter(axis.name, gallery.axes.value(axis, card).label, undefined));
  }

  function parameter(name, value, old) {
    const was =
      old === undefined
        ? null
        : h(
            'del',
            { dir: 'auto', title: 'In the picture before' },
            gallery.words.shortened(gallery.run.shown(old), 160),
          );
    return h(
      was ? 'tr.changed' : 'tr',
      {},
      h('th', { scope: 'row' }, name),
      h('td', { dir: 'auto' }, gallery.run.shown(value), was),
    );
  }

  function facts({ task, ...card }) {
    const { usd, seconds, time, bytes } = gallery.words;
    const found = [
      ['state', task.state],
      ['cost', usd(task.paid)],
      ['ran', seconds(task.seconds)],
      ['finished', time(task.finished)],
    ];
    if (task.attempts > 1) found.push(['attempts', String(task.attempts)]);
    if (card.width) found.push(['size', `${card.width} × ${card.height}, ${bytes(card.bytes)}`]);
    found.push(['task', task.id]);
    return found;
  }

  function actions(card) {
    const copy = (what, text) => () => gallery.save.copy(what, text());
    const name = card.src ? card.path.split('/').at(-1) : '';
    const isHere = card.src && !card.lack;
    return h(
      'div.actions',
      {},
      button(
        'Copy as job row',
        copy('The row', () => gallery.jobs.row(card.task)),
        { title: 'A row for `include` of a job file' },
      ),
      button(
        'Copy as JSON',
        copy('The JSON', () => JSON.stringify(gallery.records.record(card), null, 2)),
      ),
      // From the disk browsers would go to the file instead, and leave the page.
      isHere &&
        location.protocol !== 'file:' &&
        h('a.plain', { href: card.src, download: name }, icon('export'), h('span', {}, 'Download')),
      isHere &&
        h('a.plain', { href: card.src, target: '_blank', rel: 'noopener' }, icon('open'), h('span', {}, 'Open file')),
    );
  }

  viewer.zoom = zoom;
  gallery.viewer = viewer;
})();

'use strict';
// The keyboard: everything that the page does can be done with it. One table holds all keys: what each is called, what
// it does in words, for the help, and what does it.

(() => {
  const TABS = { g: 'grid', w: 'wall', b: 'blind', o: 'overview' };
  const WAYS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'];
  const ALONG = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const PANNED = 0.15; // of the stage
  const FIELDS = { t: 'tags', n: 'note' };
  const { marks, marking } = gallery;

  /** The picture that marks are given to: the one that is looked at, or the active one. */
  function subject() {
    if (gallery.viewer.isOpen()) return gallery.viewer.card;
    return gallery.compare.isOpen() ? gallery.compare.card() : gallery.sheet.card();
  }

  /** Do something with the picture at hand; a task that made none gets no marks. */
  const mark = (act) => (name) => subject()?.src && act(subject(), name);

  /** Go to the tags or the note. */
  function write(card, name) {
    if (!gallery.viewer.isOpen() && !gallery.compare.isOpen()) gallery.viewer.show(card);
    marking.write(card, FIELDS[name]);
  }

  function pick(card) {
    if (gallery.compare.isOpen()) gallery.compare.takeOut();
    else marks.pick(card.key);
  }

  /** Go from cell to cell; the sheet gets the focus. */
  function move(name, event) {
    const { sheet } = gallery;
    const { row, column } = sheet.active;
    const { columns, rows } = sheet.model;
    const last = { row: rows.length - 1, column: columns.length - 1 };
    const targets = {
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? last.row : row, last.column],
      PageUp: [row - sheet.page(), column],
      PageDown: [row + sheet.page(), column],
    };
    const [down, right] = ALONG[name] ?? [0, 0];
    sheet.moveTo(...(targets[name] ?? [row + sheet.active.step(down), column + sheet.active.step(right)]));
    sheet.focus();
  }

  const along = (name) => gallery.viewer.go(...ALONG[name]);

  function turn(name) {
    const { row, column, n } = gallery.sheet.active;
    const count = Math.max(1, gallery.sheet.cards().length);
    gallery.sheet.moveTo(row, column, (n + (name === ']' ? 1 : count - 1)) % count);
  }

  const show = (name) => gallery.view.set({ tab: TABS[name] }, { silent: false });

  const zoom = () => [gallery.viewer, gallery.compare].find((each) => each.isOpen())?.zoom ?? gallery.blind.zoom;

  /** Move the picture, so that more is seen of the side that the arrow points to. */
  function pan(name) {
    const [down, right] = ALONG[name];
    zoom().move(-right * PANNED, -down * PANNED);
  }

  // Names of keys, what they do in words, and what does it; without that the browser does it by itself, or a finger.
  const PARTS = {
    Everywhere: [
      ['g w b o', 'grid, wall, blind comparison, overview', show],
      ['/', 'filter', () => gallery.filters.begin()],
      ['e', 'export', () => gallery.save.show()],
      ['?', 'this help', () => gallery.help()],
    ],
    'In the grid': [
      ['ArrowLeft ArrowRight ArrowUp ArrowDown', 'go from cell to cell', move],
      ['Home End', 'first and last of the row; with Ctrl of all', move],
      ['PageUp PageDown', 'as far as can be seen', move],
      ['Enter', 'look closely', () => gallery.viewer.show(gallery.sheet.card())],
      ['[ ]', 'another output of the cell', turn],
      ['+ =', 'larger', () => gallery.toolbar.resize(1.2)],
      ['-', 'smaller', () => gallery.toolbar.resize(1 / 1.2)],
      ['c', 'compare the picked ones', () => gallery.compare.show()],
    ],
    'Deciding, wherever a picture is': [
      ['1 2 3 4 5', 'stars', mark((card, name) => marking.rate(card, Number(name)))],
      ['0', 'no mark', mark((card) => marks.set(card.key, { stars: 0, reject: false }))],
      ['x', 'reject', mark(marking.reject)],
      ['Space', 'pick; take out of a comparison', mark(pick)],
      ['t', 'tags', mark(write)],
      ['n', 'note', mark(write)],
      ['u', 'take back', () => marks.undo()],
    ],
    'Looking closely': [
      ['ArrowLeft ArrowRight ArrowUp ArrowDown', 'along the axes of the grid', along],
      ['[ ]', 'another output of the cell', (name) => gallery.viewer.turn(name === ']' ? 1 : -1)],
      ['Escape', 'back'],
    ],
    Comparing: [
      ['ArrowLeft ArrowRight', 'which of them is marked', (name) => gallery.compare.step(ALONG[name][1])],
      ['s', 'side by side or slider', () => gallery.compare.switch()],
      ['Escape', 'back'],
    ],
    'Blind comparison': [
      ['ArrowLeft', 'the left, or upper, one is better', () => gallery.blind.answer('a')],
      ['ArrowRight', 'the right, or lower, one is better', () => gallery.blind.answer('b')],
      ['ArrowDown', 'equally good', () => gallery.blind.answer('tie')],
      ['ArrowUp', 'skip', () => gallery.blind.skip()],
      ['u', 'take the last answer back', () => gallery.blind.undo()],
    ],
    'Large pictures': [
      ['+ =', 'zoom in', () => zoom().into()],
      ['-', 'zoom out', () => zoom().out()],
      ['z', 'actual size, or the whole picture', () => zoom().toggle()],
      ['Shift+ArrowLeft Shift+ArrowRight Shift+ArrowUp Shift+ArrowDown', 'move what is zoomed', pan],
      ['wheel', 'zoom; drag to move'],
    ],
    'With fingers': [
      ['tap', 'look closely'],
      ['rest', 'pick'],
      ['swipe', 'go along the axes, in a picture'],
      ['pinch', 'zoom; one finger moves'],
    ],
  };

  /** The parts of the table that hold for what is on the screen, the first one first. */
  function valid() {
    if (gallery.viewer.isOpen()) return ['Looking closely', 'Large pictures', 'Deciding, wherever a picture is'];
    if (gallery.compare.isOpen()) return ['Comparing', 'Large pictures', 'Deciding, wherever a picture is'];
    if (document.querySelector('dialog[open]')) return [];
    const parts = { blind: ['Blind comparison', 'Large pictures'], overview: [] };
    return [...(parts[gallery.view.tab] ?? ['In the grid', 'Deciding, wherever a picture is']), 'Everywhere'];
  }

  function meaning(name) {
    const entries = valid().flatMap((part) => PARTS[part]);
    return entries.find(([names, , act]) => act && names.split(' ').includes(name))?.[2];
  }

  /** Whether the element that has the focus does something of its own with a key. */
  function isItsOwn(element, name) {
    const isPush = name === ' ' || name === 'Enter';
    if (element.matches('button, a, summary, input[type=checkbox], input[type=file]')) return isPush;
    if (element.matches('input[type=range], input[type=radio], .rank')) return isPush || WAYS.includes(name);
    return element.matches('input, textarea, select');
  }

  function pressed(event) {
    const isWithOthers = event.altKey || event.metaKey || (event.ctrlKey && !['Home', 'End'].includes(event.key));
    if (event.defaultPrevented || isWithOthers || isItsOwn(event.target, event.key)) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = meaning(name === ' ' ? 'Space' : event.shiftKey && name in ALONG ? `Shift+${name}` : name);
    if (!act) return;
    event.preventDefault();
    act(name, event);
  }

  gallery.keys = { open: () => document.addEventListener('keydown', pressed), parts: PARTS };
})();

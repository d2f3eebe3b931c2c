'use strict';
// The keyboard: everything that the page does can be done with it.

(() => {
  const { h, button, replace } = gallery.dom;
  const HELP = [
    [
      'Everywhere',
      [
        ['G W B O', 'grid, wall, blind comparison, overview'],
        ['/', 'filter'],
        ['E', 'export'],
        ['?', 'this help'],
      ],
    ],
    [
      'In the grid',
      [
        ['← → ↑ ↓', 'go from cell to cell'],
        ['Home End', 'first and last of the row; with Ctrl of all'],
        ['Enter', 'look closely'],
        ['[ ]', 'another output of the cell'],
        ['+ −', 'larger, smaller'],
        ['C', 'compare the picked ones'],
      ],
    ],
    [
      'Looking closely',
      [
        ['← → ↑ ↓', 'along the axes of the grid'],
        ['[ ]', 'another output of the cell'],
        ['+ − wheel', 'zoom; drag to move'],
        ['Z', 'the whole picture'],
        ['Esc', 'back'],
      ],
    ],
    [
      'Deciding',
      [
        ['1 … 5', 'stars'],
        ['0', 'no mark'],
        ['X', 'reject'],
        ['Space', 'pick'],
        ['T', 'tags'],
        ['N', 'note'],
        ['U', 'take back'],
      ],
    ],
    [
      'Blind comparison',
      [
        ['← →', 'the left, the right one is better'],
        ['↓', 'equally good'],
        ['↑', 'skip'],
        ['U', 'take the last answer back'],
      ],
    ],
    [
      'With fingers',
      [
        ['tap', 'look closely'],
        ['rest', 'pick'],
        ['swipe', 'go along the axes, in a picture'],
        ['pinch', 'zoom; one finger moves'],
      ],
    ],
    [
      'Comparing',
      [
        ['S', 'side by side or slider'],
        ['+ − wheel', 'zoom all'],
        ['Z', 'the whole pictures'],
      ],
    ],
  ];
  const WAYS = ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'];
  const TABS = { g: 'grid', w: 'wall', b: 'blind', o: 'overview' };

  /** Keys of the sheet, which gets the focus once one goes along it. */
  function ofSheet(event, name) {
    const { sheet } = gallery;
    const { row, column, n } = sheet.active;
    const { columns, rows } = sheet.model;
    const moves = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      Home: [event.ctrlKey ? 0 : row, 0],
      End: [event.ctrlKey ? rows.length - 1 : row, columns.length - 1],
      PageUp: [row - sheet.page(), column],
      PageDown: [row + sheet.page(), column],
    };
    const count = Math.max(1, sheet.cards().length);
    if (moves[name]) {
      sheet.moveTo(...moves[name]);
      sheet.focus();
    } else if (name === 'Enter') gallery.viewer.show(sheet.card());
    else if (name === '[') sheet.moveTo(row, column, (n - 1 + count) % count);
    else if (name === ']') sheet.moveTo(row, column, (n + 1) % count);
    else if (name === '+' || name === '=') gallery.toolbar.resize(1.2);
    else if (name === '-') gallery.toolbar.resize(1 / 1.2);
    else if (name === 'c') gallery.compare.show();
    else if (name === 't' || name === 'n') openAt(name);
    else return gallery.marking.key(name, sheet.card());
    return true;
  }

  function openAt(name) {
    gallery.viewer.show(gallery.sheet.card());
    write(name);
  }

  /** Go to the tags or the note; what is no picture has none. */
  const write = (name) => document.getElementById(name === 't' ? 'tags' : 'note')?.focus();

  function ofViewer(name) {
    const { viewer } = gallery;
    const ways = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (ways[name]) viewer.go(...ways[name]);
    else if (name === '[') viewer.turn(-1);
    else if (name === ']') viewer.turn(1);
    else if (name === 't' || name === 'n') write(name);
    else if (ofZoom(viewer.zoom, name)) return true;
    else return gallery.marking.key(name, viewer.card);
    return true;
  }

  function ofZoom(zoom, name) {
    if (name === '+' || name === '=') zoom.into();
    else if (name === '-') zoom.out();
    else if (name === 'z') zoom.reset();
    else return false;
    return true;
  }

  function ofBlind(name) {
    const { blind } = gallery;
    const acts = {
      ArrowLeft: () => blind.answer('a'),
      ArrowRight: () => blind.answer('b'),
      ArrowDown: () => blind.answer('tie'),
      ArrowUp: blind.skip,
      u: blind.undo,
    };
    if (acts[name]) acts[name]();
    else return ofZoom(blind.zoom, name);
    return true;
  }

  function ofPage(name) {
    if (TABS[name]) gallery.view.set({ tab: TABS[name] }, { silent: false });
    else if (name === '/') gallery.filters.begin();
    else if (name === 'e') gallery.save.show();
    else if (name === '?') help();
    else return false;
    return true;
  }

  const takeBack = (name) => name === 'u' && (gallery.marks.undo() || true);

  function meaning(event, name) {
    if (gallery.viewer.isOpen()) return ofViewer(name) || takeBack(name);
    if (gallery.compare.isOpen()) {
      if (name === 's') gallery.compare.switch();
      else return ofZoom(gallery.compare.zoom, name);
      return true;
    }
    if (document.querySelector('dialog[open]')) return false;
    const { tab } = gallery.view;
    if (tab === 'blind' && ofBlind(name)) return true;
    if ((tab === 'grid' || tab === 'wall') && ofSheet(event, name)) return true;
    return ofPage(name) || takeBack(name);
  }

  /** Whether the element that has the focus does something of its own with a key. */
  function isItsOwn(element, name) {
    const isPush = name === ' ' || name === 'Enter';
    if (element.matches('button, a, summary, input[type=checkbox], input[type=file]')) return isPush;
    if (element.matches('input[type=range], input[type=radio], .rank')) return isPush || WAYS.includes(name);
    return element.matches('input, textarea, select');
  }

  function pressed(event) {
    if (
      isItsOwn(event.target, event.key) ||
      event.altKey ||
      event.metaKey ||
      (event.ctrlKey && !['Home', 'End'].includes(event.key))
    )
      return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (meaning(event, name)) event.preventDefault();
  }

  function help() {
    const dialog = document.getElementById('help');
    const part = ([title, keys]) =>
      h(
        'section',
        {},
        h('h3', {}, title),
        h(
          'dl',
          {},
          keys.map(([names, words]) => [
            h(
              'dt',
              {},
              names.split(' ').map((name) => h('kbd', {}, name)),
            ),
            h('dd', {}, words),
          ]),
        ),
      );
    replace(
      dialog,
      h(
        'div.title',
        {},
        h('h2', {}, 'Keys'),
        button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' }),
      ),
      h('div.help', {}, HELP.map(part)),
    );
    dialog.showModal();
  }

  gallery.help = help;
  gallery.keys = { open: () => document.addEventListener('keydown', pressed) };
})();

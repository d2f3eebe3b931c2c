'use strict';
// Two to four pictures beside each other or laid over each other, under one zoom. The address names them, so that a
// comparison outlives the page and can be sent.

(() => {
  const { h, button, replace } = gallery.dom;
  const MOST = 4;
  const zoom = gallery.stage.zoom();
  const compare = { mode: 'beside' };
  let dialog = null;
  let cards = [];
  let active = 0; // which of them marks are given to
  let edges = []; // where one picture gives way to the next, in parts of the width

  compare.open = () => {
    dialog = document.getElementById('compare');
    dialog.addEventListener('close', () => {
      if (dialog.open) return; // opened again before it was heard of
      replace(dialog);
      [cards, active] = [[], 0];
      gallery.view.set({ compare: [] });
      gallery.sheet.focus();
    });
    for (const name of ['focusin', 'pointerdown']) dialog.addEventListener(name, pointed);
    for (const name of ['view', 'tasks']) gallery.on(name, follow);
    for (const name of ['marks', 'picked']) gallery.on(name, () => dialog.open && captions());
  };

  compare.isOpen = () => Boolean(dialog?.open);
  compare.card = () => cards[active] ?? null;

  /** The cards behind keys, in the order of the keys. */
  compare.found = (keys) =>
    [...keys]
      .map((key) => {
        const task = gallery.run.tasks.get(key.slice(0, key.lastIndexOf('-')));
        return task?.shots.find((card) => card.key === key);
      })
      .filter(Boolean);

  const pictures = (keys) => compare.found(keys).filter(gallery.cell.isPicture);
  const keys = (shown) => shown.map((card) => card.key).join('.');

  function open(shown) {
    gallery.view.set({ compare: shown.map((card) => card.key) }, { silent: false });
    follow();
  }

  compare.show = () => {
    const shown = pictures(gallery.marks.picked).slice(0, MOST);
    if (shown.length < 2) return gallery.dom.say('Pick two to four pictures first: Space, or their corner.');
    active = 0; // that the one before was closed may not have been heard of yet
    return open(shown);
  };

  /** Show what the address names, once the page has it. */
  function follow() {
    const wanted = gallery.view.compare.slice(0, MOST);
    const shown = pictures(wanted);
    if (shown.length < wanted.length && gallery.run.isLoading()) return;
    if (shown.length < 2) return leave();
    const isDrawn = dialog.open && keys(shown) === keys(cards);
    cards = shown;
    if (isDrawn) return;
    active = Math.min(active, cards.length - 1);
    edges = cards.slice(1).map((_, number) => (number + 1) / cards.length);
    zoom.reset();
    draw();
    if (!dialog.open) dialog.showModal();
    zoom.settle(); // what it has room for is known now
    choose(active);
  }

  function leave() {
    if (dialog.open) dialog.close();
    else if (gallery.view.compare.length) gallery.view.set({ compare: [] }); // it named what this run does not have
  }

  /** Take the marked picture out, of the picked ones too; the next one that is picked comes in. */
  compare.takeOut = () => {
    const out = cards[active];
    const rest = cards.filter((card) => card !== out);
    gallery.marks.pick(out.key, false);
    const [next] = pictures(gallery.marks.picked).filter((card) => !rest.includes(card));
    open(next ? [...rest, next] : rest);
  };

  compare.switch = () => {
    compare.mode = compare.mode === 'beside' ? 'slider' : 'beside';
    draw();
  };

  function draw() {
    zoom.stages.length = 0;
    const waiting = pictures(gallery.marks.picked).filter((card) => !cards.includes(card)).length;
    const more = waiting ? `; ${gallery.words.count(waiting, 'more is', 'more are')} picked` : '';
    const title = h('h2', {}, `Compare ${cards.length} pictures${more}`);
    const modes = h(
      'div.switch',
      { role: 'group', 'aria-label': 'How' },
      mode('beside', 'Side by side'),
      mode('slider', 'Slider'),
    );
    const close = button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' });
    const shown = compare.mode === 'beside' ? beside() : [slider(), h('div.captions', {}, cards.map(empty))];
    replace(dialog, h('div.title', {}, title, modes, gallery.stage.sizing(zoom), close), shown);
    captions();
  }

  function mode(name, words) {
    const change = () => {
      compare.mode = name;
      draw();
    };
    return button(words, change, { 'aria-pressed': String(compare.mode === name), id: `mode-${name}` });
  }

  const empty = (_, number) => h('div.caption', { role: 'group', tabIndex: 0, id: `caption-${number}` });

  /** Each picture with its caption below. */
  const beside = () =>
    h(
      'div.beside',
      {},
      cards.map((card, number) => [gallery.stage.stage(card, zoom).element, empty(card, number)]),
    );

  function slider() {
    const place = h('div.over');
    cards.forEach((card) => place.append(gallery.stage.stage(card, zoom).element));
    edges.forEach((_, number) => place.append(handle(place, number)));
    cut(place);
    return place;
  }

  /** Show each picture between its two edges. */
  function cut(place) {
    const all = [0, ...edges, 1];
    [...place.querySelectorAll('.stage')].forEach((stage, number) => {
      stage.style.clipPath = `inset(0 ${(1 - all[number + 1]) * 100}% 0 ${all[number] * 100}%)`;
    });
    [...place.querySelectorAll('.handle')].forEach((each, number) => {
      each.style.left = `${edges[number] * 100}%`;
      each.setAttribute('aria-valuenow', Math.round(edges[number] * 100));
    });
  }

  function handle(place, number) {
    const move = (to) => {
      const low = edges[number - 1] ?? 0;
      const high = edges[number + 1] ?? 1;
      edges[number] = Math.max(low, Math.min(high, to));
      cut(place);
    };
    const element = h('div.handle', {
      role: 'slider',
      tabIndex: 0,
      'aria-label': `Edge ${number + 1}`,
      'aria-valuemin': 0,
      'aria-valuemax': 100,
      onpointerdown: (event) => element.setPointerCapture(event.pointerId),
      onpointermove: (event) => {
        const room = place.getBoundingClientRect();
        if (element.hasPointerCapture(event.pointerId)) move((event.clientX - room.left) / room.width);
      },
      onkeydown: (event) => {
        const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
        if (!step) return;
        event.preventDefault();
        move(edges[number] + step);
      },
    });
    return element;
  }

  const all = (kind) => [...dialog.querySelectorAll(kind)];

  /** What tells the pictures apart, and their marks. */
  function captions() {
    const axes = gallery.axes
      .wide()
      .filter((axis) => new Set(cards.map((card) => gallery.axes.number(axis, card))).size > 1);
    const values = (card) =>
      axes.map((axis) => [
        h('dt', {}, axis.name),
        h('dd', { dir: 'auto' }, gallery.heads.breakable(gallery.labels.short(gallery.axes.value(axis, card), 120))),
      ]);
    all('.caption').forEach((place, number) => {
      if (gallery.marking.isWriting(place)) return;
      const card = cards[number];
      place.setAttribute('aria-label', `${number + 1} of ${cards.length}: ${gallery.cell.label([card])}`);
      replace(place, h('dl', {}, values(card)), gallery.marking.line(card));
    });
    point();
  }

  /** Show which picture marks are given to. */
  function point() {
    all('.caption').forEach((each, number) => each.setAttribute('aria-current', String(number === active)));
  }

  /** Mark a picture by its number, and give it the focus. */
  function choose(number) {
    active = (number + cards.length) % cards.length;
    point();
    all('.caption')[active].focus({ preventScroll: true });
  }

  compare.step = (by) => choose(active + by);

  /** The picture that is pointed at, or whose controls have the focus, is the marked one. */
  function pointed(event) {
    for (const kind of ['.stage', '.caption']) {
      const number = all(kind).indexOf(event.target.closest(kind));
      if (number >= 0) active = number;
    }
    point();
  }

  compare.close = () => dialog.close();
  compare.zoom = zoom;
  gallery.compare = compare;
})();

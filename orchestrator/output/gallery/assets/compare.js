'use strict';
// Two to four pictures beside each other or laid over each other, under one zoom.

(() => {
  const { h, button, replace } = gallery.dom;
  const MOST = 4;
  const zoom = gallery.stage.zoom();
  const compare = { mode: 'beside' };
  let dialog = null;
  let cards = [];
  let edges = []; // where one picture gives way to the next, in parts of the width

  compare.open = () => {
    dialog = document.getElementById('compare');
    dialog.addEventListener('close', () => {
      replace(dialog);
      gallery.sheet.focus();
    });
    gallery.on('marks', () => dialog.open && captions());
  };

  compare.isOpen = () => Boolean(dialog?.open);

  /** The cards behind keys, in the order of the keys. */
  function found(keys) {
    const known = new Map();
    for (const task of gallery.run.tasks.values()) for (const card of task.shots) known.set(card.key, card);
    return [...keys].map((key) => known.get(key)).filter(Boolean);
  }
  compare.found = found;

  compare.show = () => {
    cards = found(gallery.marks.picked).filter(gallery.cell.isPicture).slice(0, MOST);
    if (cards.length < 2) {
      gallery.dom.say('Pick two to four pictures first: Space, or their corner.');
      return;
    }
    edges = cards.slice(1).map((_, number) => (number + 1) / cards.length);
    zoom.reset();
    draw();
    if (!dialog.open) dialog.showModal();
  };

  compare.switch = () => {
    compare.mode = compare.mode === 'beside' ? 'slider' : 'beside';
    draw();
  };

  function draw() {
    zoom.stages.length = 0;
    const title = h('h2', {}, `Compare ${cards.length} pictures`);
    const modes = h(
      'div.switch',
      { role: 'group', 'aria-label': 'How' },
      mode('beside', 'Side by side'),
      mode('slider', 'Slider'),
    );
    const close = button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' });
    replace(
      dialog,
      h('div.title', {}, title, modes, close),
      compare.mode === 'beside' ? beside() : [slider(), h('div.captions', {}, cards.map(empty))],
    );
    captions();
  }

  function mode(name, words) {
    const change = () => {
      compare.mode = name;
      draw();
    };
    return button(words, change, { 'aria-pressed': String(compare.mode === name) });
  }

  const empty = () => h('div.caption');

  /** Each picture with its caption below. */
  const beside = () =>
    h(
      'div.beside',
      {},
      cards.map((card) => [gallery.stage.stage(card, zoom).element, empty()]),
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
        event.stopPropagation();
        move(edges[number] + step);
      },
    });
    return element;
  }

  /** What tells the pictures apart, and their stars. */
  function captions() {
    const axes = gallery.axes
      .wide()
      .filter((axis) => new Set(cards.map((card) => gallery.axes.number(axis, card))).size > 1);
    const values = (card) =>
      axes.map((axis) => [
        h('dt', {}, axis.name),
        h('dd', { dir: 'auto' }, gallery.words.shortened(gallery.axes.value(axis, card).label, 120)),
      ]);
    const rate = (card) => [1, 2, 3, 4, 5].map((stars) => star(card, stars));
    [...dialog.querySelectorAll('.caption')].forEach((place, number) =>
      replace(place, h('dl', {}, values(cards[number])), h('div.rate', {}, rate(cards[number]))),
    );
  }

  function star(card, stars) {
    const given = gallery.marks.of(card.key).stars;
    return button(stars <= given ? '★' : '☆', () => gallery.marking.key(String(stars), card), {
      kind: stars <= given ? 'star.on' : 'star',
      'aria-label': gallery.words.count(stars, 'star'),
      'aria-pressed': String(stars === given),
    });
  }

  compare.close = () => dialog.close();
  compare.zoom = zoom;
  gallery.compare = compare;
})();

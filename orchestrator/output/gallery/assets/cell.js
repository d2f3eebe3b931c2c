'use strict';
// One cell: its pictures, or what is to be said in their place, and the marks on them.

(() => {
  const { h, icon, apart, sentence } = gallery.dom;
  const MOST_SHOWN = 9;
  const SHARP_ABOVE = 420; // pixels of the screen from which on a thumbnail is not enough
  const MOST_EXAMINED = 36_000_000; // pixels
  const IDLE_WITHIN_MS = 500; // what waits for it keeps its cell in memory
  const sound = new Set(); // keys of pictures that were read to their end
  const SAYINGS = {
    pending: 'pending',
    submitting: 'being sent',
    running: 'running',
    fetching: 'fetching',
    failed: 'failed',
    cancelled: 'cancelled',
    done: 'no output',
    filtered: 'filtered out',
  };

  const isPicture = (card) => Boolean(card.src) && !card.lack && card.kind.startsWith('image/');

  /** An image that falls back from its thumbnail to the file, and from that to a word. */
  function picture(card, width) {
    const full = !card.thumbnail || width * window.devicePixelRatio > SHARP_ABOVE;
    const image = h('img', { alt: '', decoding: 'async', draggable: false, src: full ? card.src : card.thumbnail });
    const isWhole = () => image.getAttribute('src') === card.src;
    image.addEventListener('error', () => {
      if (isWhole()) image.replaceWith(said('file is missing', 'failed'));
      else image.src = card.src;
    });
    // A file that a thumbnail could be made of is sound; without thumbnails each would have to be read through.
    const isUnsure = !card.thumbnail && gallery.run.job.settings?.outputs?.thumbnails !== false;
    const words = () => said('file is damaged', 'failed');
    if (isUnsure) image.addEventListener('load', () => isWhole() && examine(card, image, words));
    return image;
  }

  /** Put words in the place of an image that is damaged: of such a file browsers show a part, or nothing but black. */
  function examine(card, image, words) {
    const pixels = image.naturalWidth * image.naturalHeight;
    if (!image.isConnected || sound.has(card.key) || pixels > MOST_EXAMINED || card.kind.includes('svg')) return;
    const look = async () => {
      try {
        (await createImageBitmap(image)).close();
        sound.add(card.key);
      } catch {
        image.replaceWith(words());
      }
    };
    (window.requestIdleCallback ?? setTimeout)(() => image.isConnected && look(), { timeout: IDLE_WITHIN_MS });
  }

  function said(words, state, more = null) {
    const sign = state === 'failed' ? icon('warn') : null;
    return h(`div.said.${state}`, {}, sign, h('span', {}, sentence(words)), more && h('small', {}, more));
  }

  /** What stands for an output that is no picture. */
  function other(card) {
    if (card.text) return h('div.said.text', { dir: 'auto' }, card.text.slice(0, 400));
    return said(card.path.slice(card.path.lastIndexOf('.') + 1).toUpperCase(), 'file', gallery.words.bytes(card.bytes));
  }

  function content(card, width) {
    if (isPicture(card)) return picture(card, width);
    if (card.lack) return said(`file is ${card.lack}`, 'failed');
    if (card.src) return other(card);
    const { error } = card.task;
    const now = gallery.run.state(card.task);
    return said(SAYINGS[now] ?? now, now, error ? gallery.words.shortened(error[1], 90) : null);
  }

  function badges(card) {
    const mark = gallery.marks.of(card.key);
    return [
      mark.stars > 0 && h('span.stars', {}, '★'.repeat(mark.stars)),
      (mark.note || mark.tags.length > 0) && h('span.noted', {}, icon('note')),
    ];
  }

  function one(card, width, isActive) {
    const mark = gallery.marks.of(card.key);
    const frame = h('div.frame', { 'data-key': card.key }, content(card, width), ...badges(card));
    frame.classList.toggle('rejected', mark.reject);
    frame.classList.toggle('chosen', isActive);
    if (card.src) frame.append(tick(card));
    return frame;
  }

  /** The corner by which a picture is picked. It is for pointers: keys and screen readers have the cell. */
  function tick(card) {
    const isPicked = gallery.marks.picked.has(card.key);
    return h(isPicked ? 'span.tick.on' : 'span.tick', { 'aria-hidden': 'true', title: 'Pick (Space)' }, icon('check'));
  }

  /** How many pictures stand beside and below each other in a cell that holds so many. */
  function mosaic(count) {
    const across = Math.ceil(Math.sqrt(Math.min(count, MOST_SHOWN)));
    return [across, Math.ceil(Math.min(count, MOST_SHOWN) / across)];
  }

  /** Draw the pictures of a cell; `active` is the number of the chosen one, or -1. */
  function pictures(cards, width, active) {
    const shown = cards.slice(0, MOST_SHOWN);
    const [across] = mosaic(shown.length);
    const frames = shown.map((card, number) => one(card, width / across, shown.length > 1 && number === active));
    const box = h('div.pictures', {}, frames);
    box.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    const [next] = cards.slice(MOST_SHOWN);
    const rest = `+${cards.length - MOST_SHOWN}`;
    if (next) box.append(h('span.more', { 'data-key': next.key, title: 'Look at these' }, rest));
    return box;
  }

  function facts(card) {
    const { task } = card;
    const { show } = gallery.view;
    return [
      show.includes('state') && task.state,
      show.includes('cost') && task.cost !== null && gallery.words.usd(task.paid),
      show.includes('time') && task.seconds !== null && gallery.words.seconds(task.seconds),
    ].filter(Boolean);
  }

  /** The axes that a caption tells of: those that the heads of columns and rows do not, if there are any. */
  function untold() {
    const rest = gallery.view.tab === 'grid' ? gallery.view.picked() : [];
    return rest.length ? rest : gallery.axes.wide();
  }

  /** The values that a picture stands for, as short words. */
  function names(card, most = 40, axes = gallery.axes.wide()) {
    const values = axes
      .map((axis) => gallery.axes.value(axis, card))
      .filter(Boolean);
    return values.map((value) => gallery.labels.word(value, most));
  }

  function caption(cards) {
    const [card] = cards;
    const { show } = gallery.view;
    return h(
      'div.caption',
      {},
      show.includes('values') && h('div.names', { dir: 'auto' }, apart(names(card, 40, untold()))),
      facts(card).length > 0 && h('div.facts', {}, facts(card).join(' · ')),
    );
  }

  /** How many lines a caption has. */
  const lines = () =>
    Number(gallery.view.show.includes('values')) +
    Number(['state', 'cost', 'time'].some((each) => gallery.view.show.includes(each)));

  /** What a screen reader says of a cell. */
  function label(cards, state) {
    if (!cards.length) return state ? SAYINGS[state] : 'no such cell';
    const [card] = cards;
    const mark = gallery.marks.of(card.key);
    const rated = mark.stars ? `, ${gallery.words.count(mark.stars, 'star')}` : '';
    const said = cards.length > 1 ? names(card).slice(0, -1) : names(card); // the last one is the output's own
    const several = cards.length > 1 ? `, ${cards.length} outputs` : '';
    const picked = gallery.marks.picked.has(card.key) ? ', picked' : '';
    return `${said.join(', ')}: ${card.task.state}${several}${rated}${mark.reject ? ', rejected' : ''}${picked}`;
  }

  gallery.cell = { pictures, mosaic, caption, lines, label, said, examine, isPicture, names, content, SAYINGS };
})();

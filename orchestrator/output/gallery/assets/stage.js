'use strict';
// A place where a picture can be looked at closely: it fits at first, and is zoomed and moved by wheel, keys and hand.
// Several stages may share one zoom, so that the same part of each is seen.

(() => {
  const { h } = gallery.dom;
  const STEP = 1.25;
  const MOST = 32;

  /** Make a zoom that stages share. */
  function zoom() {
    const held = { scale: 1, x: 0, y: 0, stages: [] };
    held.apply = () => held.stages.forEach((stage) => stage.apply());
    held.reset = () => {
      Object.assign(held, { scale: 1, x: 0, y: 0 });
      held.apply();
    };
    /** Zoom about a point, given as parts of the stage's size from its middle. */
    held.by = (factor, x = 0, y = 0) => {
      const scale = Math.max(1, Math.min(MOST, held.scale * factor));
      const ratio = scale / held.scale;
      held.x = x - (x - held.x) * ratio;
      held.y = y - (y - held.y) * ratio;
      held.scale = scale;
      if (scale === 1) Object.assign(held, { x: 0, y: 0 });
      held.apply();
    };
    held.move = (x, y) => {
      if (held.scale === 1) return;
      const most = held.scale / 2;
      held.x = Math.max(-most, Math.min(most, held.x + x));
      held.y = Math.max(-most, Math.min(most, held.y + y));
      held.apply();
    };
    held.into = () => held.by(STEP);
    held.out = () => held.by(1 / STEP);
    return held;
  }

  function media(card, words) {
    if (!card.src) return gallery.cell.content(card, 400);
    const kind = card.kind.split('/')[0];
    if (kind === 'image') return image(card, words);
    if (kind === 'video') return h('video', { src: card.src, controls: true, loop: true });
    if (kind === 'audio') return h('audio', { src: card.src, controls: true });
    if (card.text) return h('pre', { dir: 'auto', tabIndex: 0 }, card.text);
    return h('p', {}, h('a', { href: card.src }, 'Open the file'));
  }

  /** The whole picture over its thumbnail, so that something is there at once. */
  function image(card, alt) {
    const whole = h('img', { src: card.src, alt, draggable: false });
    const words = (what) =>
      gallery.cell.said(`The file is ${what}: \`orchestrator verify --repair\` fetches it again.`, 'failed');
    whole.addEventListener('error', () => whole.replaceWith(words('missing')));
    whole.addEventListener('load', () => {
      whole.style.backgroundImage = 'none';
      gallery.cell.examine(card, whole, () => words('damaged'));
    });
    if (card.thumbnail) whole.style.backgroundImage = `url("${card.thumbnail}")`;
    if (card.width) Object.assign(whole, { width: card.width, height: card.height });
    return whole;
  }

  function listen(element, shared) {
    const part = (event) => {
      const place = element.getBoundingClientRect();
      return [(event.clientX - place.left) / place.width - 0.5, (event.clientY - place.top) / place.height - 0.5];
    };
    element.addEventListener(
      'wheel',
      (event) => {
        if (event.target.closest('pre')) return;
        event.preventDefault();
        shared.by(Math.exp(-event.deltaY / 300), ...part(event));
      },
      { passive: false },
    );
    element.addEventListener('dblclick', (event) => (shared.scale > 1 ? shared.reset() : shared.by(3, ...part(event))));
    gallery.touch.zoomed(element, shared);
  }

  /** Make a stage for a picture under a zoom; `words` are what a screen reader says of it. */
  function stage(card, shared, words = gallery.cell.names(card).map(gallery.words.isolated).join(', ')) {
    const content = h('div.held', {}, media(card, words));
    const element = h('div.stage', {}, content);
    const made = {
      element,
      apply: () => {
        content.style.transform = `translate(${shared.x * 100}%, ${shared.y * 100}%) scale(${shared.scale})`;
        element.classList.toggle('zoomed', shared.scale > 1);
      },
    };
    shared.stages.push(made);
    listen(element, shared);
    made.apply();
    return made;
  }

  gallery.stage = { zoom, stage };
})();

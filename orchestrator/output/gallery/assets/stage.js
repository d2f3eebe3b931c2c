'use strict';
// A place where a picture can be looked at closely: it fits at first, and is zoomed and moved by wheel, keys and hand.
// Several stages may share one zoom, so that the same part of each is seen.

(() => {
  const { h, button } = gallery.dom;
  const STEP = 1.25;
  const MOST = 32;
  const BLOCKS = 2; // pixels of the screen from which on one of the picture is seen as a square

  /** Make a zoom that stages share. */
  function zoom() {
    const held = { scale: 1, x: 0, y: 0, isActual: false, stages: [] };
    held.apply = () => held.stages.forEach((stage) => stage.apply());
    /** Zoom to a scale about a point; what is not larger than the whole stage stands in its middle. */
    const to = (scale, x = 0, y = 0) => {
      const ratio = scale / held.scale;
      const [left, top] = scale > 1 ? [x - (x - held.x) * ratio, y - (y - held.y) * ratio] : [0, 0];
      Object.assign(held, { scale, x: left, y: top });
      held.apply();
    };
    /** Look again at how large everything is: what is shown in its actual size stays so. */
    held.settle = () => (held.isActual ? to(held.actual() ?? 1) : held.apply());
    held.reset = () => {
      Object.assign(held, { scale: 1, x: 0, y: 0, isActual: false });
      held.apply();
    };
    /** In its actual size a pixel of a picture, of several the first one, is one of the screen, or as many as it has room for. */
    held.pixel = () => Math.max(1, Math.floor(held.stages[0]?.fit() ?? 1));
    /** The scale of that; null without a picture. */
    held.actual = () => {
      const fit = held.stages[0]?.fit();
      return fit ? Math.min(MOST, held.pixel() / fit) : null;
    };
    /** Show the actual size, or the whole picture where it is zoomed already. */
    held.toggle = () => {
      const scale = held.actual();
      if (held.scale !== 1 || !scale) return held.reset();
      held.isActual = true;
      return to(scale);
    };
    /** Zoom about a point, given as parts of the stage's size from its middle. */
    held.by = (factor, x = 0, y = 0) => {
      const least = Math.min(1, held.scale); // a small picture in its actual size is smaller than the whole stage
      held.isActual = false;
      to(Math.max(least, Math.min(MOST, held.scale * factor)), x, y);
    };
    held.move = (x, y) => {
      if (held.scale <= 1) return;
      const most = held.scale / 2;
      held.x = Math.max(-most, Math.min(most, held.x + x));
      held.y = Math.max(-most, Math.min(most, held.y + y));
      held.apply();
    };
    held.into = () => held.by(STEP);
    held.out = () => held.by(1 / STEP);
    window.addEventListener('resize', held.settle);
    return held;
  }

  function media(card, words) {
    if (!card.src) return gallery.cell.content(card, 400);
    if (card.lack) return gallery.cell.said(`The file was ${card.lack} when this page was exported.`, 'failed');
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
    element.addEventListener('dblclick', (event) => (shared.scale === 1 ? shared.by(3, ...part(event)) : shared.reset()));
    gallery.touch.zoomed(element, shared);
  }

  /** Whether pixels may stay squares: where some would be larger than others, it is only seen while they are small. */
  const isCrisp = (size) => size >= BLOCKS || Math.abs(size - 1) < 1e-6;

  /** Make a button that shows a picture in its actual size, or whole again; to be made after its stage. */
  function sizing(shared, kind = 'plain') {
    const element = button('', shared.toggle, { kind, id: 'actual' });
    const apply = () => {
      const isWhole = shared.scale === 1;
      element.disabled = isWhole && !shared.actual();
      element.textContent = isWhole ? `${shared.pixel()}00 %` : 'Whole';
      element.title = isWhole ? 'Actual size (Z)' : 'The whole picture (Z)';
    };
    shared.stages.push({ apply });
    apply();
    return element;
  }

  /** Make a stage for a picture under a zoom; `words` are what a screen reader says of it. */
  function stage(card, shared, words = gallery.cell.names(card).map(gallery.words.isolated).join(', ')) {
    const content = h('div.held', {}, media(card, words));
    const element = h('div.stage', {}, content);
    const made = {
      element,
      /** How large a pixel of the whole picture is on the screen. */
      fit: () => {
        const shown = content.querySelector(':scope > img');
        const [width, height] = [shown?.naturalWidth || card.width, shown?.naturalHeight || card.height];
        const fit = Math.min(element.clientWidth / width, element.clientHeight / height);
        return shown && width ? fit * window.devicePixelRatio : null;
      },
      apply: () => {
        content.style.transform = `translate(${shared.x * 100}%, ${shared.y * 100}%) scale(${shared.scale})`;
        element.classList.toggle('zoomed', shared.scale > 1);
        element.classList.toggle('crisp', shared.scale !== 1 && isCrisp(made.fit() * shared.scale));
      },
    };
    shared.stages.push(made);
    content.addEventListener('load', shared.settle, { capture: true });
    listen(element, shared);
    made.apply();
    return made;
  }

  gallery.stage = { zoom, stage, sizing };
})();

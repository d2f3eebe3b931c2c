'use strict';
// Elements and words. Whatever comes from a run enters the document as text or as a property, never as markup.

(() => {
  const SVG = 'http://www.w3.org/2000/svg';
  const ICONS = {
    close: 'M4 4l8 8M12 4l-8 8',
    check: 'M3 8.5l3.2 3.2L13 5',
    left: 'M10 3L5 8l5 5',
    right: 'M6 3l5 5-5 5',
    up: 'M3 10l5-5 5 5',
    down: 'M3 6l5 5 5-5',
    filter: 'M2 4h12M4.5 8h7M7 12h2',
    export: 'M8 2v8M4.5 6.5L8 10l3.5-3.5M3 13.5h10',
    help: 'M6 6a2 2 0 1 1 2.6 1.9c-.5.2-.6.5-.6 1.1M8 11.6v.4',
    theme: 'M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11',
    compare: 'M2.5 3.5h4.5v9H2.5zM9 3.5h4.5v9H9z',
    warn: 'M8 3l5.5 10h-11zM8 7v3M8 11.6v.2',
    note: 'M3.5 3h9v7l-3 3h-6zM6 6h4M6 8.5h2',
    values: 'M3 4h10M3 8h6M3 12h8',
    open: 'M6.5 3.5h-3v9h9v-3M9 3h4v4M13 3L7.5 8.5',
    reject: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11M4.2 4.2l7.6 7.6',
  };

  // What a screen or a screen reader says of an element.
  const SAID = new Set(['title', 'alt', 'aria-label']);
  // Signs without a shape, and those that turn around the letters behind them.
  const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e]/g;

  /** A text in which the signs that nobody would see have names: `[U+202E]`. */
  const plain = (text) =>
    text.replace(HIDDEN, (sign) => `[U+${sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}]`);

  /**
   * Make an element; what its texts hide is shown.
   * @param {string} tag  A tag, with classes behind dots: `button.plain`.
   * @param {object} [props]  Properties; `on…` are listeners, `aria-…`, `data-…` and `role` attributes.
   * @param {...(Node|string|number|null|false|Array)} children
   */
  function h(tag, props, ...children) {
    const [name, ...classes] = tag.split('.');
    const element = document.createElement(name);
    if (classes.length) element.className = classes.join(' ');
    for (const [key, value] of Object.entries(props ?? {})) set(element, key, value);
    const held = children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);
    element.append(...held.map((child) => (typeof child === 'string' ? plain(child) : child)));
    return element;
  }

  function set(element, key, value) {
    if (value === null || value === undefined) return;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'style') Object.assign(element.style, value);
    else if (SAID.has(key)) element.setAttribute(key, plain(String(value)));
    else if (key.includes('-') || key === 'role' || key === 'for' || key === 'list') element.setAttribute(key, value);
    else element[key] = value;
  }

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.flat());
    return element;
  }

  function icon(name) {
    const path = svg('path', { d: ICONS[name] });
    return svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, path);
  }

  function button(label, onclick, { iconName = null, title = null, kind = 'plain', ...props } = {}) {
    const shown = iconName ? [icon(iconName), label && h('span', {}, label)] : [label];
    return h(`button.${kind}`, { type: 'button', onclick, title, 'aria-label': label ? null : title, ...props }, shown);
  }

  /** Make a choice between texts; `options` are pairs of value and text. */
  function select(label, options, value, onchange, props = {}) {
    const choices = options.map(([of, text]) =>
      h('option', { value: of, selected: String(of) === String(value) }, text),
    );
    return h('select', { 'aria-label': label, onchange: (event) => onchange(event.target.value), ...props }, choices);
  }

  function checkbox(label, checked, onchange, props = {}) {
    const input = h('input', { type: 'checkbox', checked, onchange: () => onchange(input.checked), ...props });
    return h('label.check', {}, input, h('span', {}, label));
  }

  const number = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
  const count = (value, one, many = `${one}s`) => `${number.format(value)} ${value === 1 ? one : many}`;

  const amount = new Intl.NumberFormat('en', { maximumFractionDigits: 12 });

  /** An amount as the command line writes it: a text as it is, what is reckoned here to the millionth of a dollar. */
  function usd(value) {
    if (value === null || value === undefined) return '–';
    return `$${amount.format(typeof value === 'number' ? value.toFixed(6) : value)}`;
  }

  function seconds(value) {
    if (!Number.isFinite(value)) return '–'; // null, or the difference of moments of which one is not known
    if (value < 10) return `${value.toFixed(1)} s`;
    if (value < 100) return `${Math.round(value)} s`;
    if (value < 6000) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
    return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
  }

  function bytes(value) {
    const units = ['B', 'kB', 'MB', 'GB'];
    let unit = 0;
    let size = value;
    for (; size >= 1000 && unit < units.length - 1; unit += 1) size /= 1000;
    return `${size < 10 && unit ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
  }

  const time = (unix) => (unix ? new Date(unix * 1000).toLocaleString() : '–');

  /** When something began and ended, by the clock: no finer than it takes, with the day where it takes more than one. */
  function span(first, last) {
    const [from, to] = [first, last].map((unix) => new Date(unix * 1000));
    const isShort = last - first < 600;
    const day = from.toDateString() === to.toDateString() ? {} : { day: 'numeric', month: 'short' };
    const form = { ...day, hour: '2-digit', minute: '2-digit', ...(isShort && { second: '2-digit' }) };
    return [from, to].map((moment) => moment.toLocaleString([], form));
  }

  /** What a run waits for longer than it should, in sentences; the pages of older runs do not say. */
  const waits = ({ waiting = [] }) => waiting.map(({ tasks, why }) => `${count(tasks, 'task waits', 'tasks wait')}: ${why}`);

  /** The same, and what is not as it was asked for although tasks end. */
  function concerns(status) {
    const { undeleted = 0, alone = false } = status;
    return [
      ...waits(status),
      undeleted && `The service still has its copies of ${count(undeleted, 'task')}: the next run deletes them.`,
      alone && 'Limits could not be shared with other runs that use the same key: the log says why.',
    ].filter(Boolean);
  }

  /** Shorten a text in its middle: what tells prompts apart often stands at an end. */
  function shortened(text, most = 80) {
    const points = [...text];
    if (points.length <= most) return text;
    const head = Math.ceil((most - 1) * 0.65);
    return `${points.slice(0, head).join('')}…${points.slice(points.length - (most - 1 - head)).join('')}`;
  }

  // What tells which way a text runs, and letters that run from right to left.
  const TURNING = /[\u061c\u200e\u200f\u2066-\u2069]/g;
  const MAY_TURN = /[\u0590-\u08ff\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

  /** A text that is to stand among others where there are no elements: it turns nothing but itself. */
  const isolated = (text) => (MAY_TURN.test(text) ? `\u2068${text.replace(TURNING, '')}\u2069` : text);

  /** Texts beside each other: whichever way one of them runs, the others stay as they are. */
  function apart(texts, between = ' · ', drawn = (text) => text) {
    return texts.flatMap((text, place) => [place > 0 && between, h('bdi', {}, drawn(text))]);
  }

  /** A sentence in which commands stand between backticks. */
  const sentence = (words) => words.split('`').map((part, place) => (place % 2 ? h('code', {}, part) : part));

  /** Let an element hold these instead; what had the focus in it has it again, if it has an id and is still there. */
  function replace(element, ...children) {
    const focused = element.contains(document.activeElement) ? document.activeElement.id : '';
    element.replaceChildren(
      ...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false),
    );
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    return element;
  }

  /** Let an element hold these where they are something else: what is just being pressed is not drawn anew. */
  function settle(element, ...children) {
    const made = h('div', {}, ...children);
    if (made.innerHTML !== element.innerHTML) replace(element, ...made.childNodes);
  }

  let place = null;

  /** Say something to everybody: those who look at the page, or a dialog above it, and those who listen to it. */
  function say(text) {
    place ??= document.getElementById('say');
    (document.querySelector('dialog[open]') ?? document.body).append(place);
    place.textContent = plain(text);
    place.classList.add('shown');
    clearTimeout(say.timer);
    say.timer = setTimeout(() => place.classList.remove('shown'), 2600);
  }

  document.addEventListener('close', () => place && document.body.append(place), { capture: true }); // of a dialog

  gallery.dom = { h, svg, icon, button, select, checkbox, replace, settle, say, apart, sentence };
  gallery.words = { count, number: (value) => number.format(value), usd, seconds, bytes, time, span, shortened, plain, isolated, waits, concerns };
})();

'use strict';
// What is being looked at, and how: kept in the address, so that a view can be bookmarked, sent and gone back to.

(() => {
  const TABS = ['grid', 'wall', 'blind', 'overview'];
  const MOST_ACROSS = 12;
  const WIDE = 6;
  const MOST_GROUPED = 8; // columns, with a group axis over them
  const MOST_DOWN = 400;
  const SHOWN = ['state', 'cost', 'time', 'values', 'stars'];
  const TOLD_AGAIN_MS = 1000;
  const sides = ['x', 'y', 'ox', 'oy'];
  let timer = 0;

  const view = {
    tab: 'grid',
    x: '',
    y: '',
    ox: '',
    oy: '',
    picks: {}, // axis to number of a value, -1 for all
    hidden: {}, // axis to numbers of values
    order: {}, // likewise
    size: 0, // pixels of a cell's width, 0 for what fits
    show: ['stars'], // what is written below pictures
    filters: [], // field, operator, value
    sort: 'index',
    descending: false,
    judge: '', // the axis of the blind comparison
    compare: [], // keys of the pictures that are compared
  };

  const FIRST = structuredClone(view);
  let unread = ''; // the address, until somebody changes the view: it may name what the page has not heard of yet
  let heard = '';

  const size = (axis) => axis.values.length;

  /** The axis that runs across: one of a handful of values, the innermost of the job file among equals. */
  function across(axes) {
    const inmost = [...axes].reverse();
    const few = inmost.filter((axis) => size(axis) <= MOST_ACROSS);
    const [best] = few.sort((a, b) => Math.min(size(b), WIDE) - Math.min(size(a), WIDE));
    if (best || axes.length < 2) return best ?? null;
    return inmost.sort((a, b) => size(a) - size(b))[0];
  }

  /** Put as many axes on the sides of the grid as it bears; the others are picked. */
  function arrange() {
    const axes = gallery.axes.wide().filter((axis) => axis !== gallery.axes.output);
    const x = across(axes);
    const rest = axes.filter((axis) => axis !== x && size(axis) <= MOST_DOWN);
    const isGrouped = rest.length > 1 && size(rest[0]) * size(rest[1]) <= MOST_DOWN;
    const left = rest[isGrouped ? 2 : 1];
    view.x = x?.id ?? '';
    view.y = (isGrouped ? rest[1] : rest[0])?.id ?? '';
    view.oy = isGrouped ? rest[0].id : '';
    view.ox = x && left && size(left) * size(x) <= MOST_GROUPED ? left.id : '';
    for (const axis of axes) if (!sides.some((side) => view[side] === axis.id)) view.picks[axis.id] = 0;
    if (axes.length === 1 && axes[0].values.length > MOST_ACROSS) view.tab = 'wall';
    view.judge = view.x || view.y;
  }

  const isValue = (axis, number) => Number.isInteger(number) && number >= 0 && number < size(axis);
  const numbers = (axis, text) => (text ? text.split('.').map(Number) : []).filter((each) => isValue(axis, each));

  function write() {
    const said = new URLSearchParams();
    for (const key of ['tab', ...sides, 'size', 'sort', 'judge']) said.set(key, view[key]);
    if (view.descending) said.set('descending', '1');
    said.set('show', view.show.join('.'));
    for (const [id, number] of Object.entries(view.picks)) said.set(`pick:${id}`, number);
    for (const [id, hidden] of Object.entries(view.hidden)) if (hidden.length) said.set(`hide:${id}`, hidden.join('.'));
    for (const [id, order] of Object.entries(view.order)) if (order.length) said.set(`order:${id}`, order.join('.'));
    for (const filter of view.filters) said.append('filter', JSON.stringify(filter));
    if (view.compare.length) said.set('compare', view.compare.join('.'));
    return `#${said}`;
  }

  function read(hash) {
    const said = new URLSearchParams(hash.slice(1));
    if (TABS.includes(said.get('tab'))) view.tab = said.get('tab');
    if (said.has('x')) for (const side of sides) view[side] = known(said.get(side));
    if (said.has('size')) view.size = Math.max(0, Math.min(1000, Number(said.get('size')) || 0));
    if (said.has('sort')) view.sort = said.get('sort');
    if (said.has('judge')) view.judge = known(said.get('judge'));
    view.descending = said.get('descending') === '1';
    if (said.has('show')) view.show = SHOWN.filter((each) => said.get('show').split('.').includes(each));
    view.filters = said
      .getAll('filter')
      .map(parsed)
      .filter((each) => Array.isArray(each) && each.length === 3);
    view.compare = (said.get('compare') ?? '').split('.').filter(Boolean);
    for (const [key, text] of said) ofAxis(key, text);
  }

  function ofAxis(key, text) {
    const [kind, id] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
    const axis = gallery.axes.byId.get(id);
    if (!axis) return;
    const number = Number(text || NaN);
    if (kind === 'pick' && (number === -1 || isValue(axis, number))) view.picks[id] = number;
    if (kind === 'hide') view.hidden[id] = numbers(axis, text);
    if (kind === 'order') view.order[id] = numbers(axis, text);
  }

  const known = (id) => (id && gallery.axes.byId.has(id) ? id : '');

  function parsed(text) {
    try {
      return JSON.parse(text);
    } catch {
      return null; // somebody edited the address
    }
  }

  view.open = () => {
    begin(location.hash);
    window.addEventListener('hashchange', () => location.hash !== write() && begin(location.hash));
    gallery.atOnce('tasks', readAgain);
  };

  /** Look at what an address says, and at what suits where it says nothing. */
  function begin(hash) {
    Object.assign(view, structuredClone(FIRST));
    arrange();
    unread = hash.length > 1 ? hash : '';
    heard = extent();
    if (unread) read(unread);
    gallery.changed('view');
  }

  /** How many axes and values the page has heard of: some are known from the tasks alone. */
  const extent = () => gallery.axes.all.map(size).join();

  function readAgain() {
    if (!unread || heard === extent()) return;
    heard = extent();
    read(unread);
    gallery.changed('view');
  }

  /** Say in the address what is looked at. Browsers refuse it when it changes too often: then it is said later. */
  function tell(step) {
    clearTimeout(timer);
    if (write() === location.hash) return;
    try {
      history[step](null, '', write());
    } catch {
      timer = setTimeout(tell, TOLD_AGAIN_MS, step);
    }
  }

  /** Change what is looked at; `silent` leaves no step to go back to. */
  view.set = (changes, { silent = true } = {}) => {
    Object.assign(view, changes);
    unread = '';
    tell(silent ? 'replaceState' : 'pushState');
    gallery.changed('view');
  };

  /** Put an axis on a side of the grid; the one that was there takes its place. */
  view.place = (side, id) => {
    const changes = { [side]: id };
    const from = sides.find((other) => other !== side && view[other] === id);
    if (id && from) changes[from] = view[side];
    else if (view[side]) view.picks = { ...view.picks, [view[side]]: 0 };
    view.set(changes);
  };

  view.axis = (side) => gallery.axes.byId.get(view[side]) ?? null;

  /** The axes that are on no side of the grid. */
  view.picked = () => gallery.axes.wide().filter((axis) => !sides.some((side) => view[side] === axis.id));

  /** The number of the value that is picked of an axis, -1 for all; of a hidden one the first that is shown. */
  view.pick = (axis) => {
    const number = view.picks[axis.id] ?? (axis === gallery.axes.output ? -1 : 0);
    if (!view.hidden[axis.id]?.includes(number)) return number;
    return gallery.axes.visible(axis)[0]?.number ?? number;
  };

  view.tabs = TABS;
  gallery.view = view;
})();

'use strict';
// The bars above the pictures: which run, what is looked at, which axis runs where, filters.

(() => {
  const { h, button, select, checkbox, replace, settle } = gallery.dom;
  const { count, usd, seconds, number } = gallery.words;
  const NAMES = { grid: 'Grid', wall: 'Wall', blind: 'Blind', overview: 'Overview' };
  const SIDES = { x: 'Columns', y: 'Rows', ox: 'Column groups', oy: 'Row groups' };
  const GROUPS = ['ox', 'oy'];
  const SHOWABLE = { state: 'State', cost: 'Cost', time: 'Time', values: 'Values' };
  const CLOSED = 24; // letters that a list shows while it is closed
  const SIZES = { least: 56, most: 640 };

  function open() {
    for (const name of ['head', 'tasks', 'picked', 'kept']) gallery.on(name, drawTop);
    gallery.on('view', drawTop);
    gallery.on('view', drawBar);
    gallery.on('tasks', () => bar().matches(':active, :focus-within') || drawBar()); // nobody is at it
    gallery.on('marks', drawCount);
    bar().addEventListener('scroll', hint, { passive: true });
    new ResizeObserver(hint).observe(bar());
    for (const name of ['pointerdown', 'focusin']) document.addEventListener(name, left, { capture: true });
    document.addEventListener('keydown', escaped, { capture: true }); // before all else that the key may do
    drawTop();
    drawBar();
  }

  const bar = () => document.getElementById('bar');

  /** Show to which sides the bar goes on: on a narrow screen it scrolls. */
  function hint() {
    const { scrollLeft, clientWidth, scrollWidth, classList } = bar();
    classList.toggle('goes-left', scrollLeft > 2);
    classList.toggle('goes-right', scrollLeft + clientWidth < scrollWidth - 2);
  }

  function drawTop() {
    const { status } = gallery.run.head;
    document.title = `${gallery.words.plain(gallery.run.job.name)} · orchestrator`;
    replace(
      document.getElementById('run'),
      h('h1', { dir: 'auto', title: gallery.run.job.name }, gallery.run.job.name),
      h('span.quiet.model', {}, gallery.run.job.model),
      standing(status),
    );
    settle(document.getElementById('tabs'), gallery.view.tabs.map(tab));
    settle(document.getElementById('tools'), tools());
  }

  function standing(status) {
    const { counts } = status;
    const total = Object.values(counts).reduce((sum, each) => sum + each, 0);
    const { failed, cancelled } = counts;
    const left = status.state === 'running' && status.seconds_left ? `, ${seconds(status.seconds_left)} left` : '';
    const done = `${number(counts.done)} of ${number(total)} done`;
    const bad = [failed && `, ${number(failed)} failed`, cancelled && `, ${number(cancelled)} cancelled`];
    const more = `${bad.filter(Boolean).join('')}, ${usd(status.cost_usd)}${left}`;
    const share = (part) => (total ? part / total : 0);
    return h(
      'div.standing',
      {},
      h(`span.state.${status.state}`, {}, status.state),
      gallery.plot.bar(
        [
          [share(counts.done), 'done'],
          [share(failed), 'failed'],
          [share(cancelled), 'cancelled'],
        ],
        done + more,
      ),
      h('span.quiet', {}, done, h('span.further', {}, more)),
    );
  }

  function tab(name) {
    const go = () => gallery.view.set({ tab: name }, { silent: false });
    return button(NAMES[name], go, {
      kind: 'tab',
      'aria-current': gallery.view.tab === name ? 'page' : null,
      id: `tab-${name}`,
    });
  }

  function tools() {
    const picked = gallery.marks.picked.size;
    return [
      gallery.marks.trouble() &&
        button('Marks are not kept', gallery.save.show, {
          iconName: 'warn',
          kind: 'plain.bad',
          title: gallery.marks.trouble(),
          id: 'not-kept',
        }),
      picked > 0 &&
        button(`${picked} picked`, gallery.marks.pickNone, { iconName: 'close', title: 'Pick none', id: 'pick-none' }),
      picked > 1 &&
        button('Compare', gallery.compare.show, {
          iconName: 'compare',
          kind: 'plain.accent',
          title: 'Compare the picked ones (C)',
          id: 'compare-picked',
        }),
      button('Export', gallery.save.show, { iconName: 'export', title: 'Export (E)', id: 'export-open' }),
      button('', gallery.theme, { iconName: 'theme', title: 'Light or dark', id: 'theme' }),
      button('', gallery.help, { iconName: 'help', title: 'Keys (?)', id: 'help-open' }),
    ];
  }

  function drawBar() {
    const place = bar();
    const { tab: now } = gallery.view;
    const showsSheet = now === 'grid' || now === 'wall';
    replace(
      place,
      now === 'grid' && arrangement(),
      now === 'wall' && sorting(),
      gallery.filters.chips(),
      showsSheet && looks(),
    );
    drawCount();
    hint();
  }

  function arrangement() {
    return h('div.group', {}, Object.keys(SIDES).map(side), gallery.view.picked().map(pick));
  }

  /** The choice of an axis for a side of the grid, and the way to its values. One that stands elsewhere moves here. */
  function side(name) {
    const wide = gallery.axes.wide();
    const axis = gallery.view.axis(name);
    if (!axis && GROUPS.includes(name) && wide.length < 2) return null; // one axis makes no groups
    const elsewhere = (id) => Object.keys(SIDES).find((other) => other !== name && gallery.view[other] === id);
    const from = (id) => (elsewhere(id) ? ` (from ${SIDES[elsewhere(id)].toLowerCase()})` : '');
    const axes = wide.map((each) => [each.id, `${each.name}${from(each.id)}`]);
    const chooser = select(
      SIDES[name],
      [['', 'none'], ...axes],
      gallery.view[name],
      (id) => gallery.view.place(name, id),
      { id: `side-${name}` },
    );
    return h(
      'div.field',
      {},
      h('span', { 'aria-hidden': 'true' }, SIDES[name]),
      h('div.joined', {}, chooser, axis && values(axis)),
    );
  }

  function values(axis) {
    const hidden = (gallery.view.hidden[axis.id] ?? []).length;
    const title = `Values of ${axis.name}: hide, order`;
    return button(hidden ? `−${hidden}` : '', () => gallery.values.show(axis), {
      iconName: 'values',
      title,
      kind: 'plain.small',
      id: `values-${axis.id}`,
      'aria-label': title,
    });
  }

  function pick(axis) {
    const options = gallery.axes.visible(axis).map((value) => [value.number, gallery.labels.short(value, 60, CLOSED)]);
    const now = gallery.view.pick(axis);
    const set = (text) => gallery.view.set({ picks: { ...gallery.view.picks, [axis.id]: Number(text) } });
    const step = (by) => {
      const numbers = options.map(([each]) => each);
      const place = numbers.indexOf(now) + by;
      if (place >= 0 && place < numbers.length) set(numbers[place]);
    };
    return h(
      'div.field',
      {},
      h('span', { 'aria-hidden': 'true', dir: 'auto' }, axis.name),
      h(
        'div.joined',
        {},
        button('', () => step(-1), {
          iconName: 'left',
          title: `${axis.name}: the one before`,
          kind: 'plain.small',
          id: `before-${axis.id}`,
        }),
        select(axis.name, [[-1, 'all together'], ...options], now, set, {
          id: `pick-${axis.id}`,
          title: axis.values[now]?.text,
        }),
        button('', () => step(1), {
          iconName: 'right',
          title: `${axis.name}: the next one`,
          kind: 'plain.small',
          id: `next-${axis.id}`,
        }),
      ),
    );
  }

  function sorting() {
    const options = gallery.choose.fields().map((field) => [field.id, field.name]);
    const turn = () => gallery.view.set({ descending: !gallery.view.descending });
    const sort = (field) => {
      const isDescending = field === 'stars' || gallery.view.descending; // the best ones first
      gallery.view.set({ sort: field, descending: isDescending });
    };
    const isDown = gallery.view.descending;
    return h(
      'div.group',
      {},
      h(
        'div.field',
        {},
        h('span', { 'aria-hidden': 'true' }, 'Sorted by'),
        h(
          'div.joined',
          {},
          select('Sorted by', options, gallery.view.sort, sort, { id: 'sort' }),
          button('', turn, {
            iconName: isDown ? 'down' : 'up',
            title: isDown ? 'Largest first' : 'Smallest first',
            kind: 'plain.small',
            id: 'sort-way',
          }),
        ),
      ),
    );
  }

  function looks() {
    const zoom = h('input', {
      type: 'range',
      id: 'size',
      min: SIZES.least,
      max: SIZES.most,
      step: 8,
      value: gallery.view.size || gallery.sheet.width(),
      'aria-label': 'Size of pictures',
      oninput: (event) => gallery.sheet.resize(Number(event.target.value)), // the bar stays: the slider is being dragged
      onchange: (event) => gallery.view.set({ size: Number(event.target.value) }),
    });
    const toggle = (name) => {
      const isShown = gallery.view.show.includes(name);
      return checkbox(SHOWABLE[name], isShown, (on) => show(name, on), { id: `show-${name}` });
    };
    return h(
      'div.group.end',
      {},
      h('span.quiet', { id: 'count', role: 'status' }),
      h(
        'details.menu',
        { open: Boolean(openMenu()) }, // it stays while several things are chosen
        h('summary', { className: 'plain', id: 'show-open' }, 'Show'),
        h('div.drop', {}, Object.keys(SHOWABLE).map(toggle)),
      ),
      zoom,
    );
  }

  function show(name, on) {
    const rest = gallery.view.show.filter((each) => each !== name);
    gallery.view.set({ show: on ? [...rest, name] : rest });
  }

  const openMenu = () => document.querySelector('.menu[open]');

  /** Close the menu when something else is pressed or has the focus, as all that opens above the page has. */
  function left({ target }) {
    const menu = openMenu();
    if (menu && !menu.contains(target)) menu.open = false;
  }

  function escaped(event) {
    const menu = openMenu();
    if (event.key !== 'Escape' || !menu) return;
    event.preventDefault();
    event.stopPropagation();
    menu.open = false;
    menu.querySelector('summary').focus();
  }

  function drawCount() {
    const place = document.getElementById('count');
    if (!place) return;
    const { all, shown } = gallery.choose.counts();
    const found = gallery.view.tab === 'grid' ? gallery.layout.current(1).pictures : shown;
    const loading = gallery.run.isLoading() ? ', loading…' : '';
    const words = `${found < all ? `${number(found)} of ` : ''}${count(all, 'picture')}${loading}`;
    if (place.textContent !== words) place.textContent = words;
    hint();
  }

  /** Make pictures larger or smaller by a factor. */
  function resize(factor) {
    const size = Math.round(gallery.sheet.width() * factor);
    gallery.view.set({ size: Math.max(SIZES.least, Math.min(SIZES.most, size)) });
  }

  gallery.toolbar = { open, resize };
})();

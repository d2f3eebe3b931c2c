'use strict';
// All runs at a glance: each is a link to its page, and changes while it is looked at.

(() => {
  const { button, h, replace } = gallery.dom;
  const { count, number, seconds, time, usd } = gallery.words;
  const NONE_AFTER_MS = 1500;
  const NAMES = { done: 'done', failed: 'failed', cancelled: 'cancelled', running: 'under way', pending: 'pending' };
  const runs = new Map(); // by name: what was told, and the element that shows it
  const place = document.getElementById('runs');

  const address = (path) => path.split('/').map(encodeURIComponent).join('/');
  const at = (told) => Date.parse(told.status?.updated_at ?? '') || 0;
  const isRunning = (told) => told.status?.state === 'running';

  /** Numbers of tasks in the few words that matter here. */
  function tally({ counts }) {
    const { done, failed, cancelled, pending } = counts;
    return { done, failed, cancelled, running: counts.submitting + counts.running + counts.fetching, pending };
  }

  function bar(status) {
    const counts = tally(status);
    const total = Object.values(counts).reduce((sum, each) => sum + each, 0);
    const parts = Object.entries(counts).filter(([, each]) => each > 0);
    const words = parts.map(([name, each]) => `${number(each)} ${NAMES[name]}`).join(', ');
    const shares = parts.filter(([name]) => name !== 'pending').map(([name, each]) => [each / total, name]);
    return [gallery.plot.bar(shares, words || 'no tasks'), h('p', {}, words || 'no tasks')];
  }

  function figures(told) {
    const { status } = told;
    const left = isRunning(told) && status.seconds_left !== null ? `about ${seconds(status.seconds_left)} left` : null;
    const pace = told.per_minute === null ? null : `${number(told.per_minute)} a minute`;
    const when = isRunning(told) || !at(told) ? null : time(at(told) / 1000);
    return [usd(status.cost_usd), pace, left, when].filter(Boolean).join(' · ');
  }

  /** A picture of a run; one that has gone is not shown. */
  const picture = (src) => h('img', { src, alt: '', loading: 'lazy', onerror: (event) => event.target.remove() });

  function card(told) {
    const home = `run/${encodeURIComponent(told.name)}/`;
    const pictures = told.thumbnails.map((path) => picture(home + address(path)));
    const state = told.status?.state ?? 'unreadable';
    return h(
      'li.card',
      { 'data-run': told.name },
      h(
        'a',
        { href: home },
        h('h2', { dir: 'auto' }, told.name),
        h(`span.state.${state}`, {}, state),
        h('p.quiet', { dir: 'auto' }, told.model),
      ),
      told.status && bar(told.status),
      h('p.quiet', {}, told.status ? figures(told) : told.trouble),
      h('div.pictures', {}, pictures),
    );
  }

  const spent = (told) => Number(told.status?.cost_usd ?? 0);

  const ORDERS = {
    'latest first': (a, b) => isRunning(b) - isRunning(a) || at(b) - at(a), // those at work before all others
    'by name': (a, b) => a.name.localeCompare(b.name, [], { numeric: true }),
    'dearest first': (a, b) => spent(b) - spent(a),
  };
  const chooser = h(
    'select',
    { id: 'order', 'aria-label': 'Order', onchange: () => arrange() },
    Object.keys(ORDERS).map((name) => h('option', {}, name)),
  );

  const field = h('input', {
    type: 'search',
    id: 'find',
    placeholder: 'Find runs',
    title: 'By name, model, date and state (/)',
    'aria-label': 'Find runs by name, model, date and state',
    autocomplete: 'off',
    oninput: find,
  });

  const words = () => field.value.toLowerCase().split(/\s+/).filter(Boolean);

  /** What a run is found by; the date as it is shown, and as it is sorted. */
  function findable(told) {
    const when = at(told) ? `${time(at(told) / 1000)} ${told.status.updated_at}` : '';
    return `${told.name} ${told.model} ${when} ${told.status?.state ?? 'unreadable'}`.toLowerCase();
  }

  /** Keep in the address what is looked for: a reload and whoever is sent it see the same. */
  function find() {
    const { pathname, search } = location;
    const sought = field.value ? `#${new URLSearchParams({ find: field.value })}` : '';
    history.replaceState(null, '', `${pathname}${search}${sought}`);
    arrange();
  }

  const recall = () => (field.value = new URLSearchParams(location.hash.slice(1)).get('find') ?? '');

  function pressed(event) {
    if (event.target.matches('input, select') || event.key !== '/' || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    field.focus();
  }

  /** Put cards in the order that is chosen, and show those that are looked for. */
  function arrange() {
    const sought = words();
    const isFound = (told) => sought.every((word) => findable(told).includes(word));
    for (const { told, element } of runs.values()) element.hidden = !isFound(told);
    const wanted = [...runs.values()].sort((a, b) => ORDERS[chooser.value](a.told, b.told)).map(({ element }) => element);
    wanted.forEach((element, n) => place.children[n] !== element && place.insertBefore(element, place.children[n] ?? null));
    const told = [...runs.values()].map((each) => each.told).filter(isFound);
    const sum = told.reduce((before, each) => before + spent(each), 0);
    const working = told.filter(isRunning).length;
    const shown = sought.length ? `${number(told.length)} of ${count(runs.size, 'run')}` : count(runs.size, 'run');
    const figures = [shown, working && `${number(working)} running`, usd(sum)].filter(Boolean);
    document.getElementById('sum').textContent = figures.join(' · ');
    document.getElementById('unfound').hidden = told.length > 0 || runs.size === 0;
    document.getElementById('none').hidden = runs.size > 0;
  }

  function take(told) {
    const before = runs.get(told.name)?.element;
    const element = card(told);
    const isFocused = before?.contains(document.activeElement);
    keepPictures(before, element);
    before?.replaceWith(element);
    if (isFocused) element.querySelector('a').focus();
    runs.set(told.name, { told, element });
  }

  /** Let pictures that stay be the same elements: they do not flicker. */
  function keepPictures(before, element) {
    const old = new Map([...(before?.querySelectorAll('img') ?? [])].map((image) => [image.src, image]));
    for (const image of element.querySelectorAll('img')) if (old.has(image.src)) image.replaceWith(old.get(image.src));
  }

  const HEARD = {
    known(names) {
      for (const name of runs.keys()) if (!names.includes(name)) HEARD.gone(name); // while nobody was listening
    },
    runs(told) {
      told.forEach(take);
      arrange();
    },
    gone(name) {
      runs.get(name)?.element.remove();
      runs.delete(name);
      arrange();
    },
  };

  function say(word, why = '') {
    replace(document.getElementById('live'), h(`span.word.${word}`, { role: 'status' }, why || word));
  }

  const theme = button('', gallery.theme, { iconName: 'theme', title: 'Light or dark', id: 'theme' });
  replace(document.getElementById('buttons'), field, chooser, theme);
  document.addEventListener('keydown', pressed);
  window.addEventListener('hashchange', () => {
    recall();
    arrange();
  });
  recall();
  setTimeout(arrange, NONE_AFTER_MS);
  say('connecting');
  gallery.hear(HEARD, say);
})();

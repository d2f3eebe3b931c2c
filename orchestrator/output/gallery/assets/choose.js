'use strict';
// Which pictures are shown, and in which order: filters and sorting over everything that is known of them.

(() => {
  const OPERATORS = {
    is: ['is', (found, wanted) => found === wanted],
    not: ['is not', (found, wanted) => found !== wanted],
    ge: ['at least', (found, wanted) => found !== null && found >= wanted],
    le: ['at most', (found, wanted) => found !== null && found <= wanted],
    has: ['contains', (found, wanted) => found.includes(wanted)],
    lacks: ['does not contain', (found, wanted) => !found.includes(wanted)],
  };
  const BY_TYPE = { choice: ['is', 'not'], number: ['ge', 'le', 'is', 'not'], text: ['has', 'lacks', 'is', 'not'] };
  const STATES = ['done', 'failed', 'cancelled', 'pending', 'running'];
  const UNDER_WAY = ['submitting', 'running', 'fetching'];
  let every = null;
  let chosen = null;
  let ordered = null;
  let counted = null;
  let asked = '';

  /** A state as people look for it: on its way to the service or back, a task runs. */
  function state({ task }) {
    const now = gallery.run.state(task);
    return UNDER_WAY.includes(now) ? 'running' : now;
  }

  function own() {
    const mark = (card) => gallery.marks.of(card.key);
    return [
      { id: 'state', name: 'state', type: 'choice', of: state, options: () => STATES },
      { id: 'stars', name: 'stars', type: 'number', of: (card) => mark(card).stars },
      {
        id: 'rejected',
        name: 'rejected',
        type: 'choice',
        of: (card) => (mark(card).reject ? 'yes' : 'no'),
        options: () => ['yes', 'no'],
      },
      { id: 'tag', name: 'tags', type: 'text', of: (card) => mark(card).tags.join(', '), options: gallery.marks.tags },
      { id: 'note', name: 'note', type: 'text', of: (card) => mark(card).note },
      { id: 'cost', name: 'cost in USD', type: 'number', of: (card) => card.task.cost },
      { id: 'seconds', name: 'seconds', type: 'number', of: (card) => card.task.seconds },
      { id: 'attempts', name: 'attempts', type: 'number', of: (card) => card.task.attempts },
      { id: 'finished', name: 'finished', type: 'number', of: (card) => card.task.finished, sortOnly: true },
      { id: 'error', name: 'error', type: 'text', of: (card) => (card.task.error ?? []).join(': ') },
      { id: 'index', name: 'place in the grid', type: 'number', of: (card) => card.task.index ?? Infinity },
    ];
  }

  /** An axis as a field: by the labels that people know; numbers stay numbers. */
  function ofAxis(axis) {
    const isNumber = axis.values.every((value) => value.of.length === 1 && !value.named && isNumeric(value.of[0]));
    const text = (card) => axis.values[gallery.axes.number(axis, card)]?.label ?? '';
    return {
      id: axis.id,
      name: axis.name,
      type: isNumber ? 'number' : 'choice',
      of: isNumber ? (card) => Number(text(card)) : text,
      options: () => axis.values.filter((value) => !value.isTwin).map((value) => value.label),
      order: isNumber ? null : (card) => gallery.axes.number(axis, card),
    };
  }

  const isNumeric = (value) =>
    value !== null && value !== '' && typeof value !== 'boolean' && Number.isFinite(Number(value));

  /** A parameter that is no axis: a template's text, say. */
  function ofParameter(name) {
    const of = (card) => gallery.run.shown(gallery.run.parameters(card.task)[name] ?? '');
    const isAxis = gallery.axes.all.some((axis) => axis.name === name);
    return { id: `p.${name}`, name: isAxis ? `${name}, as sent` : name, type: 'text', of };
  }

  function fields() {
    const swept = gallery.axes.all.map(ofAxis);
    return [...own(), ...swept, ...Object.keys(gallery.run.job.kinds).map(ofParameter)];
  }

  const field = (id) => fields().find((each) => each.id === id);

  function predicate([id, operator, value]) {
    const chosen = field(id);
    const test = OPERATORS[operator]?.[1];
    if (!chosen || !test) return () => true;
    if (chosen.type === 'number') return (card) => test(chosen.of(card), Number(value));
    const told = (of) => (chosen.type === 'choice' ? String(of) : String(of).toLowerCase());
    return (card) => test(told(chosen.of(card)), told(value));
  }

  /** One function that says whether a picture stands at a place of which no value is hidden. */
  function unhidden() {
    const off = gallery.axes.all
      .map((axis) => [axis, new Set(gallery.view.hidden[axis.id] ?? [])])
      .filter(([, hidden]) => hidden.size);
    const isSeen = (card, at) =>
      off.every(([axis, hidden]) => !hidden.has(gallery.axes.number(axis, card, at)));
    return (card) => !off.length || isSeen(card, card.task.at) || card.task.cells.some((at) => isSeen(card, at));
  }

  /** One function that says whether a picture is shown: nothing of it is hidden, and it passes all filters. */
  function matcher() {
    if (isAll()) return () => true;
    const tests = [unhidden(), ...gallery.view.filters.map(predicate)];
    return (card) => tests.every((test) => test(card));
  }

  /** Whether all there is may be shown. */
  const isAll = () => !gallery.view.filters.length && Object.values(gallery.view.hidden).every((each) => !each.length);

  function compare(a, b) {
    if (typeof a === 'number' && typeof b === 'number') return a - b;
    return String(a).localeCompare(String(b), 'en', { numeric: true });
  }

  function sorted(cards) {
    const chosen = field(gallery.view.sort) ?? field('index');
    const key = chosen.order ?? chosen.of;
    const keyed = cards.map((card) => [key(card), card.task.index ?? Infinity, card]);
    const way = gallery.view.descending ? -1 : 1;
    const unknown = (held) => Number(held[0] === null);
    keyed.sort((a, b) => unknown(a) - unknown(b) || way * compare(a[0], b[0]) || a[1] - b[1] || a[2].n - b[2].n);
    return keyed.map((each) => each[2]);
  }

  /** Every picture, and every task without one; the same array until there are more. */
  function cards() {
    every ??= [...gallery.run.tasks.values()].flatMap((task) => task.cards);
    return every;
  }

  const pictures = (of) => of.reduce((sum, card) => sum + Number(card.src !== null), 0);

  /** How many pictures there are, and how many of them are shown. */
  function counts() {
    if (!counted) {
      const all = pictures(cards());
      counted = { all, shown: isAll() ? all : pictures(passing()) };
    }
    return counted;
  }

  /** Every picture that is shown, and every task without one; the same array as long as these are the same. */
  function passing() {
    chosen ??= isAll() ? cards() : cards().filter(matcher());
    return chosen;
  }

  /** The same in order. */
  function list() {
    ordered ??= sorted(passing());
    return ordered;
  }

  const looksAt = (...ids) => [...gallery.view.filters.map(([id]) => id), gallery.view.sort].some((id) => ids.includes(id));

  /** Whether what is shown, or its order, depends on marks. */
  const looksAtMarks = () => looksAt('stars', 'rejected', 'tag', 'note');

  const forget = () => ([chosen, ordered, counted] = [null, null, null]);

  gallery.atOnce('tasks', () => (every = null));
  gallery.atOnce('tasks', forget);
  gallery.atOnce('head', () => looksAt('state') && forget());
  gallery.atOnce('marks', () => looksAtMarks() && forget());
  gallery.atOnce('view', () => {
    const { filters, hidden, sort, descending } = gallery.view;
    const now = JSON.stringify([filters, hidden, sort, descending]);
    if (now !== asked) forget();
    asked = now;
  });

  gallery.choose = { OPERATORS, BY_TYPE, fields, field, matcher, unhidden, isAll, cards, counts, passing, list, looksAtMarks };
})();

'use strict';
// The whole run at a glance: how far it is, what it cost, why tasks failed, and how each value of each axis did.

(() => {
  const { h, button, replace } = gallery.dom;
  const { count, usd, seconds, number } = gallery.words;
  const MOST_ROWS = 40;
  const MOST_REASONS = 8;
  const MOST_POINTS = 300;
  let place = null;
  const opened = new Set(); // axes whose every value is listed

  function open() {
    place = document.getElementById('overview');
    for (const name of ['tasks', 'head', 'view', 'marks']) gallery.on(name, draw);
  }

  function draw() {
    place.hidden = gallery.view.tab !== 'overview';
    if (place.hidden) return;
    const axes = gallery.axes.wide();
    const passes = gallery.choose.matcher();
    const tallies = tally(axes, passes);
    replace(
      place,
      figures(),
      concerns(),
      progress(),
      failures(),
      !gallery.choose.isAll() &&
        h('section.quiet', { role: 'status' }, `Below, only what is shown is counted: ${left(passes)}.`),
      axes.map((axis, at) => table(axis, tallies[at])),
    );
  }

  function figure(value, name, more = null) {
    return h('div.figure', {}, h('b', {}, value), h('span', {}, name), more && h('small', {}, more));
  }

  function concerns() {
    const told = gallery.words.concerns(gallery.run.head.status);
    return told.length > 0 && h('section.concerns', { role: 'status' }, told.map((each) => h('p', {}, each)));
  }

  const tasksOf = (status) => Object.values(status.counts).reduce((sum, each) => sum + each, 0);

  function figures() {
    const { status } = gallery.run.head;
    const { counts } = status;
    const total = tasksOf(status);
    const calls = Object.values(status.calls).reduce((sum, each) => sum + each, 0);
    const left =
      status.state === 'running' && status.seconds_left !== null ? `about ${seconds(status.seconds_left)} left` : null;
    const stars = rated();
    const ended = (Date.parse(status.updated_at) - Date.parse(status.started_at)) / 1000;
    return h(
      'section.figures',
      { 'aria-label': 'Figures' },
      figure(`${number(counts.done)} of ${number(total)}`, 'tasks done', left),
      figure(
        number(counts.failed + counts.cancelled),
        'failed or cancelled',
        status.paid_in_vain ? `${number(status.paid_in_vain)} paid for: ${usd(status.paid_in_vain_usd)}` : null,
      ),
      figure(
        usd(status.cost_usd),
        'spent',
        Number(status.reserved_usd) ? `${usd(status.reserved_usd)} kept aside` : null,
      ),
      figure(seconds(ended), 'from the start'),
      calls > 0 && // none are told of an exported part
        figure(
          number(calls),
          'calls to the service',
          counts.done ? `${(calls / counts.done).toFixed(1)} for each task done` : null,
        ),
      figure(number(stars), 'pictures with stars', stars ? null : 'Give some, and the tables below compare them.'),
    );
  }

  function rated() {
    let found = 0;
    for (const task of gallery.run.tasks.values())
      for (const card of task.shots) if (gallery.marks.of(card.key).stars) found += 1;
    return found;
  }

  function chart(title, points, latest, options) {
    const label = `${title}: ${latest}`;
    return h(
      'figure',
      {},
      h('figcaption', {}, h('span', {}, title), h('b', {}, latest)),
      gallery.plot.line(points, label, options),
      h('div.moments', {}, gallery.words.span(points[0][0], points.at(-1)[0]).map((moment) => h('time', {}, moment))),
    );
  }

  /** What happened between two looks, for each minute. */
  function rates(points, column) {
    return points.slice(1).map((point, before) => {
      const minutes = (point[0] - points[before][0]) / 60;
      return [point[0], minutes > 0 ? Math.max(0, (point[column] - points[before][column]) / minutes) : 0];
    });
  }

  const most = (points) => `up to ${number(Math.round(Math.max(...points.map((point) => point[1]))))}`;

  /** The run's own notes of its progress; without them (a page that was built later) what the tasks tell of it. */
  function progress() {
    const noted = gallery.run.head.progress.map(([at, ended, spent, ...rest]) => [at, ended, Number(spent), ...rest]);
    const isNoted = noted.length > 2;
    const points = isNoted ? noted : ends();
    if (points.length < 3) return null;
    const of = (column) => points.map((point) => [point[0], point[column]]);
    const last = points.at(-1);
    const [speed, calls] = isNoted ? [rates(points, 1), rates(points, 3)] : [];
    return h(
      'section.charts',
      { 'aria-label': 'Progress' },
      chart('Tasks ended', of(1), number(last[1])),
      chart('Spent', of(2), usd(last[2])),
      isNoted && chart('Tasks a minute', speed, most(speed)),
      isNoted && chart('Calls a minute', calls, most(calls)),
      isNoted && chart('Under way', of(4), most(of(4)), { step: true }),
    );
  }

  /** How many tasks had ended, and what they had cost, whenever one ended; at most a few hundred points. */
  function ends() {
    const ended = [...gallery.run.tasks.values()]
      .filter((task) => task.finished)
      .sort((a, b) => a.finished - b.finished);
    const step = Math.ceil(ended.length / MOST_POINTS);
    let spent = 0;
    const points = ended.map((task, before) => [task.finished, before + 1, (spent += task.cost ?? 0)]);
    return points.filter((_, place) => place % step === 0 || place === points.length - 1);
  }

  function failures() {
    const reasons = new Map();
    for (const { state, error, cost } of gallery.run.tasks.values()) {
      if (state !== 'failed' || !error) continue;
      const words = error.join(': ');
      const [times, paid] = reasons.get(words) ?? [0, 0];
      reasons.set(words, [times + 1, paid + Number(cost > 0)]);
    }
    if (!reasons.size) return null;
    const sorted = [...reasons].sort((a, b) => b[1][0] - a[1][0]).slice(0, MOST_REASONS);
    const look = (words) => gallery.view.set({ tab: 'wall', filters: [['error', 'is', words]] }, { silent: false });
    const row = ([words, [times, paid]]) =>
      h(
        'li',
        {},
        h('b', {}, number(times)),
        button(gallery.words.shortened(words, 200), () => look(words), { kind: 'link' }),
        paid > 0 && h('span.quiet', {}, paid < times ? `${number(paid)} of them paid for` : 'paid for'),
      );
    return h('section.failures', {}, h('h2', {}, 'Why tasks failed'), h('ul', {}, sorted.map(row)));
  }

  const blank = () => ({
    done: 0,
    failed: 0,
    cost: 0,
    priced: 0,
    time: 0,
    timed: 0,
    stars: 0,
    rated: 0,
    rejected: 0,
    tasks: 0, // of which something is known
    expected: 0, // of the whole grid, where that is known
  });

  function left(passes) {
    let found = 0;
    for (const task of gallery.run.tasks.values()) found += Number(task.cards.some(passes));
    return count(found, 'task');
  }

  /** What each value of each axis adds up to, in one pass over the tasks that are shown. */
  function tally(axes, passes) {
    const isAll = gallery.choose.isAll();
    const all = axes.map((axis) => axis.values.map(() => ({ ...blank(), expected: isAll ? expected(axis) : 0 })));
    for (const task of gallery.run.tasks.values()) {
      const cards = task.cards.filter(passes);
      axes.forEach((axis, at) => {
        for (const card of axis === gallery.axes.output ? cards : cards.slice(0, 1))
          addTask(all[at][gallery.axes.number(axis, card)], task);
        for (const card of cards) addMarks(all[at][gallery.axes.number(axis, card)], gallery.marks.of(card.key));
      });
    }
    return all;
  }

  /** How many tasks a value of an axis has: as many as every other one, where each cell of the grid is a task. */
  function expected(axis) {
    const { all, output } = gallery.axes;
    const cells = all.filter((each) => each !== output).reduce((product, each) => product * each.values.length, 1);
    const total = tasksOf(gallery.run.head.status);
    return axis !== output && total === cells ? total / axis.values.length : 0;
  }

  function addTask(sum, task) {
    if (!sum) return;
    sum.tasks += 1;
    if (task.state === 'done') sum.done += 1;
    if (task.state === 'failed' || task.state === 'cancelled') sum.failed += 1;
    if (task.cost !== null) [sum.cost, sum.priced] = [sum.cost + task.cost, sum.priced + 1];
    if (task.seconds) [sum.time, sum.timed] = [sum.time + task.seconds, sum.timed + 1];
  }

  function addMarks(sum, mark) {
    if (mark.stars) [sum.stars, sum.rated] = [sum.stars + mark.stars, sum.rated + 1];
    if (mark.reject) sum.rejected += 1;
  }

  /** A number with a bar beside it that shows how it stands among the others. */
  function scaled(value, top, words, { isBest = false, more = null } = {}) {
    return h(
      'td',
      {},
      value === null
        ? h('span.quiet', {}, '–')
        : [h(isBest ? 'span.value.best' : 'span.value', {}, words), gallery.plot.bar([[top ? value / top : 0, 'share']], words), more && h('small.quiet', {}, more)],
    );
  }

  function table(axis, sums) {
    const isAll = gallery.choose.isAll();
    const values = gallery.axes.visible(axis).filter(({ number: at }) => sums[at].tasks || sums[at].expected || isAll);
    const shown = opened.has(axis.id) ? values : values.slice(0, MOST_ROWS);
    const mean = (sum, total, times) =>
      sums[sum.number][times] ? sums[sum.number][total] / sums[sum.number][times] : null;
    const top = (total, times) => Math.max(...shown.map((value) => mean(value, total, times) ?? 0));
    const tops = { cost: top('cost', 'priced'), time: top('time', 'timed'), stars: shown.length > 1 ? top('stars', 'rated') : 0 };
    const isJudged = shown.some((value) => sums[value.number].rated || sums[value.number].rejected);
    const row = (value) => line(axis, value, sums[value.number], tops, isJudged);
    const names = [axis.name, 'done', 'failed', 'cost each', 'time each', ...(isJudged ? ['stars', 'rejected'] : [])];
    const heads = names.map((name) => h('th', { scope: 'col' }, name));
    const rest = values.length - shown.length;
    const showAll = () => {
      opened.add(axis.id);
      draw();
    };
    return h(
      'section.by',
      {},
      h(
        'table.values',
        {},
        h('caption', {}, `By ${axis.name}`),
        h('thead', {}, h('tr', {}, heads)),
        h('tbody', {}, shown.map(row)),
      ),
      rest > 0 && button(`Show ${count(rest, 'more value')}`, showAll),
    );
  }

  function line(axis, value, sum, tops, isJudged) {
    const [cost, time, stars] = [
      ['cost', 'priced'],
      ['time', 'timed'],
      ['stars', 'rated'],
    ].map(([total, times]) => (sum[times] ? sum[total] / sum[times] : null));
    const chosen = [axis.id, 'is', value.label];
    const filters = [...gallery.view.filters.filter(([id]) => id !== axis.id), chosen];
    const look = () => gallery.view.set({ tab: 'wall', filters }, { silent: false });
    const tasks = Math.max(sum.tasks, sum.expected);
    const share = (part) => (tasks ? part / tasks : 0);
    const done = `${number(sum.done)} of ${number(tasks)}`;
    const label = gallery.heads.breakable(gallery.labels.short(value, 60));
    return h(
      'tr',
      {},
      h(
        'th',
        { scope: 'row', dir: 'auto' },
        button(label, look, { kind: 'link', title: value.text }),
      ),
      h(
        'td',
        {},
        h('span.value', {}, done),
        gallery.plot.bar(
          [
            [share(sum.done), 'done'],
            [share(sum.failed), 'failed'],
          ],
          done,
        ),
      ),
      h('td', {}, sum.failed ? h('span.value.bad', {}, number(sum.failed)) : h('span.quiet', {}, '0')),
      scaled(cost, tops.cost, usd(cost), { more: axis !== gallery.axes.output && `${usd(sum.cost)} in\u00a0all` }),
      scaled(time, tops.time, seconds(time)),
      isJudged && scaled(stars, 5, stars === null ? '' : `${stars.toFixed(1)} ★ (${sum.rated})`, { isBest: stars === tops.stars }),
      isJudged && h('td', {}, sum.rejected ? number(sum.rejected) : h('span.quiet', {}, '0')),
    );
  }

  gallery.overview = { open };
})();

'use strict';
// What happens, below the pictures: what the run tells in its log, and how each task has ended.

(() => {
  const { h, replace, apart } = gallery.dom;
  const MOST_LINES = 500;
  const NEAR_PX = 40;
  const BAD = ['warning', 'error', 'critical', 'failed', 'cancelled'];
  const ENDED = 'task ended'; // the log says it of some tasks, by their ids; the page knows all of them by name
  const box = h('section', { id: 'log', role: 'log', hidden: true, tabIndex: 0, 'aria-label': 'Log' });
  const list = h('ol', {});
  const ended = new Map(); // when each task did, by its id
  box.append(list);
  document.querySelector('main').after(box);

  function line(at, kind, words, more) {
    const moment = new Date(at);
    return h(
      `li.${BAD.includes(kind) ? 'bad' : 'calm'}`,
      { 'data-at': at, title: at ? moment.toLocaleString() : null },
      h('time.quiet', {}, at ? moment.toLocaleTimeString() : ''),
      h('b', { dir: 'auto' }, words),
      more && h('span.quiet', { dir: 'auto' }, more),
    );
  }

  /** How a task has ended, in the words of the page. */
  function ending(task) {
    const { axes, words } = gallery;
    const names = axes
      .wide()
      .filter((axis) => axis !== axes.output)
      .map((axis) => words.shortened(axes.word(axes.value(axis, task.cards[0])), 60));
    const figures = [task.seconds && words.seconds(task.seconds), task.cost && words.usd(task.paid), task.error?.[1]];
    return line(task.finished * 1000, task.state, task.state, apart([...names, ...figures].filter(Boolean)));
  }

  /** Put lines where they belong in time; whoever has not scrolled up sees the last one. */
  function put(lines) {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    for (const each of lines) {
      let after = list.lastElementChild;
      while (after && Number(after.dataset.at) > Number(each.dataset.at)) after = after.previousElementSibling;
      if (after) after.after(each);
      else list.prepend(each);
    }
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  /** Add lines of the run's log. */
  function add(lines) {
    const told = lines.filter(({ event }) => event !== ENDED);
    put(told.map(({ at, level, event, more }) => line(Date.parse(at) || 0, level, event, more)));
  }

  /** Add the tasks that have ended since the last time; while nobody looks there is none. */
  function follow() {
    if (box.hidden) return;
    const news = [...gallery.run.tasks.values()].filter((task) => task.finished && ended.get(task.id) !== task.finished);
    for (const task of news) ended.set(task.id, task.finished);
    news.sort((a, b) => a.finished - b.finished);
    put(news.slice(-MOST_LINES).map(ending));
  }

  function clear() {
    replace(list);
    ended.clear();
    follow();
  }

  function toggle() {
    box.hidden = !box.hidden;
    follow();
    box.scrollTop = box.scrollHeight;
  }

  gallery.on('tasks', follow);
  gallery.log = { add, toggle, clear, isOpen: () => !box.hidden };
})();

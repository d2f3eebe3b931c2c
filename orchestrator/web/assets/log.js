'use strict';
// What the run tells on its way, below its pictures.

(() => {
  const { h, replace } = gallery.dom;
  const MOST_LINES = 1000;
  const NEAR_PX = 40;
  const box = h('section', { id: 'log', role: 'log', hidden: true, tabIndex: 0, 'aria-label': 'Log' });
  const list = h('ol', {});
  box.append(list);
  document.querySelector('main').after(box);

  const time = (at) => new Date(at).toLocaleTimeString();

  function line({ at, level, event, more }) {
    return h(
      `li.${['warning', 'error', 'critical'].includes(level) ? 'bad' : 'calm'}`,
      { title: at },
      h('time.quiet', {}, Date.parse(at) ? time(at) : ''),
      h('b', { dir: 'auto' }, event),
      more && h('span.quiet', { dir: 'auto' }, more),
    );
  }

  /** Add lines; whoever has not scrolled up sees the last one. */
  function add(lines) {
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
    list.append(...lines.map(line));
    while (list.childElementCount > MOST_LINES) list.firstElementChild.remove();
    if (isAtEnd) box.scrollTop = box.scrollHeight;
  }

  function toggle() {
    box.hidden = !box.hidden;
    box.scrollTop = box.scrollHeight;
    return !box.hidden;
  }

  gallery.log = { add, toggle, clear: () => replace(list), isOpen: () => !box.hidden };
})();

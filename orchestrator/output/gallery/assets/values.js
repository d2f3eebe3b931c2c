'use strict';
// The values of an axis: which are shown, and in which order.

(() => {
  const { h, button, replace } = gallery.dom;
  const MOST_LISTED = 500;
  let dialog = null;
  let axis = null;

  function open() {
    dialog = document.getElementById('values');
    dialog.addEventListener('close', () => replace(dialog));
  }

  function show(of) {
    axis = of;
    draw();
    if (!dialog.open) dialog.showModal();
  }

  const hidden = () => new Set(gallery.view.hidden[axis.id] ?? []);

  function hide(numbers) {
    gallery.view.set({ hidden: { ...gallery.view.hidden, [axis.id]: [...numbers] } });
    draw();
  }

  function move(number, by) {
    const order = gallery.axes.ordered(axis).map((value) => value.number);
    const from = order.indexOf(number);
    const to = from + by;
    if (to < 0 || to >= order.length) return;
    order.splice(to, 0, ...order.splice(from, 1));
    gallery.view.set({ order: { ...gallery.view.order, [axis.id]: order } });
    draw();
  }

  function line(value, off) {
    const toggle = () => {
      if (!off.delete(value.number)) off.add(value.number);
      hide(off);
    };
    const input = h('input', {
      type: 'checkbox',
      checked: !off.has(value.number),
      onchange: toggle,
      id: `value-${value.number}`,
    });
    const words = h(
      'span',
      { dir: 'auto' },
      gallery.labels.short(value, 120),
      value.named && h('small', { dir: 'auto' }, gallery.words.shortened(value.text, 240)),
    );
    const way = (by, name) =>
      button('', () => move(value.number, by), {
        iconName: name,
        title: `Move ${name}: ${gallery.labels.short(value, 40)}`,
        kind: 'plain.small',
        id: `move-${value.number}-${by}`,
      });
    return h('li', {}, h('label.check', {}, input, words), way(-1, 'up'), way(1, 'down'));
  }

  function draw() {
    const values = gallery.axes.ordered(axis);
    const off = hidden();
    const reset = () => {
      gallery.view.set({ order: { ...gallery.view.order, [axis.id]: [] } });
      hide([]);
    };
    const rest = values.length - MOST_LISTED;
    replace(
      dialog,
      h(
        'div.title',
        {},
        h('h2', {}, 'Values of ', h('bdi', {}, axis.name)),
        button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' }),
      ),
      h(
        'div.line',
        {},
        button('Show all', () => hide([])),
        button('Hide all', () => hide(values.map((value) => value.number))),
        button('As in the job', reset),
      ),
      h(
        'ul.listed',
        {},
        values.slice(0, MOST_LISTED).map((value) => line(value, off)),
      ),
      h('p.quiet', {}, 'What is not ticked is hidden in every view, not compared and not exported.'),
      rest > 0 && h('p.quiet', {}, `and ${gallery.words.count(rest, 'more value')}`),
    );
  }

  gallery.values = { open, show };
})();

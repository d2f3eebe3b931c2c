'use strict';
// The help: all keys, as the table of the keyboard has them.

(() => {
  const { h, button, replace } = gallery.dom;
  const SIGNS = {
    ArrowLeft: '←',
    ArrowRight: '→',
    ArrowUp: '↑',
    ArrowDown: '↓',
    Escape: 'Esc',
    PageUp: 'Page ↑',
    PageDown: 'Page ↓',
    '-': '−',
  };

  function sign(name) {
    if (name.startsWith('Shift+')) return `⇧ ${sign(name.slice('Shift+'.length))}`;
    return SIGNS[name] ?? (name.length === 1 ? name.toUpperCase() : name);
  }

  function line([names, words]) {
    const signs = names.split(' ').map((name) => [h('kbd', { 'data-key': name }, sign(name)), ' ']);
    return [h('dt', {}, signs), h('dd', {}, words)];
  }

  gallery.help = () => {
    const dialog = document.getElementById('help');
    const parts = Object.entries(gallery.keys.parts);
    if (matchMedia('(hover: none)').matches) parts.unshift(parts.pop()); // who has fingers alone looks for those
    const part = ([title, lines]) => h('section', {}, h('h3', {}, title), h('dl', {}, lines.map(line)));
    replace(
      dialog,
      h(
        'div.title',
        {},
        h('h2', {}, 'Keys'),
        button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' }),
      ),
      h('div.help', {}, parts.map(part)),
    );
    dialog.showModal();
  };
})();

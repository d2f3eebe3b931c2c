'use strict';
// Giving marks: the controls beside a picture, and what the keys do.

(() => {
  const { h, button } = gallery.dom;

  function rate(card, stars) {
    const now = gallery.marks.of(card.key).stars;
    gallery.marks.set(card.key, { stars: now === stars ? 0 : stars });
  }

  function reject(card) {
    gallery.marks.set(card.key, { reject: !gallery.marks.of(card.key).reject });
  }

  function stars(card) {
    const given = gallery.marks.of(card.key).stars;
    const each = [1, 2, 3, 4, 5].map((number) =>
      button(number <= given ? '★' : '☆', () => rate(card, number), {
        kind: number <= given ? 'star.on' : 'star',
        'aria-pressed': String(number === given),
        'aria-label': `${gallery.words.count(number, 'star')}`,
        title: `${gallery.words.count(number, 'star')} (${number})`,
        id: `star-${number}`,
      }),
    );
    return h('div.stars', { role: 'group', 'aria-label': 'Stars' }, each);
  }

  function toggle(label, iconName, isOn, onclick, id, title) {
    return button(label, onclick, { iconName, 'aria-pressed': String(isOn), id, title });
  }

  function tags(card) {
    const apply = (event) => {
      const given = event.target.value
        .split(',')
        .map((tag) => tag.trim())
        .filter(Boolean);
      gallery.marks.set(card.key, { tags: [...new Set(given)] });
    };
    const known = h(
      'datalist',
      { id: 'known-tags' },
      gallery.marks.tags().map((tag) => h('option', { value: tag })),
    );
    const value = gallery.marks.of(card.key).tags.join(', ');
    const input = h('input', {
      id: 'tags',
      value,
      placeholder: 'sky, keep',
      onchange: apply,
      list: 'known-tags',
      autocomplete: 'off',
    });
    return h('label.field', {}, h('span', {}, 'Tags'), input, known);
  }

  function note(card) {
    const apply = (event) => gallery.marks.set(card.key, { note: event.target.value });
    const value = gallery.marks.of(card.key).note;
    return h('label.field', {}, h('span', {}, 'Note'), h('textarea', { id: 'note', rows: 2, value, onchange: apply }));
  }

  /** All controls for a picture; a task that made none gets no marks. */
  function panel(card) {
    if (!card.src) return [];
    const mark = gallery.marks.of(card.key);
    const isPicked = gallery.marks.picked.has(card.key);
    return [
      h(
        'div.line',
        {},
        stars(card),
        toggle('Reject', 'close', mark.reject, () => reject(card), 'reject', 'Reject (X)'),
        toggle(
          'Pick',
          'check',
          isPicked,
          () => gallery.marks.pick(card.key),
          'pick',
          'Pick to compare or export (Space)',
        ),
      ),
      tags(card),
      note(card),
    ];
  }

  /** Do what a key means for a picture; return whether it means anything. */
  function key(name, card) {
    if (!card?.src) return false;
    if (/^[1-5]$/.test(name)) rate(card, Number(name));
    else if (name === '0') gallery.marks.set(card.key, { stars: 0, reject: false });
    else if (name === 'x') reject(card);
    else if (name === ' ' || name === 'p') gallery.marks.pick(card.key);
    else return false;
    return true;
  }

  gallery.marking = { panel, key };
})();

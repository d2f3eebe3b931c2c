'use strict';
// Giving marks: the controls beside a picture, and what they and the keys do.

(() => {
  const { h, button } = gallery.dom;

  function rate(card, stars) {
    const now = gallery.marks.of(card.key).stars;
    gallery.marks.set(card.key, { stars: now === stars ? 0 : stars });
  }

  function reject(card) {
    gallery.marks.set(card.key, { reject: !gallery.marks.of(card.key).reject });
  }

  /** The id of a control: several pictures may have theirs on the screen. */
  const named = (what, card) => `${what}-${card.key}`;

  function stars(card) {
    const given = gallery.marks.of(card.key).stars;
    const each = [1, 2, 3, 4, 5].map((number) =>
      button(number <= given ? '★' : '☆', () => rate(card, number), {
        kind: number <= given ? 'star.on' : 'star',
        'aria-pressed': String(number === given),
        'aria-label': `${gallery.words.count(number, 'star')}`,
        title: `${gallery.words.count(number, 'star')} (${number})`,
        id: named(`star-${number}`, card),
      }),
    );
    return h('div.stars', { role: 'group', 'aria-label': 'Stars' }, each);
  }

  function rejection(card) {
    const isRejected = gallery.marks.of(card.key).reject;
    return button('Reject', () => reject(card), {
      iconName: 'reject',
      'aria-pressed': String(isRejected),
      id: named('reject', card),
      title: 'Reject (X)',
    });
  }

  function picking(card) {
    return button('Pick', () => gallery.marks.pick(card.key), {
      iconName: 'check',
      'aria-pressed': String(gallery.marks.picked.has(card.key)),
      id: named('pick', card),
      title: 'Pick to compare or export (Space)',
    });
  }

  /** Leave a field by key: what was written is taken over, and the keys are those of the picture again. */
  function leave(event) {
    if (event.key !== 'Escape' && !(event.key === 'Enter' && event.target.matches('input'))) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.blur();
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
      { id: named('known', card) },
      gallery.marks.tags().map((tag) => h('option', { value: tag })),
    );
    const input = h('input', {
      id: named('tags', card),
      value: gallery.marks.of(card.key).tags.join(', '),
      placeholder: 'sky, keep',
      title: 'Tags (T), with commas between them',
      onchange: apply,
      onkeydown: leave,
      list: known.id,
      autocomplete: 'off',
    });
    return h('label.field', {}, h('span', {}, 'Tags'), input, known);
  }

  function note(card, tag = 'textarea') {
    const apply = (event) => gallery.marks.set(card.key, { note: event.target.value });
    const { note: value } = gallery.marks.of(card.key);
    const input = h(tag, { id: named('note', card), title: 'Note (N)', value, onchange: apply, onkeydown: leave });
    return h('label.field', {}, h('span', {}, 'Note'), input);
  }

  /** All controls for a picture; a task that made none gets no marks. */
  function panel(card) {
    if (!card.src) return [];
    return [h('div.line', {}, stars(card), rejection(card), picking(card)), tags(card), note(card)];
  }

  /** The same in few lines, for pictures that stand beside each other. */
  const line = (card) =>
    h('div.line', {}, stars(card), rejection(card), h('div.line.words', {}, tags(card), note(card, 'input')));

  /** Whether somebody is writing in a place, so that it is not to be drawn anew. */
  const isWriting = (place) =>
    place.contains(document.activeElement) && document.activeElement.matches('input, textarea');

  /** Go to the tags or the note of a picture whose controls are on the screen. */
  const write = (card, what) => document.getElementById(named(what, card))?.focus();

  gallery.marking = { rate, reject, panel, line, isWriting, write };
})();

'use strict';
// Labels beside each other: what several of them begin with is shortened, so that what tells them apart is seen.

(() => {
  const MOST_COMPARED = 400; // values of an axis
  const LONG = 18; // letters from which on a part that several labels share is shortened
  const KEPT = 13; // of those, with the space behind a word
  const LEAST = 4; // of those, in whole words
  const WORD = 16; // letters, at most: a longer one is cut anywhere
  const cached = new WeakMap(); // by axis

  /** How far two texts are the same, up to the beginning of a word. */
  function shared(a, b) {
    let end = 0;
    while (end < a.length && a[end] === b[end]) end += 1;
    const start = end - (/[^\s,;:/_-]*$/u.exec(a.slice(Math.max(0, end - WORD), end))?.[0].length ?? 0);
    return /[\udc00-\udfff]/.test(a[start] ?? '') ? start - 1 : start;
  }

  /** The first words of a part, and a sign that there were more; the whole part if it is short. */
  function begun(part) {
    const letters = [...part];
    if (letters.length < LONG) return part;
    const head = letters.slice(0, KEPT).join('');
    const words = head.replace(/[\s,;:]+\S*$/u, '');
    return `${words.length < LEAST ? head : words}… `;
  }

  /** A text of which no other shares more than up to the last of some places, its parts before them shortened. */
  function brief(text, places) {
    const all = [0, ...[...places].sort((a, b) => a - b)];
    const parts = all.map((from, number) => text.slice(from, all[number + 1]));
    return [...parts.slice(0, -1).map(begun), parts.at(-1)].join('');
  }

  /** The places up to which a text is the same as others before it, or after it, in their order. */
  function places(same, number, step, found) {
    let least = Infinity;
    for (let next = step < 0 ? number : number + 1; next > 0 && next < same.length; next += step) {
      least = Math.min(least, same[next]);
      if (least < LONG) break;
      found.add(least);
    }
    return found;
  }

  /**
   * Shorten what texts share.
   * @param {string[]} texts
   * @returns {Map<string, string>}  What is left of each, no two of them the same; empty where there are too many.
   */
  function told(texts) {
    const sorted = texts.length > MOST_COMPARED ? [] : [...new Set(texts)].sort();
    const same = sorted.map((text, number) => (number ? shared(sorted[number - 1], text) : 0));
    const around = (number) => places(same, number, 1, places(same, number, -1, new Set()));
    return new Map(sorted.map((text, number) => [text, brief(text, around(number))]));
  }

  function of(axis) {
    const { length } = axis.values;
    if (cached.get(axis)?.length !== length)
      cached.set(axis, { length, texts: told(axis.values.map((each) => each.label)) });
    return cached.get(axis).texts;
  }

  /**
   * A value's label in short words.
   * @param {object} value  One of an axis.
   * @param {number} most  Letters, at most.
   * @param {number} [fits]  Letters that are seen at once: of a longer one, what others share is shortened.
   */
  function short(value, most, fits = most) {
    if (value.label.length <= fits) return value.label;
    return gallery.words.shortened(of(value.axis).get(value.label) ?? value.label, most);
  }

  /** Likewise; a bare number says what it is a number of. */
  const word = (value, most) => (value.isBare ? gallery.axes.word(value) : short(value, most));

  gallery.labels = { short, word, told };
})();

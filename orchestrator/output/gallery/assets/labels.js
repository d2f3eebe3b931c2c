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

  /** The first words of a part, and a sign that there were more. */
  function begun(part) {
    const head = [...part].slice(0, KEPT).join('');
    const words = head.replace(/[\s,;:]+\S*$/u, '');
    return `${words.length < LEAST ? head : words}… `;
  }

  /** A text that is as others up to some places: the long parts that it shares, begun, and what is its own. */
  function parted(text, places) {
    const ends = [0];
    for (const place of [...places].sort((a, b) => a - b)) if (place - ends.at(-1) >= LONG) ends.push(place);
    const parts = ends.map((from, number) => text.slice(from, ends[number + 1]));
    return { head: parts.slice(0, -1).map(begun).join(''), own: parts.at(-1) };
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
   * @returns {Map<string, string[]>}  What is left of each, longer and shorter, no two of them the same; empty where
   *   there are too many.
   */
  function told(texts) {
    const sorted = texts.length > MOST_COMPARED ? [] : [...new Set(texts)].sort();
    const same = sorted.map((text, number) => (number ? shared(sorted[number - 1], text) : 0));
    const around = (number) => places(same, number, 1, places(same, number, -1, new Set()));
    const all = sorted.map((text, number) => parted(text, around(number)));
    const times = new Map();
    for (const { own } of all) times.set(own, (times.get(own) ?? 0) + 1);
    const ways = ({ head, own }) => (head && times.get(own) === 1 ? [head + own, `…${own}`] : [head + own]);
    return new Map(all.map((each, number) => [sorted[number], ways(each)]));
  }

  /** The longest way to say a text, of those that `told` gives, that there is room for; see `short`. */
  function cut(text, ways, most, fits = most) {
    const all = [text, ...(ways.get(text) ?? [])];
    const { shortened, plain } = gallery.words;
    return shortened(plain(all.find((way) => way.length <= fits) ?? all.at(-1)), most);
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
   * @param {number} [fits]  Letters that are seen at once: of a longer one, what others share is shortened or left out.
   */
  function short(value, most, fits = most) {
    return cut(value.label, of(value.axis), most, fits);
  }

  /** Likewise; a bare number says what it is a number of. */
  const word = (value, most) => (value.isBare ? gallery.axes.word(value) : short(value, most));

  gallery.labels = { short, word, cut, told };
})();

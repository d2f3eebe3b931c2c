'use strict';
// What people think of pictures: stars, rejections, tags, notes, and answers of blind comparisons. Kept in the browser
// under a key of the run's own, and in a file that `orchestrator gallery` reads back. What is picked is kept there too,
// but goes into no file: it is what one is at just now.

(() => {
  const KEPT_AFTER_MS = 300;
  const NONE = Object.freeze({ stars: 0, reject: false, tags: [], note: '' });
  const WORDS = Object.keys(NONE);
  let kept = 'orchestrator:';
  let timer = 0;
  let isTouched = false; // since the page was opened, or the marks were downloaded
  let trouble = ''; // why the browser does not keep what was given, in words

  const held = new Map(); // by the key of the picture
  const duels = new Map(); // by moment and pictures; one that was taken back stays, as void
  const filed = new Map(); // what the run folder holds: when each word of a mark was given, and who won
  const marks = { of: (key) => held.get(key) ?? NONE, picked: new Set() };
  const undone = []; // what takes the last changes back

  const isEmpty = (mark) => !mark.stars && !mark.reject && !mark.tags.length && !mark.note;

  /** Bring what came from a file into the form of a mark: anybody may have edited it. */
  function formed(mark) {
    const stars = Number.isInteger(mark.stars) ? Math.max(0, Math.min(5, mark.stars)) : 0;
    const tags = Array.isArray(mark.tags) ? mark.tags.filter((tag) => typeof tag === 'string') : [];
    const note = typeof mark.note === 'string' ? mark.note : '';
    const at = Number(mark.at) || 0; // when the latest word of it was given, and in an older file all of it
    const own = typeof mark.moments === 'object' ? mark.moments : null;
    const each = WORDS.map((word) => [word, own ? Number(own[word]) || 0 : at]);
    const moments = Object.fromEntries(each.filter(([, moment]) => moment));
    return { stars, reject: mark.reject === true, tags, note, at, moments };
  }

  /** Whether a word of one mark was given later than that of another one. */
  const isLater = (moments, than, word) => (moments[word] ?? 0) > (than[word] ?? 0);

  /** Two marks of a picture as one: two people may give it a star and a note at the same moment. */
  function joined(before, after) {
    const made = { ...before, at: Math.max(before.at, after.at), moments: { ...before.moments } };
    for (const word of WORDS.filter((word) => !isLater(before.moments, after.moments, word))) {
      made[word] = after[word];
      if (after.moments[word]) made.moments[word] = after.moments[word];
    }
    return made;
  }

  const isDuel = (duel) =>
    [duel?.a, duel?.b].every((key) => typeof key === 'string') && ['a', 'b', 'tie', 'void'].includes(duel.won);

  const pair = (duel) => `${duel.at} ${duel.a} ${duel.b}`;
  const keep = (duel) => duels.get(pair(duel))?.won === 'void' || duels.set(pair(duel), duel);

  /** Answers of blind comparisons, the first one first. */
  marks.duels = () => [...duels.values()].filter((duel) => duel.won !== 'void');

  /** Take marks over: of each picture each word that was given last. */
  function merge(told) {
    for (const [key, mark] of Object.entries(told?.marks ?? {})) {
      if (typeof mark !== 'object' || mark === null) continue;
      const taken = formed(mark);
      held.set(key, held.has(key) ? joined(held.get(key), taken) : taken);
    }
    (told?.duels ?? []).filter(isDuel).forEach(keep);
  }

  /** Take over what lies in the run folder, or has just been put there. */
  marks.take = (file) => {
    for (const [key, mark] of Object.entries(file?.marks ?? {})) filed.set(key, formed(mark ?? {}).moments);
    for (const duel of (file?.duels ?? []).filter(isDuel)) filed.set(pair(duel), duel.won);
    merge(file);
    gallery.changed('marks');
  };

  /** What the run folder does not hold yet, as a file; null where there is nothing. */
  marks.unfiled = () => {
    const isNew = ([key, mark]) => WORDS.some((word) => isLater(mark.moments, filed.get(key) ?? {}, word));
    const news = [...held].filter(isNew);
    const answers = [...duels.values()].filter((duel) => filed.get(pair(duel)) !== duel.won);
    if (!news.length && !answers.length) return null;
    return { format: 1, key: gallery.run.job.key, marks: Object.fromEntries(news), duels: answers };
  };

  marks.open = (key, file) => {
    kept += key;
    marks.take(file);
    recollect();
    window.addEventListener('pagehide', () => {
      document.activeElement?.blur(); // what is being written is taken over
      store();
    });
    window.addEventListener('beforeunload', (event) => trouble && isTouched && event.preventDefault());
    recall();
    window.addEventListener('storage', ({ key, newValue }) => {
      if (key === kept) listen(newValue);
      if (key === picksKept()) recall();
    });
  };

  const picksKept = () => `${kept}:picked`;

  /** Pick what was picked when the page was left, or what another tab picks. */
  function recall() {
    try {
      const keys = JSON.parse(localStorage.getItem(picksKept()) ?? '[]').filter((key) => typeof key === 'string');
      marks.picked.clear();
      for (const key of keys) marks.picked.add(key);
    } catch {
      return; // the browser keeps nothing for pages from disk, or somebody has edited it
    }
    gallery.changed('picked');
  }

  function repicked() {
    try {
      localStorage.setItem(picksKept(), JSON.stringify([...marks.picked]));
    } catch {
      // They last as long as the page; of marks, which are dearer, the page says so.
    }
    gallery.changed('picked');
  }

  /** Take over what the browser keeps. */
  function recollect() {
    try {
      merge(JSON.parse(localStorage.getItem(kept) ?? '{}'));
    } catch {
      // It keeps nothing for pages from disk, or what it kept is broken: the first mark will show.
    }
  }

  /** Take over what another tab has kept; it is kept already. */
  function listen(text) {
    try {
      merge(JSON.parse(text ?? '{}'));
    } catch {
      return; // another version of the page
    }
    gallery.changed('marks');
  }

  function store() {
    clearTimeout(timer);
    timer = 0;
    recollect(); // what another tab has kept, and this one has not heard of yet
    const before = trouble;
    trouble = '';
    try {
      localStorage.setItem(kept, marks.text());
    } catch (error) {
      const isFull = error.name === 'QuotaExceededError';
      trouble = `${isFull ? 'The browser has no room for more marks' : 'This browser keeps no marks'}: download them before you leave.`;
      if (!before) gallery.dom.say(trouble);
    }
    if (trouble !== before) gallery.changed('kept');
  }

  /** Why the browser does not keep marks, in words; empty where it does. Until they are downloaded they are here alone. */
  marks.trouble = () => trouble;

  /** The marks have gone into a file: nothing is lost when the page is left. */
  marks.downloaded = () => (isTouched = false);

  function touched() {
    isTouched = true;
    timer ||= setTimeout(store, KEPT_AFTER_MS);
    gallery.changed('marks');
  }

  /** A moment after the mark that a picture has: the clock of whoever gave that one may be ahead. */
  const later = (key) => Math.max(Date.now(), (held.get(key)?.at ?? 0) + 1);

  function change(key, changes) {
    const [at, before] = [later(key), marks.of(key)];
    const given = Object.fromEntries(Object.keys(changes).map((word) => [word, at]));
    held.set(key, { ...before, ...changes, at, moments: { ...before.moments, ...given } });
    touched();
  }

  /** Change some of a mark. Taking it back leaves the rest as it is by then: somebody else may have given it. */
  marks.set = (key, changes) => {
    const mark = marks.of(key);
    const before = Object.fromEntries(Object.keys(changes).map((name) => [name, mark[name]]));
    undone.push(() => change(key, before));
    change(key, changes);
  };

  /** Take the last change back; return whether there was one. */
  marks.undo = () => {
    const last = undone.pop();
    last?.();
    return Boolean(last);
  };

  /** Take an answer, and return it so that it can be taken back. */
  marks.answer = (a, b, won) => {
    const duel = { a, b, won, at: Date.now() };
    keep(duel);
    touched();
    return duel;
  };

  marks.unanswer = (duel) => {
    keep({ ...duel, won: 'void' });
    touched();
  };

  /** Everything as the file that is downloaded. */
  marks.text = () => {
    const given = [...held].filter(([, mark]) => !isEmpty(mark) || mark.at);
    return JSON.stringify({
      format: 1,
      key: gallery.run.job.key,
      marks: Object.fromEntries(given),
      duels: [...duels.values()],
    });
  };

  /** Take over a file that was downloaded; return in words what became of it. One without a key is anybody's. */
  marks.read = (text) => {
    try {
      const told = JSON.parse(text);
      if (told?.format !== 1) return 'This is no file of marks.';
      if (told.key && told.key !== gallery.run.job.key) return 'These are the marks of another run.';
      merge(told);
    } catch {
      return 'This is no file of marks.';
    }
    touched();
    return 'The marks are taken over.';
  };

  marks.tags = () => [...new Set([...held.values()].flatMap((mark) => mark.tags))].sort();

  marks.pick = (key, on = !marks.picked.has(key)) => {
    if (on) marks.picked.add(key);
    else marks.picked.delete(key);
    repicked();
  };

  marks.pickNone = () => {
    const before = [...marks.picked];
    undone.push(() => {
      for (const key of before) marks.picked.add(key);
      repicked();
    });
    marks.picked.clear();
    repicked();
    gallery.dom.say(`${gallery.words.count(before.length, 'picture')} let go. U takes it back.`);
  };

  gallery.marks = marks;
})();

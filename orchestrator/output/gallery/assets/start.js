'use strict';
// The one name that all scripts of the page share. They are plain scripts in a fixed order: modules cannot be loaded
// from disk.

const gallery = {};

(() => {
  const listeners = new Map();
  const prompt = new Map();
  const taken = new Map();
  let waiting = new Set();

  /** Every script file of data hands itself over here. */
  gallery.take = (name, text) => taken.set(name, text);

  /** The data that a script file has handed over, once; null where there was none. */
  gallery.given = (name) => {
    const text = taken.get(name);
    taken.delete(name);
    return text === undefined ? null : JSON.parse(text);
  };

  /** Call a function whenever something of this name has happened. */
  gallery.on = (name, listener) => {
    if (!listeners.has(name)) listeners.set(name, []);
    listeners.get(name).push(listener);
  };

  /** Call a function at the very moment: for those who have to forget what they had worked out. */
  gallery.atOnce = (name, listener) => {
    if (!prompt.has(name)) prompt.set(name, []);
    prompt.get(name).push(listener);
  };

  /** Tell those who listen, once for each picture that the screen shows, however often it happens meanwhile. */
  gallery.changed = (name) => {
    for (const listener of prompt.get(name) ?? []) listener();
    if (waiting.size === 0) schedule();
    waiting.add(name);
  };

  /** Tell those who listen at once. */
  gallery.flush = () => {
    const names = waiting;
    waiting = new Set();
    for (const name of names) for (const listener of listeners.get(name) ?? []) listener();
  };

  /** Wait for the next picture; one that never comes (the page is in the background) is not waited for. */
  function schedule() {
    let done = false;
    const once = () => {
      if (done) return;
      done = true;
      gallery.flush();
    };
    requestAnimationFrame(once);
    setTimeout(once, 200);
  }
})();

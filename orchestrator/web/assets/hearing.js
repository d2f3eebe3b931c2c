'use strict';
// Listens to what the server tells while somebody looks. Where it does not let the page listen, it is asked why, and
// the page tries again.

(() => {
  const AGAIN_AFTER_MS = 5000;
  const MOST_SAID = 160;

  /** Ask the server why it does not let the page listen; empty where it says nothing about that. */
  async function reason() {
    try {
      const answer = await fetch('events', { signal: AbortSignal.timeout(AGAIN_AFTER_MS) });
      const isSaid = answer.headers.get('Content-Type')?.startsWith('text/plain');
      if (!answer.ok && isSaid) return gallery.words.shortened(await answer.text(), MOST_SAID);
      await answer.body.cancel();
    } catch {
      // It cannot be reached.
    }
    return '';
  }

  /**
   * Listen, and go on listening.
   * @param {object} heard  What to do with an event, by its name.
   * @param {function} tell  Told how it goes: `live`, `offline` or `paused`, and why where the server says that.
   * @returns {function}  Ends it, with a last word.
   */
  gallery.hear = (heard, tell) => {
    let source = null;
    let isOver = false;

    function listen() {
      if (source || document.hidden || isOver) return;
      source = new EventSource('events');
      source.onopen = () => tell('live', '');
      source.onerror = lost;
      for (const [name, act] of Object.entries(heard))
        source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    }

    async function lost() {
      const failed = source;
      tell('offline', '');
      if (failed?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      const why = await reason();
      if (source !== failed) return; // nobody looks any more
      source = null;
      tell('offline', why);
      setTimeout(listen, AGAIN_AFTER_MS);
    }

    function close(word) {
      source?.close();
      source = null;
      tell(word, '');
    }

    document.addEventListener('visibilitychange', () => (document.hidden ? isOver || close('paused') : listen()));
    listen();
    return (word) => {
      isOver = true;
      close(word);
    };
  };
})();

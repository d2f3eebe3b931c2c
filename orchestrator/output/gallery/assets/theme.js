'use strict';
// Light or dark: as the system is, until somebody chooses. The choice holds for every page of the same place.

(() => {
  const KEPT = 'orchestrator:theme';
  const system = matchMedia('(prefers-color-scheme: dark)');

  const dressed = () => document.documentElement.dataset.theme;

  function dress(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  /** Change to the other one, which each time is seen; the one that the system has follows the system from there on. */
  gallery.theme = () => {
    const its = system.matches ? 'dark' : 'light';
    const next = (dressed() ?? its) === 'dark' ? 'light' : 'dark';
    const kept = next === its ? '' : next;
    dress(kept);
    try {
      localStorage.setItem(KEPT, kept);
    } catch {
      // The page forgets it when it is closed.
    }
    gallery.dom.say(kept ? `The page is ${next}.` : `The page is ${next}, as the system is.`);
  };

  try {
    dress(localStorage.getItem(KEPT));
  } catch {
    dress('');
  }
  window.addEventListener('storage', ({ key, newValue }) => key === KEPT && dress(newValue)); // of another tab
})();

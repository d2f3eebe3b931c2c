'use strict';
// Starts the page, and connects what the pointer does on the sheet.

(() => {
  /** Make the picture under the pointer the active one, and return it; null where there is none. */
  function pointed(event) {
    const cell = event.target.closest('.cell');
    if (!cell) return null;
    const [row, column] = [Number(cell.dataset.row), Number(cell.dataset.column)];
    const cards = gallery.sheet.model.cards(row, column);
    const frame = event.target.closest('[data-key]');
    const n = Math.max(
      0,
      cards.findIndex((card) => card.key === frame?.dataset.key),
    );
    gallery.sheet.moveTo(row, column, n);
    return cards[n] ?? null;
  }

  function clicked(event) {
    const picks = event.target.closest('.tick') || event.shiftKey || event.ctrlKey || event.metaKey;
    const card = pointed(event);
    if (!card) return;
    if (picks && card.src) gallery.marks.pick(card.key);
    else gallery.viewer.show(card);
  }

  /** A finger that rests on a picture picks it. */
  function rested(event) {
    const card = pointed(event);
    if (card?.src) gallery.marks.pick(card.key);
  }

  function open() {
    if (!gallery.run.open()) {
      document.getElementById('empty').hidden = false;
      return;
    }
    gallery.view.open();
    for (const part of ['sheet', 'viewer', 'compare', 'blind', 'overview', 'save', 'values', 'toolbar', 'keys'])
      gallery[part].open();
    const sheet = document.getElementById('sheet');
    gallery.touch.rested(sheet, rested);
    sheet.addEventListener('click', clicked);
    // A click beside a dialog closes it.
    for (const dialog of document.querySelectorAll('dialog.small'))
      dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    gallery.changed('view');
    gallery.run.follow();
  }

  open();
})();

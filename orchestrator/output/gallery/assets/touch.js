'use strict';
// Fingers: one swipes or moves a picture, two pinch it, and one that rests picks.

(() => {
  const SWIPE = 48; // pixels from which on a movement is meant as a swipe
  const STILL = 10; // pixels that a finger may move and still rest
  const REST_MS = 450;

  /** What the fingers on an element have in common: their middle, and how far they are from it. */
  function spread(fingers) {
    const all = [...fingers.values()];
    const x = all.reduce((sum, each) => sum + each.x, 0) / all.length;
    const y = all.reduce((sum, each) => sum + each.y, 0) / all.length;
    const apart = all.reduce((sum, each) => sum + Math.hypot(each.x - x, each.y - y), 0) / all.length;
    return { x, y, apart };
  }

  /**
   * Let the pointers on an element zoom and move.
   * @param {Element} element  The stage.
   * @param {object} zoom  What is zoomed; its `swiped`, if it has one, is told which way a finger went.
   */
  function zoomed(element, zoom) {
    const fingers = new Map();
    let before = null;
    let began = null; // where the one finger of a swipe was put down

    const part = ({ x, y }) => {
      const place = element.getBoundingClientRect();
      return [(x - place.left) / place.width - 0.5, (y - place.top) / place.height - 0.5];
    };

    const down = (event) => {
      if (event.target.closest('button, pre, video, audio, a')) return;
      element.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      before = spread(fingers);
      began = event.pointerType === 'touch' && fingers.size === 1 && zoom.scale <= 1 ? before : null;
    };

    const move = (event) => {
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      const now = spread(fingers);
      const place = element.getBoundingClientRect();
      if (fingers.size > 1 && before.apart > 0) zoom.by(now.apart / before.apart, ...part(now));
      zoom.move((now.x - before.x) / place.width, (now.y - before.y) / place.height);
      before = now;
    };

    const up = (event) => {
      if (!fingers.delete(event.pointerId)) return;
      if (event.type === 'pointerup' && began && zoom.scale <= 1) swipe(before.x - began.x, before.y - began.y);
      began = null;
      if (fingers.size) before = spread(fingers);
    };

    const swipe = (x, y) => {
      if (Math.max(Math.abs(x), Math.abs(y)) < SWIPE || !zoom.swiped) return;
      if (Math.abs(x) > Math.abs(y)) zoom.swiped(0, -Math.sign(x));
      else zoom.swiped(-Math.sign(y), 0);
    };

    element.addEventListener('pointerdown', down);
    element.addEventListener('pointermove', move);
    for (const name of ['pointerup', 'pointercancel']) element.addEventListener(name, up);
  }

  /** Call a function when a finger rests on an element; the click that would follow is left out. */
  function rested(element, act) {
    let timer = 0;
    let began = null;
    let isDone = false;
    const stop = () => clearTimeout(timer);
    element.addEventListener('pointerdown', (event) => {
      stop();
      isDone = false;
      if (event.pointerType !== 'touch' || !event.isPrimary) return;
      began = event;
      timer = setTimeout(() => {
        isDone = true;
        act(event);
      }, REST_MS);
    });
    element.addEventListener('pointermove', (event) => {
      if (began && Math.hypot(event.clientX - began.clientX, event.clientY - began.clientY) > STILL) stop();
    });
    for (const name of ['pointerup', 'pointercancel']) element.addEventListener(name, stop);
    element.addEventListener('contextmenu', (event) => isDone && event.preventDefault());
    element.addEventListener(
      'click',
      (event) => {
        if (isDone) event.stopImmediatePropagation();
        isDone = false;
      },
      { capture: true },
    );
  }

  gallery.touch = { zoomed, rested };
})();

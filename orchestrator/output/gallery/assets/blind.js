'use strict';
// The blind comparison: two pictures that differ in one axis alone, without their names. Which is better?

(() => {
  const { h, button, select, replace } = gallery.dom;
  const TRIES = 60;
  const LEAST = 5; // answers before a ranking says anything
  const zoom = gallery.stage.zoom();
  const blind = { pair: null, isShown: false };
  let place = null;
  let drawnFor = '';
  const answered = []; // in this page since it was opened: those of others are not to be taken back
  let grouped = {}; // what `families` found last

  blind.open = () => {
    place = document.getElementById('blind');
    for (const name of ['view', 'tasks', 'marks']) gallery.on(name, draw);
  };

  const axis = () => gallery.axes.byId.get(gallery.view.judge) ?? null;

  /** Pictures that differ in nothing but the judged axis, by what they have in common. */
  function families(judged) {
    const passing = gallery.choose.passing();
    if (grouped.judged === judged && grouped.passing === passing) return grouped.all;
    const found = new Map();
    for (const card of passing) {
      if (!gallery.cell.isPicture(card)) continue;
      const common = gallery.axes.all.map((each) => (each === judged ? '*' : gallery.axes.number(each, card))).join();
      const family = `${common} ${judged === gallery.axes.output ? '*' : card.n}`;
      if (!found.has(family)) found.set(family, []);
      found.get(family).push(card);
    }
    grouped = { judged, passing, all: [...found.values()].filter((family) => family.length > 1) };
    return grouped.all;
  }

  /** The answers about an axis among the pictures that pass the filters, as numbers of its values. */
  function answers(judged) {
    const passes = gallery.choose.matcher();
    return gallery.marks.duels().flatMap((duel) => {
      const [a, b] = [duel.a, duel.b].map((key) => gallery.compare.found([key])[0]);
      if (!a || !b || !isAbout(judged, a, b) || !passes(a) || !passes(b)) return [];
      return [{ a: gallery.axes.number(judged, a), b: gallery.axes.number(judged, b), won: duel.won }];
    });
  }

  function isAbout(judged, a, b) {
    const apart = gallery.axes.all.filter((each) => gallery.axes.number(each, a) !== gallery.axes.number(each, b));
    return apart.length === 1 && apart[0] === judged;
  }

  /** Draw a pair at random, from among a few the one whose values have met least. */
  function next(judged) {
    const all = families(judged);
    if (!all.length) return null;
    const met = new Map();
    const name = (a, b) => [a, b].sort((x, y) => x - y).join();
    for (const { a, b } of answers(judged)) met.set(name(a, b), (met.get(name(a, b)) ?? 0) + 1);
    let best = null;
    for (let turn = 0; turn < TRIES; turn += 1) {
      const family = all[Math.floor(Math.random() * all.length)];
      const a = family[Math.floor(Math.random() * family.length)];
      const b = family[Math.floor(Math.random() * family.length)];
      if (a === b || (blind.pair?.includes(a) && blind.pair.includes(b) && all.length + family.length > 3)) continue;
      const times = met.get(name(gallery.axes.number(judged, a), gallery.axes.number(judged, b))) ?? 0;
      if (!best || times < best.times) best = { times, pair: [a, b] };
    }
    return best?.pair ?? null;
  }

  blind.answer = (won) => {
    if (!blind.pair) return;
    answered.push({ judged: axis(), duel: gallery.marks.answer(blind.pair[0].key, blind.pair[1].key, won) });
    turn();
  };

  blind.skip = () => turn();

  blind.undo = () => {
    const last = answered.findLastIndex(({ judged }) => judged === axis());
    if (last < 0) gallery.dom.say('No answer about this has been given here since the page was opened.');
    else gallery.marks.unanswer(answered.splice(last, 1)[0].duel);
  };

  function turn() {
    zoom.reset();
    blind.pair = next(axis());
    drawnFor = '';
    draw();
  }

  function draw() {
    place.hidden = gallery.view.tab !== 'blind';
    if (place.hidden) return;
    const judged = axis();
    const asked = JSON.stringify([judged?.id, gallery.view.filters, gallery.view.hidden]);
    if (judged && (!blind.pair || blind.asked !== asked)) {
      blind.asked = asked;
      blind.pair = next(judged);
      drawnFor = '';
    }
    const now = blind.pair ? blind.pair.map((card) => card.key).join() : 'none';
    if (drawnFor === now && place.querySelector('.rank')) replace(place.querySelector('.rank'), result(judged));
    else whole(judged);
    drawnFor = now;
  }

  function whole(judged) {
    zoom.stages.length = 0;
    const axes = gallery.axes.wide().map((each) => [each.id, each.name]);
    const chooser = select('What to judge', [['', 'choose…'], ...axes], judged?.id ?? '', (id) =>
      gallery.view.set({ judge: id }), { id: 'judge' },
    );
    replace(
      place,
      h(
        'div.ask',
        {},
        h('h2', {}, 'Which is better?'),
        h('label.field.inline', {}, h('span', {}, 'judging'), chooser),
        h('p.quiet', {}, 'Everything else is the same in both.'),
      ),
      blind.pair
        ? duel()
        : h(
            'p.empty',
            {},
            judged ? 'There are no two pictures yet that differ in this alone.' : 'Choose what to judge.',
          ),
      // It scrolls where it is narrow: keys have to reach it.
      h('section.rank', { 'aria-label': 'Ranking', tabIndex: 0, id: 'rank' }, result(judged)),
    );
  }

  /** The key that does the same; where there is none the style leaves it out. */
  const arrow = (sign) => h('span.key', { 'aria-hidden': 'true' }, sign);

  function duel() {
    const side = (card, won, words, beside, below) =>
      h(
        'div.side',
        {},
        gallery.stage.stage(card, zoom, words).element,
        h(
          'button.choose',
          { type: 'button', id: `better-${won}`, onclick: () => blind.answer(won) },
          won === 'a' && arrow('←'),
          h('span.beside-word', {}, beside),
          h('span.below-word', {}, below), // on tall screens the pictures stand below each other
          won === 'b' && arrow('→'),
        ),
      );
    return [
      h(
        'div.pair',
        {},
        side(blind.pair[0], 'a', 'The first one', 'Left', 'The upper one'),
        side(blind.pair[1], 'b', 'The second one', 'Right', 'The lower one'),
      ),
      h(
        'div.between',
        {},
        button(['Equally good', arrow('↓')], () => blind.answer('tie'), { title: 'Equally good (↓)', id: 'tie' }),
        button(['Skip', arrow('↑')], blind.skip, { title: 'Skip (↑)', id: 'skip' }),
        button('Take back', blind.undo, { title: 'Take the last answer back (U)', id: 'take-back' }),
      ),
    ];
  }

  function result(judged) {
    if (!judged) return [];
    const given = answers(judged);
    const words = gallery.words.count(given.length, 'answer');
    if (given.length < LEAST)
      return [h('p.quiet', {}, `${words} about ${judged.name}; the ranking shows after ${LEAST}.`)];
    const title = h('summary', {}, `Ranking of ${judged.name} after ${words}`);
    const how =
      'Strengths by the Bradley–Terry model; the bar holds 90 % of 200 resamplings of your answers. Where bars overlap, the order may be chance.';
    // Resampling takes a while: it is done for those who look at it.
    const whole = () => (blind.isShown ? [table(judged, given), h('p.quiet', {}, how)] : []);
    const inside = h('div', {}, whole());
    const toggle = (event) => {
      if (blind.isShown === event.target.open) return;
      blind.isShown = event.target.open;
      replace(inside, whole());
    };
    return [h('details', { open: blind.isShown, ontoggle: toggle }, title, inside)];
  }

  function table(judged, given) {
    const seen = [...new Set(given.flatMap(({ a, b }) => [a, b]))].sort((a, b) => a - b);
    const places = new Map(seen.map((value, number) => [value, number]));
    const ranked = gallery.ranking.rank(
      given.map(({ a, b, won }) => ({ a: places.get(a), b: places.get(b), won })),
      seen.length,
    );
    const low = Math.min(...ranked.map((each) => each.low), -1);
    const high = Math.max(...ranked.map((each) => each.high), 1);
    const part = (strength) => ((strength - low) / (high - low)) * 100;
    const row = (each, number) =>
      h(
        'tr',
        {},
        h('td', {}, String(number + 1)),
        h('th', { scope: 'row', dir: 'auto' }, judged.values[seen[each.value]].label),
        h('td.interval', {}, gallery.plot.interval(part(each.low), part(each.strength), part(each.high))),
        h('td', {}, `${each.strength >= 0 ? '+' : '−'}${Math.abs(each.strength).toFixed(2)}`),
        h('td', {}, `${gallery.words.number(each.wins)} of ${gallery.words.number(each.met)}`),
      );
    const heads = ['place', judged.name, 'range', 'strength', 'won'].map((name) => h('th', { scope: 'col' }, name));
    return h('table.ranking', {}, h('thead', {}, h('tr', {}, heads)), h('tbody', {}, ranked.map(row)));
  }

  blind.zoom = zoom;
  gallery.blind = blind;
})();

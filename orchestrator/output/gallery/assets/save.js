'use strict';
// What leaves the page: files, and what is copied; and the dialog in which to choose.

(() => {
  const { h, icon, button, replace, say, sentence } = gallery.dom;
  const BEST = 4; // stars, and more
  const TYPES = { csv: 'text/csv', json: 'application/json', yaml: 'application/yaml' };
  let dialog = null;
  let scope = 'shown';

  function download(name, text, type) {
    // A byte order mark: spreadsheets take CSV without one for another encoding.
    const parts = type === TYPES.csv ? ['\ufeff', text] : [text];
    const address = URL.createObjectURL(new Blob(parts, { type: `${type};charset=utf-8` }));
    const link = h('a', { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    say(`${name} is on its way to your downloads.`);
  }

  async function copy(what, text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      if (!copiedTheOldWay(text)) return say('The browser does not let the page copy.');
    }
    return say(`${what} is copied.`);
  }

  /** The clipboard of today is closed to pages from disk in some browsers. */
  function copiedTheOldWay(text) {
    const held = h('textarea', { value: text, className: 'hidden' });
    (document.querySelector('dialog[open]') ?? document.body).append(held);
    held.select();
    const done = document.execCommand('copy');
    held.remove();
    return done;
  }

  /** What can be exported: a name, and the pictures. What is hidden is in none of them. */
  function scopes() {
    const { choose, compare, marks, layout } = gallery;
    const shown = choose.list();
    const isAll = choose.isAll();
    const picked = compare.found(marks.picked);
    const seen = picked.filter(choose.unhidden());
    const hidden = picked.length - seen.length;
    const starred = shown.filter((card) => card.src && marks.of(card.key).stars >= BEST);
    const found = {
      shown: isAll ? ['All', shown] : ['What is shown', shown, choose.cards()],
      picked: ['The picked ones', seen, hidden ? picked : null],
      starred: [`${isAll ? 'Those' : 'What is shown'} with ${BEST} stars or more`, starred],
    };
    const grid = gallery.view.tab === 'grid' ? layout.current(1).placed : null;
    if (!grid || grid.size === shown.length) return found;
    return { grid: ['What stands in the grid', shown.filter((card) => grid.has(card)), shown], ...found };
  }

  const base = () => gallery.run.job.name.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^[-.]+/, '').slice(0, 60) || 'run';

  const cards = () => scopes()[scope][1];

  const actions = {
    csv: () => download(`${base()}.csv`, gallery.records.csv(cards()), TYPES.csv),
    json: () => download(`${base()}.json`, gallery.records.json(cards()), TYPES.json),
    job: () => {
      const tasks = [...new Set(cards().map((card) => card.task))];
      download(`${base()}-next.yaml`, gallery.jobs.file(tasks, `${gallery.run.job.name}-next`), TYPES.yaml);
    },
    marks: () => {
      download('marks.json', gallery.marks.text(), TYPES.json);
      gallery.marks.downloaded();
    },
  };

  function open() {
    dialog = document.getElementById('export');
  }

  function show() {
    scope = gallery.marks.picked.size && gallery.choose.isAll() ? 'picked' : Object.keys(scopes())[0]; // what is seen
    draw();
    if (!dialog.open) dialog.showModal();
  }

  /** How much there is, of how much; hidden pictures and those that do not pass the filters make the difference. */
  function counted(found, all) {
    const pictures = (cards) => cards.filter((card) => card.src).length;
    const bare = found.length - pictures(found);
    const more = bare ? ` and ${gallery.words.count(bare, 'task')} without any` : '';
    const few = all && pictures(all) > pictures(found) ? `${gallery.words.number(pictures(found))} of ` : '';
    return `${few}${gallery.words.count(pictures(few ? all : found), 'picture')}${more}`;
  }

  function option(name, [words, found, all]) {
    const choose = () => {
      scope = name;
      draw();
    };
    const input = h('input', {
      type: 'radio',
      name: 'scope',
      value: name,
      checked: scope === name,
      disabled: !found.length,
      onchange: choose,
    });
    return h('label.check', {}, input, h('span', {}, `${words}: ${counted(found, all)}`));
  }

  function choice(label, words, act, disabled = false) {
    const made = button(label, act, { kind: 'big', disabled });
    made.append(h('small', {}, sentence(words)));
    return made;
  }

  function draw() {
    const nothing = cards().length === 0;
    replace(
      dialog,
      h(
        'div.title',
        {},
        h('h2', {}, 'Export'),
        button('', () => dialog.close(), { iconName: 'close', title: 'Close (Esc)' }),
      ),
      gallery.marks.trouble() && h('p.error', {}, icon('warn'), gallery.marks.trouble()),
      h(
        'fieldset',
        {},
        h('legend', {}, 'What'),
        Object.entries(scopes()).map(([name, each]) => option(name, each)),
      ),
      h(
        'div.choices',
        {},
        choice('Job file', 'The next sweep: these tasks as YAML, ready for `orchestrator run`', actions.job, nothing),
        choice('CSV', 'A line for each picture, for spreadsheets', actions.csv, nothing),
        choice('JSON', 'Everything about each picture, for programs', actions.json, nothing),
        choice(
          'Marks',
          'Stars, tags, notes and answers of all pictures; put marks.json into the run folder, and `orchestrator gallery` reads it',
          actions.marks,
        ),
      ),
      h('p.quiet', {}, 'Contact sheets, Parquet and this page as an archive: ', h('code', {}, 'orchestrator export')),
      h(
        'label.file',
        {},
        h('span', {}, 'Take over a marks file'),
        h('input', { type: 'file', accept: '.json', onchange: takeOver }),
      ),
    );
  }

  async function takeOver(event) {
    const [file] = event.target.files;
    if (!file) return;
    say(gallery.marks.read(await file.text()));
  }

  gallery.save = { open, show, copy, download };
})();

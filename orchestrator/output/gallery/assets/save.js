'use strict';
// What leaves the page: files, and what is copied; and the dialog in which to choose.

(() => {
  const { h, icon, button, replace, say } = gallery.dom;
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

  const scopes = () => {
    const shown = gallery.choose.list();
    const picked = gallery.compare.found(gallery.marks.picked);
    const starred = shown.filter((card) => card.src && gallery.marks.of(card.key).stars >= 4);
    return {
      picked: ['The picked ones', picked],
      shown: ['All that pass the filters', shown],
      starred: ['Those with 4 stars or more', starred],
    };
  };

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
    if (gallery.marks.picked.size) scope = 'picked';
    else if (scope === 'picked') scope = 'shown';
    draw();
    if (!dialog.open) dialog.showModal();
  }

  function counted(found) {
    const pictures = found.filter((card) => card.src).length;
    const bare = found.length - pictures;
    const more = bare ? ` and ${gallery.words.count(bare, 'task')} without any` : '';
    return `${gallery.words.count(pictures, 'picture')}${more}`;
  }

  function option(name, [words, found]) {
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
    return h('label.check', {}, input, h('span', {}, `${words}: ${counted(found)}`));
  }

  function choice(label, words, act, disabled = false) {
    const made = button(label, act, { kind: 'big', disabled });
    made.append(h('small', {}, words));
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

'use strict';
// The run as the page knows it: its job, where it stands, and its tasks, which come in many small script files.

(() => {
  const REFRESH_MS = 3000;
  const AT_A_TIME = 4;
  const LOADED_PER_DRAWN = 4; // how much longer is loaded than drawn
  const TOLD_AFTER_MS = 400; // while many shards come: whoever listens goes through all tasks

  let active = []; // places of tasks under way in the grid, and their states
  let byPlace = new Map(); // the same to be looked up, see `underWay`

  const run = {
    job: null,
    head: null,
    tasks: new Map(), // by id
    loaded: 0, // shards
    isPushed: false, // whether a server says when there is something new, so that nobody has to ask
    pushed: null, // where the run stands by its last word
  };

  /** Load a script file of data; `version` keeps the browser from showing an older one. */
  run.load = (name, version) => {
    return new Promise((resolve) => {
      const script = document.createElement('script');
      const settle = () => {
        script.remove();
        resolve(gallery.given(name));
      };
      script.onload = settle;
      script.onerror = settle;
      script.src = `page/data/${name}.js?${version}`;
      document.head.append(script);
    });
  };

  /** An output of a task: what a cell shows, and what is marked. */
  function shot(task, columns, row, position) {
    const held = Object.fromEntries(columns.map((column, place) => [column, row[place]]));
    const n = held.number ?? position; // an exported page may hold only some outputs of a task
    return {
      task,
      n,
      key: `${task.id}-${n}`,
      path: held.path,
      src: address(held.path),
      lack: run.head.left_out?.[held.path] ?? null, // of an archive: why the file is not in it
      thumbnail: held.thumbnail ? `page/${address(held.thumbnail)}` : null,
      kind: held.content_type,
      bytes: held.bytes,
      sha256: held.sha256,
      width: held.width,
      height: held.height,
      text: held.text,
    };
  }

  const address = (path) => path.split('/').map(encodeURIComponent).join('/');

  function task(row) {
    const place = run.job.columns;
    const held = Object.fromEntries(place.map((column, number) => [column, row[number]]));
    const made = {
      id: held.task,
      index: held.index,
      state: held.state,
      at: gallery.axes.places(held.at, held.repeat),
      cells: held.cells.map((cell) => gallery.axes.places(cell, held.repeat)),
      repeat: held.repeat,
      own: held.parameters,
      attempts: held.attempts,
      submitted: held.submitted_at,
      finished: held.finished_at,
      seconds: held.elapsed_seconds,
      cost: held.cost_usd === null ? null : Number(held.cost_usd),
      paid: held.cost_usd, // as text: exact
      error: held.error,
      warnings: held.warnings ?? [],
    };
    made.shots = held.outputs.map((output, n) => shot(made, run.job.output_columns, output, n));
    made.cards = made.shots.length ? made.shots : [{ task: made, n: 0, key: `${made.id}-0`, src: null }];
    return made;
  }

  function add(rows) {
    for (const row of rows ?? []) {
      const made = task(row);
      run.tasks.set(made.id, made);
      if (made.shots.length) gallery.axes.shots(made.shots.at(-1).n + 1);
    }
  }

  /** Let the browser show what there is before more is loaded. */
  const breath = () => new Promise((resolve) => setTimeout(resolve, 50));

  const shard = (number, version) => run.load(`tasks-${String(number).padStart(5, '0')}`, version);

  /** Load the shards that are new or have grown, in order, a few at a time. */
  async function catchUp(before) {
    const { shards, generation } = run.head;
    const wanted = shards.map((_, number) => number).filter((number) => shards[number] !== before[number]);
    let [told, pause] = [-Infinity, TOLD_AFTER_MS];
    while (wanted.length) {
      const several = wanted.splice(0, run.loaded ? AT_A_TIME : 1); // the first one alone: it is what is seen first
      const rows = await Promise.all(several.map((number) => shard(number, `${generation}-${shards[number]}`)));
      rows.forEach(add);
      run.loaded = several.at(-1) + 1;
      if (performance.now() - told < pause) continue;
      const began = performance.now();
      gallery.changed('tasks');
      await breath();
      told = performance.now();
      pause = Math.max(TOLD_AFTER_MS, LOADED_PER_DRAWN * (told - began)); // the more there is, the longer drawing takes
    }
    run.loaded = shards.length;
    gallery.changed('tasks');
  }

  function stand(head) {
    run.head = run.pushed ? { ...head, status: run.pushed } : head;
    active = head.active.map(([at, state, repeat]) => [gallery.axes.places(at, repeat), state]);
    byPlace = new Map();
    gallery.changed('head');
  }

  /** Show what is new since the page was loaded. */
  run.refresh = async () => {
    const head = document.hidden ? null : await run.load('head', Date.now());
    if (head && head.generation !== run.head.generation) run.tasks.clear();
    if (head) {
      const before = head.generation === run.head.generation ? run.head.shards : [];
      stand(head);
      await catchUp(before);
    }
    follow();
  };

  /** Take over where a server says that the run stands. */
  run.stands = (status) => {
    run.pushed = status;
    run.head.status = status;
    gallery.changed('head');
  };

  function follow() {
    if (!run.isPushed && run.head.status.state === 'running') setTimeout(run.refresh, REFRESH_MS);
  }

  /** Take what `index.html` has loaded, show it, and go on loading; false where there is nothing to show. */
  run.open = () => {
    run.job = gallery.given('job');
    const head = gallery.given('head');
    if (!run.job || !head) return false;
    gallery.axes.open(run.job);
    gallery.marks.open(run.job.key, gallery.given('marks'));
    stand(head);
    return true;
  };

  run.follow = async () => {
    await catchUp([]);
    follow();
  };

  run.isLoading = () => run.loaded < run.head.shards.length;

  /** All of what was sent for a task, by name. */
  run.parameters = (of) => {
    const found = { ...run.job.parameters, ...gallery.axes.sent(of.at) };
    for (const [name, value] of Object.entries(of.own)) {
      if (value === null) delete found[name];
      else found[name] = value;
    }
    return found;
  };

  /** A parameter as people know it: a local file by its path. */
  run.shown = (value) => {
    const file = typeof value === 'string' && value.startsWith('sha256:') ? run.job.files[value.slice(7)] : null;
    return file ?? String(value);
  };

  /** The state of a task under way at a place; a number below 0 stands for all values of an axis together. */
  function underWay(at) {
    const together = at.map((number) => number < 0);
    const place = (numbers) => numbers.map((number, axis) => (together[axis] ? '' : number)).join();
    const kind = together.join();
    if (!byPlace.has(kind)) byPlace.set(kind, new Map(active.map(([numbers, state]) => [place(numbers), state])));
    return byPlace.get(kind).get(place(at));
  }

  /** The state that a cell without a task of its own is in, null where the grid has no such cell. */
  run.stateAt = (at) => {
    const state = underWay(at);
    if (state) return state;
    const isStranger = run.job.axes.some((axis, number) => at[number] >= axis.values.length); // of an earlier job file
    if (isStranger) return null;
    return run.job.is_whole && run.head.status.state !== 'finished' ? 'pending' : null;
  };

  /** The state that a task is in by now: one that is planned may be under way. */
  run.state = (task) => (task.state === 'pending' ? (run.stateAt(task.at) ?? 'pending') : task.state);

  /** What stands for the task of a cell of which no more is known than its state. */
  run.unheard = (at, state) => {
    const none = { cost: null, seconds: null, finished: null, error: null, index: null, attempts: 0 };
    const task = { id: '', at, state, cells: [], own: {}, shots: [], warnings: [], ...none };
    return { task, n: 0, key: '', src: null };
  };

  gallery.run = run;
})();

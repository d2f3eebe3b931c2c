'use strict';
// Job files: the row of a task for `include`, and a file that makes chosen tasks again, to be swept further.

(() => {
  const PLAIN = /^-?(0|[1-9]\d*)(\.\d+)?$/;
  // What may not stand as it is between double quotes of YAML: control characters and other line breaks.
  const ESCAPED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]/g;

  /** A text in double quotes, as YAML reads it everywhere. Characters beyond 16 bits stay whole. */
  function quoted(text) {
    const points = [...text].map((point) => (point.length > 1 ? point : point.replace(ESCAPED, escaped)));
    return `"${points.join('').replace(/["]|\\(?!u[0-9a-f]{4})/g, '\\$&')}"`;
  }

  const escaped = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

  /** A parameter's value in YAML; braces of a text are no template. */
  function scalar(name, value) {
    const kind = gallery.run.job.kinds[name];
    const text = gallery.run.shown(value);
    if (typeof value === 'boolean') return String(value);
    if ((kind === 'number' || kind === 'decimal' || typeof value === 'number') && PLAIN.test(text)) return text;
    return /[{}]/.test(text) ? `{raw: ${quoted(text)}}` : quoted(text);
  }

  const key = (name) => (/^[A-Za-z_][\w-]*$/.test(name) ? name : quoted(name));

  /** Parameters that a job file can name: an empty address beside a file is filled in by the program. */
  function named(task) {
    const held = gallery.run.parameters(task);
    const isFilled = (name) => name.endsWith('Url') && held[name] === '' && name.slice(0, -3) in held;
    return Object.entries(held).filter(([name, value]) => value !== null && !isFilled(name));
  }

  /** The row of a task: what is not the same for all of them. */
  function row(task) {
    const fixed = gallery.run.job.parameters;
    const own = named(task).filter(([name, value]) => fixed[name] !== value);
    return `- {${own.map(([name, value]) => `${key(name)}: ${scalar(name, value)}`).join(', ')}}`;
  }

  /** The labels that the job file gave to a task's values, by their parameters. */
  function labels(task) {
    const found = new Map();
    for (const axis of gallery.axes.all) {
      const value = axis.values[gallery.axes.number(axis, task.cards[0])];
      value?.labels.forEach((label, place) => label !== null && found.set(axis.names[place], label));
    }
    return found;
  }

  /** A value of an axis, with its label. */
  function entry(name, value, label) {
    const text = scalar(name, value);
    if (label === undefined) return text;
    const body = text.startsWith('{raw: ') ? text.slice(1, -1) : `value: ${text}`;
    return `{${body}, label: ${quoted(label)}}`;
  }

  /** A setting of the job's: a number, a flag or a text. */
  const plain = (value) => (PLAIN.test(value) || typeof value === 'boolean' ? String(value) : quoted(String(value)));

  /** How the job was run, as far as that fits (a path may name what these tasks do not have) and the page tells it. */
  function settings(names) {
    const { repeat, settings: held } = gallery.run.job;
    const known = ([, text]) => text === undefined || names.includes(text);
    const fits = ([name, value]) => name !== 'path' || [...value.matchAll(/\{\{|\}\}|\{([^{}]*)\}/g)].every(known);
    const lines = Object.entries(held ?? {}).flatMap(([name, value]) => {
      if (typeof value !== 'object') return `${name}: ${plain(value)}`;
      const inside = Object.entries(value).filter(fits);
      return inside.length ? [`${name}:`, ...inside.map(([each, of]) => `  ${each}: ${plain(of)}`)] : [];
    });
    return repeat > 1 ? [`repeat: ${repeat} # each of them, as in the job before`, ...lines] : lines;
  }

  /** Tasks with what they send, and each row once: repetitions of a task are one. */
  function rows(tasks) {
    const all = tasks.map((task) => ({ held: new Map(named(task)), labels: labels(task) }));
    return [...new Map(all.map((row) => [JSON.stringify([...row.held].sort()), row])).values()];
  }

  /** The names that belong together: members of one axis do, other parameters stand alone. */
  function groups(names) {
    const known = gallery.axes.all.map((axis) => axis.names.filter((each) => names.includes(each)));
    const others = names.filter((each) => !known.flat().includes(each)).map((each) => [each]);
    return [...known.filter((each) => each.length), ...others];
  }

  /** The axes of a sweep that makes these rows: every combination of values if they are all here, else one of all names. */
  function axes(all, names) {
    const apart = groups(names).map((members) => {
      const values = (row) => JSON.stringify(members.map((each) => row.held.get(each) ?? null));
      return { members, rows: [...new Map(all.map((row) => [values(row), row])).values()] };
    });
    const isWhole = apart.reduce((product, { rows }) => product * rows.length, 1) === all.length;
    return isWhole ? apart : [{ members: names, rows: all }];
  }

  /** A job file that makes these tasks again; what has a label is an axis, to keep it. */
  function file(tasks, name) {
    const all = rows(tasks);
    const names = [...new Set(all.flatMap(({ held }) => [...held.keys()]))];
    const differs = (each) => new Set(all.map(({ held }) => JSON.stringify(held.get(each)))).size > 1;
    const moving = names.filter(differs);
    const labelled = names.filter((each) => !differs(each) && all[0].labels.has(each));
    const fixed = names.filter((each) => !differs(each) && !labelled.includes(each));
    const axis = (each, of) => [
      `  ${key(each)}:`,
      ...of.map(({ held, labels: known }) => `    - ${entry(each, held.get(each), known.get(each))}`),
    ];
    const made = axes(all, moving);
    const swept = [
      ...made.flatMap(({ members, rows: of }) => members.flatMap((each) => axis(each, of))),
      ...labelled.flatMap((each) => axis(each, [all[0]])),
    ];
    const lines = [
      `# ${gallery.words.count(all.length, 'chosen task')} of ${JSON.stringify(gallery.run.job.name)}; add an axis to sweep them further.`,
      `name: ${quoted(name)}`,
      `model: ${quoted(gallery.run.job.model)}`,
      ...(fixed.length
        ? ['parameters:', ...fixed.map((each) => `  ${key(each)}: ${scalar(each, all[0].held.get(each))}`)]
        : []),
      ...(swept.length ? ['sweep:', ...swept] : []),
    ];
    const together = made.filter(({ members }) => members.length > 1).map(({ members }) => `[${members.map(key).join(', ')}]`);
    if (together.length) lines.push(`zip: [${together.join(', ')}] # these move together`);
    lines.push(...settings(names));
    return `${lines.join('\n')}\n`;
  }

  gallery.jobs = { row, file, quoted };
})();

'use strict';
// The axes: what was swept, its values in their order, and where a task stands among them.

(() => {
  const axes = { all: [], byId: new Map() };

  /** Make a value of an axis: `of` holds the value of each member of the axis, `labels` its names, if it has any. */
  function value(axis, of, labels) {
    const spelled = of.map((each) => gallery.run.shown(each ?? '–'));
    const joined = (texts) => (texts.length > 1 ? texts.map(gallery.words.isolated) : texts).join(' × ');
    const label = joined(spelled.map((text, place) => labels?.[place] ?? text));
    const text = joined(spelled);
    const named = label !== text;
    const isBare = !named && /^[\d.,+-]+$/.test(label);
    return { axis, number: axis.values.length, of, labels: labels ?? [], label, text, named, isBare, isTwin: false };
  }

  function append(axis, of, labels) {
    const made = value(axis, of, labels);
    axis.values.push(made);
    const key = JSON.stringify(of);
    if (axis.numbers.has(key))
      made.isTwin = true; // listed twice: its tasks stand at the first one
    else axis.numbers.set(key, made.number);
    return made.number;
  }

  function create(id, name, names, sent) {
    const axis = { id, name, names, sent, place: axes.all.length, values: [], numbers: new Map() };
    axes.all.push(axis);
    axes.byId.set(id, axis);
    return axis;
  }

  axes.open = (job) => {
    for (const told of job.axes) {
      const axis = create(`a.${told.names[0]}`, told.names.join(' × '), told.names, told.sent);
      told.values.forEach((of, number) => append(axis, of, told.labels[number]));
    }
    axes.own = job.axes.length;
    if (job.repeat > 1) fill(create('repeat', 'repeat', ['repeat'], [false]), job.repeat);
    axes.output = null;
  };

  function fill(axis, count) {
    while (axis.values.length < count) append(axis, [axis.values.length + 1], null);
  }

  /** Outputs of one task are an axis too, once a task has more than one. */
  axes.shots = (count) => {
    if (count < 2) return;
    axes.output ??= create('output', 'output', ['output'], [false]);
    fill(axes.output, count);
  };

  /** Turn a row's place into the number of a value for each axis; values that the job does not list are added. */
  axes.places = (at, repeat) => {
    const found = at.map((place, number) => {
      if (typeof place === 'number') return place;
      const axis = axes.all[number];
      const of = place ?? axis.names.map(() => null);
      return axis.numbers.get(JSON.stringify(of)) ?? append(axis, of, null);
    });
    if (axes.byId.has('repeat')) found.push(repeat - 1);
    return found;
  };

  /** What the values at a place mean for the parameters. */
  axes.sent = (at) => {
    const found = {};
    for (let number = 0; number < axes.own; number += 1) {
      const axis = axes.all[number];
      const { of } = axis.values[at[number]] ?? { of: [] }; // a cell may stand for all values of an axis
      axis.names.forEach((name, member) => {
        if (axis.sent[member] && (of[member] ?? null) !== null) found[name] = inForm(gallery.run.job.kinds[name], of[member]);
      });
    }
    return found;
  };

  /** A value in the form in which it is sent. */
  function inForm(kind, of) {
    if (kind === 'number') return Number(of);
    if (kind === 'flag') return of === true || of === 'true';
    return String(of);
  }

  /** The number of a shot's value on an axis. */
  axes.number = (axis, shot, at = shot.task.at) => (axis === axes.output ? shot.n : at[axis.place]);

  /** A value in short words; a bare number says what it is a number of. */
  axes.word = (value) => (value.isBare ? `${value.axis.name} ${value.label}` : value.label);

  axes.value = (axis, shot) => axis.values[axes.number(axis, shot)];

  /** Axes along which there is something to compare. */
  axes.wide = () => axes.all.filter((axis) => axis.values.length > 1);

  /** An axis's values in the order that the view gives them, hidden ones left out. */
  axes.visible = (axis) => {
    const hidden = new Set(gallery.view.hidden[axis.id] ?? []);
    return axes.ordered(axis).filter((each) => !hidden.has(each.number));
  };

  axes.ordered = (axis) => {
    const values = axis.values.filter((each) => !each.isTwin);
    const order = gallery.view.order[axis.id] ?? [];
    const first = order.map((number) => axis.values[number]).filter((each) => each && !each.isTwin);
    const named = new Set(first);
    return [...first, ...values.filter((each) => !named.has(each))];
  };

  gallery.axes = axes;
})();

'use strict';
// Filters as chips: each says a field, an operator and a value, and can be taken off.

(() => {
  const { h, button, select } = gallery.dom;
  let draft = null; // a filter that is being made

  /** Set the filters; the focus goes where the next one is made, or the next one taken off. */
  function apply(filters, focus = 'filter') {
    gallery.view.set({ filters });
    redraw(focus);
  }

  function chips() {
    const { filters } = gallery.view;
    return h(
      'div.group.filters',
      {},
      gallery.axes.all.map(hidden),
      filters.map(chip),
      !draft && quick(),
      draft ? editor() : button('Filter', begin, { iconName: 'filter', title: 'Filter (/)', id: 'filter' }),
    );
  }

  /** What is hidden of an axis: it holds for all views, so it is said in all of them. */
  function hidden(axis) {
    const off = gallery.view.hidden[axis.id]?.length;
    const show = () => {
      gallery.view.set({ hidden: { ...gallery.view.hidden, [axis.id]: [] } });
      redraw('filter');
    };
    return (
      off > 0 &&
      button(`${off} of ${axis.values.length} hidden: ${axis.name}`, show, {
        iconName: 'close',
        kind: 'chip',
        title: 'Show all again',
        id: `hidden-${axis.id}`,
      })
    );
  }

  function chip(filter, number) {
    const [id, operator, value] = filter;
    const field = gallery.choose.field(id);
    const { shortened, plain, isolated } = gallery.words;
    const words = `${field?.name ?? id} ${gallery.choose.OPERATORS[operator]?.[0] ?? operator} ${isolated(shortened(plain(String(value)), 30))}`;
    const off = () => apply(gallery.view.filters.filter((_, other) => other !== number), `chip-${number}`);
    return button(words, off, { iconName: 'close', kind: 'chip', title: 'Take this filter off', id: `chip-${number}` });
  }

  /** Filters that are wanted again and again, one click away. */
  function quick() {
    const offers = [
      ['★ 3+', ['stars', 'ge', 3]],
      ['no rejected', ['rejected', 'is', 'no']],
    ];
    if (gallery.run.head.status.counts.failed) offers.push(['failed', ['state', 'is', 'failed']]);
    const has = (filter) => gallery.view.filters.some((each) => JSON.stringify(each) === JSON.stringify(filter));
    return offers
      .filter(([, filter]) => !has(filter))
      .map(([words, filter], number) =>
        button(words, () => apply([...gallery.view.filters, filter]), {
          kind: 'chip.offer',
          id: `offer-${number}`,
          title: `Show only: ${words}`,
        }),
      );
  }

  function begin() {
    draft = { field: 'p.prompt', operator: 'has', value: '' };
    if (!gallery.choose.field(draft.field)) draft.field = 'state';
    settle();
    redraw('filter-value');
  }

  /** Keep operator and value fitting to the field. */
  function settle() {
    const field = gallery.choose.field(draft.field);
    const operators = gallery.choose.BY_TYPE[field.type];
    if (!operators.includes(draft.operator)) draft.operator = operators[0];
    if (field.type === 'choice' && !field.options().includes(draft.value)) draft.value = field.options()[0] ?? '';
  }

  function redraw(focus) {
    gallery.changed('view');
    gallery.flush();
    (document.getElementById(focus) ?? document.getElementById('filter'))?.focus();
  }

  function editor() {
    const fields = gallery.choose.fields().filter((field) => !field.sortOnly);
    const field = gallery.choose.field(draft.field);
    const change = (key, focus) => (value) => {
      draft[key] = value;
      settle();
      redraw(focus);
    };
    const operators = gallery.choose.BY_TYPE[field.type].map((name) => [name, gallery.choose.OPERATORS[name][0]]);
    return h(
      'form.maker',
      { onsubmit: accept, onkeydown: (event) => event.key === 'Escape' && cancel(event) },
      select(
        'Field',
        fields.map((each) => [each.id, each.name]),
        draft.field,
        change('field', 'filter-field'),
        { id: 'filter-field' },
      ),
      select('Operator', operators, draft.operator, change('operator', 'filter-operator'), { id: 'filter-operator' }),
      value(field),
      button('Add', accept, { kind: 'plain.accent', type: 'submit', onclick: null }),
      button('', cancel, { iconName: 'close', title: 'No filter' }),
    );
  }

  function value(field) {
    const keep = (text) => (draft.value = text);
    if (field.type === 'choice') {
      const options = field.options();
      const told = gallery.labels.told(options);
      return select(
        'Value',
        options.map((each) => [each, gallery.labels.cut(String(each), told, 50)]),
        draft.value,
        keep,
        { id: 'filter-value' },
      );
    }
    const type = field.type === 'number' ? 'number' : 'text';
    return h('input', {
      type,
      step: 'any',
      id: 'filter-value',
      'aria-label': 'Value',
      value: draft.value,
      oninput: (event) => keep(event.target.value),
    });
  }

  function accept(event) {
    event.preventDefault();
    const field = gallery.choose.field(draft.field);
    if (field.type === 'number' && draft.value === '') return redraw('filter-value'); // nothing is no number
    const filter = [draft.field, draft.operator, field.type === 'number' ? Number(draft.value) : draft.value];
    draft = null;
    return apply([...gallery.view.filters, filter]);
  }

  function cancel(event) {
    event.stopPropagation?.();
    draft = null;
    redraw('filter');
  }

  gallery.filters = { chips, begin };
})();

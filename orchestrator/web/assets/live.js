'use strict';
// What the page of a run does more when it is served: it is told what happens, keeps marks in the run folder, and can
// end what runs on the service.

(() => {
  const { token } = document.currentScript.dataset;
  const { h, button, replace, say } = gallery.dom;
  const SAVED_AFTER_MS = 500;
  const AGAIN_AFTER_MS = 5000;
  const place = h('footer', { id: 'live', 'aria-label': 'Live' });
  const sure = h('dialog.small', { id: 'sure', 'aria-label': 'Cancel the run' });
  const parts = {
    word: h('span', { role: 'status', title: 'Whether the server says what happens' }),
    pace: h('span.quiet.pace'),
    ending: h('span.quiet', { role: 'status' }, 'cancelling…'),
    cancel: button('Cancel', ask, { id: 'cancel-open', title: 'End what runs on the service' }),
    log: button('Log', log, { id: 'log-open', title: 'What the run tells (L)' }),
  };
  const isEmpty = !gallery.run.head;

  let word = 'connecting';
  let why = ''; // in a sentence
  let standing = null;
  let job = null; // the version of the job that the page was loaded with
  let isEnding = false; // somebody has asked for it here
  let isBusy = false;
  let isBehind = false;
  let saving = 0;

  /** Do one thing after the other: load what is new, and again if more has come meanwhile. */
  async function catchUp() {
    isBehind = true;
    if (isBusy || isEmpty) return;
    isBusy = true;
    while (isBehind) {
      isBehind = false;
      await gallery.run.refresh();
    }
    isBusy = false;
  }

  const HEARD = {
    standing(told) {
      standing = told;
      if (told.status && !isEmpty) gallery.run.stands(told.status);
      if (told.trouble) say(told.trouble);
      draw();
    },
    page(told) {
      const isNew = isEmpty ? told.head !== '' : job !== null && told.job !== job;
      job = told.job;
      if (isNew) location.reload();
      else catchUp();
    },
    async marks({ version }) {
      if (isEmpty || !version) return;
      gallery.marks.take(await gallery.run.load('marks', version));
    },
    log: (lines) => gallery.log.add(lines),
    said(words) {
      say(words);
      ending(false); // the run goes on if it could not be cancelled
    },
    gone() {
      end('gone');
      say('The run folder has gone.');
    },
  };

  function tell(now, reason) {
    if (now === 'live') gallery.log.clear(); // it is told from its end again
    if (word === now && why === reason) return;
    [word, why] = [now, reason];
    draw();
  }

  function post(path, body) {
    return fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Orchestrator-Token': token },
      body: JSON.stringify(body),
      keepalive: path === 'cancel',
    });
  }

  /** Put marks that are new into the run folder, those that the browser had kept too. */
  async function save() {
    saving = 0;
    const news = gallery.marks.unfiled();
    if (!news) return;
    try {
      const answer = await post('marks', news);
      if (answer.ok) gallery.marks.take(news);
      else say(`The marks stay in this browser alone. ${await answer.text()}`);
      if (answer.ok || answer.status < 500) return;
    } catch {
      // The server has gone; the browser keeps them until it is there again.
    }
    saving ||= setTimeout(save, AGAIN_AFTER_MS);
  }

  async function cancel() {
    sure.close();
    ending(true);
    try {
      const answer = await post('cancel', {});
      if (answer.ok) return;
      say(await answer.text());
    } catch {
      say('The server cannot be reached.');
    }
    ending(false);
  }

  function ending(now) {
    isEnding = now;
    draw();
  }

  function ask() {
    replace(
      sure,
      h('h2.title', {}, 'Cancel the run?'),
      h('p', {}, 'What runs on the service is ended. Tasks that were not submitted stay pending.'),
      h(
        'div.line',
        {},
        button('Cancel the run', cancel, { kind: 'plain.accent', id: 'cancel-sure' }),
        button('Let it go on', () => sure.close(), { id: 'cancel-not', autofocus: true }),
      ),
    );
    sure.showModal();
  }

  const underWay = ({ counts }) => counts.submitting + counts.running + counts.fetching;

  /** What the head of the page does not say: how many tasks wait, and how fast they end. */
  function pace() {
    const status = standing?.status;
    if (!status) return standing?.trouble ?? '';
    const { number } = gallery.words;
    const figures = [
      underWay(status) && `${number(underWay(status))} under way`,
      status.counts.pending && `${number(status.counts.pending)} pending`,
      status.state === 'running' && standing.per_minute !== null && `${number(standing.per_minute)} a minute`,
      ...gallery.words.waits(status),
    ];
    return figures.filter(Boolean).join(' · ');
  }

  /** Write what stands now; the buttons stay the same ones, for somebody may be pressing them. */
  function draw() {
    const status = standing?.status;
    const canEnd = Boolean(status) && (status.state === 'running' || underWay(status) > 0);
    isEnding &&= canEnd;
    parts.word.className = `word ${word}`;
    parts.word.textContent = why || word;
    parts.pace.textContent = pace();
    parts.ending.hidden = !isEnding;
    parts.cancel.hidden = !canEnd || isEnding;
    parts.log.setAttribute('aria-pressed', String(gallery.log.isOpen()));
  }

  function log() {
    gallery.log.toggle();
    draw();
  }

  gallery.run.isPushed = true;
  gallery.keys.parts.Everywhere.push(['l', 'the log', log]);
  document.querySelector('header').prepend(h('a.plain', { id: 'all-runs', href: '../../' }, 'All runs'));
  place.append(...Object.values(parts));
  document.getElementById('log').after(place);
  document.body.append(sure);
  if (!isEmpty) {
    gallery.on('marks', () => (saving ||= setTimeout(save, SAVED_AFTER_MS)));
    gallery.changed('marks'); // what the browser had kept
  }
  draw();
  const end = gallery.hear(HEARD, tell);
})();

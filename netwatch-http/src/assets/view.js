// What stands on the page: counts, what is wrong, groups of boxes or cells, a device. Text goes in as text only.

import { STATUSES } from './store.js';
import { clock, exact, int, ms, percent, span, stopwatch, w } from './words.js';

/** Above this many targets a group shows as cells, unless boxes are asked for. */
const MANY = 300;
/** Up to this many, a group that is all well stays open. */
const FEW = 60;
/** Lines of what is wrong that are written out, and how many when all are asked for. */
const LINES = 12;
const ALL_LINES = 200;
/** Refused recipients of one notifier that are named. */
const REFUSED = 5;

export function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== ''));
  return node;
}

export const shape = (status) => {
  const node = el('span', `shape s-${status}`);
  node.setAttribute('aria-hidden', 'true');
  return node;
};

export class View {
  constructor(store) {
    this.store = store;
    this.nodes = new Map();
    this.rows = new Map();
    this.opened = new Map();
    this.chosen = null;
    this.wrong = document.getElementById('wrong');
    this.groups = document.getElementById('groups');
  }

  get cells() {
    return this.chosen ? this.chosen === 'cells' : this.store.targets.length > MANY;
  }

  /** Everything anew: a snapshot came, or words, filters or the view changed. */
  all() {
    this.nodes.clear();
    this.rows.clear();
    this.counts();
    this.alerts();
    this.wrongs();
    this.groups.replaceChildren(...this.store.groups.map((group) => this.group(group)).filter(Boolean));
    this.empty();
    this.watches();
  }

  /** These targets changed more than their measurements. */
  changed(places) {
    const regroup = this.store.filtering || places.some((at) => !this.nodes.has(at));
    if (regroup) return this.all();
    for (const at of places) {
      const node = this.nodes.get(at);
      const target = this.store.targets[at];
      if (node.classList.contains('cell')) this.fillCell(node, target);
      else this.fillBox(node, target, true);
    }
    this.counts();
    this.alerts();
    this.wrongs();
    this.heads();
    this.watches();
  }

  /** These targets were measured. */
  measured(places) {
    this.counts();
    for (const at of places) {
      const target = this.store.targets[at];
      const node = this.nodes.get(at);
      if (node && node.figure) this.figure(node, target);
      const row = this.rows.get(target.name);
      if (row && target.status === 'warning') {
        setText(row.facts, this.facts(target));
        this.figure(row, target);
      }
    }
  }

  counts() {
    const box = document.getElementById('counts');
    const { counts, filter } = this.store;
    box.setAttribute('aria-label', w().counts);
    if (box.childElementCount !== STATUSES.length) {
      box.replaceChildren(...STATUSES.map((status) => {
        const button = el('button', `count n-${status}`, shape(status), el('b'), ' ', el('span', 'word'));
        button.type = 'button';
        button.value = status;
        return button;
      }));
    }
    for (const button of box.children) {
      const count = counts[button.value] ?? 0;
      setText(button.children[1], int(count));
      setText(button.children[2], w()[button.value]);
      button.classList.toggle('none', count === 0);
      button.hidden = button.value === 'pending' && count === 0;
      button.setAttribute('aria-pressed', String(filter.status === button.value));
      button.setAttribute('aria-label', `${int(count)} ${w()[button.value]}`);
    }
  }

  alerts() {
    const { mail, journal, blindSince } = this.store;
    const now = this.store.now();
    const lines = mail.filter((path) => path.failing_since).map((path) => {
      const since = clock(path.failing_since, now);
      return el('p', 'alert', el('b', '', `${w().noMail} ${since} · ${w().waiting(path.waiting)}`),
        el('span', '', [path.notifier, path.error].filter(Boolean).join(': ')));
    });
    // A path that fails says itself why; who was refused then is no news.
    for (const path of mail.filter((one) => !one.failing_since)) {
      for (const { recipient, reason, at } of path.refused.slice(0, REFUSED)) {
        lines.push(el('p', 'alert', el('b', '', w().refused(recipient, reason)), el('span', '', `${path.notifier} · ${clock(at, now)}`)));
      }
    }
    if (blindSince) lines.unshift(el('p', 'alert', el('b', '', `${w().blind} ${clock(blindSince, now)}`), el('span', '', w().blindWhy)));
    if (journal.failing_since) {
      lines.push(el('p', 'alert', el('b', '', `${w().noJournal} ${clock(journal.failing_since, now)}`),
        el('span', '', [w().noJournalWhy, journal.error].filter(Boolean).join(' · '))));
    } else if (journal.error) lines.push(el('p', 'alert', el('b', '', w().noRoom), el('span', '', journal.error)));
    if (journal.notice) lines.push(el('p', 'alert', el('b', '', w().setAside), el('span', '', journal.notice)));
    const text = lines.map((line) => line.textContent).join();
    const box = document.getElementById('alerts');
    if (box.textContent !== text || !lines.length) box.replaceChildren(...lines);
  }

  wrongs() {
    const { targets } = this.store;
    const wanted = targets.filter((target) => this.store.wants(target));
    const by = (status) => wanted.filter((target) => target.status === status);
    const longest = (a, b) => (a.lastReply - b.lastReply) || ((b.customers ?? 0) - (a.customers ?? 0)) || (a.at - b.at);
    const down = by('down');
    const gone = down.filter((target) => target.lastReply).sort(longest);
    const never = down.filter((target) => !target.lastReply);
    const written = [...gone, ...by('unreachable').sort(longest), ...by('warning')];
    const list = el('div', 'rows');
    const lines = this.opened.get('lines') ? ALL_LINES : LINES;
    list.append(...written.slice(0, lines).map((target) => this.row(target)));
    if (written.length > lines) list.append(this.more(written.length - lines));
    if (never.length) list.append(this.fold('never', 'down', w().neverFold(never.length), never));
    const causes = new Map();
    for (const target of by('unknown')) {
      if (target.paused) continue;
      const cause = target.cause ?? '';
      if (!causes.has(cause)) causes.set(cause, []);
      causes.get(cause).push(target);
    }
    for (const [cause, members] of causes) {
      const words = `${int(members.length)} ${w().unknown}${cause ? `: ${w().cause[cause] ?? cause}` : ''}`;
      list.append(this.fold(`cause ${cause}`, 'unknown', words, members));
    }
    const nothing = !list.childElementCount;
    this.wrong.className = nothing ? 'calm' : '';
    // Nothing is well that cannot be seen.
    const unsaid = this.store.filtering || this.store.blindSince;
    this.wrong.hidden = targets.length === 0 || Boolean(nothing && unsaid);
    keepFocus(() => this.wrong.replaceChildren(...(nothing ? [this.quiet()] : [el('h2', '', w().wrong), list])));
  }

  /** What is said while nothing is wrong. All is well only if that is known of everything that is asked. */
  quiet() {
    const { counts, targets } = this.store;
    const line = (kind, head, words) => el('p', `calm-line ${kind}`, el('b', '', head), el('span', '', words));
    if (counts.pending) return line('open', w().asking, w().askingOf(counts.pending));
    if (!counts.ok) return line('open', w().allPaused, w().allPausedWhy);
    return line('well', w().allWell, counts.ok === targets.length ? w().allWellOf(counts.ok) : w().allWellSome);
  }

  /** One line of what is wrong; kept from one time to the next. */
  row(target) {
    let row = this.rows.get(target.name);
    if (!row) {
      row = el('button', '', shape(target.status), el('b', 'name'), el('span', 'address'), el('span', 'word'), el('span', 'figure'), el('span', 'facts'));
      row.type = 'button';
      row.dataset.at = target.at;
      [, row.name_, row.address, row.word, row.figure, row.facts] = row.children;
      this.rows.set(target.name, row);
    }
    row.className = `row item r-${target.status}`;
    row.children[0].className = `shape s-${target.status}`;
    setText(row.name_, target.name);
    setText(row.address, target.address);
    setText(row.word, w()[target.status]);
    setText(row.facts, this.facts(target));
    this.figure(row, target);
    return row;
  }

  more(count) {
    const button = el('button', 'more', w().more(count));
    button.type = 'button';
    button.disabled = Boolean(this.opened.get('lines'));
    button.addEventListener('click', () => {
      this.opened.set('lines', true);
      this.wrongs();
    });
    return button;
  }

  /** What has no stopwatch worth a line each: folded into one, opened on demand. */
  fold(key, status, words, members) {
    const details = el('details', 'fold', el('summary', '', shape(status), words));
    const fill = () => details.append(el('p', 'names', ...members.slice(0, 500).map((target) => {
      const button = el('button', 'name-link item', target.name);
      button.type = 'button';
      button.dataset.at = target.at;
      return button;
    }), members.length > 500 ? w().more(members.length - 500) : ''));
    if (this.opened.get(key)) {
      details.open = true;
      fill();
    }
    details.addEventListener('toggle', () => {
      this.opened.set(key, details.open);
      if (details.open && details.childElementCount === 1) fill();
    });
    return details;
  }

  facts(target) {
    const now = this.store.now();
    const facts = [target.group];
    if (target.status === 'warning') {
      // A warning ends at 4/5 of its limit: until then that limit is the one to name.
      const limit = (value) => `(${w().limit} ${value})`;
      if (target.rtt_ms >= 0.8 * target.warn_rtt_ms) facts.push(`${w().slow} ${limit(ms(target.warn_rtt_ms).replace(/[.,]0(?= ms)/, ''))}`);
      if (target.loss >= 0.8 * target.warn_loss) facts.push(`${w().loss} ${percent(target.loss)} ${limit(percent(target.warn_loss))}`);
    }
    if (target.customers) facts.push(w().customers(target.customers));
    if (target.status === 'down') facts.push(target.lastReply ? `${w().lastAnswer} ${clock(target.lastReply, now)}` : w().never);
    if (target.status === 'down' || target.recovering) facts.push(this.told(target));
    if (target.recovering) facts.push(w().recovering);
    if (target.flapping) facts.push(w().flapping);
    if (target.maintenance) facts.push(this.maintenance(target));
    if (target.outage?.ack) facts.push(`${w().ackedBy} ${target.outage.ack.by}`);
    return facts.filter(Boolean).join(' · ');
  }

  maintenance(target) {
    const until = target.maintenance_until;
    return until ? `${w().maintenance} ${w().until} ${clock(until, this.store.now())}` : w().maintenance;
  }

  /** The word of a box: the status, unless it is well and there is more to say. */
  word(target) {
    if (target.paused) return w().paused;
    if (target.recovering) return w().recovering;
    const answers = target.status === 'ok' || target.status === 'warning';
    if (answers && target.maintenance) return this.maintenance(target);
    return answers && target.flapping ? w().flapping : w()[target.status];
  }

  told(target) {
    const { outage } = target;
    if (!outage) return '';
    if (outage.told) {
      const to = outage.told_to.length ? ` ${w().mailTo} ${outage.told_to.join(', ')}` : '';
      return `${w().mailed} ${clock(outage.told, this.store.now())}${to}`;
    }
    return outage.due ? w().owed : `${w().notYet} (${w().tolerance} ${span(target.tolerance)})`;
  }

  group([name, members]) {
    const shown = members.filter((at) => this.store.wants(this.store.targets[at]));
    if (!shown.length) return null;
    const section = el('section', 'group');
    const head = el('button', 'group-head');
    head.type = 'button';
    const body = el('div', this.cells ? 'cells' : 'boxes');
    const well = members.every((at) => this.store.targets[at].status === 'ok');
    const open = this.opened.get(`group ${name}`) ?? (this.cells || this.store.filtering || !well || this.store.targets.length <= FEW);
    Object.assign(section, { head, members });
    section.append(el('h2', '', head), body);
    this.head(section, name);
    const show = (to) => {
      head.setAttribute('aria-expanded', String(to));
      body.hidden = !to;
      if (to && !body.childElementCount) body.append(...shown.map((at) => this.item(this.store.targets[at])));
    };
    for (const at of shown) if (!open) this.nodes.set(at, el('span'));
    show(open);
    head.addEventListener('click', () => {
      const to = body.hidden;
      this.opened.set(`group ${name}`, to);
      show(to);
      this.watches();
    });
    section.name = name;
    section.reveal = () => {
      const bad = members.some((at) => ['down', 'warning', 'unreachable'].includes(this.store.targets[at].status));
      if (bad && body.hidden && !this.opened.has(`group ${name}`)) show(true);
    };
    return section;
  }

  head(section, name) {
    const { targets } = this.store;
    const tally = STATUSES.map((status) => [status, section.members.filter((at) => targets[at].status === status).length]);
    const down = tally[0][1];
    const parts = [el('span', 'group-name', name || w().noGroup), el('span', 'group-size', int(section.members.length))];
    for (const [status, count] of tally.reverse()) if (count) parts.push(el('span', 'tally', shape(status), int(count)));
    if (down * 2 > section.members.length) {
      parts.push(el('b', 'most', w().mostDown(down, section.members.length)));
    }
    section.head.replaceChildren(...parts);
  }

  heads() {
    for (const section of this.groups.children) {
      this.head(section, section.name);
      section.reveal();
    }
  }

  item(target) {
    const node = this.cells ? el('span', 'cell item') : this.box();
    node.dataset.at = target.at;
    node.tabIndex = this.cells ? -1 : 0;
    if (this.cells) this.fillCell(node, target);
    else this.fillBox(node, target, false);
    this.nodes.set(target.at, node);
    return node;
  }

  box() {
    const node = el('button', '', shape('pending'), el('b', 'name'), el('span', 'word'), el('span', 'figure'));
    node.type = 'button';
    [, node.name_, node.word, node.figure] = node.children;
    return node;
  }

  fillBox(node, target, fade) {
    if (!node.figure) return;
    node.className = `box item b-${target.status}`;
    node.children[0].className = `shape s-${target.status}`;
    setText(node.name_, target.name);
    node.title = target.name;
    setText(node.word, this.word(target));
    this.figure(node, target);
    if (fade) {
      node.classList.remove('fade');
      requestAnimationFrame(() => node.classList.add('fade'));
    }
  }

  fillCell(node, target) {
    node.className = `cell item c-${target.status}`;
    node.setAttribute('role', 'button');
    node.setAttribute('aria-label', `${target.name}: ${w()[target.status]}`);
  }

  /** The number of a box or line: the ping, or the stopwatch of one that is gone. */
  figure(node, target) {
    const gone = target.status === 'down' || target.status === 'unreachable';
    node.figure.classList.toggle('watch', gone && Boolean(target.lastReply));
    node.figure.classList.toggle('said', gone && !target.lastReply);
    node.figure.last = gone ? target.lastReply : null;
    if (!gone) setText(node.figure, ms(target.rtt_ms));
    else if (!target.lastReply) setText(node.figure, w().never);
    else setText(node.figure, stopwatch(this.store.now() - target.lastReply));
  }

  /** Every stopwatch that is shown; called as seconds pass. */
  watches() {
    for (const node of document.getElementsByClassName('watch')) {
      setText(node, stopwatch(this.store.now() - node.last));
    }
  }

  empty() {
    if (this.groups.childElementCount || this.store.offset === null) return;
    const filtered = this.store.targets.length > 0;
    const line = el('p', 'empty', filtered ? w().nothingFound : w().nothingYet);
    if (filtered) {
      const clear = el('button', 'plain wide', w().clear);
      clear.type = 'button';
      clear.id = 'clear';
      line.append(' ', clear);
    }
    this.groups.replaceChildren(line);
    for (const node of this.groups.children) Object.assign(node, { members: [], head: el('span'), reveal() {} });
  }

  /** A device, in a dialog. */
  detail(dialog, target) {
    const now = this.store.now();
    const gone = target.status === 'down' || target.status === 'unreachable';
    const time = (at) => `${clock(at, now)} (${w().ago(span((now - Date.parse(at)) / 1000))})`;
    const figure = el('span', gone && target.lastReply ? 'figure watch' : 'figure');
    figure.last = target.lastReply;
    figure.textContent = gone ? (target.lastReply ? '' : w().never) : ms(target.rtt_ms);
    const ack = target.outage?.ack;
    const facts = [
      [w().address, target.address],
      [w().group, target.group],
      [w().causeWord, target.cause && (w().cause[target.cause] ?? target.cause)],
      [w().since, time(target.since), exact(target.since)],
      [w().lastAnswer, target.lastReply ? time(new Date(target.lastReply).toISOString()) : w().never, target.lastReply && exact(target.lastReply)],
      [w().ping, ms(target.rtt_ms)],
      [w().loss, target.loss !== null && percent(target.loss)],
      [w().jitter, ms(target.jitter_ms)],
      [w().told, this.told(target)],
      [w().acked, ack && [`${ack.by} (${clock(ack.at, now)})`, ack.note].filter(Boolean).join(': ')],
      [w().flags, [target.flapping && w().flapping, target.maintenance && this.maintenance(target)].filter(Boolean).join(' · ')],
      [w().customersWord, target.customers && int(target.customers)],
      [w().note, target.note],
    ];
    const list = el('dl');
    for (const [term, value, title] of facts) {
      if (!value) continue;
      const dd = el('dd', '', value);
      if (title) dd.title = title;
      list.append(el('dt', '', term), dd);
    }
    const word = this.word(target);
    const head = el('div', `detail-head d-${target.status}`, shape(target.status), el('h2', '', target.name), el('span', 'word', word), figure);
    keepFocus(() => dialog.replaceChildren(head, list, closer()));
    dialog.setAttribute('aria-label', target.name);
    this.watches();
  }
}

export function closer() {
  const button = el('button', 'plain wide', w().close);
  button.type = 'submit';
  const form = el('form', '', button);
  form.method = 'dialog';
  return form;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Redraws without taking the focus from the line that has it. */
function keepFocus(draw) {
  const had = document.activeElement;
  draw();
  if (had && had !== document.activeElement && had.isConnected) had.focus({ preventScroll: true });
}

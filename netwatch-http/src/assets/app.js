// The page comes alive: the event stream, the veil when it stops, the clock, and what a person presses.

import { Store } from './store.js';
import { View, closer, el } from './view.js';
import { clock, getLang, ms, setLang, span, stopwatch, w } from './words.js';

/** After this long without a message nothing on the page may be believed. */
const STALE_AFTER = 3000;
/** After this long without one, the connection is given up and made anew. */
const GIVE_UP_AFTER = 10000;

const $ = (id) => document.getElementById(id);
const store = new Store();
const view = new View(store);
const memory = {
  get: (key) => { try { return localStorage.getItem(`netwatch.${key}`); } catch { return null; } },
  set: (key, value) => { try { localStorage.setItem(`netwatch.${key}`, value); } catch { /* it is forgotten then */ } },
};
let stream = null;
let heardAt = null;
let openedAt = 0;
let veiled = true;
let watched = null;

function connect() {
  if (stream) stream.close();
  openedAt = performance.now();
  stream = new EventSource('/api/v1/events');
  const on = (name, take) => stream.addEventListener(name, (event) => {
    take(JSON.parse(event.data));
    heardAt = performance.now();
    beat();
  });
  on('snapshot', (data) => {
    store.snapshot(data);
    if (!memory.get('lang')) setLang(data.locale);
    relabel();
    view.all();
  });
  on('change', (data) => {
    view.changed(store.change(data));
    redetail();
  });
  on('tick', (data) => {
    view.measured(store.tick(data));
    redetail();
  });
}

/** What time alone changes; several times a second. */
function beat() {
  const now = performance.now();
  const silent = heardAt === null ? Infinity : now - heardAt;
  const lost = silent > STALE_AFTER;
  if (lost && now - Math.max(openedAt, heardAt ?? 0) > GIVE_UP_AFTER) connect();
  if (stream && stream.readyState === EventSource.CLOSED && now - openedAt > 2000) connect();
  veil(lost, silent);
  if (!veiled) {
    view.watches();
    $('live-words').textContent = w().live;
    $('live-ago').textContent = `· ${w().ago(span(silent / 1000))}`;
  }
}

function veil(lost, silent) {
  const down = store.counts.down ?? 0;
  const beginning = heardAt === null && performance.now() < STALE_AFTER;
  veiled = lost || Boolean(store.stale);
  document.body.classList.toggle('stale', veiled);
  $('live').firstElementChild.className = `shape ${veiled ? 's-unknown' : 's-ok'}`;
  if (veiled) {
    const since = lost ? store.generatedAt : store.lastUpdate;
    let say = w().noData;
    if (beginning) say = w().connecting;
    else if (since) say = `${w().noDataSince} ${clock(since, lost ? since + silent : store.now())}`;
    if ($('veil-words').dataset.say !== say) {
      $('veil-words').dataset.say = say;
      $('veil-words').replaceChildren(el('b', '', say), el('span', '', beginning ? '' : w().noDataWhy));
    }
    $('live-words').textContent = beginning ? w().connecting : w().noData;
    $('live-ago').textContent = '';
  }
  const title = veiled && !beginning ? `netwatch · ${w().noData}` : down ? `(${down}) netwatch` : 'netwatch';
  if (document.title !== title) document.title = title;
  const known = store.counts.ok || store.counts.warning;
  const icon = `/assets/icon${veiled ? '-unknown' : down ? '-down' : known ? '' : '-unknown'}.svg`;
  if ($('icon').getAttribute('href') !== icon) $('icon').setAttribute('href', icon);
}

/** Everything that is said outside the view, in the present language. */
function relabel() {
  const { filter } = store;
  for (const button of $('lang').children) button.setAttribute('aria-pressed', String(button.value === getLang()));
  $('search').placeholder = w().search;
  $('search').setAttribute('aria-label', w().searchLabel);
  $('help').title = w().help;
  $('views').setAttribute('aria-label', w().view);
  for (const button of $('views').children) {
    button.textContent = w()[button.value];
    button.setAttribute('aria-pressed', String((button.value === 'cells') === view.cells));
  }
  options($('group'), w().anyGroup, store.groups.map(([name]) => [name, name]).filter(([name]) => name), filter.group);
  const statuses = ['down', 'unreachable', 'warning', 'unknown', 'pending', 'ok'];
  options($('status'), w().anyStatus, statuses.map((status) => [status, w()[status]]), filter.status);
  $('group').setAttribute('aria-label', w().group);
  $('status').setAttribute('aria-label', w().statusWord);
  retheme();
  $('veil-words').dataset.say = '';
}

function options(select, any, choices, chosen) {
  select.replaceChildren(...[['', any], ...choices].map(([value, words]) => {
    const option = el('option', '', words);
    option.value = value;
    return option;
  }));
  select.value = chosen;
}

function retheme(to) {
  const theme = to ?? memory.get('theme') ?? 'auto';
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $('theme').textContent = { auto: '◐', light: '○', dark: '●' }[theme];
  $('theme').title = w().theme[theme];
  $('theme').setAttribute('aria-label', w().theme[theme]);
}

function refilter(part) {
  Object.assign(store.filter, part);
  $('group').value = store.filter.group;
  $('status').value = store.filter.status;
  if ($('search').value !== store.filter.text) $('search').value = store.filter.text;
  view.all();
}

function open(at) {
  const target = store.targets[at];
  if (!target) return;
  watched = target.name;
  view.detail($('detail'), target);
  if (!$('detail').open) $('detail').showModal();
}

function redetail() {
  const at = watched === null ? undefined : store.byName.get(watched);
  if (at !== undefined && $('detail').open && !$('detail').contains(document.activeElement?.closest('dd'))) {
    const inside = document.activeElement?.closest('dialog') === $('detail');
    view.detail($('detail'), store.targets[at]);
    if (inside) $('detail').querySelector('button')?.focus();
  }
}

function keysDialog() {
  const list = el('dl');
  for (const [key, words] of w().keys) list.append(el('dt', '', el('kbd', '', key)), el('dd', '', words));
  $('keys').replaceChildren(el('h2', '', w().help), list, closer());
  $('keys').showModal();
}

/** j and k: through lines, boxes and cells, as they stand. */
function walk(by) {
  const items = [...document.querySelectorAll('.item')].filter((item) => item.checkVisibility?.() ?? true);
  if (!items.length) return;
  const here = items.indexOf(document.activeElement);
  const to = here < 0 ? 0 : Math.min(items.length - 1, Math.max(0, here + by));
  items[to].focus();
  items[to].scrollIntoView({ block: 'nearest' });
}

function tip(item) {
  const cell = item?.classList?.contains('cell') ? item : null;
  const target = cell && store.targets[cell.dataset.at];
  $('tip').hidden = !target;
  if (!target) return;
  const gone = target.status === 'down' && target.lastReply;
  const figure = gone ? stopwatch(store.now() - target.lastReply) : ms(target.rtt_ms);
  $('tip').textContent = [target.name, target.address, w()[target.status], figure].filter(Boolean).join(' · ');
  const box = cell.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - $('tip').offsetWidth - 8);
  $('tip').style.left = `${Math.max(8, left)}px`;
  $('tip').style.top = `${box.bottom + 6 + $('tip').offsetHeight > innerHeight ? box.top - 6 - $('tip').offsetHeight : box.bottom + 6}px`;
}

function listen() {
  $('lang').addEventListener('click', (event) => {
    if (!event.target.value) return;
    memory.set('lang', event.target.value);
    setLang(event.target.value);
    relabel();
    view.all();
    beat();
  });
  $('theme').addEventListener('click', () => {
    const order = ['auto', 'light', 'dark'];
    const to = order[(order.indexOf(memory.get('theme') ?? 'auto') + 1) % order.length];
    memory.set('theme', to);
    retheme(to);
  });
  $('views').addEventListener('click', (event) => {
    if (!event.target.value) return;
    view.chosen = event.target.value;
    relabel();
    view.all();
  });
  $('tools').addEventListener('submit', (event) => event.preventDefault());
  $('search').addEventListener('input', (event) => refilter({ text: event.target.value }));
  $('group').addEventListener('change', (event) => refilter({ group: event.target.value }));
  $('status').addEventListener('change', (event) => refilter({ status: event.target.value }));
  $('help').addEventListener('click', keysDialog);
  $('counts').addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (button) refilter({ status: store.filter.status === button.value ? '' : button.value });
  });
  document.querySelector('main').addEventListener('click', (event) => {
    if (event.target.id === 'clear') return refilter({ text: '', group: '', status: '' });
    const item = event.target.closest('.item');
    if (item) open(item.dataset.at);
  });
  $('groups').addEventListener('mouseover', (event) => tip(event.target));
  $('groups').addEventListener('mouseleave', () => tip(null));
  document.addEventListener('focusin', (event) => tip(event.target));
  document.addEventListener('scroll', () => tip(null), { passive: true });
  document.addEventListener('keydown', press);
  for (const dialog of [$('detail'), $('keys')]) {
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  }
  $('detail').addEventListener('close', () => { watched = null; });
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  const typing = event.target === $('search');
  if (event.key === 'Escape') {
    refilter({ text: '', group: '', status: '' });
    if (typing) event.target.blur();
  } else if (typing) {
    if (event.key === 'Enter') walk(1);
  } else if (event.key === '/') {
    event.preventDefault();
    $('search').focus();
  } else if (event.key === 'j') walk(1);
  else if (event.key === 'k') walk(-1);
  else if (event.key === '?') keysDialog();
  else if (event.key === 'Enter' && event.target.classList.contains('cell')) open(event.target.dataset.at);
}

setLang(memory.get('lang') ?? 'es');
relabel();
listen();
connect();
setInterval(beat, 200);
beat();

// What the page knows: the last snapshot and everything that changed since. No DOM here.

export const STATUSES = ['down', 'unreachable', 'warning', 'unknown', 'pending', 'ok'];
const FOLD = /[\u0300-\u036f]/g;
const fold = (text) => text.normalize('NFD').replace(FOLD, '').toLowerCase();

export class Store {
  constructor() {
    this.targets = [];
    this.byName = new Map();
    this.groups = [];
    this.counts = {};
    this.mail = [];
    this.journal = { failing_since: null, error: null };
    this.blindSince = null;
    this.locale = 'es';
    this.filter = { text: '', group: '', status: '' };
    this.offset = null;
  }

  /** Takes the head of any message: counts, and what the server's clock shows. */
  head(data) {
    this.counts = data.counts;
    this.stale = data.stale;
    this.generatedAt = Date.parse(data.generated_at);
    this.lastUpdate = data.last_update && Date.parse(data.last_update);
    // The quickest message is the truest; a step of the server's clock shows as more than latency.
    const offset = this.generatedAt - performance.now();
    if (this.offset === null || offset > this.offset || this.offset - offset > 2000) this.offset = offset;
  }

  /** The server's time, whatever this machine's clock says. */
  now() {
    return this.offset === null ? Date.now() : performance.now() + this.offset;
  }

  snapshot(data) {
    this.head(data);
    this.locale = data.locale;
    this.paths(data);
    this.targets = data.targets;
    this.byName = new Map();
    const groups = new Map(data.groups.map((name) => [name, []]));
    for (const [at, target] of data.targets.entries()) {
      this.prepare(target, at);
      const group = target.group ?? '';
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(at);
    }
    this.groups = [...groups].filter(([, members]) => members.length);
  }

  /** Returns the places of what changed. */
  change(data) {
    this.head(data);
    this.paths(data);
    const places = [];
    for (const target of data.targets) {
      const at = this.byName.get(target.name);
      if (at === undefined) continue;
      this.prepare(target, at);
      this.targets[at] = target;
      places.push(at);
    }
    return places;
  }

  tick(data) {
    this.head(data);
    const places = [];
    for (const [name, rtt, loss, jitter, lastReply] of data.samples) {
      const at = this.byName.get(name);
      if (at === undefined) continue;
      const target = this.targets[at];
      target.rtt_ms = rtt;
      target.loss = loss;
      target.jitter_ms = jitter;
      target.lastReply = lastReply && Date.parse(lastReply);
      places.push(at);
    }
    return places;
  }

  wants(target) {
    const { text, group, status } = this.filter;
    return (!status || target.status === status) && (!group || target.group === group) && (!text || target.text.includes(fold(text)));
  }

  get filtering() {
    return Boolean(this.filter.text || this.filter.group || this.filter.status);
  }

  paths(data) {
    this.mail = data.mail;
    this.journal = data.journal;
    this.blindSince = data.blind_since ?? null;
  }

  prepare(target, at) {
    target.at = at;
    target.lastReply = target.last_reply && Date.parse(target.last_reply);
    target.text = fold(`${target.name} ${target.address} ${target.group ?? ''}`);
    target.paused = target.flags.includes('paused');
    target.recovering = target.flags.includes('recovering');
    target.flapping = target.flags.includes('flapping');
    target.maintenance = target.flags.includes('maintenance');
    this.byName.set(target.name, at);
  }
}

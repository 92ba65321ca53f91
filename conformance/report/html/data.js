// The data of the page: what data.py wrote, read again. Every text in here came from a cluster: it is only ever put into
// text nodes and attributes by name, never into markup.

const STATES = ['allowed', 'denied', 'unknown', 'named'];
const VERDICTS = ['pass', 'fail', 'info', 'not-applicable', 'not-evaluated', 'error'];
const ANSWERS = ['none', 'allowed', 'denied', 'unknown'];
const ABSENT = 0xff;
const [PASS, FAIL, INFO, NOT_APPLICABLE, NOT_EVALUATED, ERROR] = VERDICTS.keys();
const [ALLOWED, DENIED, UNKNOWN, NAMED] = STATES.keys();

async function inflate(id) {
  const text = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(stream).arrayBuffer();
}

const inflateJson = async (id) => JSON.parse(new TextDecoder().decode(await inflate(id)));

class Matrix {
  constructor(index, states) {
    this.run = index.run;
    this.kinds = index.kinds;
    this.severities = index.severities;
    this.rowsAChunk = index.rowsAChunk;
    this.identities = index.identities.map(([name, kind, user, groups, expect, groupsKnown], number) => (
      { number, name, kind, user, groups, expect, groupsKnown }));
    // A column of the rows is numbers of texts: a search holds its term against each text once, not against each row.
    const { id, flags, texts, ...columns } = index.endpoints;
    this.ids = id;
    this.lower = id.map((one) => one.toLowerCase());
    this.flags = flags;
    this.texts = texts;
    this.numbers = columns;
    for (const [name, numbers] of Object.entries(columns)) this[name] = numbers.map((number) => texts[number]);
    this.groups = new Set(columns.group).size;
    this.rows = this.ids.length;
    this.width = this.identities.length;
    const cells = this.rows * this.width;
    this.kind = new Uint32Array(states, 0, cells);
    this.drawn = new Uint8Array(states, 4 * cells, cells);
    this.oracles = new Uint8Array(states, 5 * cells, cells);
    this.rowOf = new Map(this.ids.map((id, row) => [id, row]));
    this.columnOf = new Map(this.identities.map(({ name }, column) => [name, column]));
    this.findings = index.findings.map(([id, severity, title, column, witness, rows, who]) => (
      { id, severity, title, column, witness, rows, who }));
    this.checks = index.checks.map(([id, level, resource, column, rows, verdict, note]) => (
      { id, level, resource, column, rows, verdict, note }));
    // The worst severity of the findings that name a cell as their evidence: 0 for none, then info .. critical.
    this.risk = new Uint8Array(cells);
    for (const { severity, column, rows } of this.findings) {
      const weight = this.severities.length - this.severities.indexOf(severity);
      if (column >= 0) for (const row of rows) this.risk[row * this.width + column] = Math.max(weight, this.risk[row * this.width + column]);
    }
    this.opened = new Map();
  }

  static async open() {
    const [index, states] = await Promise.all([inflateJson('index'), inflate('states')]);
    return new Matrix(index, states);
  }

  // Whether a cell was asked, then what it is.
  has(place) { return this.drawn[place] !== ABSENT; }
  state(place) { return this.drawn[place] & 3; }
  verdict(place) { return (this.drawn[place] >> 2) & 7; }
  answer(place, oracle) { return (this.oracles[place] >> (2 * oracle)) & 3; }

  stateName(place) {
    const state = this.state(place);
    const own = state === DENIED && !this.identities[place % this.width].groupsKnown;
    return own ? 'denied (own bindings only)' : STATES[state];
  }

  plural(row) { return this.subresource[row] ? `${this.resource[row]}/${this.subresource[row]}` : this.resource[row] || this.path[row]; }
  groupVersion(row) { return this.path[row] ? '' : [this.group[row] === 'core' ? '' : this.group[row], this.version[row]].filter(Boolean).join('/'); }
  scopeLabel(row) { return this.scope[row] === 'own' || this.scope[row] === 'cluster' ? '' : this.scope[row]; }

  // The evidence of one cell: its chunk is opened when somebody looks, and a few are kept.
  async evidence(place) {
    const row = Math.floor(place / this.width);
    const number = Math.floor(row / this.rowsAChunk);
    const name = `chunk-${number}`;
    if (!this.opened.has(number)) {
      if (!document.getElementById(name) && document.readyState === 'loading') {
        await new Promise((done) => document.addEventListener('DOMContentLoaded', done, { once: true }));
      }
      this.opened.set(number, inflateJson(name));
      if (this.opened.size > 32) this.opened.delete(this.opened.keys().next().value);
    }
    const [names, witness, note, exchange] = (await this.opened.get(number))[place - number * this.rowsAChunk * this.width] || [[], 0, ''];
    const [status, reason, cause] = this.kinds[this.kind[place]];
    const [kind, text, ...path] = witness || ['', ''];
    return { names, note, status, reason, cause, exchange, witness: witness ? { kind, text, path } : null };
  }
}

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

// Resolves when the document is there to its end: the script runs before the chunks are read.
function whole() {
  if (document.readyState !== 'loading') return Promise.resolve();
  return new Promise((done) => document.addEventListener('DOMContentLoaded', done, { once: true }));
}

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
    // Groups by small numbers in the order of the rows: the heatmap counts by them at each key.
    const groups = new Map();
    this.groupOf = Uint16Array.from(columns.group, (text) => groups.get(text) ?? groups.set(text, groups.size).get(text));
    this.groups = [...groups.keys()].map((text) => texts[text]);
    this.rows = this.ids.length;
    this.width = this.identities.length;
    const cells = this.rows * this.width;
    this.kind = new Uint32Array(states, 0, cells);
    this.drawn = new Uint8Array(states, 4 * cells, cells);
    this.oracles = new Uint8Array(states, 5 * cells, cells);
    this.rowOf = new Map(this.ids.map((id, row) => [id, row]));
    this.columnOf = new Map(this.identities.map(({ name }, column) => [name, column]));
    this.findings = index.findings.map(([rule, severity, column, rows]) => ({ rule, severity, column, rows }));
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

  // What the pages beside the matrix show: findings' stories, checks, paths, differences; opened once, when first looked at.
  leaves() {
    this.beside ??= whole().then(() => inflateJson('leaves')).then((leaves) => {
      const { texts, results, catalogue } = leaves.checks;
      const ofRow = new Map(); // row -> its results, for the evidence of a cell
      results.forEach(([, , , , rows], number) => rows.forEach((row) => { if (ofRow.has(row)) ofRow.get(row).push(number); else ofRow.set(row, [number]); }));
      return {
        ...leaves,
        ofRow,
        findings: leaves.findings.map((story, number) => ({ ...this.findings[number], ...story })),
        checks: results.map(([id, level, resource, column, rows, verdict, note]) => (
          { id: texts[id], level: texts[level], resource: texts[resource], column, rows, verdict, note: texts[note] })),
        catalogue: new Map(catalogue.map(([id, level, topic, title, quote, url]) => [id, { id, level, topic, title, quote, url }])),
      };
    });
    return this.beside;
  }

  // The evidence of one cell: its chunk is opened when somebody looks, and a few are kept.
  async evidence(place) {
    const row = Math.floor(place / this.width);
    const number = Math.floor(row / this.rowsAChunk);
    if (!this.opened.has(number)) {
      this.opened.set(number, whole().then(() => inflateJson(`chunk-${number}`)));
      if (this.opened.size > 32) this.opened.delete(this.opened.keys().next().value);
    }
    const line = (await this.opened.get(number))[row - number * this.rowsAChunk];
    const [names = [], witness = 0, note = '', answer = 0] = line[1 + place % this.width] || [];
    const [status, reason, cause] = this.kinds[this.kind[place]];
    const [kind, text, ...path] = witness || ['', ''];
    return { names, note, status, reason, cause, request: line[0] || null, answer: answer || {}, witness: witness ? { kind, text, path } : null };
  }
}

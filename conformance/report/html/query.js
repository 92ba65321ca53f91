// The search: words and key:value, all of which must hold. `*` stands for anything, `,` for or, a leading `-` for not.
// What a term says of rows and of columns is decided once for each of them, so that a cell costs a few bit tests.

const ROW_KEYS = { group: 'group', version: 'version', resource: 'resource', sub: 'subresource', verb: 'verb', scope: 'scope', path: 'path' };
const COLUMN_KEYS = {
  identity: (who) => who.name,
  user: (who) => who.user,
  kind: (who) => who.kind,
  in: (who) => who.groups,
};
const IS_ROW = {
  virtual: (m, row) => (m.flags[row] & 2) !== 0,
  namespaced: (m, row) => (m.flags[row] & 1) !== 0,
};
const IS_CELL = { disagree: FAIL, explained: INFO };
VERDICTS.forEach((name, number) => { IS_CELL[name] = number; });
const CELL_KEYS = { status: 0, reason: 1, cause: 2 };
const KEYS = [...Object.keys(ROW_KEYS), 'id', ...Object.keys(COLUMN_KEYS), 'is', 'request', 'review', 'rules', ...Object.keys(CELL_KEYS), 'risk', 'finding'];
const PAGE_KEYS = ['check', 'level', 'topic', 'from', 'to', 'means', 'proof', 'outcome']; // of the pages beside the matrix
const IS_VALUES = [...STATES, 'disagree', 'explained', ...VERDICTS.slice(0, 2), ...VERDICTS.slice(3), ...Object.keys(IS_ROW), 'risky'];

class QueryError extends Error {}

// `a b:"c d" -e:f,g` -> [{not, key, values}]
function terms(text) {
  const found = [];
  for (const [, minus, key, quoted, plain] of text.matchAll(/(-?)(?:([a-z]+):)?(?:"([^"]*)"?|([^\s"]+))/gi)) {
    const values = quoted === undefined ? plain.split(',').filter(Boolean) : [quoted];
    if (key && !KEYS.includes(key.toLowerCase()) && !PAGE_KEYS.includes(key.toLowerCase())) {
      // A colon also stands in endpoint ids: v1/pods:get is a word.
      if (quoted === undefined) found.push({ not: minus !== '', key: '', values: [`${key}:${plain}`] });
      continue;
    }
    found.push({ not: minus !== '', key: (key || '').toLowerCase(), values });
  }
  return found;
}

function pattern(value, whole) {
  const lower = value.toLowerCase();
  if (!lower.includes('*')) return whole ? (text) => text.toLowerCase() === lower : (text) => text.toLowerCase().includes(lower);
  const escaped = lower.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*');
  const regex = new RegExp(whole ? `^${escaped}$` : escaped, 'u');
  return (text) => regex.test(text.toLowerCase());
}

const anyOf = (values, whole) => {
  const patterns = values.map((value) => pattern(value, whole));
  return (text) => (Array.isArray(text) ? text : [text]).some((one) => patterns.some((matches) => matches(one)));
};

// What a query says of rows, of columns, of the byte of a cell (a table over its values), and of cells: each test of a cell
// is a table over one of the arrays, so that a quarter of a million cells are held against it in less than a millisecond.
function compile(matrix, text) {
  const rows = new Uint8Array(matrix.rows).fill(1);
  const columns = new Uint8Array(matrix.width).fill(1);
  const drawn = new Uint8Array(256).fill(1);
  drawn[ABSENT] = 0;
  const cells = [];
  const keepRows = (not, test) => { for (let row = 0; row < rows.length; row += 1) if (rows[row] && Boolean(test(row)) === not) rows[row] = 0; };
  const keepColumns = (not, test) => { for (let column = 0; column < columns.length; column += 1) if (test(column) === not) columns[column] = 0; };
  const keepCells = (not, values, size, test) => cells.push({ values, table: Uint8Array.from({ length: size }, (_, value) => (Boolean(test(value)) !== not ? 1 : 0)) });

  for (const { not, key, values } of terms(text)) {
    if (!values.length) continue;
    if (key === '') {
      const matches = anyOf(values, false);
      const words = matrix.identities.map(({ name }) => matches(name));
      // A word that names identities chooses columns, any other chooses rows.
      if (words.some(Boolean) && !matrix.ids.some((id) => matches(id))) keepColumns(not, (column) => words[column]);
      else keepRows(not, (row) => matches(matrix.lower[row]));
    } else if (key === 'id') {
      const matches = anyOf(values, true);
      keepRows(not, (row) => matches(matrix.lower[row]));
    } else if (ROW_KEYS[key]) {
      const matches = anyOf(values, true);
      const wanted = matrix.texts.map((one) => matches(one));
      const numbers = matrix.numbers[ROW_KEYS[key]];
      keepRows(not, (row) => wanted[numbers[row]]);
    } else if (COLUMN_KEYS[key]) {
      const matches = anyOf(values, true);
      keepColumns(not, (column) => matches(COLUMN_KEYS[key](matrix.identities[column])));
    } else if (key === 'is') {
      keepIs(matrix, values, not, drawn, keepRows, keepCells);
    } else if (key === 'risk' || key === 'finding') {
      const matches = anyOf(values, true);
      const wanted = new Uint8Array(matrix.rows * matrix.width);
      for (const finding of matrix.findings) {
        if (finding.column >= 0 && matches(key === 'risk' ? finding.severity : finding.rule)) {
          for (const row of finding.rows) wanted[row * matrix.width + finding.column] = 1;
        }
      }
      keepCells(not, wanted, 2, Boolean);
    } else if (key === 'request' || key === 'review' || key === 'rules') {
      const oracle = ['request', 'review', 'rules'].indexOf(key);
      const wanted = choices(key, values, ANSWERS);
      keepCells(not, matrix.oracles, 256, (byte) => wanted.has((byte >> (2 * oracle)) & 3));
    } else if (key in CELL_KEYS) {
      const matches = anyOf(values, true);
      keepCells(not, matrix.kind, matrix.kinds.length, (kind) => matches(String(matrix.kinds[kind][CELL_KEYS[key]] ?? 'none')));
    } else throw new QueryError(`${key}: is for the other pages`);
  }
  return { rows, columns, drawn, cells };
}

function choices(key, values, names) {
  return new Set(values.map((value) => {
    const number = names.indexOf(value.toLowerCase());
    if (number < 0) throw new QueryError(`${key}: is one of ${names.join(', ')}`);
    return number;
  }));
}

function keepIs(matrix, values, not, drawn, keepRows, keepCells) {
  const lower = values.map((value) => value.toLowerCase());
  const unknown = lower.find((value) => !IS_VALUES.includes(value) && !(value in IS_CELL));
  if (unknown !== undefined) throw new QueryError(`is: is one of ${IS_VALUES.join(', ')}`);
  const aboutRows = lower.filter((value) => IS_ROW[value]);
  if (aboutRows.length === lower.length) {
    keepRows(not, (row) => aboutRows.some((value) => IS_ROW[value](matrix, row)));
    return;
  }
  // One table over all values of a byte: state and verdict together.
  const wanted = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    wanted[byte] = lower.some((value) => STATES[byte & 3] === value || IS_CELL[value] === ((byte >> 2) & 7)) ? 1 : 0;
  }
  const mixed = lower.includes('risky') || aboutRows.length > 0;
  if (!mixed) {
    for (let byte = 0; byte < 256; byte += 1) if ((wanted[byte] === 1) === not) drawn[byte] = 0;
    return;
  }
  const either = new Uint8Array(matrix.drawn.length);
  for (let place = 0; place < either.length; place += 1) {
    either[place] = wanted[matrix.drawn[place]] | (lower.includes('risky') && matrix.risk[place] > 0)
      | aboutRows.some((value) => IS_ROW[value](matrix, Math.floor(place / matrix.width)));
  }
  keepCells(not, either, 2, Boolean);
}

function narrow(hit, values, table) {
  for (let place = 0; place < hit.length; place += 1) if (hit[place] === 1) hit[place] = table[values[place]];
}

// Runs a query: which rows have a matching cell, which columns count, and for each cell whether it matches.
function search(matrix, text) {
  const { rows, columns, drawn, cells } = compile(matrix, text);
  const { width } = matrix;
  const chosen = [...columns.keys()].filter((column) => columns[column]);
  const hit = new Uint8Array(matrix.rows * width);
  for (let row = 0; row < rows.length; row += 1) {
    if (rows[row] === 0) continue;
    for (let at = 0; at < chosen.length; at += 1) {
      const place = row * width + chosen[at];
      hit[place] = drawn[matrix.drawn[place]];
    }
  }
  for (const { values, table } of cells) narrow(hit, values, table);
  const shown = [];
  let count = 0;
  for (let row = 0; row < rows.length; row += 1) {
    if (rows[row] === 0) continue;
    let here = 0;
    for (let place = row * width; place < (row + 1) * width; place += 1) here += hit[place];
    if (here) shown.push(row);
    count += here;
  }
  return { rows: shown, columns: chosen, count, precise: cells.length > 0 || drawn.subarray(0, 24).includes(0), hit, matches: (place) => hit[place] === 1 };
}

// The same grammar over the entries of a page beside the matrix. Each says its fields by key, and its text for bare words.
function sift(entries, text) {
  const given = terms(text).filter(({ values }) => values.length);
  const known = new Set(entries.flatMap(({ fields }) => Object.keys(fields)));
  const strange = given.find(({ key }) => key !== '' && !known.has(key));
  if (strange && entries.length) throw new QueryError(`this page has no ${strange.key}: but ${[...known].join(', ')}`);
  const tests = given.map(({ not, key, values }) => ({ not, key, matches: anyOf(values, key !== '') }));
  return entries.filter(({ fields, text: words }) => tests.every(({ not, key, matches }) => matches(key === '' ? words : fields[key] ?? '') !== not));
}

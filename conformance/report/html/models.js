// What the two grids show in each of their modes. A model only reads the matrix; page.js says which.

const VERB_ORDER = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
const verbRank = (verb) => (VERB_ORDER.includes(verb) ? VERB_ORDER.indexOf(verb) : VERB_ORDER.length);
const INTEREST = [4, 0, 3, 6, 2, 1]; // of a verdict: the wrong ones first

const interest = (matrix, place) => (matrix.has(place) ? INTEREST[matrix.verdict(place)] * 4 + [1, 3, 2, 0][matrix.state(place)] : 99);

function columnWidth(grid, columns, headWidth, least, most) {
  const room = (grid.size.width || 1000) - headWidth - 4;
  return Math.max(least, Math.min(most, Math.floor(room / Math.max(1, columns))));
}

function turned(model) {
  return {
    ...model,
    turned: true,
    rows: model.columns,
    columns: model.rows,
    pinned: 0,
    rowHead: (row) => { const { text, label, mark } = model.columnHead(row); return { text, label, detail: mark }; },
    columnHead: (column) => { const { text, label, detail } = model.rowHead(column); return { text: detail ? `${text} ${detail}` : text, label }; },
    cell: (row, column) => model.cell(column, row),
    choose: (row, column) => model.choose(column, row),
    chooseRow: (row) => model.chooseColumn?.(row),
    chooseColumn: (column) => model.chooseRow?.(column),
    pin: undefined,
  };
}

// Columns as wide as the room allows; where their names would not fit (`level`), the names stand upright.
function laidOut(grid, model, { least, level, upright: cap, headWidth }) {
  const width = columnWidth(grid, model.columns, headWidth, least, 120);
  const words = Array.from({ length: Math.min(60, model.columns) }, (_, column) => model.columnHead(column).text.split(/(?<=-)/)).flat();
  const longest = words.reduce((most, word) => Math.max(most, word.length), 0);
  const upright = width < level;
  return { ...model, headWidth, columnWidth: upright ? Math.min(width, cap) : width, upright, tight: !upright && longest * 7.3 > width - 4, headHeight: upright ? (model.turned ? 210 : 140) : 40, rowHeight: 28 };
}

// --- the models -------------------------------------------------------------------------------------------------------

const MARKS = { [FAIL]: '≠', [ERROR]: '!', [NOT_EVALUATED]: '?', [INFO]: 'i' };
const WORST = [FAIL, ERROR, NOT_EVALUATED, INFO, PASS, NOT_APPLICABLE];

function heatModel(matrix, found, choose) {
  // Six numbers of verdicts and four of states for each square, in one array: this runs over every cell at each key.
  const width = found.columns.length;
  const counts = new Uint32Array(matrix.groups.length * width * 10);
  const seen = new Uint8Array(matrix.groups.length);
  for (const row of found.rows) {
    const group = matrix.groupOf[row];
    seen[group] = 1;
    for (let column = 0; column < width; column += 1) {
      const place = row * matrix.width + found.columns[column];
      if (found.hit[place] === 0) continue;
      const at = (group * width + column) * 10;
      const byte = matrix.drawn[place];
      counts[at + ((byte >> 2) & 7)] += 1;
      counts[at + 6 + (byte & 3)] += 1;
    }
  }
  const groups = [...seen.keys()].filter((group) => seen[group]);
  const squareOf = (row, column) => {
    const at = (groups[row] * width + column) * 10;
    const verdicts = counts.subarray(at, at + 6);
    return { verdicts, cells: verdicts.reduce((sum, one) => sum + one, 0), allowed: counts[at + 6 + ALLOWED], named: counts[at + 6 + NAMED] };
  };
  let most = 1;
  for (const number of counts) if (number > most) most = number;
  const names = groups.map((group) => matrix.groups[group]);
  return {
    label: 'Identity by API group', least: 40 + 12 * String(most).length, corner: 'group', rows: groups.length, columns: width,
    rowHead: (row) => ({ text: names[row] }),
    columnHead: (column) => ({ text: matrix.identities[found.columns[column]].name }),
    cell: (row, column) => {
      const square = squareOf(row, column);
      const who = matrix.identities[found.columns[column]].name;
      if (!square.cells) return { text: '', look: 'heat empty', label: `${names[row]} as ${who}: nothing` };
      const worst = WORST.find((verdict) => square.verdicts[verdict]);
      const name = VERDICTS[worst].replace('-', ' ');
      const mark = MARKS[worst] && worst !== INFO ? `${MARKS[worst]} ` : '';
      // The tint is the worst cell's; among squares that are as they should be, five steps say how much is allowed.
      const tint = (part, whole) => (part ? ` t${Math.ceil(5 * part / whole)}` : ' t0');
      if (found.precise) {
        return { text: mark + square.cells.toLocaleString('en'), look: `heat v${worst}${tint(square.cells, most)}`, label: `${names[row]} as ${who}: ${square.cells} cells match, worst ${name}` };
      }
      const bad = worst === FAIL || worst === ERROR || worst === NOT_EVALUATED ? `, ${square.verdicts[worst]} ${name}` : '';
      return {
        text: `${mark}${square.allowed}${square.named ? `+${square.named}` : ''}/${square.cells}`,
        look: `heat v${worst}${tint(square.allowed + square.named, square.cells)}`,
        label: `${names[row]} as ${who}: ${square.allowed} of ${square.cells} allowed${square.named ? `, ${square.named} named` : ''}, worst ${name}${bad}`,
      };
    },
    choose: (row, column) => choose(names[row], found.columns[column]),
    chooseRow: (row) => choose(names[row], -1),
    chooseColumn: (column) => choose('', found.columns[column]),
  };
}

const rowTitle = (matrix, row) => ({ text: matrix.plural(row) + (matrix.scopeLabel(row) ? ` :${matrix.scopeLabel(row)}` : ''), note: matrix.groupVersion(row), label: matrix.ids[row] });

function cellOf(matrix, found, place) {
  if (!matrix.has(place)) return { text: '', look: 'empty', label: 'not asked' };
  return { text: glyph(matrix, place), look: `${look(matrix, place)}${found.matches(place) ? '' : ' dim'}`, label: labelOf(matrix, place) };
}

// How a resource is named where one is chosen, as RBAC and kubectl know it: `deployments.apps`, `pods`, `/metrics`.
function resourceName(matrix, row) {
  if (matrix.path[row]) return matrix.path[row];
  return matrix.group[row] === 'core' ? matrix.resource[row] : `${matrix.resource[row]}.${matrix.group[row]}`;
}

// The rows of one resource with all that is below it: by subresource, then verb, then where they are asked.
function ofResource(matrix, found, name) {
  const rows = found.rows.filter((row) => resourceName(matrix, row) === name);
  const order = (row) => [matrix.subresource[row], String(verbRank(matrix.verb[row])).padStart(2, '0'), matrix.verb[row], matrix.scope[row]].join('\n');
  return { ...found, rows: rows.sort((a, b) => (order(a) < order(b) ? -1 : 1)) };
}

function flatModel(matrix, found, { columns, pinned, sort, choose, chooseRow, chooseColumn, pin, label }) {
  let rows = found.rows;
  if (sort >= 0) rows = [...rows].sort((a, b) => interest(matrix, a * matrix.width + sort) - interest(matrix, b * matrix.width + sort) || a - b);
  return {
    label, rows: rows.length, columns: columns.length, pinned, corner: 'resource and verb',
    at: (row, column) => rows[row] * matrix.width + columns[column],
    find: (place) => [rows.indexOf(Math.floor(place / matrix.width)), columns.indexOf(place % matrix.width)],
    rowHead: (row) => ({ ...rowTitle(matrix, rows[row]), detail: matrix.verb[rows[row]], look: row > 0 && matrix.group[rows[row]] !== matrix.group[rows[row - 1]] ? 'first' : '' }),
    columnHead: (column) => {
      const who = matrix.identities[columns[column]];
      return { text: who.name, label: `${who.name}: ${who.kind}, ${who.user || 'no user'}${who.groupsKnown ? '' : ', groups unknown'}. Enter sorts, x pins.`, mark: (columns[column] === sort ? '▼' : '') || (column < pinned ? '◂' : '') };
    },
    cell: (row, column) => cellOf(matrix, found, rows[row] * matrix.width + columns[column]),
    choose: (row, column) => choose(rows[row] * matrix.width + columns[column]),
    chooseRow: (row) => chooseRow(rows[row]),
    chooseColumn: (column) => chooseColumn(columns[column]),
    pin: pin && ((column) => pin(columns[column])),
  };
}

function verbsModel(matrix, found, { column, choose, chooseRow }) {
  const lines = new Map();
  const verbs = new Set();
  for (const row of found.rows) {
    const key = `${matrix.groupVersion(row)} ${matrix.plural(row)} ${matrix.scope[row]}`;
    if (!lines.has(key)) lines.set(key, { row, verbs: new Map() });
    lines.get(key).verbs.set(matrix.verb[row], row);
    verbs.add(matrix.verb[row]);
  }
  const shown = [...lines.values()];
  const heads = [...verbs].sort((a, b) => verbRank(a) - verbRank(b) || (a < b ? -1 : 1));
  const at = (row, number) => shown[row].verbs.get(heads[number]);
  return {
    label: `Resource by verb as ${matrix.identities[column].name}`, corner: 'resource', rows: shown.length, columns: heads.length,
    at: (row, number) => (at(row, number) === undefined ? -1 : at(row, number) * matrix.width + column),
    find: (place) => {
      const row = Math.floor(place / matrix.width);
      const line = place % matrix.width === column ? shown.findIndex(({ verbs: own }) => own.get(matrix.verb[row]) === row) : -1;
      return [line, heads.indexOf(matrix.verb[row])];
    },
    rowHead: (row) => ({ ...rowTitle(matrix, shown[row].row), look: row > 0 && matrix.group[shown[row].row] !== matrix.group[shown[row - 1].row] ? 'first' : '' }),
    columnHead: (number) => ({ text: heads[number] }),
    cell: (row, number) => (at(row, number) === undefined
      ? { text: '', look: 'empty', label: `${matrix.plural(shown[row].row)} has no ${heads[number]}` }
      : cellOf(matrix, found, at(row, number) * matrix.width + column)),
    choose: (row, number) => { if (at(row, number) !== undefined) choose(at(row, number) * matrix.width + column); },
    chooseRow: (row) => chooseRow(shown[row].row),
  };
}

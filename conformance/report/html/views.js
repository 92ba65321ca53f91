// What the grid shows in each of its modes, and the pages beside it. A model only reads the matrix; page.js says which.

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
  const groups = [];
  const numbers = new Map();
  const width = found.columns.length;
  const counts = new Uint32Array(matrix.groups * width * 10);
  for (const row of found.rows) {
    const group = matrix.group[row];
    let number = numbers.get(group);
    if (number === undefined) {
      number = groups.push(group) - 1;
      numbers.set(group, number);
    }
    for (let column = 0; column < width; column += 1) {
      const place = row * matrix.width + found.columns[column];
      if (!found.matches(place)) continue;
      const at = (number * width + column) * 10;
      counts[at + matrix.verdict(place)] += 1;
      counts[at + 6 + matrix.state(place)] += 1;
    }
  }
  const squareOf = (row, column) => {
    const at = (row * width + column) * 10;
    const verdicts = counts.subarray(at, at + 6);
    return { verdicts, cells: verdicts.reduce((sum, one) => sum + one, 0), allowed: counts[at + 6 + ALLOWED], named: counts[at + 6 + NAMED] };
  };
  let most = 0;
  for (const number of counts) if (number > most) most = number;
  return {
    label: 'Identity by API group', least: 40 + 12 * String(most).length, corner: 'group', rows: groups.length, columns: found.columns.length,
    rowHead: (row) => ({ text: groups[row] }),
    columnHead: (column) => ({ text: matrix.identities[found.columns[column]].name }),
    cell: (row, column) => {
      const square = squareOf(row, column);
      const who = matrix.identities[found.columns[column]].name;
      if (!square.cells) return { text: '', look: 'heat empty', label: `${groups[row]} as ${who}: nothing` };
      const worst = WORST.find((verdict) => square.verdicts[verdict]);
      const mark = MARKS[worst] && worst !== INFO ? `${MARKS[worst]} ` : '';
      if (found.precise) {
        return {
          text: mark + square.cells.toLocaleString('en'), look: `heat v${worst}`, share: 12 + Math.round(40 * square.cells / most),
          label: `${groups[row]} as ${who}: ${square.cells} cells match, worst ${VERDICTS[worst].replace('-', ' ')}`,
        };
      }
      const bad = worst === FAIL || worst === ERROR || worst === NOT_EVALUATED ? `, ${square.verdicts[worst]} ${VERDICTS[worst].replace('-', ' ')}` : '';
      const named = square.named ? `+${square.named}` : '';
      return {
        text: `${mark}${square.allowed}${named}/${square.cells}`,
        look: `heat v${worst}${square.allowed + square.named ? '' : ' nothing'}`,
        label: `${groups[row]} as ${who}: ${square.allowed} of ${square.cells} allowed${square.named ? `, ${square.named} named` : ''}, worst ${VERDICTS[worst].replace('-', ' ')}${bad}`,
        share: square.allowed + square.named ? 12 + Math.round(40 * (square.allowed + square.named) / square.cells) : 0,
      };
    },
    choose: (row, column) => choose(groups[row], found.columns[column]),
    chooseRow: (row) => choose(groups[row], -1),
    chooseColumn: (column) => choose('', found.columns[column]),
  };
}

const rowTitle = (matrix, row) => ({ text: matrix.plural(row) + (matrix.scopeLabel(row) ? ` :${matrix.scopeLabel(row)}` : ''), note: matrix.groupVersion(row), label: matrix.ids[row] });

function cellOf(matrix, found, place) {
  if (!matrix.has(place)) return { text: '', look: 'empty', label: 'not asked' };
  return { text: glyph(matrix, place), look: `${look(matrix, place)}${found.matches(place) ? '' : ' dim'}`, label: labelOf(matrix, place) };
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

// --- the pages beside the matrix ----------------------------------------------------------------------------------------

const MOST = 300;

function more(host, items, draw) {
  let shown = 0;
  const button = element('button', { type: 'button' }, '');
  const next = () => {
    const part = items.slice(shown, shown + MOST);
    shown += part.length;
    button.before(...part.map(draw));
    button.hidden = shown >= items.length;
    button.textContent = `Show more (${(items.length - shown).toLocaleString('en')} left)`;
  };
  button.addEventListener('click', next);
  host.append(button);
  next();
}

function cellLinks(matrix, rows, column, go) {
  const links = rows.slice(0, 12).map((row) => {
    const link = element('button', { type: 'button', class: 'chip' }, matrix.ids[row]);
    link.addEventListener('click', () => go(row * matrix.width + Math.max(0, column)));
    return link;
  });
  if (rows.length > 12) links.push(element('span', {}, ` and ${rows.length - 12} more`));
  return element('div', { class: 'others' }, ...links);
}

function findingsPage(host, matrix, go) {
  host.replaceChildren(element('h2', {}, 'Findings'));
  if (!matrix.findings.length) host.append(element('p', { class: 'nothing-here' }, 'No risk rule found anything in this run.'));
  const rank = (severity) => (matrix.severities.indexOf(severity) + 99) % 99;
  const ordered = [...matrix.findings].sort((a, b) => rank(a.severity) - rank(b.severity));
  more(host, ordered, ({ severity, id, title, column, who, witness, rows }) => element('article', { class: `finding r-${severity}` },
    element('h3', {}, element('span', { class: `pill r-${severity}` }, severity), ` ${title} `, element('code', {}, id)),
    element('p', {}, 'held by ', element('b', {}, who)),
    witness.length > 2 ? chain(witness.slice(2)) : element('p', {}, witness[1]),
    cellLinks(matrix, rows, column, go)));
}

function checksPage(host, matrix, go) {
  host.replaceChildren(element('h2', {}, 'Checks of the API contract'));
  if (!matrix.checks.length) host.append(element('p', { class: 'nothing-here' }, 'No checks ran in this run.'));
  const byId = new Map();
  for (const check of matrix.checks) byId.set(check.id, [...(byId.get(check.id) || []), check]);
  const tally = (checks) => VERDICTS.map((name, verdict) => [name, checks.filter((check) => check.verdict === verdict).length]).filter(([, number]) => number);
  const bad = (checks) => checks.filter(({ verdict }) => verdict === FAIL || verdict === ERROR).length;
  for (const [id, checks] of [...byId].sort(([, a], [, b]) => bad(b) - bad(a))) {
    const body = element('div', {});
    const box = element('details', { class: 'check' }, element('summary', {}, element('code', {}, id), ` ${checks[0].level} `, ...tally(checks).map(([name, number]) => element('span', { class: `pill v-${name}` }, `${number} ${name.replace('-', ' ')}`))), body);
    box.addEventListener('toggle', () => {
      if (body.childElementCount) return;
      const ordered = [...checks].sort((a, b) => INTEREST[a.verdict] - INTEREST[b.verdict]);
      more(body, ordered, (check) => element('div', { class: 'result' }, element('span', { class: `pill v-${VERDICTS[check.verdict]}` }, VERDICTS[check.verdict]), ` ${check.resource} `, check.column >= 0 ? `as ${matrix.identities[check.column].name} ` : '', check.note, cellLinks(matrix, check.rows, check.column, go)));
    });
    if (bad(checks)) box.open = true;
    host.append(box);
  }
}

function identitiesPage(host, matrix, pick) {
  const rows = matrix.identities.map((who) => {
    const states = [0, 0, 0, 0];
    for (let place = who.number; place < matrix.drawn.length; place += matrix.width) if (matrix.has(place)) states[matrix.state(place)] += 1;
    const button = element('button', { type: 'button', class: 'chip' }, who.name);
    button.addEventListener('click', () => pick(who));
    const number = (state) => element('td', { class: 'number' }, states[state].toLocaleString('en'));
    return element('tr', {}, element('td', {}, button), element('td', {}, who.kind), element('td', {}, who.user), element('td', {}, who.groups.join(', ') + (who.groupsKnown ? '' : ' (groups unknown)')), element('td', {}, who.expect), number(ALLOWED), number(NAMED), number(DENIED), number(UNKNOWN));
  });
  const heads = ['name', 'kind', 'user', 'groups', 'expected', 'allowed', 'named', 'denied', 'unknown'];
  host.replaceChildren(element('h2', {}, 'Identities'), element('div', { class: 'scroller', tabindex: '0' }, element('table', {}, element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', { scope: 'col' }, head)))), element('tbody', {}, ...rows))));
}

// The page itself: its state lives in the URL's hash, so that every view is a link; what is drawn follows from that state.

const $ = (id) => document.getElementById(id);
const VIEWS = { matrix: 'Matrix', findings: 'Findings', checks: 'Checks', identities: 'Identities', glossary: 'Glossary' };
const DEFAULTS = { view: 'matrix', q: '', mode: 'flat', first: '', second: '', turn: '', sort: '', pin: '', cell: '', theme: '' };
const HELP = [
  ['/', 'search'], ['arrows, Page, Home, End', 'move in a grid; with Ctrl to its edge'], ['Enter', 'evidence of a cell; sort by a column; filter by a row'],
  ['x', 'pin the column to the left'], ['n, p', 'next, previous cell that matches the search, or that is wrong'], ['Esc', 'close the evidence, then clear the search'], ['t', 'transpose'], ['?', 'this help'],
];
const EXAMPLES = [
  ['identity:dev-* verb:delete is:allowed', 'what the identities dev-… may delete'], ['is:disagree', 'the oracles differ without a named cause'], ['is:not-evaluated,error', 'what nobody could tell'],
  ['group:apps,batch -verb:get,list,watch', 'writes in two groups'], ['resource:secrets is:allowed,named', 'who reaches secrets'], ['risk:high,critical', 'cells in findings'], ['request:allowed rules:denied', 'allowed by something else than RBAC'], ['status:401 cause:*', 'by status, reason or cause'],
];

let matrix;
let state = { ...DEFAULTS };
let heatmap;
let grid;
let found;
let model;
let drawnFor = '';

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.entries(DEFAULTS).map(([key, value]) => [key, given.get(key) ?? value]));
}

function hashOf(next) {
  const kept = Object.entries(next).filter(([key, value]) => value !== DEFAULTS[key]);
  return kept.map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%(3A|2C|2F|7C)/g, decodeURIComponent)}`).join('&');
}

// Changes the state: choosing adds an entry to the history; typing replaces it, once the fingers rest.
let resting = 0;
function go(change, typing = false) {
  state = { ...state, ...change };
  clearTimeout(resting);
  const write = () => {
    const hash = `#${hashOf(state)}`;
    if (hash === (location.hash || '#')) return;
    if (typing) history.replaceState(null, '', hash);
    else history.pushState(null, '', hash);
  };
  if (typing) resting = setTimeout(write, 200);
  else write();
  draw();
}

const column = (name) => matrix.columnOf.get(name) ?? -1;
const cellName = (place) => `${matrix.ids[Math.floor(place / matrix.width)]}|${matrix.identities[place % matrix.width].name}`;

function placeOf(name) {
  const cut = name.indexOf('|');
  const row = matrix.rowOf.get(name.slice(0, cut));
  const at = column(name.slice(cut + 1));
  return row === undefined || at < 0 ? -1 : row * matrix.width + at;
}

function arrive() {
  state = read();
  draw();
}

function draw() {
  document.documentElement.dataset.theme = state.theme || 'auto';
  $('theme').textContent = `Theme: ${state.theme || 'auto'}`;
  for (const name of Object.keys(VIEWS)) $(`view-${name}`).hidden = name !== state.view && !(name === 'glossary' && state.view === 'matrix');
  for (const tab of document.querySelectorAll('.tabs a')) {
    if (tab.dataset.view === state.view) tab.setAttribute('aria-current', 'page');
    else tab.removeAttribute('aria-current');
    tab.href = `#${hashOf({ ...state, view: tab.dataset.view, cell: '' })}`;
  }
  drawEvidence();
  drawMatrix();
}

function drawMatrix() {
  if (state.view !== 'matrix') return;
  const wanted = JSON.stringify([state.q, state.mode, state.first, state.second, state.turn, state.sort, state.pin, heatmap.size.width, grid.size.width]);
  if (wanted === drawnFor) { showActive(); return; }
  drawnFor = wanted;
  if (document.activeElement !== $('query')) $('query').value = state.q;
  $('mode').value = state.mode;
  $('transpose').setAttribute('aria-pressed', String(state.turn === '1'));
  $('first-label').hidden = state.mode === 'flat';
  $('second-label').hidden = state.mode !== 'compare';
  const first = Math.max(0, column(state.first));
  const second = column(state.second) < 0 ? Math.min(1, matrix.width - 1) : column(state.second);
  $('first').value = matrix.identities[first]?.name ?? '';
  $('second').value = matrix.identities[second]?.name ?? '';
  $('problem').textContent = '';
  try {
    found = search(matrix, state.q);
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    $('problem').textContent = error.message;
    found = search(matrix, '');
  }
  const turn = (one) => (state.turn === '1' ? turned(one) : one);
  const heat = turn(heatModel(matrix, found, inside));
  heatmap.show(laidOut(heatmap, heat, { least: heat.least, level: 84, upright: 120, headWidth: 230 }));
  model = gridModel(first, second);
  const headWidth = Math.min(320, Math.max(180, Math.floor(grid.size.width * 0.4)));
  grid.show(laidOut(grid, turn(model), { least: 30, level: state.mode === 'verbs' ? 104 : 76, upright: 44, headWidth }));
  showActive();
  const shown = state.mode === 'flat' ? found.rows.length : model.rows;
  $('tells').textContent = found.precise ? 'cells that match, tinted by the worst verdict; choose a square to look inside' : 'allowed of all cells, tinted by the worst verdict; choose a square to look inside';
  $('count').textContent = `${found.count.toLocaleString('en')} of ${matrix.drawn.length.toLocaleString('en')} cells match, ${shown.toLocaleString('en')} rows shown`;
}

// The cell whose evidence is open is the active one of the grid, however it was opened.
function showActive() {
  const place = state.cell ? placeOf(state.cell) : -1;
  const [row, number] = place < 0 ? [-1, -1] : model.find(place);
  if (row >= 0 && number >= 0) grid.go(...(state.turn === '1' ? [number, row] : [row, number]));
}

function gridModel(first, second) {
  const open = (place) => go({ cell: cellName(place) });
  const chooseRow = (row) => go({ q: `resource:${quoted(matrix.resource[row] || matrix.path[row])}`, mode: 'flat' });
  if (state.mode === 'verbs') {
    const rows = found.rows.filter((row) => matrix.has(row * matrix.width + first) && (found.columns.includes(first) ? found.matches(row * matrix.width + first) : true));
    return verbsModel(matrix, { ...found, rows }, { column: first, choose: open, chooseRow });
  }
  const sort = column(state.sort);
  const chooseColumn = (number) => go({ sort: sort === number ? '' : matrix.identities[number].name });
  if (state.mode === 'compare') {
    const rows = found.rows.filter((row) => matrix.drawn[row * matrix.width + first] !== matrix.drawn[row * matrix.width + second]);
    return flatModel(matrix, { ...found, rows }, { columns: [first, second], pinned: 0, sort, choose: open, chooseRow, chooseColumn, label: 'Where two identities differ' });
  }
  const pins = state.pin.split('|').map(column).filter((number) => found.columns.includes(number));
  const columns = [...pins, ...found.columns.filter((number) => !pins.includes(number))];
  const pin = (number) => go({ pin: (pins.includes(number) ? pins.filter((one) => one !== number) : [...pins, number]).map((one) => matrix.identities[one].name).join('|') });
  return flatModel(matrix, found, { columns, pinned: pins.length, sort, choose: open, chooseRow, chooseColumn, pin, label: 'Rows by identities' });
}

const quoted = (text) => (/[\s,"]/.test(text) ? `"${text}"` : text);

// From a square of the heatmap into the grid.
function inside(group, number) {
  const kept = found.precise ? state.q.replace(/(^|\s)group:("[^"]*"|\S*)/g, '').trim() : '';
  const change = { mode: number < 0 ? 'flat' : 'verbs', q: [group ? `group:${quoted(group)}` : '', kept].filter(Boolean).join(' ') };
  if (number >= 0) change.first = matrix.identities[number].name;
  go(change);
  $('grid').scrollIntoView({ block: 'nearest' });
}

function drawEvidence() {
  const panel = $('evidence');
  const place = state.cell ? placeOf(state.cell) : -1;
  document.body.classList.toggle('with-evidence', place >= 0);
  panel.hidden = place < 0;
  if (place < 0) { panel.dataset.place = ''; return; }
  if (panel.dataset.place === String(place)) return;
  panel.dataset.place = String(place);
  panel.setAttribute('aria-busy', 'true');
  showEvidence(panel, matrix, place, (there) => go({ cell: there === null ? '' : cellName(there) })).then(() => panel.setAttribute('aria-busy', 'false'));
}

// The next cell, in reading order of the grid, that matches a precise search, or else one that is wrong.
function step(forward) {
  const turn = state.turn === '1';
  const wanted = (place) => place >= 0 && matrix.has(place) && (found.precise ? found.matches(place) : [FAIL, ERROR, NOT_EVALUATED].includes(matrix.verdict(place)));
  const [rows, columns] = [model.rows, model.columns];
  const total = rows * columns;
  const at = turn ? { row: grid.at.column, column: grid.at.row } : grid.at;
  const start = Math.max(0, at.row) * columns + Math.max(0, at.column);
  for (let moved = 1; moved <= total; moved += 1) {
    const next = (start + (forward ? moved : total - moved)) % total;
    const [row, number] = [Math.floor(next / columns), next % columns];
    if (wanted(model.at(row, number))) {
      if (turn) grid.go(number, row); else grid.go(row, number);
      grid.view.focus({ preventScroll: true });
      if (state.cell) go({ cell: cellName(model.at(row, number)) }, true);
      return;
    }
  }
}

// --- saving ------------------------------------------------------------------------------------------------------------

const SAVED = ['endpoint', 'group', 'version', 'resource', 'subresource', 'verb', 'scope', 'identity', 'state', 'verdict', 'request', 'review', 'rules', 'status', 'reason', 'cause'];

function* matching() {
  for (const row of found.rows) {
    for (const number of found.columns) {
      const place = row * matrix.width + number;
      if (!found.matches(place)) continue;
      const [status, reason, cause] = matrix.kinds[matrix.kind[place]];
      const answers = [0, 1, 2].map((oracle) => ANSWERS[matrix.answer(place, oracle)]);
      yield [matrix.ids[row], matrix.group[row], matrix.version[row], matrix.resource[row], matrix.subresource[row], matrix.verb[row], matrix.scope[row], matrix.identities[number].name, matrix.stateName(place), VERDICTS[matrix.verdict(place)], ...answers, status === null ? '' : String(status), reason, cause];
    }
  }
}

function csvValue(text) {
  const safe = /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(name, type, text) {
  const link = element('a', { download: name, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveCsv() {
  save('matrix-rows.csv', 'text/csv', [SAVED, ...matching()].map((values) => `${values.map(csvValue).join(',')}\r\n`).join(''));
}

function saveJson() {
  const rows = [...matching()].map((values) => Object.fromEntries(SAVED.map((key, number) => [key, values[number]])));
  save('matrix-rows.json', 'application/json', JSON.stringify(rows, null, 1));
}

// --- the beginning -----------------------------------------------------------------------------------------------------

function help() {
  const dialog = $('help');
  const close = element('button', { type: 'button', class: 'close', 'aria-label': 'Close' }, '×');
  close.addEventListener('click', () => dialog.close());
  const examples = EXAMPLES.map(([text, meaning]) => {
    const button = element('button', { type: 'button', class: 'chip' }, element('code', {}, text));
    button.addEventListener('click', () => { dialog.close(); $('query').value = text; go({ q: text, view: 'matrix' }); });
    return element('li', {}, button, ` ${meaning}`);
  });
  dialog.replaceChildren(close, element('h2', { id: 'help-title' }, 'Keys and search'),
    element('dl', { class: 'keys' }, ...HELP.flatMap(([key, meaning]) => [element('dt', {}, element('kbd', {}, key)), element('dd', {}, meaning)])),
    element('h3', {}, 'Search'), element('p', {}, 'Words and key:value, all of which must hold; * is anything, a comma means or, a leading - means not, quotes keep spaces.'),
    element('p', {}, 'Keys: ', ...KEYS.flatMap((key) => [element('code', {}, key), ' '])),
    element('p', {}, 'is: ', ...IS_VALUES.flatMap((value) => [element('code', {}, value), ' '])),
    element('ul', { class: 'plain' }, ...examples));
  dialog.showModal();
}

function typing(target) { return target.closest?.('input, select, textarea, dialog[open]'); }

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    if ($('help').open) return;
    if (state.cell) { go({ cell: '' }); grid.view.focus({ preventScroll: true }); } else if (event.target === $('query') || state.q) { $('query').value = ''; go({ q: '' }); grid.view.focus({ preventScroll: true }); }
    return;
  }
  if (event.key === 'Enter' && event.target === $('query')) { event.preventDefault(); go({ q: $('query').value.trim() }); grid.view.focus(); return; }
  if (typing(event.target)) return;
  const actions = { '/': () => { go({ view: 'matrix' }); $('query').focus(); $('query').select(); }, '?': help, n: () => step(true), p: () => step(false), t: () => go({ turn: state.turn ? '' : '1' }) };
  if (actions[event.key] && (state.view === 'matrix' || event.key === '/' || event.key === '?')) { event.preventDefault(); actions[event.key](); }
}

function suggest() {
  const values = [...new Set(matrix.group)].slice(0, 200).map((group) => `group:${quoted(group)}`);
  const names = matrix.identities.slice(0, 200).map(({ name }) => `identity:${quoted(name)}`);
  $('suggestions').replaceChildren(...[...EXAMPLES.slice(1, 4).map(([text]) => text), ...names, ...values].map((value) => element('option', { value })));
}

function listen() {
  $('search').addEventListener('submit', (event) => event.preventDefault());
  $('query').addEventListener('input', () => go({ q: $('query').value.trim() }, true));
  for (const id of ['mode', 'first', 'second']) $(id).addEventListener('change', () => go({ [id]: $(id).value }));
  $('transpose').addEventListener('click', () => go({ turn: state.turn ? '' : '1' }));
  $('export-csv').addEventListener('click', saveCsv);
  $('export-json').addEventListener('click', saveJson);
  $('help-button').addEventListener('click', help);
  $('theme').addEventListener('click', () => go({ theme: { '': 'dark', dark: 'light', light: '' }[state.theme] }, true));
  addEventListener('popstate', arrive);
  addEventListener('hashchange', arrive);
  document.addEventListener('keydown', keys);
}

const LEGEND = [['s0 v0', '✓', 'allowed'], ['s1 v0', '·', 'denied'], ['s3 v0', '◐', 'named: for some object names'], ['s2 v0', '?', 'unknown'], ['s1 v1', '≠', 'oracles disagree'], ['s0 v2', '✓', 'explained difference'], ['s2 v4', '?', 'not evaluated'], ['s2 v5', '!', 'error'], ['s0 v0 risky', '✓', 'in a finding of high or worse']];

async function main() {
  matrix = await Matrix.open();
  document.querySelector('.tabs').append(...Object.entries(VIEWS).map(([view, title]) => element('a', { href: `#view=${view}`, 'data-view': view }, title)));
  document.querySelector('.legend').append(...LEGEND.map(([looks, text, meaning]) => element('li', {}, element('span', { class: `sample ${looks}`, 'aria-hidden': 'true' }, text), ` ${meaning}`)));
  for (const id of ['first', 'second']) $(id).append(...matrix.identities.map(({ name }) => element('option', { value: name }, name)));
  document.querySelector('.again').append(' ', copyButton(() => $('command').textContent, 'Copy the command'));
  heatmap = new Grid($('heatmap'), draw);
  grid = new Grid($('grid'), draw);
  const open = (place) => go({ view: 'matrix', cell: cellName(place) });
  findingsPage($('view-findings'), matrix, open);
  checksPage($('view-checks'), matrix, open);
  identitiesPage($('view-identities'), matrix, ({ name }) => go({ view: 'matrix', mode: 'verbs', first: name, q: '' }));
  suggest();
  listen();
  arrive();
  document.documentElement.classList.add('ready');
}

main().catch((error) => {
  // Better the plain document than an empty page.
  document.documentElement.className = '';
  console.error(error);
});

// The page itself: its state lives in the URL's hash, so that every view is a link; what is drawn follows from that state.

const $ = (id) => document.getElementById(id);
const VIEWS = { matrix: 'Matrix', findings: 'Findings', paths: 'Escalation paths', checks: 'Checks', differences: 'Differences', identities: 'Identities', glossary: 'Glossary' };
const DEFAULTS = { view: 'matrix', q: '', mode: 'flat', resource: '', first: '', second: '', turn: '', sort: '', pin: '', cell: '', theme: '' };

let matrix;
let state = { ...DEFAULTS };
let heatmap;
let grid;
let found;
let model;
let drawnFor = '';

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.entries(DEFAULTS).map(([key, value]) => [key, given.get(key) ?? (key === 'theme' ? state.theme : value)]));
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
  if (!(state.view in VIEWS)) state.view = DEFAULTS.view;
  draw();
}

let themed;
let tabbed;
function draw() {
  if (themed !== state.theme) {
    themed = state.theme;
    document.documentElement.dataset.theme = state.theme || 'auto';
    $('theme').textContent = `Theme: ${state.theme || 'auto'}`;
  }
  if (tabbed !== state.view) {
    tabbed = state.view;
    for (const name of Object.keys(VIEWS)) $(`view-${name}`).hidden = name !== state.view;
    $('graph').hidden = $('list-paths').hidden = state.view !== 'paths';
    $('search').hidden = $('problem').hidden = state.view === 'identities' || state.view === 'glossary';
    $('query').placeholder = PLACEHOLDERS[state.view] || '';
    for (const tab of document.querySelectorAll('.tabs a')) {
      if (tab.dataset.view === state.view) tab.setAttribute('aria-current', 'page');
      else tab.removeAttribute('aria-current');
    }
  }
  if (document.activeElement !== $('query') && $('query').value !== state.q) $('query').value = state.q;
  drawEvidence();
  if (state.view === 'matrix') drawMatrix();
  else if (PAGES[state.view]) drawPage(state.view);
}

const say = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };

// Runs what a query asks for; where the query is wrong it says so, and runs an empty one.
function asked(run) {
  say('problem', '');
  try {
    return run(state.q);
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    say('problem', error.message);
    return run('');
  }
}

async function drawPage(view) {
  const page = PAGES[view];
  const leaves = await matrix.leaves();
  if (state.view !== view) return;
  page.known ??= page.entries(leaves); // many thousands: made once, not at each key
  const entries = page.known;
  const kept = asked((query) => sift(entries, query));
  say('count', `${kept.length.toLocaleString('en')} of ${entries.length.toLocaleString('en')} ${page.noun}`);
  page.draw($(view === 'paths' ? 'list-paths' : `view-${view}`), matrix, leaves, kept.map(({ it }) => it), (place) => go({ view: 'matrix', q: '', cell: cellName(place) }));
}

function drawMatrix() {
  const wanted = JSON.stringify([state.q, state.mode, state.resource, state.first, state.second, state.turn, state.sort, state.pin, heatmap.size.width, grid.size.width]);
  if (wanted === drawnFor) { showActive(); return; }
  drawnFor = wanted;
  const first = Math.max(0, column(state.first));
  const second = column(state.second) < 0 ? Math.min(1, matrix.width - 1) : column(state.second);
  drawTools(first, second);
  found = asked((query) => search(matrix, query));
  const turn = (one) => (state.turn === '1' ? turned(one) : one);
  const heat = turn(heatModel(matrix, found, inside));
  heatmap.show(laidOut(heatmap, heat, { least: heat.least, level: 84, upright: 120, headWidth: 230 }));
  model = gridModel(first, second);
  const headWidth = Math.min(320, Math.max(180, Math.floor(grid.size.width * 0.4)));
  grid.show(laidOut(grid, turn(model), { least: 30, level: state.mode === 'verbs' ? 104 : 76, upright: 44, headWidth }));
  showActive();
  say('tells', found.precise ? 'cells that match, tinted by the worst verdict; choose a square to look inside' : 'allowed of all cells, tinted by the worst verdict; choose a square to look inside');
  say('count', `${found.count.toLocaleString('en')} of ${matrix.drawn.length.toLocaleString('en')} cells match, ${model.rows.toLocaleString('en')} rows shown`);
}

function drawTools(first, second) {
  const mode = ['verbs', 'resource', 'compare'].includes(state.mode) ? state.mode : 'flat';
  if ($('mode').value !== mode) $('mode').value = mode;
  $('transpose').setAttribute('aria-pressed', String(state.turn === '1'));
  $('resource-label').hidden = mode !== 'resource';
  $('first-label').hidden = mode === 'flat' || mode === 'resource';
  $('second-label').hidden = mode !== 'compare';
  if (mode === 'flat') return;
  if (mode === 'resource') {
    if (document.activeElement !== $('resource')) $('resource').value = state.resource;
    if (!$('resources').childElementCount) $('resources').append(...[...new Set(matrix.ids.map((_, row) => resourceName(matrix, row)))].map((value) => element('option', { value })));
  }
  $('first').value = matrix.identities[first]?.name ?? '';
  $('second').value = matrix.identities[second]?.name ?? '';
}

// The cell whose evidence is open is the active one of the grid, however it was opened.
function showActive() {
  const place = state.cell ? placeOf(state.cell) : -1;
  const [row, number] = place < 0 ? [-1, -1] : model.find(place);
  if (row >= 0 && number >= 0) grid.go(...(state.turn === '1' ? [number, row] : [row, number]));
}

function gridModel(first, second) {
  const open = (place) => {
    if (state.cell === cellName(place)) $('evidence').querySelector('h2')?.focus();
    else go({ cell: cellName(place) });
  };
  const chooseRow = (row) => go({ resource: resourceName(matrix, row), mode: 'resource', q: '' });
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
  const shown = state.mode === 'resource' ? ofResource(matrix, found, state.resource || resourceName(matrix, 0)) : found;
  const pins = state.pin.split('|').map(column).filter((number) => found.columns.includes(number));
  const columns = [...pins, ...found.columns.filter((number) => !pins.includes(number))];
  const pin = (number) => go({ pin: (pins.includes(number) ? pins.filter((one) => one !== number) : [...pins, number]).map((one) => matrix.identities[one].name).join('|') });
  return flatModel(matrix, shown, { columns, pinned: pins.length, sort, choose: open, chooseRow, chooseColumn, pin, label: state.mode === 'resource' ? `${state.resource} by identities` : 'Rows by identities' });
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
  if (panel.hidden !== place < 0) {
    document.body.classList.toggle('with-evidence', place >= 0);
    panel.hidden = place < 0;
  }
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

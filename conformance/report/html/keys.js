// What people press and choose, and the beginning.

const PLACEHOLDERS = {
  matrix: 'identity:edit verb:delete is:allowed   (press / to come here, ? for help)',
  findings: 'risk:high,critical identity:dev-*',
  paths: 'from:*ci* to:cluster-admin proof:proved',
  checks: 'is:fail,error level:MUST check:LIST-*',
  differences: 'outcome:fail kind:permission',
};

function typing(target) { return target.closest?.('input, select, textarea, dialog[open]'); }

function escape() {
  if (state.cell) {
    go({ cell: '' });
    grid.view.focus({ preventScroll: true });
  } else if (document.activeElement === $('query') || state.q) {
    $('query').value = '';
    go({ q: '' });
    if (state.view === 'matrix') grid.view.focus({ preventScroll: true }); else $('query').blur();
  }
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    if (!$('help').open) escape();
    return;
  }
  if (event.key === 'Enter' && event.target === $('query')) {
    event.preventDefault();
    go({ q: $('query').value.trim() });
    if (state.view === 'matrix') grid.view.focus(); else $('main').focus();
    return;
  }
  if (typing(event.target)) return;
  const toSearch = () => {
    if ($('search').hidden) go({ view: 'matrix', q: '' });
    $('query').focus();
    $('query').select();
  };
  const anywhere = { '/': toSearch, '?': help };
  const inMatrix = { n: () => step(true), p: () => step(false), t: () => go({ turn: state.turn ? '' : '1' }) };
  const act = anywhere[event.key] || (state.view === 'matrix' && inMatrix[event.key]);
  if (act) { event.preventDefault(); act(); }
}

function suggest() {
  const groups = matrix.groups.slice(0, 200).map((group) => `group:${quoted(group)}`);
  const names = matrix.identities.slice(0, 200).map(({ name }) => `identity:${quoted(name)}`);
  $('suggestions').replaceChildren(...[...EXAMPLES.slice(1, 4).map(([text]) => text), ...names, ...groups].map((value) => element('option', { value })));
}

function listen() {
  $('search').addEventListener('submit', (event) => event.preventDefault());
  $('query').addEventListener('input', () => go({ q: $('query').value.trim() }, true));
  for (const id of ['mode', 'first', 'second']) $(id).addEventListener('change', () => go({ [id]: $(id).value }));
  $('resource').addEventListener('input', () => go({ resource: $('resource').value.trim() }, true));
  $('transpose').addEventListener('click', () => go({ turn: state.turn ? '' : '1' }));
  $('export-csv').addEventListener('click', saveCsv);
  $('export-json').addEventListener('click', saveJson);
  $('help-button').addEventListener('click', help);
  $('theme').addEventListener('click', () => go({ theme: { '': 'dark', dark: 'light', light: '' }[state.theme] }, true));
  $('graph').addEventListener('click', ({ target }) => {
    const subject = target.closest('.subject');
    if (subject) go({ q: `"${subject.querySelector('title').textContent.replaceAll('"', '')}"` });
  });
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
  $('view-paths').append(element('h2', {}, 'Escalation paths'), element('p', {}, 'Who can get whose rights, by what means. A whole line with P is proved, a dashed one with R reviewed, a dotted one with I inferred; ✕ is what the server refused.'));
  heatmap = new Grid($('heatmap'), draw);
  grid = new Grid($('grid'), draw);
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

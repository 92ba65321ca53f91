// The evidence of one cell: what was asked, what came back, what each oracle said and why, and how to ask again.

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const READS = ['get', 'list', 'watch'];

function labelOf(matrix, place) {
  const row = Math.floor(place / matrix.width);
  const who = matrix.identities[place % matrix.width];
  const cause = matrix.kinds[matrix.kind[place]][2];
  const parts = [matrix.stateName(place), VERDICTS[matrix.verdict(place)].replace('-', ' ')];
  if (cause) parts.push(cause);
  if (matrix.risk[place]) parts.push(`finding of severity ${matrix.severities[matrix.severities.length - matrix.risk[place]]}`);
  return `${matrix.ids[row]} as ${who.name}: ${parts.join(', ')}`;
}

function glyph(matrix, place) {
  switch (matrix.verdict(place)) {
    case FAIL: return '≠';
    case ERROR: return '!';
    case NOT_EVALUATED: return '?';
    case NOT_APPLICABLE: return '–';
    default: return ['✓', '·', '?', '◐'][matrix.state(place)];
  }
}

const look = (matrix, place) => `s${matrix.state(place)} v${matrix.verdict(place)}${matrix.risk[place] > 3 ? ' risky' : ''}`;

function namespaceOf(matrix, row) {
  if (!(matrix.flags[row] & 1) || matrix.scope[row] === 'all') return '';
  return matrix.scope[row].startsWith('ns.') ? matrix.scope[row].slice(3) : (matrix.run.namespaces[matrix.scope[row]] || [`{${matrix.scope[row]}}`])[0];
}

// Commands that ask the same again. Writes are only shown as they were sent, dry run included: nobody should copy a command
// from a report that deletes what the audit took care not to.
function commands(matrix, row, who, exchange) {
  const found = [];
  const group = matrix.group[row] === 'core' ? '' : matrix.group[row];
  const namespace = namespaceOf(matrix, row);
  const as = who.user ? [`--as=${quote(who.user)}`, ...who.groups.filter((name) => name !== 'system:authenticated').map((name) => `--as-group=${quote(name)}`)] : [];
  const what = matrix.path[row] ? [quote(matrix.path[row])] : [quote(group ? `${matrix.resource[row]}.${group}` : matrix.resource[row]), ...(matrix.subresource[row] ? [`--subresource=${quote(matrix.subresource[row])}`] : [])];
  const where = namespace ? ['-n', quote(namespace)] : matrix.scope[row] === 'all' ? ['-A'] : [];
  found.push(['kubectl, the review', ['kubectl', 'auth', 'can-i', quote(matrix.verb[row]), ...what, ...where, ...as].join(' ')]);
  const method = exchange?.method || (READS.includes(matrix.verb[row]) ? 'GET' : '');
  if (!method || (matrix.flags[row] & 2)) return found;
  const prefix = group ? `/apis/${group}/${matrix.version[row]}` : `/api/${matrix.version[row]}`;
  const object = matrix.verb[row] === 'get' ? ['{absent}'] : [];
  const path = exchange?.path || matrix.path[row] || [prefix, ...(namespace ? ['namespaces', namespace] : []), matrix.resource[row], ...object, ...(matrix.subresource[row] ? [matrix.subresource[row]] : [])].join('/');
  const query = queryOf(exchange?.query ?? (matrix.verb[row] === 'list' ? [['limit', '1']] : matrix.verb[row] === 'watch' ? [['watch', '1'], ['timeoutSeconds', '5']] : []));
  const address = path + (query ? `?${query}` : '');
  const raw = { GET: 'get', POST: 'create', PUT: 'replace', DELETE: 'delete' }[method];
  if (raw) found.push(['kubectl, the request', ['kubectl', raw, '--raw', quote(address), ...(method === 'POST' || method === 'PUT' ? ['-f', 'body.json'] : []), ...as].join(' ')]);
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const body = ['POST', 'PUT', 'PATCH'].includes(method) ? ['-H', quote(`Content-Type: ${type}`), '--data', typeof exchange?.body === 'string' ? quote(exchange.body) : '@body.json'] : [];
  const token = who.kind === 'anonymous' ? [] : ['-H', '"Authorization: Bearer $TOKEN"'];
  found.push(['curl', ['curl', '--cacert', 'ca.crt', '-X', method, ...token, ...body, quote(matrix.run.server.replace(/\/$/, '') + address)].join(' ')]);
  return found;
}

function queryOf(query) {
  if (typeof query === 'string') return query;
  const pairs = Array.isArray(query) ? query : Object.entries(query || {});
  return pairs.map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%7B/g, '{').replace(/%7D/g, '}')}`).join('&');
}

function copyButton(text, label) {
  const button = element('button', { type: 'button', class: 'copy', 'aria-label': label }, 'Copy');
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
  return button;
}

const STEPS = ['subject', 'binding', 'role', 'rule'];

function chain(path) {
  return element('ol', { class: 'chain' }, ...path.map((step, number) => element('li', {}, element('small', {}, STEPS[number] || 'step'), element('span', {}, step))));
}

function oracleCard(matrix, place, oracle, name, details) {
  const answer = ANSWERS[matrix.answer(place, oracle)];
  const said = answer === 'none' ? 'not asked' : answer;
  return element('div', { class: `oracle a-${answer}` }, element('h4', {}, name), element('b', {}, said), ...details.filter(Boolean).map((detail) => element('p', {}, detail)));
}

// Fills the panel; `go` opens another cell.
async function showEvidence(panel, matrix, place, go) {
  const row = Math.floor(place / matrix.width);
  const who = matrix.identities[place % matrix.width];
  const seen = await matrix.evidence(place);
  if (panel.dataset.place !== String(place)) return; // somebody was faster
  const { witness } = seen;
  const by = (kind) => (witness?.kind === kind ? witness.text : '');
  const verdict = VERDICTS[matrix.verdict(place)];

  const close = element('button', { type: 'button', class: 'close', 'aria-label': 'Close the evidence (Esc)' }, '×');
  close.addEventListener('click', () => go(null));
  const parts = [
    element('header', {}, element('h2', {}, matrix.ids[row]), close, element('p', { class: 'as' }, 'as ', element('b', {}, who.name), ` (${who.kind}${who.user ? `, ${who.user}` : ''})`)),
    element('p', { class: 'verdict-line' }, element('span', { class: `sample ${look(matrix, place)}`, 'aria-hidden': 'true' }, glyph(matrix, place)), element('b', {}, matrix.stateName(place)), element('span', { class: `pill v-${verdict}` }, verdict.replace('-', ' ')), ...(seen.cause ? [element('span', { class: 'pill' }, seen.cause)] : [])),
  ];
  if (seen.note) parts.push(element('p', { class: 'note' }, seen.note));
  if (seen.names.length) parts.push(element('p', { class: 'note' }, 'Granted for these names only: ', ...seen.names.flatMap((name) => [element('code', {}, name), ' '])));
  if (!who.groupsKnown) parts.push(element('p', { class: 'note' }, 'The groups that an identity provider would add to this user are unknown: what is denied here is denied to the user’s own bindings only.'));

  const status = seen.status ? `${seen.status} ${seen.reason}`.trim() : seen.reason;
  const answered = seen.exchange?.message && seen.exchange.message !== by('status') ? String(seen.exchange.message) : '';
  parts.push(element('h3', {}, 'Three oracles'), element('div', { class: 'oracles' },
    oracleCard(matrix, place, 0, 'request', [status, by('status'), answered]),
    oracleCard(matrix, place, 1, 'review', [by('review')]),
    oracleCard(matrix, place, 2, 'rules', [by('rbac')])));
  if (witness && (witness.path.length || witness.kind === 'authorizer')) {
    parts.push(element('h3', {}, 'Because'));
    if (witness.kind === 'authorizer') parts.push(element('p', {}, witness.text));
    if (witness.path.length) parts.push(chain(witness.path));
  }
  parts.push(element('h3', {}, 'Ask again'));
  for (const [name, command] of commands(matrix, row, who, seen.exchange)) {
    parts.push(element('div', { class: 'command' }, element('small', {}, name), copyButton(() => command, `Copy the ${name} command`), element('pre', { tabindex: '0' }, command)));
  }
  if (seen.exchange) {
    const text = JSON.stringify(seen.exchange, null, 2);
    parts.push(element('details', {}, element('summary', {}, 'Request and answer as stored'), element('pre', { tabindex: '0' }, text.length > 6000 ? `${text.slice(0, 6000)}…` : text)));
  }
  const findings = matrix.findings.filter(({ column, rows }) => column === who.number && rows.includes(row));
  if (findings.length) parts.push(element('h3', {}, 'Findings'), element('ul', { class: 'plain' }, ...findings.map(({ severity, id, title }) => element('li', {}, element('span', { class: `pill r-${severity}` }, severity), ` ${title} `, element('code', {}, id)))));
  const checks = matrix.checks.filter(({ rows }) => rows.includes(row));
  if (checks.length) parts.push(element('h3', {}, 'Checks'), element('ul', { class: 'plain' }, ...checks.slice(0, 40).map((check) => element('li', {}, element('span', { class: `pill v-${VERDICTS[check.verdict]}` }, VERDICTS[check.verdict]), ' ', element('code', {}, check.id), ` ${check.level} ${check.note}`))));

  const others = element('div', { class: 'others' });
  for (const one of matrix.identities.slice(0, 80)) {
    const there = row * matrix.width + one.number;
    if (!matrix.has(there)) continue;
    const chip = element('button', { type: 'button', class: 'chip', 'aria-current': String(one === who), title: labelOf(matrix, there) }, element('span', { class: `sample ${look(matrix, there)}`, 'aria-hidden': 'true' }, glyph(matrix, there)), element('span', {}, one.name), element('span', { class: 'hidden' }, ` ${matrix.stateName(there)}`));
    chip.addEventListener('click', () => go(there));
    others.append(chip);
  }
  parts.push(element('h3', {}, 'The same cell for everybody'), others);
  if (matrix.width > 80) parts.push(element('p', {}, `and ${matrix.width - 80} more`));
  parts.push(element('p', { class: 'permalink' }, element('a', { href: location.hash }, 'Permalink'), ' ', copyButton(() => location.href, 'Copy the link to this cell')));
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
}

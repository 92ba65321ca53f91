// The evidence of one cell: what was asked, what came back, what each oracle said and why, and how to ask again.

const MOST_SHOWN = 4096;

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
const sampleOf = (matrix, place) => element('span', { class: `sample ${look(matrix, place)}`, 'aria-hidden': 'true' }, glyph(matrix, place));
const pill = (kind, text) => element('span', { class: `pill ${kind}` }, text);
const verdictPill = (verdict) => pill(`v-${VERDICTS[verdict]}`, VERDICTS[verdict].replace('-', ' '));
const severityPill = (severity) => pill(`r-${severity}`, severity);

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

// A witness as it stands in the leaves: kind, text, steps of the path.
const because = ([, text, ...path]) => (path.length ? chain(path) : element('p', { class: 'because' }, text));

// Only addresses of documents become links: what else stands there stays text.
function reference(url, text = url) {
  return url.startsWith('https://') || url.startsWith('http://') ? element('a', { href: url, rel: 'noreferrer', target: '_blank' }, text) : element('span', {}, text);
}

function oracleCard(matrix, place, oracle, name, details) {
  const answer = ANSWERS[matrix.answer(place, oracle)];
  const said = answer === 'none' ? 'not asked' : answer;
  return element('div', { class: `oracle a-${answer}` }, element('h4', {}, name), element('b', {}, said), ...details.filter(Boolean).map((detail) => element('p', {}, detail)));
}

function oracles(matrix, place, { witness, status, reason, answer }) {
  const by = (...kinds) => (witness && kinds.includes(witness.kind) ? witness.text : '');
  const told = status ? `${status} ${reason}`.trim() : reason;
  return element('div', { class: 'oracles' },
    oracleCard(matrix, place, 0, 'request', [told, answer.message || answer.error || by('status')]),
    oracleCard(matrix, place, 1, 'review', [answer.review || by('review')]),
    oracleCard(matrix, place, 2, 'rules', [by('rbac', 'authorizer')]));
}

// What came back: never more of it than the store keeps, and said so where it is cut.
function response({ status, reason, answer }) {
  const lines = [status ? `HTTP ${status}${reason ? ` ${reason}` : ''}` : answer.error ? `no answer: ${answer.error}` : ''];
  if (answer.message) lines.push(answer.message);
  for (const cause of answer.causes || []) lines.push(`cause: ${cause}`);
  for (const warning of answer.warnings || []) lines.push(`warning: ${warning}`);
  const text = lines.filter(Boolean).join('\n');
  return text.length >= MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…\n(cut at ${MOST_SHOWN.toLocaleString('en')} characters)` : text;
}

function command(name, text) {
  return element('div', { class: 'command' }, element('small', {}, name), copyButton(() => text, `Copy: ${name}`), element('pre', { tabindex: '0' }, text));
}

function checkLine(check, cited) {
  const line = element('li', {}, verdictPill(check.verdict), ' ', element('code', {}, check.id), ` ${check.level} `, check.note);
  if (cited) line.append(element('blockquote', {}, `“${cited.quote}” `, reference(cited.url, 'source')));
  return line;
}

// Fills the panel; `go` opens another cell.
async function showEvidence(panel, matrix, place, go) {
  const row = Math.floor(place / matrix.width);
  const who = matrix.identities[place % matrix.width];
  const [seen, leaves] = await Promise.all([matrix.evidence(place), matrix.leaves()]);
  if (panel.dataset.place !== String(place)) return; // somebody was faster
  const { witness, request } = seen;

  const close = element('button', { type: 'button', class: 'close', 'aria-label': 'Close the evidence (Esc)' }, '×');
  close.addEventListener('click', () => go(null));
  const parts = [
    element('header', {}, element('h2', { tabindex: '-1' }, matrix.ids[row]), close, element('p', { class: 'as' }, 'as ', element('b', {}, who.name), ` (${who.kind}${who.user ? `, ${who.user}` : ''})`)),
    element('p', { class: 'verdict-line' }, sampleOf(matrix, place), element('b', {}, matrix.stateName(place)), verdictPill(matrix.verdict(place)), ...(seen.cause ? [pill('', seen.cause)] : [])),
  ];
  if (seen.note) parts.push(element('p', { class: 'note' }, seen.note));
  if (seen.names.length) parts.push(element('p', { class: 'note' }, 'Granted for these names only: ', ...seen.names.flatMap((name) => [element('code', {}, name), ' '])));
  if (!who.groupsKnown) parts.push(element('p', { class: 'note' }, 'The groups that an identity provider would add to this user are unknown: what is denied here is denied to the user’s own bindings only.'));

  parts.push(element('h3', {}, 'Three oracles'), oracles(matrix, place, seen));
  if (witness) parts.push(element('h3', {}, 'Because'), ...(witness.path.length ? [chain(witness.path)] : []), element('p', { class: 'because' }, witness.text));
  parts.push(element('h3', {}, 'Request'), ...commands(matrix, row, who, request).map(([name, text]) => command(name, text)));
  if (!request) parts.push(element('p', { class: 'aside' }, matrix.flags[row] & 2 ? 'A virtual row: there is no request that exercises it alone; it was reviewed.' : 'No request of this row is stored.'));
  const held = [...new Set(JSON.stringify(request ?? '').match(/\{(absent|own|other|run)\}/g))];
  if (held.length) parts.push(element('p', { class: 'aside' }, `${held.join(', ')}: ${held.length > 1 ? 'placeholders' : 'a placeholder'} for what the run made; put a name of yours there.`));
  const answered = response(seen);
  if (answered) parts.push(element('h3', {}, 'Response'), element('pre', { tabindex: '0', class: 'response' }, answered));

  const findings = leaves.findings.filter(({ column, rows }) => column === who.number && rows.includes(row));
  if (findings.length) {
    parts.push(element('h3', {}, 'Findings'), element('ul', { class: 'plain' }, ...findings.map(({ severity, rule, title, fix }) => element('li', {}, severityPill(severity), ` ${title} `, element('a', { href: `#view=findings&q=finding:${encodeURIComponent(rule)}` }, rule), ...(fix ? [element('p', {}, 'Fix: ', fix.split('\n')[0])] : [])))));
  }
  const checks = (leaves.ofRow.get(row) || []).map((number) => leaves.checks[number]).sort((a, b) => INTEREST[a.verdict] - INTEREST[b.verdict]);
  if (checks.length) {
    const shown = checks.slice(0, 30);
    parts.push(element('h3', {}, 'Checks of this row'), element('ul', { class: 'plain' }, ...shown.map((check) => checkLine(check, leaves.catalogue.get(check.id)))));
    if (checks.length > shown.length) parts.push(element('p', {}, `and ${checks.length - shown.length} more`));
  }
  parts.push(element('h3', {}, 'The same cell for everybody'), everybody(matrix, row, who, go));
  parts.push(element('p', { class: 'permalink' }, element('a', { href: location.href }, 'Permalink'), ' ', copyButton(() => location.href, 'Copy the link to this cell')));
  panel.replaceChildren(...parts);
  panel.scrollTop = 0;
}

function everybody(matrix, row, who, go) {
  const others = element('div', { class: 'others' });
  for (const one of matrix.identities.slice(0, 80)) {
    const there = row * matrix.width + one.number;
    if (!matrix.has(there)) continue;
    const chip = element('button', { type: 'button', class: 'chip with-sample', 'aria-current': String(one === who), title: labelOf(matrix, there) }, sampleOf(matrix, there), element('span', {}, one.name), element('span', { class: 'hidden' }, ` ${matrix.stateName(there)}`));
    chip.addEventListener('click', () => go(there));
    others.append(chip);
  }
  if (matrix.width > 80) others.append(element('span', {}, `and ${matrix.width - 80} more`));
  return others;
}

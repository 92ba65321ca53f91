// The pages beside the matrix. Each is given its host, the matrix, its leaves, the entries that the search leaves, and how
// to open a cell; `entries` of a page say what its search can be about.

const rank = (matrix, severity) => (matrix.severities.indexOf(severity) + 99) % 99;

const PAGES = {
  findings: {
    entries: ({ findings }) => findings.map((it) => ({ it, text: `${it.id} ${it.title} ${it.who} ${it.description}`, fields: { risk: it.severity, finding: [it.rule, it.id], identity: it.who } })),
    noun: 'findings',
    draw: findingsPage,
  },
  paths: {
    entries: ({ paths }) => (paths || []).map((it, number) => ({
      it: { ...it, number },
      text: [it.id, it.source, it.target, ...it.steps.flatMap(({ means, target }) => [means, target])].join(' '),
      fields: { risk: it.severity, from: it.source, to: it.target, means: it.steps.map(({ means }) => means), proof: it.refused ? 'refused' : weakest(it) },
    })),
    noun: 'paths',
    draw: pathsPage,
  },
  checks: {
    entries: ({ checks, catalogue }) => checks.map((it) => ({ it, text: `${it.id} ${it.resource} ${it.note} ${catalogue.get(it.id)?.title ?? ''}`, fields: { is: VERDICTS[it.verdict], check: it.id, level: it.level, topic: catalogue.get(it.id)?.topic ?? '', resource: it.resource } })),
    noun: 'results',
    draw: checksPage,
  },
  differences: {
    entries: ({ differences }) => (differences || []).map((it) => ({ it, text: `${it.id} ${it.title} ${it.before} ${it.after} ${it.affected.join(' ')}`, fields: { risk: it.severity, kind: it.kind, outcome: it.outcome } })),
    noun: 'differences',
    draw: differencesPage,
  },
};

// --- findings: those of one rule together -----------------------------------------------------------------------------

function fixOf(text) {
  return element('div', { class: 'fix' }, element('b', {}, 'Fix'), ' ', text.includes('\n') ? element('pre', { tabindex: '0' }, text) : text);
}

function findingsPage(host, matrix, leaves, found, go) {
  host.replaceChildren(element('h2', {}, 'Findings'));
  if (!leaves.lookedFor) host.append(absent('No risk rule was applied.'));
  else if (!leaves.findings.length) host.append(element('p', { class: 'nothing-here' }, 'No risk rule found anything.'));
  const rules = [...grouped(found, ({ rule }) => rule).values()].sort(([a], [b]) => rank(matrix, a.severity) - rank(matrix, b.severity));
  more(host, rules, (held) => {
    const [first] = held;
    const same = (key) => held.every((one) => one[key] === first[key]);
    const body = element('div', { class: 'holders' });
    const article = element('article', { class: `finding r-${first.severity}` },
      element('h3', {}, severityPill(first.severity), ` ${first.title} `, element('code', {}, first.rule)));
    if (first.description) article.append(element('p', {}, first.description));
    if (first.fix && same('fix')) article.append(fixOf(first.fix));
    if (first.references.length) article.append(element('p', { class: 'references' }, ...first.references.flatMap((url) => [reference(url), ' '])));
    more(body, held, (one) => element('section', { class: 'holder' },
      element('p', {}, 'held by ', element('b', {}, one.who)), because(one.witness), cellLinks(matrix, one.rows, one.column, go),
      ...(one.places.length ? [element('p', { class: 'because' }, one.places.join(', '))] : []),
      ...(one.fix && !same('fix') ? [fixOf(one.fix)] : [])));
    article.append(body);
    return article;
  });
}

// --- escalation paths: the drawing is in the document already; here they are in words -----------------------------------

const PROOFS = ['inferred', 'reviewed', 'proved'];
const weakest = ({ steps }) => PROOFS.find((proof) => steps.some((step) => step.proof === proof)) ?? 'proved';

function highlight(number) {
  const drawing = document.querySelector('#graph svg');
  if (!drawing) return;
  drawing.classList.toggle('some', number !== null);
  for (const part of drawing.querySelectorAll('[data-paths]')) part.classList.toggle('chosen', number !== null && part.dataset.paths.split(' ').includes(String(number)));
}

function pathsPage(host, matrix, leaves, found, go) {
  host.replaceChildren();
  if (leaves.paths === null) { host.append(absent('No escalation path was looked for.')); return; }
  if (!leaves.paths.length) host.append(element('p', { class: 'nothing-here' }, 'No subject can become another.'));
  highlight(null);
  more(host, [...found].sort((a, b) => rank(matrix, a.severity) - rank(matrix, b.severity)), (path) => {
    const show = element('button', { type: 'button', 'aria-pressed': 'false' }, 'Show in the drawing');
    show.addEventListener('click', () => {
      const pressed = show.getAttribute('aria-pressed') === 'true';
      for (const other of host.querySelectorAll('[aria-pressed="true"]')) other.setAttribute('aria-pressed', 'false');
      show.setAttribute('aria-pressed', String(!pressed));
      highlight(pressed ? null : path.number);
      if (!pressed) document.querySelector('#graph svg')?.scrollIntoView({ block: 'nearest' });
    });
    const steps = path.steps.map((step) => {
      const line = element('li', {}, element('p', {}, element('b', {}, step.means), ` → ${step.target} `, pill(`p-${step.proof}`, step.proof)), because(step.witness));
      if (step.note) line.append(element('p', {}, step.note));
      if (step.row >= 0) line.append(cellLinks(matrix, [step.row], -1, go));
      return line;
    });
    return element('article', { class: `finding r-${path.severity}` },
      element('h3', {}, severityPill(path.severity), ` ${path.source} → ${path.target} `, pill(`p-${path.refused ? 'refused' : weakest(path)}`, path.refused ? 'refused' : weakest(path))),
      ...(path.refused ? [element('p', {}, 'The server refused it: ', path.refused)] : []),
      ...(path.made ? [element('p', {}, `There only ${path.made}: none of the cluster's, and gone after the run.`)] : []),
      element('ol', { class: 'steps' }, ...steps), element('p', {}, show));
  });
}

// --- checks: the catalogue, each with what it gave ----------------------------------------------------------------------

function checksPage(host, matrix, leaves, found, go) {
  host.replaceChildren(element('h2', {}, 'Checks of the API contract'));
  if (!leaves.checks.length) host.append(absent('The catalogue is below; nothing of it was checked.'));
  const results = grouped(found, ({ id }) => id);
  const all = found.length === leaves.checks.length;
  const ids = [...new Set([...leaves.catalogue.keys(), ...results.keys()])].filter((id) => all || results.has(id));
  const bad = (id) => (results.get(id) || []).filter(({ verdict }) => verdict === FAIL || verdict === ERROR).length;
  for (const id of ids.sort((a, b) => bad(b) - bad(a))) {
    const those = results.get(id) || [];
    const cited = leaves.catalogue.get(id);
    const tally = VERDICTS.map((name, verdict) => [verdict, those.filter((one) => one.verdict === verdict).length]).filter(([, number]) => number);
    const pills = tally.map(([verdict, number]) => pill(`v-${VERDICTS[verdict]}`, `${number.toLocaleString('en')} ${VERDICTS[verdict].replace('-', ' ')}`));
    const body = element('div', {});
    const box = element('details', { class: 'check' }, element('summary', {}, element('code', {}, id), ' ', pill('level', those[0]?.level ?? cited.level), element('span', { class: 'claim' }, cited?.title ?? ''), ...(pills.length ? pills : [pill('', 'not run')])), body);
    box.addEventListener('toggle', () => {
      if (body.childElementCount) return;
      if (cited) body.append(element('blockquote', {}, `“${cited.quote}” `, reference(cited.url)));
      more(body, [...those].sort((a, b) => INTEREST[a.verdict] - INTEREST[b.verdict]), (check) => element('div', { class: 'result' }, verdictPill(check.verdict), ' ', element('code', {}, check.resource), check.column >= 0 ? ` as ${matrix.identities[check.column].name} ` : ' ', check.note, cellLinks(matrix, check.rows, check.column, go)));
    });
    if (bad(id)) box.open = true;
    host.append(box);
  }
}

// --- differences to a baseline ------------------------------------------------------------------------------------------

const OUTCOMES = { fail: 'v-fail', warn: 'v-not-evaluated', pass: 'v-pass', waived: '' };

function differencesPage(host, matrix, leaves, found, go) {
  host.replaceChildren(element('h2', {}, leaves.gate && !leaves.gate.baseline ? 'What the gate looked at' : 'Differences to the baseline'));
  if (leaves.gate) host.append(element('p', {}, leaves.gate.baseline ? element('span', {}, 'Held against ', element('b', {}, leaves.gate.baseline), '. ') : '', leaves.gate.reason));
  if (leaves.differences === null) { host.append(absent('There was no baseline to compare with; give one with --baseline.')); return; }
  if (!leaves.differences.length) host.append(element('p', { class: 'nothing-here' }, 'Nothing differs.'));
  const order = Object.keys(OUTCOMES);
  more(host, [...found].sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome) || rank(matrix, a.severity) - rank(matrix, b.severity)), (one) => {
    const article = element('article', { class: `finding r-${one.outcome === 'fail' ? 'high' : 'low'}` },
      element('h3', {}, pill(OUTCOMES[one.outcome] ?? '', one.outcome), ' ', severityPill(one.severity), ` ${one.title} `, element('small', {}, one.kind)));
    if (one.before || one.after) article.append(element('p', { class: 'change' }, element('del', {}, one.before || 'nothing'), ' → ', element('ins', {}, one.after || 'nothing')));
    if (one.affected.length) article.append(element('p', {}, 'Affects ', one.affected.slice(0, 20).join(', '), one.affected.length > 20 ? ` and ${one.affected.length - 20} more` : ''));
    if (one.advice) article.append(element('p', {}, element('b', {}, 'What to do: '), one.advice));
    if (one.waiver) article.append(element('p', {}, element('b', {}, 'Waived: '), one.waiver));
    article.append(element('p', {}, element('code', {}, one.id)));
    if (one.row >= 0) article.append(cellLinks(matrix, [one.row], one.column, go));
    return article;
  });
}

// --- identities ---------------------------------------------------------------------------------------------------------

function identitiesPage(host, matrix, pick) {
  const rows = matrix.identities.map((who) => {
    const states = [0, 0, 0, 0];
    for (let place = who.number; place < matrix.drawn.length; place += matrix.width) if (matrix.has(place)) states[matrix.state(place)] += 1;
    const button = element('button', { type: 'button', class: 'chip' }, who.name);
    button.addEventListener('click', () => pick(who));
    const number = (state) => element('td', { class: 'number' }, states[state].toLocaleString('en'));
    return [button, who.kind, who.user, who.groups.join(', ') + (who.groupsKnown ? '' : ' (groups unknown)'), who.expect, number(ALLOWED), number(NAMED), number(DENIED), number(UNKNOWN)];
  });
  const heads = ['name', 'kind', 'user', 'groups', 'expected', 'allowed', 'named', 'denied', 'unknown'];
  host.replaceChildren(element('h2', {}, 'Identities'), tableOf(heads, rows));
}

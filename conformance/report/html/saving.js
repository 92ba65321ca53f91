// The rows that the search leaves, saved as files: the browser makes them, nothing leaves the page.

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

// As in matrix_csv.py: an apostrophe before whatever a spreadsheet could take for a formula.
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

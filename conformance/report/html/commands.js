// Commands that ask a cell again, for a shell. Writes are shown as they were sent, dry run included: nobody should copy a
// command from a report that deletes what the audit took care not to.

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const READS = ['get', 'list', 'watch'];
const BODIES = ['POST', 'PUT', 'PATCH'];

function namespaceOf(matrix, row) {
  if (!(matrix.flags[row] & 1) || matrix.scope[row] === 'all') return '';
  return matrix.scope[row].startsWith('ns.') ? matrix.scope[row].slice(3) : (matrix.run.namespaces[matrix.scope[row]] || [`{${matrix.scope[row]}}`])[0];
}

// What curl shows the server to be somebody; the credential itself is not in the report.
function credential(who) {
  switch (who.kind) {
    case 'anonymous': return [];
    case 'certificate': return ['--cert client.crt', '--key client.key'];
    case 'impersonate': return ['--cert admin.crt', '--key admin.key', '-H', quote(`Impersonate-User: ${who.user}`), ...who.groups.flatMap((name) => ['-H', quote(`Impersonate-Group: ${name}`)])];
    default: return ['-H', '"Authorization: Bearer $TOKEN"'];
  }
}

function addressOf(matrix, row, request) {
  const group = matrix.group[row] === 'core' ? '' : matrix.group[row];
  const namespace = namespaceOf(matrix, row);
  const prefix = group ? `/apis/${group}/${matrix.version[row]}` : `/api/${matrix.version[row]}`;
  const object = matrix.verb[row] === 'get' ? ['{absent}'] : [];
  const path = request?.path || matrix.path[row] || [prefix, ...(namespace ? ['namespaces', namespace] : []), matrix.resource[row], ...object, ...(matrix.subresource[row] ? [matrix.subresource[row]] : [])].join('/');
  const usual = { list: [['limit', '1']], watch: [['watch', 'true'], ['timeoutSeconds', '5']] }[matrix.verb[row]] || [];
  const query = (request?.query ?? usual).map(([key, value]) => `${key}=${encodeURIComponent(value).replace(/%7B/g, '{').replace(/%7D/g, '}').replace(/%2F/g, '/')}`).join('&');
  return path + (query ? `?${query}` : '');
}

// -> [[what it is, the command]]
function commands(matrix, row, who, request) {
  const found = [];
  const group = matrix.group[row] === 'core' ? '' : matrix.group[row];
  const namespace = namespaceOf(matrix, row);
  const as = who.user ? [`--as=${quote(who.user)}`, ...who.groups.filter((name) => name !== 'system:authenticated').map((name) => `--as-group=${quote(name)}`)] : [];
  const what = matrix.path[row] ? [quote(matrix.path[row])] : [quote(group ? `${matrix.resource[row]}.${group}` : matrix.resource[row]), ...(matrix.subresource[row] ? [`--subresource=${quote(matrix.subresource[row])}`] : [])];
  const where = namespace ? ['-n', quote(namespace)] : matrix.scope[row] === 'all' ? ['-A'] : [];
  const review = ['kubectl, the review', ['kubectl', 'auth', 'can-i', quote(matrix.verb[row]), ...what, ...where, ...as].join(' ')];
  const method = request?.method || (READS.includes(matrix.verb[row]) ? 'GET' : '');
  if (method && !(matrix.flags[row] & 2)) {
    const address = addressOf(matrix, row, request);
    const raw = { GET: 'get', POST: 'create', PUT: 'replace', DELETE: 'delete' }[method];
    const body = typeof request?.body === 'string' ? request.body : '';
    const given = BODIES.includes(method) && raw;
    if (raw) found.push(['kubectl, the request', [...(given ? ['printf %s', quote(body || '{}'), '|'] : []), 'kubectl', raw, '--raw', quote(address), ...(given ? ['-f', '-'] : []), ...as].join(' ')]);
    const sent = BODIES.includes(method) ? ['-H', quote(`Content-Type: ${request?.type || 'application/json'}`), '--data', quote(body || '{}')] : [];
    found.push(['curl', ['curl', '--cacert', 'ca.crt', ...(method === 'GET' ? [] : ['-X', method]), ...credential(who), ...sent, quote(matrix.run.server.replace(/\/$/, '') + address)].join(' ')]);
  }
  return [...found, review];
}

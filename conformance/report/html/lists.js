// Long lists: entries are sifted by the search, and drawn a part at a time.

const MOST = 100;

function more(host, items, draw) {
  let shown = 0;
  const button = element('button', { type: 'button', class: 'more' }, '');
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

const absent = (what) => element('p', { class: 'nothing-here' }, element('b', {}, 'Not part of this run. '), what);

function cellLinks(matrix, rows, column, go) {
  const links = rows.slice(0, 12).map((row) => {
    const link = element('button', { type: 'button', class: 'chip' }, matrix.ids[row]);
    link.addEventListener('click', () => go(row * matrix.width + Math.max(0, column)));
    return link;
  });
  if (rows.length > 12) links.push(element('span', {}, ` and ${rows.length - 12} more`));
  return element('div', { class: 'others' }, ...links);
}

// A table of texts; of a row that is an element itself, that element.
function tableOf(heads, rows) {
  const cell = (value) => (value instanceof Node && value.nodeName === 'TD' ? value : element('td', {}, value));
  return element('div', { class: 'scroller', tabindex: '0' }, element('table', {},
    element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', { scope: 'col' }, head)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map(cell))))));
}

const grouped = (items, keyOf) => {
  const groups = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (groups.has(key)) groups.get(key).push(item); else groups.set(key, [item]);
  }
  return groups;
};

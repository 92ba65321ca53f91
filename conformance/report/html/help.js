// The dialog of keys and of the search's grammar.

const HELP = [
  ['/', 'search'], ['arrows, Page, Home, End', 'move in a grid; with Ctrl to its edge'], ['Enter', 'evidence of a cell, once more to go into it; sort by a column; one resource of a row'],
  ['x', 'pin the column to the left'], ['n, p', 'next, previous cell that matches the search, or that is wrong'], ['Esc', 'close the evidence, then clear the search'], ['t', 'transpose'], ['?', 'this help'],
];
const EXAMPLES = [
  ['identity:dev-* verb:delete is:allowed', 'what the identities dev-… may delete'], ['is:disagree', 'the oracles differ without a named cause'], ['is:not-evaluated,error', 'what nobody could tell'],
  ['group:apps,batch -verb:get,list,watch', 'writes in two groups'], ['resource:secrets is:allowed,named', 'who reaches secrets'], ['risk:high,critical', 'cells in findings'], ['request:allowed rules:denied', 'allowed by something else than RBAC'], ['status:401 cause:*', 'by status, reason or cause'],
];

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
    element('p', {}, 'On the other pages: ', ...PAGE_KEYS.flatMap((key) => [element('code', {}, key), ' '])),
    element('p', {}, 'is: ', ...IS_VALUES.flatMap((value) => [element('code', {}, value), ' '])),
    element('ul', { class: 'plain' }, ...examples));
  dialog.showModal();
}

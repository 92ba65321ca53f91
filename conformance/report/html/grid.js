// A table of any size: only the rows and columns in sight are in the document. Focus stays on the grid itself, which names
// its active cell; so nothing is lost when a row leaves the document, and screen readers hear each cell's own label.

const element = (tag, properties = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') made.className = value;
    else if (name in made && typeof value !== 'string') made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};

let grids = 0;

class Grid {
  // model: {label, rows, columns, columnWidth, rowHeight, headWidth, headHeight, upright,
  //         pinned, rowHead(r) -> {text, note, detail, label}, columnHead(c) -> {text, label, mark},
  //         cell(r, c) -> {text, look, label}, choose(r, c), chooseRow(r), chooseColumn(c), pin(c)}
  constructor(host, resized) {
    grids += 1;
    this.name = `grid${grids}`;
    this.host = host;
    this.view = element('div', { class: 'grid', role: 'grid', tabindex: '0' });
    this.space = element('div', { class: 'space', role: 'rowgroup' });
    this.head = element('div', { class: 'row head', role: 'row', 'aria-rowindex': '1' });
    this.view.append(this.space);
    host.replaceChildren(this.view);
    this.at = { row: 0, column: 0 };
    this.drawn = new Map();
    this.version = 0;
    // Sizes and scroll positions are remembered: asking the document for them while drawing would lay it out each time.
    this.size = { width: this.view.clientWidth, height: 0 };
    this.limit = parseFloat(getComputedStyle(this.view).maxHeight);
    this.scroll = { top: 0, left: 0 };
    this.view.addEventListener('scroll', () => { this.scroll = { top: this.view.scrollTop, left: this.view.scrollLeft }; this.later(); }, { passive: true });
    this.view.addEventListener('keydown', (event) => this.key(event));
    this.view.addEventListener('click', (event) => this.click(event));
    new ResizeObserver(() => {
      const { clientWidth: width } = this.view;
      if (width === this.size.width) return;
      this.size.width = width;
      resized();
    }).observe(this.view);
    // Which part of the grid the window shows: those rows are drawn at once, the others when they have been painted.
    this.seen = { from: 0, to: Infinity };
    new IntersectionObserver((entries) => {
      const { intersectionRect: shown, boundingClientRect: whole } = entries.at(-1);
      this.seen = { from: shown.top - whole.top, to: shown.bottom - whole.top };
      this.later();
    }, { threshold: Array.from({ length: 21 }, (_, step) => step / 20) }).observe(this.view);
    addEventListener('resize', () => { this.limit = parseFloat(getComputedStyle(this.view).maxHeight); if (this.model) this.fit(); this.later(); });
  }

  show(model) {
    this.model = model;
    const { rows, columns, columnWidth, rowHeight, headWidth, headHeight } = model;
    this.view.setAttribute('aria-label', model.label);
    this.view.setAttribute('aria-rowcount', String(rows + 1));
    this.view.setAttribute('aria-colcount', String(columns + 1));
    this.view.classList.toggle('upright', Boolean(model.upright));
    this.view.classList.toggle('tight', Boolean(model.tight));
    this.view.style.setProperty('--row', `${rowHeight}px`);
    this.view.style.setProperty('--column', `${columnWidth}px`);
    this.view.style.setProperty('--head-width', `${headWidth}px`);
    this.view.style.setProperty('--head-height', `${headHeight}px`);
    this.space.style.width = `${headWidth + columns * columnWidth}px`;
    this.space.style.height = `${headHeight + rows * rowHeight}px`;
    this.fit();
    this.scrollTo(0, 0);
    this.at = { row: 0, column: 0 }; // other rows: what was the active cell is somewhere else, or gone
    this.version += 1;
    this.draw(true);
    this.later();
  }

  // As high as its rows, up to what the style allows.
  fit() { this.size.height = Math.min(this.model.headHeight + this.model.rows * this.model.rowHeight, this.limit || innerHeight); }

  scrollTo(top, left) {
    if (top !== this.scroll.top) this.view.scrollTop = top;
    if (left !== this.scroll.left) this.view.scrollLeft = left;
    this.scroll = { top, left };
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw(seenOnly = false) {
    if (!this.model) return;
    const { rows, columns, columnWidth, rowHeight, headWidth, headHeight } = this.model;
    const pinned = this.model.pinned || 0;
    const { scroll: { top, left }, size: { width, height } } = this;
    const firstColumn = Math.max(pinned, Math.floor(left / columnWidth) - 2);
    const lastColumn = Math.min(columns, Math.ceil((left + width - headWidth) / columnWidth) + 2);
    const firstRow = Math.max(0, Math.floor(top / rowHeight) - 2);
    const lastRow = Math.min(rows, Math.ceil((top + height - headHeight) / rowHeight) + 2);
    const shape = [firstColumn, lastColumn, pinned, columnWidth, rowHeight, headWidth, headHeight].join();
    if (this.shape !== shape) {
      this.shape = shape;
      for (const { made } of this.drawn.values()) made.remove();
      this.drawn.clear();
    }
    const shown = [...this.range(0, pinned), ...this.range(firstColumn, lastColumn)];
    if (this.headed !== this.version || !this.drawn.size) {
      this.headed = this.version;
      this.head.replaceChildren(this.corner(), ...shown.map((column) => this.columnHead(column)));
      if (!this.head.isConnected) this.space.prepend(this.head);
    }
    const fresh = document.createDocumentFragment();
    for (const [row, { made }] of this.drawn) {
      if (row < firstRow || row >= lastRow) { made.remove(); this.drawn.delete(row); }
    }
    const from = seenOnly ? Math.max(firstRow, Math.floor((top + this.seen.from - headHeight) / rowHeight) - 2) : firstRow;
    const to = seenOnly ? Math.min(lastRow, Math.ceil((top + this.seen.to) / rowHeight) + 2) : lastRow;
    for (let row = from; row < to; row += 1) {
      const kept = this.drawn.get(row);
      if (kept?.version === this.version) continue;
      const line = kept || this.row(row, shown);
      line.version = this.version;
      this.write(row, line);
      if (!kept) { this.drawn.set(row, line); fresh.append(line.made); }
    }
    this.space.append(fresh);
    this.mark();
  }

  range(first, last) {
    return Array.from({ length: Math.max(0, last - first) }, (_, number) => first + number);
  }

  corner() { return element('div', { class: 'corner', role: 'columnheader', 'aria-colindex': '1', id: `${this.name}.-1.-1` }, this.model.corner || ''); }

  columnHead(column) {
    const { text, label, mark } = this.model.columnHead(column);
    const made = element('div', { class: 'column-head', role: 'columnheader', 'aria-colindex': String(column + 2), id: `${this.name}.-1.${column}`, title: label || text }, element('span', {}, text));
    if (mark) made.append(element('i', { class: 'mark', 'aria-hidden': 'true' }, mark));
    if (mark) made.setAttribute('aria-sort', mark === '▼' ? 'descending' : 'other');
    return this.place(made, column);
  }

  // Pinned columns come first and stay in sight; the others are where their number says.
  place(made, column) {
    made.classList.toggle('pinned', column < (this.model.pinned || 0));
    made.style.left = `${this.model.headWidth + column * this.model.columnWidth}px`;
    return made;
  }

  // The skeleton of a row, which `write` fills; a row that stays where it is keeps its skeleton.
  row(row, columns) {
    const head = element('div', { class: 'row-head', role: 'rowheader', 'aria-colindex': '1', id: `${this.name}.${row}.-1` }, element('span', { class: 'text' }), element('small', {}), element('span', { class: 'detail' }));
    const cells = columns.map((column) => this.place(element('div', { class: 'cell', role: 'gridcell', 'aria-colindex': String(column + 2), id: `${this.name}.${row}.${column}` }), column));
    const made = element('div', { class: 'row', role: 'row', 'aria-rowindex': String(row + 2) }, head, ...cells);
    made.style.top = `${this.model.headHeight + row * this.model.rowHeight}px`;
    return { made, head, cells, columns };
  }

  // Says again only what changed: most of a table stays the same from one key to the next.
  write(row, { made, head, cells, columns }) {
    const { text, note = '', detail = '', label, look = '' } = this.model.rowHead(row);
    const [first, second, third] = head.children;
    if (first.textContent !== text) first.textContent = text;
    if (second.textContent !== note) second.textContent = note;
    if (third.textContent !== detail) third.textContent = detail;
    if (head.title !== (label || text)) head.title = label || text;
    const rowClass = look ? `row ${look}` : 'row';
    if (made.className !== rowClass) made.className = rowClass;
    cells.forEach((made, number) => {
      const cell = this.model.cell(row, columns[number]);
      const shown = `cell ${cell.look}${columns[number] < (this.model.pinned || 0) ? ' pinned' : ''}`;
      if (made.className !== shown) made.className = shown;
      if (made.textContent !== cell.text) made.textContent = cell.text;
      made.setAttribute('aria-label', cell.label);
    });
  }

  mark() {
    this.view.querySelector('.active')?.classList.remove('active');
    const id = `${this.name}.${this.at.row}.${this.at.column}`;
    const active = document.getElementById(id);
    if (active) {
      active.classList.add('active');
      this.view.setAttribute('aria-activedescendant', id);
    } else this.view.removeAttribute('aria-activedescendant');
  }

  // Makes a cell the active one and brings it into sight.
  go(row, column) {
    const { rows, columns, columnWidth, rowHeight, headWidth, headHeight } = this.model;
    this.at = { row: Math.max(-1, Math.min(row, rows - 1)), column: Math.max(-1, Math.min(column, columns - 1)) };
    const top = this.at.row * rowHeight;
    const left = this.at.column * columnWidth;
    const wanted = { ...this.scroll };
    if (this.at.row >= 0) wanted.top = Math.max(Math.min(wanted.top, top), top + rowHeight - this.size.height + headHeight);
    const pinned = this.model.pinned || 0;
    if (this.at.column >= pinned) wanted.left = Math.max(Math.min(wanted.left, left - pinned * columnWidth), left + columnWidth - this.size.width + headWidth);
    this.scrollTo(Math.max(0, wanted.top), Math.max(0, wanted.left));
    this.draw();
  }

  page() { return Math.max(1, Math.floor((this.size.height - this.model.headHeight) / this.model.rowHeight) - 1); }

  key(event) {
    if (event.altKey || event.metaKey) return;
    const { row, column } = this.at;
    const far = event.ctrlKey;
    const moves = {
      ArrowUp: [far ? 0 : row - 1, column], ArrowDown: [far ? this.model.rows : row + 1, column],
      ArrowLeft: [row, far ? 0 : column - 1], ArrowRight: [row, far ? this.model.columns : column + 1],
      PageUp: [Math.max(0, row - this.page()), column], PageDown: [row + this.page(), column],
      Home: [far ? 0 : row, 0], End: [far ? this.model.rows : row, this.model.columns],
    };
    if (moves[event.key]) this.go(...moves[event.key]);
    else if (event.key === 'Enter' || event.key === ' ') this.choose(row, column);
    else if (event.key === 'x' && this.model.pin && column >= 0) this.model.pin(column);
    else return;
    event.preventDefault();
  }

  click(event) {
    const target = event.target.closest('[id]');
    if (!target || !target.id.startsWith(`${this.name}.`)) return;
    const [, row, column] = target.id.split('.').map(Number);
    this.at = { row, column };
    this.mark();
    if (event.shiftKey && row < 0 && column >= 0 && this.model.pin) this.model.pin(column);
    else this.choose(row, column);
  }

  choose(row, column) {
    if (row >= 0 && column >= 0) this.model.choose?.(row, column);
    else if (row >= 0) this.model.chooseRow?.(row);
    else if (column >= 0) this.model.chooseColumn?.(column);
  }
}

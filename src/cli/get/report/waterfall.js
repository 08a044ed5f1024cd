// The waterfall. Only the rows in view are in the document.

/// Rows that are drawn above and below the visible ones.
const OVERSCAN = 6;

const isNarrow = matchMedia('(max-width: 640px)');
const rowHeight = () => (isNarrow.matches ? 52 : 28);

const list = find('list');
const space = find('space');
const drawn = [];
const chosen = new Set();
let shown = rows;
let sort = 'start';
let isDescending = false;
/// The place of the current row in `shown`.
let current = 0;

function toggleOutcome(name) {
  if (!chosen.delete(name)) chosen.add(name);
  for (const button of document.querySelectorAll('[data-outcome]')) {
    button.ariaPressed = String(chosen.has(button.dataset.outcome));
  }
  update();
}

function sortBy(key) {
  isDescending = key === sort ? !isDescending : ['time', 'size'].includes(key);
  sort = key;
  update();
}

function compare(one, other) {
  const [a, b] = [one[sort], other[sort]];
  let order = 0;
  if (sort === 'outcome') order = one.label.localeCompare(other.label);
  else if (typeof a === 'string') order = a.localeCompare(b);
  else order = a - b;
  return (isDescending ? -order : order) || one.index - other.index;
}

/// Filters and sorts anew, and goes back to the first row.
function update() {
  const text = find('filter').value.trim().toLowerCase();
  const isChosen = (row) =>
    !chosen.size || chosen.has(row.outcome) || (row.reason && chosen.has(ERRORS));
  shown = rows.filter((row) => isChosen(row) && row.text.includes(text)).sort(compare);
  current = 0;
  find('shown').textContent =
    shown.length === rows.length
      ? count(rows.length)
      : `${count(shown.length)} of ${count(rows.length)}`;
  find('sort').value = sort;
  find('direction').textContent = isDescending ? '↓' : '↑';
  find('direction').ariaLabel = isDescending ? 'Descending order' : 'Ascending order';
  for (const button of find('head').querySelectorAll('button')) {
    const isSorted = button.dataset.sort === sort;
    const order = isDescending ? 'descending' : 'ascending';
    button.parentElement.ariaSort = isSorted ? order : 'none';
  }
  list.ariaRowCount = shown.length + 1;
  list.scrollTop = 0;
  resize();
}

function resize() {
  space.style.height = `${shown.length * rowHeight()}px`;
  draw();
}

/// Returns the time that the left end of the axis stands for, and the length of the axis.
function axis() {
  const scale = find('scale').value;
  const first = Math.floor(list.scrollTop / rowHeight());
  const inView = shown.slice(first, first + Math.ceil(list.clientHeight / rowHeight()));
  const isAligned = scale === 'aligned';
  let [from, to] = [Infinity, 1];
  for (const row of scale === 'list' ? shown : inView) {
    from = isAligned ? 0 : Math.min(from, row.start);
    to = Math.max(to, row.end - (isAligned ? row.start : 0));
  }
  return from < to ? [from, to - from] : [0, 1];
}

/// Draws a tick at each round time, and a line for it below the rows.
function drawAxis(from, length) {
  const [head, scale] = [find('head'), find('axis')];
  const most = isNarrow.matches ? 4 : 6;
  const power = 10 ** Math.floor(Math.log10(length / most));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => length / each <= most);
  const [ticks, lines] = [[], []];
  for (let at = Math.ceil(from / step) * step; at < from + length; at += step) {
    const left = Math.round(((at - from) / length) * scale.clientWidth);
    // A label that doesn't fit would be cut.
    const label = scale.clientWidth - left > 60 ? duration(at) : '';
    const [tick, line] = [element('span', {}, label), element('i')];
    tick.style.left = `${left}px`;
    line.style.left = `${scale.offsetLeft + left}px`;
    line.style.height = `${list.clientHeight - head.offsetHeight}px`;
    ticks.push(tick);
    lines.push(line);
  }
  scale.replaceChildren(...ticks);
  find('lines').replaceChildren(...lines);
}

function draw() {
  const height = rowHeight();
  const first = Math.max(0, Math.floor(list.scrollTop / height) - OVERSCAN);
  const fitting = Math.ceil(list.clientHeight / height) + 2 * OVERSCAN;
  const visible = shown.slice(first, first + fitting);
  while (drawn.length < visible.length) drawn.push(newRow());
  for (const extra of drawn.splice(visible.length)) extra.row.remove();
  const [from, length] = axis();
  drawAxis(from, length);
  visible.forEach((row, position) => fill(drawn[position], row, first + position, from, length));
  const active = drawn.find(({ place }) => place === current);
  if (active) list.setAttribute('aria-activedescendant', active.row.id);
  else list.removeAttribute('aria-activedescendant');
}

/// Creates the elements of a row, which are used again for other requests.
function newRow() {
  const cell = (className) => element('span', { className, role: 'gridcell' });
  const parts = { index: cell('index'), outcome: cell('outcome'), url: cell('url') };
  Object.assign(parts, { size: cell('size'), time: cell('time'), track: cell('track') });
  parts.bars = NAMES.map((className) => element('i', { className }));
  parts.track.append(...parts.bars);
  const { index, outcome, url, size, time, track } = parts;
  parts.row = element('div', { role: 'row' }, index, outcome, url, size, time, track);
  parts.row.addEventListener('click', () => {
    moveTo(parts.place);
    showDetails();
  });
  space.append(parts.row);
  return parts;
}

function fill(parts, row, place, from, length) {
  parts.place = place;
  parts.row.id = `row-${place}`;
  parts.row.className = `row ${tone(row.outcome)}`;
  parts.row.ariaRowIndex = place + 2;
  parts.row.ariaSelected = String(place === current);
  parts.row.style.transform = `translateY(${place * rowHeight()}px)`;
  parts.index.textContent = row.index;
  parts.outcome.textContent = row.label;
  parts.url.textContent = row.shownUrl;
  parts.url.title = row.url;
  parts.size.textContent = row.status ? size(row.size) : '';
  parts.time.textContent = duration(row.time);
  parts.track.ariaLabel = `started after ${duration(row.start)}, queued ${duration(row.queued)}`;
  let at = find('scale').value === 'aligned' ? 0 : row.start - from;
  NAMES.forEach((name, position) => {
    const micros = row[name] ?? 0;
    const bar = parts.bars[position];
    bar.hidden = !micros;
    bar.style.left = `${(100 * at) / length}%`;
    bar.style.width = `${(100 * micros) / length}%`;
    at += micros;
  });
}

/// Makes a row the current one, and scrolls so that it can be seen.
function moveTo(place) {
  current = Math.max(0, Math.min(place, shown.length - 1));
  const height = rowHeight();
  const room = list.clientHeight - find('head').offsetHeight;
  const top = current * height;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + height > list.scrollTop + room) list.scrollTop = top + height - room;
  draw();
}

function showDetails() {
  const row = shown[current];
  if (!row) return;
  find('details-title').textContent = row.url || '(no URL)';
  const outcome = element('span', { className: `outcome ${tone(row.outcome)}` }, row.label);
  const facts = [
    ['Outcome', outcome],
    ['Error', row.message],
    ['Status', row.reason && row.status],
    ['Final URL', row.final_url],
    ['Index', row.index],
    ['Started', `${when(digest.began + row.start)}, after ${duration(row.start)}`],
    ['Size', size(row.size)],
    ['Attempts', row.attempts],
    ['Redirects', row.redirects],
    ['Connection', row.attempts ? (row.reused ? 'reused' : 'new') : undefined],
  ].filter(([, value]) => value !== undefined);
  const terms = facts.flatMap(([name, value]) => [
    element('dt', {}, name),
    element('dd', {}, value instanceof Node ? value : String(value)),
  ]);
  const phases = NAMES.filter((name) => row[name] !== undefined).map((name) =>
    element(
      'div',
      { className: 'phase' },
      element('i', { className: name }),
      PHASES[name],
      element('span', {}, duration(row[name])),
    ),
  );
  find('details-content').replaceChildren(
    element('dl', {}, ...terms),
    element('div', { className: 'phases' }, ...phases),
  );
  if (!find('details').open) find('details').showModal();
}

/// Returns the row that a key leads to.
function target(key) {
  const page = Math.floor(list.clientHeight / rowHeight()) - 2;
  const places = {
    ArrowDown: current + 1,
    ArrowUp: current - 1,
    PageDown: current + page,
    PageUp: current - page,
    Home: 0,
    End: shown.length - 1,
  };
  return places[key];
}

list.addEventListener('keydown', (event) => {
  if (event.target !== list) return;
  const place = target(event.key);
  if (place !== undefined) moveTo(place);
  else if (event.key === 'Enter' || event.key === ' ') showDetails();
  else return;
  event.preventDefault();
});

let isDrawing = false;
list.addEventListener('scroll', () => {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    draw();
  });
});

for (const button of find('head').querySelectorAll('button')) {
  button.addEventListener('click', () => sortBy(button.dataset.sort));
}
find('sort').addEventListener('change', (event) => sortBy(event.target.value));
find('direction').addEventListener('click', () => sortBy(sort));
find('scale').addEventListener('change', draw);
find('filter').addEventListener('input', update);
find('details').addEventListener('click', (event) => {
  if (event.target === find('details')) find('details').close();
});
isNarrow.addEventListener('change', resize);
addEventListener('resize', draw);

find('legend').append(
  ...Object.entries(PHASES).map(([className, name]) =>
    element('li', {}, element('i', { className }), name),
  ),
);
update();

// The plots of the last 15 minutes.

/// The upper bound of the longest latency that has one, in seconds.
const LONGEST = 600;

const SVG = 'http://www.w3.org/2000/svg';

function shape(name, attributes) {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  return created;
}

/// The outcomes of each series. All others are errors.
const STATUSES = { '1xx': 'ok', '2xx': 'ok', none: 'ok', '3xx': 'redirect', '4xx': 'client', '5xx': 'server' };

/// Returns the counts of each series of outcomes, by interval.
function outcomeSeries(history) {
  const length = history.interval_s.length;
  const series = { ok: [], redirect: [], client: [], server: [], error: [] };
  for (const name of Object.keys(series)) series[name] = new Array(length).fill(0);
  for (const [outcome, counts] of Object.entries(history.outcomes)) {
    const sums = series[STATUSES[outcome] ?? 'error'];
    counts.forEach((number, at) => { sums[at] += number; });
  }
  return series;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/// Returns a path with a step for each value, and gaps for `null`. `y` is from 0 to 100.
function steps(values, y, start) {
  let path = '';
  values.forEach((value, at) => {
    if (value === null) return;
    const joint = at > 0 && values[at - 1] !== null ? 'L' : 'M';
    const height = y(value).toFixed(2);
    path += `${joint}${start + at} ${height}H${start + at + 1}`;
  });
  return path;
}

class Plot {
  #svg = shape('svg', { viewBox: `0 0 ${WIDTH} 100`, preserveAspectRatio: 'none', role: 'img', tabindex: '0' });
  #unit = element('span');
  #legend = element('ul', { class: 'legend' });
  #top = element('span', { class: 'scale top' });
  #bottom = element('span', { class: 'scale bottom' });
  #title;

  constructor(id, title) {
    this.#title = title;
    const heading = element('h3', {}, title);
    const plot = element('div', { class: 'plot' }, this.#svg, this.#top, this.#bottom);
    const axis = element('div', { class: 'axis', 'aria-hidden': 'true' }, element('span', {}, '15 min ago'), element('span', {}, 'now'));
    const caption = element('figcaption', {}, heading, this.#unit, this.#legend);
    byId('plots').append(element('figure', { id }, caption, plot, axis));
    this.#svg.addEventListener('pointermove', (event) => {
      const { left, width } = this.#svg.getBoundingClientRect();
      point(Math.floor(((event.clientX - left) / width) * WIDTH));
    });
    for (const event of ['pointerleave', 'blur']) this.#svg.addEventListener(event, () => point(null));
    this.#svg.addEventListener('keydown', ({ key }) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[key];
      if (move) point((pointed ?? WIDTH) + move);
    });
  }

  /// Shows shapes, the ends of the scale, and one value for each series.
  show({ shapes, unit, top, bottom = '', legend }) {
    if (pointed !== null) shapes.push(shape('rect', { class: 'cursor', x: pointed, y: 0, width: 1, height: 100 }));
    this.#svg.replaceChildren(...shapes);
    const values = legend.map(([, name, value]) => `${name} ${value}`).join(', ');
    this.#svg.setAttribute('aria-label', `${this.#title}, ${unit}: ${values}`);
    setText(this.#unit, unit);
    setText(this.#top, top);
    setText(this.#bottom, bottom);
    const items = legend.map(([series, name, value]) => element('li', { class: series }, `${name} `, element('b', {}, value)));
    this.#legend.replaceChildren(...items);
  }
}

const plots = {
  outcomes: new Plot('plot-outcomes', 'Outcomes'),
  latency: new Plot('plot-latency', 'Latency'),
  inFlight: new Plot('plot-in-flight', 'In flight'),
  queued: new Plot('plot-queued', 'Queued'),
};

/// The column of the plots that is pointed at, or `null`.
let pointed = null;

function point(column) {
  pointed = column === null ? null : Math.max(0, Math.min(WIDTH - 1, column));
  if (status) showHistory(status.history);
}

function showHistory(history) {
  const length = history.interval_s.length;
  const start = WIDTH - length;
  const at = pointed === null ? null : pointed - start;
  const isThere = at !== null && at >= 0;
  const ago = isThere ? sum(history.interval_s.slice(at + 1)) : 0;
  const when = isThere ? (at === length - 1 ? 'now' : `${duration(ago)} ago`) : null;
  showOutcomes(history, start, isThere ? at : null, when);
  showLatency(history, start, isThere ? at : null, when);
  const moment = isThere ? at : length - 1;
  showAmount(plots.inFlight, history.in_flight, start, moment, when);
  showAmount(plots.queued, history.queued, start, moment, when);
}

function showOutcomes(history, start, at, when) {
  const series = outcomeSeries(history);
  const names = Object.keys(series);
  const length = history.interval_s.length;
  const totals = history.interval_s.map((_, place) => sum(names.map((name) => series[name][place])));
  const most = Math.max(1, ...totals);
  const shapes = [];
  totals.forEach((total, place) => {
    let bottom = 100;
    for (const name of names) {
      const height = (series[name][place] / most) * 84;
      bottom -= height;
      const isOver = place < length - 1;
      if (height > 0) shapes.push(shape('rect', { class: isOver ? name : `${name} partial`, x: start + place + 0.08, y: bottom.toFixed(2), width: 0.84, height: height.toFixed(2) }));
    }
  });
  const value = (counts) => count(at === null ? sum(counts) : counts[at]);
  const labels = { ok: 'ok', redirect: '3xx', client: '4xx', server: '5xx', error: 'errors' };
  const legend = names
    .filter((name) => name === 'ok' || sum(series[name]) > 0)
    .map((name) => [name, labels[name], value(series[name]) + (name === 'error' ? reasons(history, at) : '')]);
  const top = `${count(most)} in 10 s`;
  plots.outcomes.show({ shapes, unit: when ?? 'requests that ended', top, legend });
}

/// Lists the most frequent errors of an interval, or of all if `at` is `null`.
function reasons(history, at) {
  const errors = Object.entries(history.outcomes)
    .filter(([outcome]) => !(outcome in STATUSES))
    .map(([outcome, counts]) => [outcome.replaceAll('_', ' '), at === null ? sum(counts) : counts[at]])
    .filter(([, number]) => number > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([outcome, number]) => `${outcome} ${count(number)}`);
  if (errors.length === 0) return '';
  return ` (${errors.slice(0, 3).join(', ')}${errors.length > 3 ? ', …' : ''})`;
}

/// Writes the upper bound of a bucket. The last two buckets share one, since the last has no
/// bound.
function bound(seconds) {
  if (seconds === null) return '–';
  return seconds === LONGEST ? `> ${scale(300)}` : `≤ ${scale(seconds)}`;
}

/// Writes a round duration exactly.
function scale(seconds) {
  if (seconds < 1) return `${Number((1000 * seconds).toFixed(1))} ms`;
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

function showLatency(history, start, at, when) {
  const names = ['p99', 'p90', 'p50'];
  const values = (name) => history.latency.map((latency) => latency[`${name}_s`]);
  const all = names.flatMap(values).filter((value) => value !== null);
  // Powers of ten, so that the scale changes seldom.
  const power = (value, round) => 10 ** round(Math.log10(Math.max(value, 0.001)));
  const low = power(Math.min(0.01, ...all), Math.floor);
  const high = power(Math.max(0.1, ...all), Math.ceil);
  const y = (value) => 100 - (Math.log(Math.max(value, low) / low) / Math.log(high / low)) * 84;
  const shapes = names.map((name) => shape('path', { class: name, d: steps(values(name), y, start) }));
  const shown = at === null ? history.overall_latency : history.latency[at];
  const legend = ['p50', 'p90', 'p99'].map((name) => [name, name, bound(shown[`${name}_s`])]);
  plots.latency.show({ shapes, unit: when ?? 'from dispatch to end, by bucket', top: scale(high), bottom: scale(low), legend });
}

function showAmount(plot, values, start, at, when) {
  const most = Math.max(1, ...values);
  const line = steps(values, (value) => 100 - (value / most) * 84, start);
  const shapes = [
    shape('path', { class: 'load area', d: `M${start} 100${line.replace('M', 'L')}V100Z` }),
    shape('path', { class: 'load', d: line }),
  ];
  plot.show({ shapes, unit: 'requests', top: count(most), legend: [['load', when ?? 'now', count(values[at])]] });
}

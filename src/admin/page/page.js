// Values come from callers and origins, and some of these are hostile. They only ever
// become text, never HTML.

/// How often to ask for the status, in milliseconds.
const REFRESH = 2_000;
/// The longest pause if the service doesn't answer, and how long an answer may take.
const MAX_PAUSE = 15_000;
const TIMEOUT = 5_000;
/// How many intervals a plot has room for.
const WIDTH = 90;

const byId = (id) => document.getElementById(id);

/// Creates an element. `content` are texts and other elements.
function element(name, attributes = {}, ...content) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  created.append(...content);
  return created;
}

/// Sets a text only if it's new, so that a selection of it survives.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// === Formats

const integers = new Intl.NumberFormat('en');
const count = (number) => integers.format(number);
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

/// Writes a duration with two to four digits.
function duration(seconds) {
  if (seconds === null) return '–';
  if (seconds < 0.001) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function bytes(size) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && size < 10 && !Number.isInteger(size) ? 1 : 0;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

// === Now

function bar(share) {
  const fill = element('i');
  fill.style.setProperty('--share', Math.min(share, 1));
  return element('span', { class: share > 0.9 ? 'bar high' : 'bar', 'aria-hidden': 'true' }, fill);
}

function showMeter(id, value, share, limit) {
  const content = [element('b', {}, value), bar(share), element('small', {}, limit)];
  byId(id).querySelector('dd').replaceChildren(...content);
}

function showLoad({ load, settings: { limits } }) {
  const { max_batches, max_in_flight, max_queued_bytes, max_connections } = limits;
  const { batches, in_flight, queued, queued_bytes, connections } = load;
  showMeter('m-batches', count(batches), batches / max_batches, `of ${count(max_batches)}`);
  showMeter('m-in-flight', count(in_flight), in_flight / max_in_flight, `of ${count(max_in_flight)} slots`);
  // Their number has no limit, but their bytes do.
  const held = `messages: ${bytes(queued_bytes)} of ${bytes(max_queued_bytes)}`;
  showMeter('m-queued', count(queued), queued_bytes / max_queued_bytes, held);
  showMeter('m-connections', count(connections), connections / max_connections, `of ${count(max_connections)}`);
}

/// Returns how many of `counts`, one for each interval, are from the last minute.
const inLastMinute = (counts) => counts.slice(-6).reduce((sum, number) => sum + number, 0);

/// The flags that a code may be due to.
const LIMITS = { RESOURCE_EXHAUSTED: ['--max-batches', '--max-batches-per-caller', '--max-queued-bytes', '--stall-timeout'] };

function showRefused({ history }) {
  const lines = Object.entries(history.calls)
    .filter(([code]) => code !== 'OK' && code !== 'CANCELLED')
    .map(([code, counts]) => [code, inLastMinute(counts)])
    .filter(([, number]) => number > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([code, number]) => {
      const line = element('li', {}, element('b', {}, plural(number, 'call')), ` ended with ${code} in the last minute`);
      const flags = (LIMITS[code] ?? []).flatMap((flag) => [', ', element('code', {}, flag)]);
      if (flags.length > 0) line.append('. Limits: ', ...flags.slice(1));
      return line;
    });
  byId('refused').replaceChildren(...lines);
  byId('refused').hidden = lines.length === 0;
}

/// The limits that hold requests back: what to call them in a table and in a sentence, and
/// their flags.
const HOLDS = {
  batch: ['concurrency', 'for the concurrency of their batch'],
  host: ['host', 'for their host', '--max-per-host'],
  process: ['process', 'for a slot of the process', '--max-in-flight'],
  caller: ['process', 'for a slot of the process: the free ones are kept for other callers', '--max-in-flight'],
  reader: ['slow reader', 'for their caller to read'],
};

function showHolds({ load, queued_by_limit, history }) {
  const held = Object.entries(queued_by_limit).filter(([, number]) => number > 0);
  held.sort(([, a], [, b]) => b - a);
  const lines = held.map(([limit, number]) => {
    const [, reason, flag] = HOLDS[limit] ?? [limit, limit];
    const line = element('li', {}, element('b', {}, count(number)), ` ${reason} `);
    if (flag) line.append(element('code', {}, flag));
    return line;
  });
  if (load.stalled > 0) {
    lines.push(element('li', {}, element('b', {}, count(load.stalled)), ' in flight wait for their caller to read'));
  }
  byId('held-list').replaceChildren(...lines);
  const recent = Object.entries(history.waits)
    .map(([limit, waits]) => [limit, inLastMinute(waits)])
    .filter(([, number]) => number > 0)
    .map(([limit, number]) => `${count(number)} for ${limit === 'batch' ? 'their batch' : `the ${limit}`}`);
  const past = recent.length > 0 ? ` In the last minute, requests got their slot after a wait: ${recent.join(', ')}.` : '';
  const present = held.length > 0 ? `${plural(load.queued, 'request')} ${load.queued === 1 ? 'waits' : 'wait'}:` : 'No request waits for a slot.';
  setText(byId('held'), held.length > 0 ? present : present + past);
}

// === Tables

/// The rows of running batches, by their IDs. They're kept, so that an ID can be selected.
const rows = new Map();

function batchRow() {
  const cells = Array.from({ length: 7 }, () => element('td', { role: 'cell' }));
  cells[0].append(element('code'));
  cells[2].append(element('span'), bar(0));
  for (const place of [3, 4, 6]) cells[place].className = 'number';
  return element('tr', { role: 'row' }, ...cells);
}

function showBatches({ batches: { total, oldest } }) {
  const known = new Set(oldest.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (!known.has(id)) {
      row.remove();
      rows.delete(id);
    }
  }
  oldest.forEach((batch, place) => {
    if (!rows.has(batch.id)) rows.set(batch.id, batchRow());
    const row = rows.get(batch.id);
    const there = byId('batch-rows').children[place];
    if (there !== row) byId('batch-rows').insertBefore(row, there ?? null);
    const cells = row.children;
    setText(cells[0].firstChild, batch.id);
    setText(cells[1], batch.caller);
    setText(cells[2].firstChild, `${count(batch.done)} of ${count(batch.size)}`);
    cells[2].querySelector('i').style.setProperty('--share', batch.size > 0 ? batch.done / batch.size : 1);
    setText(cells[3], count(batch.in_flight));
    setText(cells[4], count(batch.queued));
    setText(cells[5], batch.held_by === null ? '–' : (HOLDS[batch.held_by]?.[0] ?? batch.held_by));
    setText(cells[6], duration(batch.age_s));
  });
  document.querySelector('.batches').hidden = total === 0;
  byId('no-batches').hidden = total > 0;
  setText(byId('batches-count'), total > oldest.length ? `the oldest ${oldest.length} of ${count(total)}` : '');
}

function tableRow(...values) {
  return element('tr', {}, ...values.map((value, at) => element('td', at > 0 ? { class: 'number' } : {}, ...[value].flat())));
}

function showCallers({ callers: { total, busiest }, settings: { limits } }) {
  byId('callers-section').hidden = total === 0;
  const rows = busiest.map(({ caller, batches, in_flight, queued }) => {
    const row = tableRow(caller, count(batches), count(in_flight), '', count(queued));
    const share = in_flight / limits.max_in_flight;
    row.children[3].className = 'share';
    row.children[3].append(element('span', {}, `${Math.round(100 * share)} %`), bar(share));
    return row;
  });
  byId('caller-rows').replaceChildren(...rows);
  setText(byId('callers-count'), total > busiest.length ? `the busiest ${busiest.length} of ${count(total)}` : '');
}

/// Returns the parts of a name. Lines may break between them.
const breakable = (host) => host.split(/(?<=\.)/).flatMap((part) => [part, element('wbr')]);

/// Writes a share that isn't 0 in whole percents.
const percent = (share) => (share < 0.01 ? '< 1 %' : `${Math.round(100 * share)} %`);

function showHosts({ hosts }) {
  byId('hosts-section').hidden = hosts === null;
  byId('unnamed-hosts').hidden = hosts !== null;
  if (hosts === null) return;
  byId('host-tables').hidden = hosts.tracked === 0;
  byId('no-hosts').hidden = hosts.tracked > 0;
  const evicted = hosts.evicted > 0 ? `, ${count(hosts.evicted)} evicted` : '';
  setText(byId('hosts-count'), `${plural(hosts.tracked, 'host')} in 15 minutes${evicted}`);
  const slowest = hosts.slowest.map(({ host, in_flight, recent_mean_s, mean_s, max_s, requests }) =>
    tableRow(breakable(host), count(in_flight), duration(recent_mean_s), duration(mean_s), duration(max_s), count(requests)));
  byId('slowest').replaceChildren(...slowest);
  const failing = hosts.failing.map(({ host, failures, requests }) => tableRow(breakable(host), count(failures), percent(failures / requests), count(requests)));
  if (failing.length === 0) failing.push(element('tr', {}, element('td', { colspan: '4', class: 'quiet' }, 'No request has failed.')));
  byId('failing').replaceChildren(...failing);
}

// === Settings

function showSettings({ settings }) {
  const list = (items, none) => (items.length > 0 ? items.join(', ') : none);
  const { egress } = settings;
  const yes = (value) => (value ? 'yes' : 'no');
  showList('egress', [
    ['--allow-net', list(egress.allow_net, 'none: public addresses only')],
    ['--deny-net', list(egress.deny_net, 'none')],
    ['--allow-host', list(egress.allow_host, 'all')],
    ['--deny-host', list(egress.deny_host, 'none')],
    ['--allow-port', list(egress.allow_port, 'all')],
    ['--proxy', settings.proxy ?? 'none'],
  ]);
  const limits = Object.entries({ ...settings.limits, ...settings.request_limits, drain_delay_s: settings.drain_delay_s, drain_timeout_s: settings.drain_timeout_s });
  showList('limits', [
    ...limits.map(([name, value]) => setting(name, value)),
    ['TLS for callers', settings.tls],
    ['Tokens of callers', yes(settings.tokens)],
  ]);
}

function setting(name, value) {
  const flag = `--${name.replace(/_s$/, '').replaceAll('_', '-')}`;
  if (name.endsWith('_s')) return [flag, duration(value)];
  if (name.endsWith('_bytes')) return [flag, bytes(value)];
  return [flag, value === 0 && name.includes('_per_') ? 'no limit' : count(value)];
}

function showList(id, pairs) {
  const items = pairs.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]);
  byId(id).replaceChildren(...items);
}

// === Refresh

/// The last status, and when it came.
let status = null;
let answered = performance.now();
/// The error since then, or `null`.
let problem = null;
let pause = REFRESH;
let timer = null;

const STAGES = { starting: 'starting', serving: 'serving', drain_delay: 'shutting down', draining: 'draining' };

function show() {
  setText(byId('version'), status.version);
  setText(byId('stage'), STAGES[status.stage] ?? status.stage);
  byId('stage').dataset.stage = status.stage;
  setText(byId('uptime'), `up ${duration(status.uptime_s)}`);
  showLoad(status);
  showRefused(status);
  showHolds(status);
  showHistory(status.history);
  showCallers(status);
  showBatches(status);
  showHosts(status);
  showSettings(status);
}

/// Names the state in the title, for those who have many tabs.
function showTitle() {
  const state = problem === null ? STAGES[status?.stage] ?? status?.stage : 'no answer';
  document.title = state === undefined || state === 'serving' ? 'fetchd' : `${state} – fetchd`;
}

/// Says how old the figures are. If they're old, the banner says so, too.
function showAge() {
  const age = Math.round((performance.now() - answered) / 1000);
  document.body.classList.toggle('stale', problem !== null);
  showTitle();
  if (problem !== null) {
    const old = status === null ? '' : ' The figures are from before that.';
    showBanner('bad', 'The service does not answer.', `No answer for ${age} s (${problem}).${old}`);
  } else if (status?.stage === 'draining' || status?.stage === 'drain_delay') {
    showDrain();
  } else {
    byId('banner').hidden = true;
  }
  const fresh = age < 3 ? 'just now' : `${age} s ago`;
  setText(byId('updated'), status === null ? '' : `updated ${fresh}`);
}

function showDrain() {
  const { stage, stage_s, batches, settings } = status;
  const open = plural(batches.total, 'batch', 'batches');
  const limit = stage === 'draining' ? settings.drain_timeout_s : settings.drain_delay_s;
  const left = duration(Math.max(0, Math.round(limit - stage_s)));
  if (stage === 'draining') {
    showBanner('', 'Draining.', `${open} open. Unfinished requests end in ${left} at the latest.`);
  } else {
    showBanner('', 'Shutting down.', `Batches are still accepted for ${left}. ${open} open.`);
  }
}

function showBanner(kind, title, text) {
  const banner = byId('banner');
  banner.className = `banner ${kind}`;
  banner.hidden = false;
  setText(byId('banner-title'), title);
  setText(byId('banner-text'), text);
}

async function refresh() {
  clearTimeout(timer);
  try {
    const response = await fetch('status.json', { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    status = await response.json();
    answered = performance.now();
    problem = null;
    pause = REFRESH;
    show();
  } catch (error) {
    problem = error.name === 'TimeoutError' ? 'timeout' : error.message;
    pause = Math.min(2 * pause, MAX_PAUSE);
  }
  showAge();
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, pause);
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) clearTimeout(timer);
  else refresh();
});
setInterval(showAge, 1_000);
refresh();

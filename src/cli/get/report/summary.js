// The summary.

function showSummary() {
  const title = `${plural(digest.done, 'request')} in ${duration(digest.wall)}`;
  document.title = `${title} – fetchd`;
  find('title').textContent = title;
  find('subtitle').textContent = `${when(digest.began - (digest.began % 1e6))} · fetchd ${digest.version}`;
  const notes = [];
  if (digest.error) notes.push(digest.error);
  if (digest.remaining || digest.has_more) {
    const rest = digest.has_more ? ', and the input was not read to its end' : '';
    notes.push(`Incomplete: ${plural(digest.remaining, 'request')} without a result${rest}.`);
  }
  if (digest.rows < digest.done) {
    notes.push(
      `The rows and the hosts are those of the first ${plural(digest.rows, 'result')}; ` +
        `${count(digest.done - digest.rows)} more are counted in the summary only.`,
    );
  }
  find('notes').append(...notes.map((text) => element('p', { className: 'note' }, text)));
  const time = (micros) => (digest.done ? duration(micros) : '–');
  const figures = [
    ['Requests', count(digest.done)],
    ['Failed', count(digest.failed)],
    ['Wall time', duration(digest.wall)],
    ['Rate', `${rounded((1e6 * digest.done) / Math.max(digest.wall, 1))}/s`],
    ['p50', time(digest.p50)],
    ['p90', time(digest.p90)],
    ['p99', time(digest.p99)],
    ['Slowest', time(digest.slowest)],
    ['Bodies', size(digest.bytes)],
  ];
  for (const [name, value] of figures) {
    find('figures').append(element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  }
  if (digest.failed) {
    const share = `${rounded((100 * digest.failed) / digest.done)} %`;
    const failed = find('figures').querySelectorAll('dd')[1];
    failed.className = 'bad';
    failed.append(element('small', {}, share));
  }
}

/// Stands for all errors in `chosen`.
const ERRORS = 'errors';

function showOutcomes() {
  const counts = Object.entries(digest.counts);
  const isError = ([name]) => tone(name) === 'error';
  const errors = counts.filter(isError).sort(([, one], [, other]) => other - one);
  const failed = errors.reduce((sum, [, number]) => sum + number, 0);
  const classes = counts.filter((outcome) => !isError(outcome));
  if (failed) classes.push([ERRORS, failed]);
  for (const [name, number] of classes) {
    const piece = element('span', { className: tone(name) });
    piece.style.flexGrow = number;
    find('outcome-bar').append(piece);
    const button = element('button', { type: 'button', className: tone(name) }, name, ' ');
    button.append(element('b', {}, count(number)));
    button.dataset.outcome = name;
    find('outcomes').append(button);
  }
  const most = Math.max(...errors.map(([, number]) => number));
  for (const [name, number] of errors) {
    const message = rows.find((row) => row.reason === name)?.message ?? '';
    const meter = element('span', { className: 'meter' });
    meter.style.width = `${(100 * number) / most}%`;
    const button = element(
      'button',
      { type: 'button', title: message },
      element('span', { className: 'name' }, element('span', {}, name), count(number)),
      meter,
      element('span', { className: 'message' }, message),
    );
    button.dataset.outcome = name;
    find('errors').append(element('li', {}, button));
  }
  if (!errors.length) find('errors').append(element('li', { className: 'none' }, 'None'));
  for (const button of document.querySelectorAll('[data-outcome]')) {
    button.ariaPressed = 'false';
    button.addEventListener('click', () => toggleOutcome(button.dataset.outcome));
  }
}

function showHistogram() {
  const buckets = digest.histogram;
  const most = Math.max(...buckets.map((bucket) => bucket.count));
  const isLabelled = (micros) => {
    const lead = Number(String(micros)[0]);
    return (lead === 1 && /^10*$/.test(micros)) || (buckets.length < 16 && [2, 5].includes(lead));
  };
  for (const bucket of buckets) {
    const bar = element('i');
    bar.style.height = bucket.count ? `max(2px, ${(100 * bucket.count) / most}%)` : '0';
    const range = `${duration(bucket.from)} to ${duration(bucket.to)}`;
    const column = element('div', { title: `${range}: ${plural(bucket.count, 'request')}` }, bar);
    if (isLabelled(bucket.from)) column.append(element('span', {}, duration(bucket.from)));
    find('histogram').append(column);
  }
  find('histogram').ariaLabel =
    `Durations: half of the requests took up to ${duration(digest.p50)}, ` +
    `90 % up to ${duration(digest.p90)}, and the slowest ${duration(digest.slowest)}.`;
}

function showHosts() {
  const MAX_HOSTS = 6;
  const hosts = new Map();
  for (const row of rows) {
    if (!row.attempts) continue;
    const host = hosts.get(row.host) ?? { name: row.host, times: [], failed: 0 };
    host.times.push(row.time);
    host.failed += row.reason ? 1 : 0;
    hosts.set(row.host, host);
  }
  const at = (times, share) => times[Math.ceil(share * times.length) - 1];
  for (const host of hosts.values()) {
    host.times.sort((one, other) => one - other);
    host.p90 = at(host.times, 0.9);
  }
  const slowest = [...hosts.values()].sort((one, other) => other.p90 - one.p90);
  for (const { name, times, failed, p90 } of slowest.slice(0, MAX_HOSTS)) {
    const button = element('button', { type: 'button', title: `Show requests to ${name}` }, name);
    button.addEventListener('click', () => {
      find('filter').value = name;
      update();
    });
    const cells = [
      button,
      count(times.length),
      element('span', {}, count(failed)),
      duration(at(times, 0.5)),
      duration(p90),
    ].map((content) => element('td', {}, content));
    if (failed) cells[2].className = 'bad';
    find('hosts').tBodies[0].append(element('tr', {}, ...cells));
  }
}

showSummary();
showOutcomes();
showHistogram();
showHosts();

/// Shows a list of URLs, and the result of each in its place.
export class Results {
  #list = document.querySelector('ol');
  #started = performance.now();
  #total;
  #done = 0;
  #failed = 0;
  #seconds = 0;
  #clock = setInterval(() => this.#showFigures(), 100);

  constructor(urls) {
    this.#total = urls.length;
    this.#list.replaceChildren(...urls.map(waitingRow));
    show('message', '');
    enable({ fetch: false, stop: true });
    this.#showFigures();
  }

  add({ index, status, error, seconds }) {
    const isOk = !error && status < 400;
    this.#done += 1;
    this.#failed += isOk ? 0 : 1;
    this.#seconds += seconds;
    const row = this.#list.children[index];
    row.className = isOk ? 'ok' : 'bad';
    fill(row, { status: status ?? 'error', seconds: `${seconds.toFixed(2)} s`, error: error ?? '' });
  }

  /// Ends the list. The rows without a result stay empty.
  end(message) {
    clearInterval(this.#clock);
    this.#showFigures();
    show('message', message);
    enable({ fetch: true, stop: false });
    for (const row of this.#list.querySelectorAll('.waiting')) fill(row, { seconds: '–' });
  }

  #showFigures() {
    show('elapsed', `${((performance.now() - this.#started) / 1000).toFixed(2)} s`);
    show('sum', `${this.#seconds.toFixed(1)} s`);
    show('done', `${this.#done} of ${this.#total}`);
    show('failed', this.#failed);
    const progress = document.querySelector('progress');
    progress.max = this.#total;
    progress.value = this.#done;
  }
}

function show(id, text) {
  document.getElementById(id).textContent = text;
}

function enable(buttons) {
  for (const [id, isEnabled] of Object.entries(buttons)) document.getElementById(id).disabled = !isEnabled;
}

function fill(row, cells) {
  for (const [name, text] of Object.entries(cells)) row.querySelector(`.${name}`).textContent = text;
}

function waitingRow(url, index) {
  const row = document.createElement('li');
  row.className = 'waiting';
  for (const name of ['number', 'url', 'status', 'seconds', 'error']) {
    const cell = document.createElement('span');
    cell.className = name;
    row.append(cell);
  }
  fill(row, { number: index + 1, url, seconds: '…' });
  row.title = url;
  return row;
}

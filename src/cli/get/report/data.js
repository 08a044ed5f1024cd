'use strict';

// All data comes from origins and input files, so it goes into the page as text only.

const find = (id) => document.getElementById(id);
const digest = JSON.parse(find('digest').textContent);
const rows = JSON.parse(find('rows').textContent);
find('rows').remove();

const PHASES = {
  queued: 'Queued',
  earlier: 'Earlier attempts, redirects',
  dns: 'DNS',
  connect: 'Connect',
  tls: 'TLS',
  waiting: 'Waiting',
  body: 'Body',
};
const NAMES = Object.keys(PHASES);

// Rows get the fields that sorting and filtering need.
for (const row of rows) {
  row.host = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(row.url)?.[1] ?? '';
  row.shownUrl = row.url.replace(/^https?:\/\//i, '') || '(no URL)';
  row.time = NAMES.reduce((sum, name) => sum + (row[name] ?? 0), 0) - row.queued;
  row.end = row.start + row.queued + row.time;
  row.outcome = row.reason ?? `${Math.floor(row.status / 100)}xx`;
  row.label = row.reason ?? String(row.status);
  row.text = `${row.url} ${row.final_url ?? ''} ${row.status ?? ''} ${row.label} ${row.message ?? ''}`.toLowerCase();
}

// Formats.

const count = (number) => number.toLocaleString('en');
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? '' : 's'}`;
const rounded = (number) => Number(number.toPrecision(3)).toString();

/// Formats microseconds.
function duration(micros) {
  if (micros < 1e6) return `${rounded(micros / 1e3)} ms`;
  if (micros < 60e6) return `${rounded(micros / 1e6)} s`;
  const seconds = Math.round(micros / 1e6);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function size(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${rounded(bytes)} ${units[unit]}`;
}

/// Formats a time, which is in microseconds since 1970.
function when(micros) {
  return new Date(micros / 1e3).toISOString().replace('T', ' ').replace(/\.?0*Z$/, ' UTC');
}

/// Returns the class of an outcome, which has its colour.
function tone(outcome) {
  const tones = { '1xx': 'ok', '2xx': 'ok', '3xx': 'moved', '4xx': 'refused', '5xx': 'broken' };
  return tones[outcome] ?? 'error';
}

/// Creates an element with properties, and children that are elements or text.
function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}

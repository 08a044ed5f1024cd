// Checks HTTP archives against the schema of HAR 1.2, which is a package of others.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { tool } from './browser.mjs';

/// Returns a function that validates an archive.
function validator() {
  const Ajv = tool('ajv').default;
  // The schema has keywords that it doesn't use.
  const ajv = new Ajv({ strict: false, allErrors: true });
  tool('ajv-formats').default(ajv);
  ajv.addMetaSchema(tool('ajv/dist/refs/json-schema-draft-06.json'));
  ajv.addSchema(Object.values(tool('har-schema')));
  return ajv.getSchema('har.json');
}

/// Checks the archive at `path`, which has `count` entries.
export async function checkArchive(path, count) {
  const archive = JSON.parse(await readFile(path, 'utf8'));
  const validate = validator();
  const errors = () => JSON.stringify(validate.errors?.slice(0, 5));
  assert.ok(validate(archive), errors());
  // So that a validator that takes anything is noticed.
  const [{ request: _, ...broken }] = archive.log.entries;
  assert.ok(!validate({ log: { ...archive.log, entries: [broken] } }), 'the schema is used');

  assert.equal(archive.log.entries.length, count);
  for (const { time, timings } of archive.log.entries) {
    const { blocked, dns, connect, send, wait, receive } = timings;
    const phases = [blocked, dns, connect, send, wait, receive].filter((phase) => phase >= 0);
    const sum = phases.reduce((one, other) => one + other, 0);
    assert.ok(Math.abs(sum - time) < 0.01, `${sum} ms of ${time} ms`);
  }
}

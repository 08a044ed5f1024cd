// Starts a web application of examples/, with the service and the slow origin of the
// examples.

import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/// Starts everything, passes the example to `test`, and ends it. `command` starts the
/// application at a free port, and prints its URL.
export async function withExample(fetchd, root, command, test) {
  const bin = resolve(root, 'target/ci/web/bin');
  const folder = await mkdtemp(join(tmpdir(), 'fetchd-example-'));
  const processes = [];
  const start = async (file, args, env = {}) => {
    const started = new Process(file, args, { cwd: root, env: { ...process.env, ...env } });
    processes.push(started);
    return { process: started, match: await started.says(/(?:https?:\/\/|address[":=]+)(127\.0\.0\.1:\d+)/) };
  };
  try {
    const flags = ['--listen', '127.0.0.1:0', '--admin-listen', 'off', '--allow-net', '127.0.0.0/8', '--log-format', 'json'];
    const service = await start(fetchd, ['serve', ...flags]);
    const origin = await start(join(bin, 'python'), ['examples/slow_origin.py', '0']);
    const list = await readFile(join(root, 'examples/urls.txt'), 'utf8');
    const urls = list.replaceAll('127.0.0.1:8001', origin.match[1]);
    await writeFile(join(folder, 'urls.txt'), urls);
    const settings = { FETCHD: service.match[1], URLS: join(folder, 'urls.txt') };
    const app = await start(join(bin, command[0]), command.slice(1), settings);
    await test({
      page: `http://${app.match[1]}/`,
      urls: urls.trim().split('\n'),
      origin: { url: `http://${origin.match[1]}`, process: origin.process },
    });
  } finally {
    for (const { child } of processes.reverse()) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  }
}

/// A process, and the lines that it has printed.
class Process {
  child;
  lines = [];
  #news = new EventEmitter();

  constructor(file, args, options) {
    this.child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const output of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: output }).on('line', (line) => {
        this.lines.push(line);
        this.#news.emit('news');
      });
    }
    this.child.on('exit', () => this.#news.emit('news'));
  }

  /// Waits until a line matches `pattern`, and returns the match.
  async says(pattern) {
    for (;;) {
      for (const line of this.lines) {
        const match = line.match(pattern);
        if (match) return match;
      }
      if (this.child.exitCode !== null) throw new Error(`it exited: ${this.lines.join('\n')}`);
      await once(this.#news, 'news');
    }
  }

  /// Waits until `count` lines match `pattern`.
  async saysTimes(count, pattern) {
    while (this.lines.filter((line) => pattern.test(line)).length < count) await once(this.#news, 'news');
  }
}

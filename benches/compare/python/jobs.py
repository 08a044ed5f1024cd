"""Reads jobs from standard input and writes results to standard output, as lines of JSON."""

import json
import sys
import time


class Times:
    """The times of the fetches of a job."""

    def __init__(self):
        self.started = time.perf_counter()
        self.first = None
        self.all = []
        self.bytes = 0

    def record(self, elapsed, size):
        if self.first is None:
            self.first = time.perf_counter() - self.started
        self.all.append(elapsed)
        self.bytes += size

    def result(self):
        wall = time.perf_counter() - self.started
        self.all.sort()
        return {
            "wall_s": wall,
            "bytes": self.bytes,
            "first_ms": self.first * 1e3,
            "p50_ms": self.all[len(self.all) // 2] * 1e3,
            "p99_ms": self.all[len(self.all) * 99 // 100] * 1e3,
        }


def serve(work):
    """Runs each job from standard input with `work`, and prints its result."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line))), flush=True)

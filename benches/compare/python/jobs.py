"""Jobs as lines of JSON on standard input, and their answers on standard output."""

import json
import sys
import time


class Times:
    """The times of the fetches of a job."""

    def __init__(self):
        self.begun = time.perf_counter()
        self.first = None
        self.all = []
        self.bytes = 0

    def note(self, took, size):
        if self.first is None:
            self.first = time.perf_counter() - self.begun
        self.all.append(took)
        self.bytes += size

    def answer(self):
        wall = time.perf_counter() - self.begun
        self.all.sort()
        return {
            "wall_s": wall,
            "bytes": self.bytes,
            "first_ms": self.first * 1e3,
            "p50_ms": self.all[len(self.all) // 2] * 1e3,
            "p99_ms": self.all[len(self.all) * 99 // 100] * 1e3,
        }


def serve(work):
    """Does the jobs of standard input with `work`, one after another."""
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line))), flush=True)

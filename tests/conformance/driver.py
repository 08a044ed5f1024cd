"""The process that runs the jobs of a client."""

import json
import re
import shlex
import subprocess


class Driver:
    """A client under test: a program that reads jobs and writes answers, as lines of JSON."""

    def __init__(self, command):
        self._process = subprocess.Popen(
            shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, job):
        """Starts a job."""
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def answer(self):
        """Returns the answer to the job."""
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the driver exited with code {self._process.wait()}")
        return json.loads(line)

    def peak_memory(self):
        """Returns the peak of its resident memory so far, in bytes."""
        with open(f"/proc/{self._process.pid}/status") as status:
            return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) << 10

    def stop(self):
        self._process.kill()
        self._process.wait()

"""Runs the cases of conformance/ with the drivers of the clients.

Usage: run.py FETCHD ROOT --client NAME=COMMAND... [--only TEXT]

FETCHD is the binary, and ROOT the folder of the project. COMMAND starts a driver, which
conformance/README.md describes. With --only, cases run whose file and name contain TEXT.
"""

import argparse
import base64
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from driver import Driver
from expectations import Unexpected, check, check_result, shorten
from fetch import generate_client
from origin import Origin, content_of
from services import Fake, Services

# Seconds for an event that a case waits for.
PATIENCE = 20


class Suite:
    """The cases, and what they run against."""

    def __init__(self, binary, root):
        self.binary = binary
        self.messages, _ = generate_client(root / "proto")
        self.origin = Origin()
        self.cases = []
        for file in sorted((root / "conformance").glob("*.json")):
            for case in json.loads(file.read_text())["cases"]:
                self.cases.append((f"{file.stem}: {case['name']}", case))
        self._made = tempfile.TemporaryDirectory()
        self.secrets = self._made.name
        script = [root / "deploy/secrets.sh", self.secrets, "crawler"]
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        # An authority that nobody uses.
        script[1] = f"{self.secrets}/other"
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        shutil.copy(f"{self.secrets}/other/ca.crt", f"{self.secrets}/other.crt")
        self.shared = Services(binary)

    def stop(self):
        self.shared.stop()
        self._made.cleanup()

    def run(self, case, command, driver):
        """Runs a case. Fails with `Unexpected` if the client does something else."""
        run = Run(self, case)
        own = Driver(command) if "memory" in case["expect"] else None
        try:
            run.check_answer(own or driver)
        finally:
            run.stop()
            if own:
                own.stop()


class Run:
    """One case with one client."""

    def __init__(self, suite, case):
        self._suite = suite
        self._case = case
        self._origin = suite.origin
        self._origin.begin(case.get("origin", {}))
        self._fakes = []
        self._own = None
        self._blocker = None
        service = case.get("service")
        if "fake" in case:
            self._fakes = [Fake(calls, suite.messages) for calls in case["fake"]]
            self.endpoints = [fake.address for fake in self._fakes]
        elif service is not None:
            flags = [self._fill(flag) for flag in service.get("flags", [])]
            self._own = Services(suite.binary, flags, service.get("replicas", 1))
            self.endpoints = self._own.addresses
        else:
            self.endpoints = suite.shared.addresses

    def stop(self):
        for fake in self._fakes:
            fake.stop()
        if self._own:
            self._own.stop()
        if self._blocker:
            self._blocker.kill()
            self._blocker.wait()

    def check_answer(self, driver):
        case, expected = self._case, self._case["expect"]
        self._fill_up()
        job = self._job()
        before = self._warm_up(driver, job) if "memory" in expected else 0
        begun = time.time()
        driver.begin(job)
        for action in case.get("when", []):
            if not self._origin.wait_for_requests(action["requests"], PATIENCE):
                raise Unexpected(f"the origin did not receive {action['requests']} requests")
            time.sleep(action.get("after", 0))
            if "write" in action:
                pathlib.Path(self._fill(action["write"])).write_text(action["text"])
            else:
                self._own.act(action["do"], action.get("replica", 0))
        answer = driver.answer()
        took = time.time() - begun
        results = sorted(answer["results"], key=lambda result: result["index"])
        if expected.get("failure"):
            if not answer["failure"]:
                raise Unexpected(f"expected the call to fail, got {shorten(answer)}")
        elif answer["failure"]:
            raise Unexpected(f"the call failed: {answer['failure']}")
        self._check_results(expected, results)
        self._check_order(expected, answer)
        if "took" in expected:
            check(expected["took"], took, "seconds")
        if "memory" in expected:
            check(expected["memory"], (driver.peak_memory() - before) / (1 << 20), "MiB of memory")
        self._check_received(expected)
        if "closed_within" in expected:
            self._check_closed(expected["closed_within"], answer["cancelled_at"])

    def _warm_up(self, driver, job):
        """Runs a small job, and returns the memory of the driver."""
        driver.begin({**job, "mode": "arrive", "requests": [{"url": self._origin.url}]})
        driver.answer()
        return driver.peak_memory()

    def _job(self):
        job = {"endpoints": self.endpoints, "mode": "collect", "requests": []}
        job.update(self._filled(self._case["job"]))
        requests = []
        for request in job["requests"]:
            for index in range(request.pop("repeat", 1)):
                requests.append(json.loads(json.dumps(request).replace("{i}", str(index))))
                if "body_bytes" in requests[-1]:
                    body = content_of({"bytes": requests[-1].pop("body_bytes")})
                    requests[-1]["body_base64"] = base64.b64encode(body).decode()
        job["requests"] = requests
        return job

    def _fill_up(self):
        """Fills the service with a batch that takes this many seconds."""
        seconds = self._case.get("full_for")
        if seconds is None:
            return
        self._origin.begin({**self._case.get("origin", {}), "/block": {"delay": seconds}})
        command = [self._suite.binary, "get", "--server", f"http://{self.endpoints[0]}"]
        command.append(f"{self._origin.url}/block")
        self._blocker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if not self._origin.wait_for_requests(1, PATIENCE):
            raise Unexpected("the service could not be filled")

    def _check_results(self, expected, results):
        if "count" in expected:
            check(expected["count"], len(results), "results")
        if "results" in expected:
            check(len(expected["results"]), len(results), "results")
            for index, (mine, theirs) in enumerate(zip(self._filled(expected["results"]), results)):
                check_result(mine, theirs, f"result {index}")
        for index, result in enumerate(results):
            for mine in expected.get("each", []):
                mine = json.loads(json.dumps(self._filled(mine)).replace("{i}", str(index)))
                first, last = mine.pop("from", 0), mine.pop("to", len(results))
                if first <= index < last:
                    check_result(mine, result, f"result {index}")
        for index, texts in enumerate(expected.get("echoed", [])):
            echo = self._origin.echoed.get(results[index]["sha256"], "")
            for text in texts:
                if text not in echo:
                    raise Unexpected(f"request {index}: expected {shorten(text)} in {shorten(echo)}")
        if "some" in expected:
            for pattern in expected["some"]:
                least = pattern.get("least", 1)
                fields = {key: value for key, value in pattern.items() if key not in ("least",)}
                found = sum(matches(fields, result) for result in results)
                if found < least:
                    raise Unexpected(f"expected at least {least} results like {fields}, got {found}")

    def _check_order(self, expected, answer):
        if "order" in expected:
            check(expected["order"], answer.get("order"), "order of arrival")
        if expected.get("indices_once"):
            check(list(range(expected["indices_once"])), sorted(answer["order"]), "indices")
        if "chunks" in expected:
            check(expected["chunks"], answer.get("chunks"), "chunks")
        if "largest_chunk" in expected:
            check(expected["largest_chunk"], answer.get("largest_chunk"), "largest chunk")

    def _check_received(self, expected):
        """Compares what the origin and the fake services received."""
        for path, count in expected.get("origin", {}).items():
            received = self._origin.received
            actual = received.total() if path == "total" else received[path]
            check(count, actual, f"requests for {path} at the origin")
        if "calls" in expected:
            actual = [
                [request.url for request in batch.requests]
                for fake in self._fakes
                for batch, _ in fake.received
            ]
            check(self._filled(expected["calls"]), actual, "requests of each call")
        for url, count in expected.get("received", {}).items():
            batches = [batch for fake in self._fakes for batch, _ in fake.received]
            actual = sum(request.url == url for batch in batches for request in batch.requests)
            check(count, actual, f"times that {url} was received")
        if "most_per_path" in expected:
            path, count = max(self._origin.received.items(), key=lambda item: item[1])
            check({"most": expected["most_per_path"]}, count, f"requests for {path} at the origin")
        if "call_count" in expected:
            check(expected["call_count"], sum(len(fake.received) for fake in self._fakes), "calls")
        for path, value in expected.get("sent", {}).items():
            batch, metadata = self._fakes[0].received[0]
            check(value, field(batch, metadata, path), f"{path} of the first call")

    def _check_closed(self, seconds, cancelled_at):
        closed, waiting = self._origin.wait_for_closes(seconds + 1)
        if waiting:
            raise Unexpected(f"{waiting} requests go on after the cancellation")
        latest = max(closed, default=0) - cancelled_at
        if not closed or latest > seconds:
            raise Unexpected(f"expected the origin to see it within {seconds} s, took {latest:.3f} s")

    def _filled(self, value):
        return json.loads(self._fill(json.dumps(value)))

    def _fill(self, text):
        text = text.replace("{origin}", self._origin.url)
        if "{endpoint}" in text or "{port}" in text:
            text = text.replace("{endpoint}", self.endpoints[0])
            text = text.replace("{port}", self.endpoints[0].rpartition(":")[2])
        return text.replace("{secrets}", self._suite.secrets)


def matches(fields, result):
    try:
        check_result(fields, result, "")
    except Unexpected:
        return False
    return True


def field(batch, metadata, path):
    """Returns a field of a recorded call, such as `requests.0.options.max_attempts`."""
    name, _, rest = path.partition(".")
    if name == "metadata":
        return metadata.get(rest)
    value = batch
    for name in path.split("."):
        if name.isdigit():
            value = value[int(name)]
        elif name == "seconds":
            value = round(value.seconds + value.nanos / 1e9, 6)
        else:
            value = getattr(value, name)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [bytes_or(v) for v in value] if not isinstance(value, (str, int, float, bool)) else value


def bytes_or(value):
    return [value.name, value.value.decode("latin-1")] if hasattr(value, "name") else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--client", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if len(options.client) > 1:
        sys.exit(run_side_by_side(options))
    suite = Suite(options.binary.resolve(), options.root.resolve())
    failures = 0
    try:
        for client in options.client:
            name, _, command = client.partition("=")
            failures += run_client(suite, name, command, options.only)
    finally:
        suite.stop()
    sys.exit(1 if failures else 0)


def run_side_by_side(options):
    """Runs two clients at a time, each in a process of its own. Most cases wait."""
    command = [sys.executable, __file__, options.binary, options.root, "--only", options.only]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        run = lambda client: subprocess.run([*command, "--client", client], check=False).returncode
        return max(pool.map(run, options.client))


def run_client(suite, name, command, only):
    """Runs all cases with a client. Returns the number of failures."""
    begun, failures, count, slowest = time.time(), 0, 0, (0, "")
    driver = Driver(command)
    for title, case in suite.cases:
        if only not in title:
            continue
        count += 1
        case_begun = time.time()
        try:
            suite.run(case, command, driver)
        except Unexpected as error:
            failures += 1
            print(f"{name}: {title}\n    {error}", flush=True)
        except (AssertionError, BrokenPipeError) as error:
            failures += 1
            print(f"{name}: {title}\n    {error}", flush=True)
            driver.stop()
            driver = Driver(command)
        slowest = max(slowest, (time.time() - case_begun, title))
    driver.stop()
    took = time.time() - begun
    print(f"{name}: {count - failures} of {count} cases pass, {took:.1f} s, slowest {slowest[1]} {slowest[0]:.1f} s", flush=True)
    return failures


if __name__ == "__main__":
    main()

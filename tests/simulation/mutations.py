"""Breaks rules of the service and its client, one at a time, and shows after how many seeds
the simulation notices.

    python3 tests/simulation/mutations.py [--seeds 20000] [NAME ...]

Each mutation replaces a piece of code in a copy of the tree below target/mutations. It fails
if a piece isn't there (any more), or if a mutation isn't noticed within that many seeds.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "mutations"
TREE = WORK / "tree"

# Name, file, the code, and what replaces it.
MUTATIONS = [
    (
        "a request that has ended ends again if the batch stops just then",
        "src/schedule/worker.rs",
        "                    self.hand_over(last.into()).await;\n"
        "                    *current = None;\n",
        "                    self.hand_over(last.into()).await;\n"
        "                    tokio::task::yield_now().await;\n"
        "                    *current = None;\n",
    ),
    (
        "requests that are being fetched while the batch stops are lost",
        "src/schedule/worker.rs",
        "            self.parts.send(job.fail(error.clone()).into()).await;\n",
        "            drop(job.fail(error.clone()));\n",
    ),
    (
        "a GET isn't sent again after its replica was lost",
        "src/client/send/resend.rs",
        "Disposition::Lost => pending.is_idempotent() && self.counts_loss(pending)",
        "Disposition::Lost => false",
    ),
    (
        "a POST is sent again after its replica was lost",
        "src/client/send/resend.rs",
        "Disposition::Lost => pending.is_idempotent() && self.counts_loss(pending)",
        "Disposition::Lost => self.counts_loss(pending)",
    ),
    (
        "a POST is sent again after its reused connection broke",
        "src/fetch.rs",
        "connection.can_resend(hop.is_idempotent())",
        "connection.can_resend(true)",
    ),
    (
        "a POST is made again after its connection broke",
        "src/retry.rs",
        "error.retryable && (self.request.is_idempotent() || is_unwritten)",
        "error.retryable",
    ),
    (
        "slots that a cancelled batch hasn't used leak",
        "src/gate/state.rs",
        "        for (request, host) in started {\n"
        "            untaken.push(request);\n"
        "            self.free(id, host);\n",
        "        for (request, _) in started {\n            untaken.push(request);\n",
    ),
    (
        "a batch goes on after its caller has left",
        "src/schedule.rs",
        "            _driver: AbortOnDropHandle::new(driver),\n",
        "            _driver: AbortOnDropHandle::new({\n"
        "                drop(driver);\n"
        "                tokio::spawn(async {})\n"
        "            }),\n",
    ),
    (
        "a replica that fails three times is ejected for ever",
        "src/client/replicas/health.rs",
        "let is_due = self.probe_due().is_some_and(|due| due <= now);",
        "let is_due = self.failures < 3 && self.probe_due().is_some_and(|due| due <= now);",
    ),
    (
        "a host gets one request more than its limit",
        "src/gate/hosts.rs",
        "if state.in_flight >= limit {",
        "if state.in_flight > limit {",
    ),
    (
        "a batch gets one request more than its concurrency",
        "src/gate/batch.rs",
        "self.in_flight < self.concurrency && !self.ready.is_empty()",
        "self.in_flight <= self.concurrency && !self.ready.is_empty()",
    ),
    (
        "there are twice as many batches as allowed",
        "src/service/admission.rs",
        "Quota::new(limits.batches() as usize, SHARE_RATIO)",
        "Quota::new(2 * limits.batches() as usize, SHARE_RATIO)",
    ),
    (
        "timeouts take three times as long",
        "src/clock.rs",
        "deadline: now + options.timeout,",
        "deadline: now + 3 * options.timeout,",
    ),
    (
        "a body that was cut counts as complete",
        "src/http1/incoming.rs",
        'Framing::Length(_) => Err(Error::Closed("before the body was complete")),',
        "Framing::Length(_) => {\n"
        "                self.framing = Framing::UntilClose;\n"
        "                Ok(())\n"
        "            }",
    ),
    (
        "addresses of a name aren't checked",
        "src/connect.rs",
        "policy.allowed_addresses(addresses)?",
        "addresses",
    ),
    (
        "requests that a draining replica didn't start aren't sent again",
        "src/client/failure.rs",
        "(Some(Reason::ShuttingDown), 0) => Self::NotDispatched { retry_after: None },",
        "(Some(Reason::ShuttingDown), 0) => Self::Final,",
    ),
    (
        "calls that reach a closing connection count as lost",
        "src/client/failure.rs",
        "if find::<hyper::Error>(cause).any(hyper::Error::is_canceled) {\n            return Self::Unsent;",
        "if find::<hyper::Error>(cause).any(hyper::Error::is_canceled) {\n            return Self::Lost;",
    ),
    (
        "a drain gives open batches no time",
        "src/server/drain.rs",
        "() = time::sleep(self.config.drain_timeout) => {}",
        "() = time::sleep(self.config.drain_timeout / 100) => {}",
    ),
    (
        "names of the service are looked up once",
        "src/client/replicas.rs",
        "        self.lookup.due(if is_any_ejected {",
        "        self.lookup.due(if is_any_ejected || true {\n"
        "            Duration::from_secs(100_000)\n"
        "        } else if is_any_ejected {",
    ),
    (
        "a list waits for a silent replica at its deadline",
        "src/client/send/deadline.rs",
        "self.at.map(|at| at + GRACE)",
        "self.at.map(|at| at + 100 * GRACE)",
    ),
    (
        "a deadline doesn't say that requests may have reached their origin",
        "src/client/send/list.rs",
        "self.outcomes.fail_all(&error.clone().maybe_dispatched());",
        "self.outcomes.fail_all(error);",
    ),
    (
        "a call that was cut doesn't say that requests may have reached their origin",
        "src/client/error.rs",
        "        if let Self::ServiceLost { message }\n"
        "        | Self::Call { message, .. }\n"
        "        | Self::Fetch { message, .. } = &mut self\n"
        "        {\n",
        "        if let Self::ServiceLost { message } | Self::Fetch { message, .. } = &mut self {\n",
    ),
    (
        "a list whose replica drains has more in flight than it wants",
        "src/client/send/queues.rs",
        "self.single_call.filter(|_| is_alone)",
        "self.single_call.filter(|_| is_alone || true)",
    ),
]


def copy_tree():
    """Copies all files of the repository, without touching those that are the same, and
    removes those that aren't there any more."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", ".", ":!clients", ":!docs"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, TREE / name
        if source.is_file() and not (
            target.is_file() and target.read_bytes() == source.read_bytes()
        ):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    present = {TREE / name for name in listed}
    for copy in TREE.rglob("*"):
        if copy.is_file() and copy not in present:
            copy.unlink()


def build():
    subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--example", "simulate"],
        cwd=TREE, check=True,
        env=os.environ | {"CARGO_TARGET_DIR": str(WORK / "target"), "CARGO_PROFILE_DEV_OPT_LEVEL": "1"},
    )


def first_failure(seeds):
    """Runs seeds until one fails. Returns it with what was wrong, or None."""
    program = WORK / "target" / "debug" / "examples" / "simulate"
    run = subprocess.run(
        [program, "--seeds", str(seeds)],
        capture_output=True, text=True, check=False,
    )
    found = re.search(r"^seed (\d+) failed: (.*)$", run.stdout, re.M)
    return found and (int(found[1]), found[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("names", nargs="*", help="parts of the names of mutations")
    args = parser.parse_args()
    missed = []
    for name, file, old, new in MUTATIONS:
        if args.names and not any(part in name for part in args.names):
            continue
        copy_tree()
        path = TREE / file
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"{file}: expected once, found {text.count(old)} times: {old}")
        path.write_text(text.replace(old, new))
        build()
        began = time.monotonic()
        found = first_failure(args.seeds)
        took = time.monotonic() - began
        if found:
            print(f"{name}: seed {found[0]}, {took:.0f} s: {found[1][:120]}", flush=True)
        else:
            print(f"{name}: NOT NOTICED within {args.seeds} seeds, {took:.0f} s", flush=True)
            missed.append(name)
    if missed:
        sys.exit(f"{len(missed)} not noticed")


if __name__ == "__main__":
    main()

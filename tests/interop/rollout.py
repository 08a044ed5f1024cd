"""Calls the service from Python while all of its replicas are replaced.

Usage: rollout.py FETCHD ROOT [--seconds SECONDS]

FETCHD is the binary, and ROOT the folder of the project. The channel is made as in
docs/callers.md. Two callers make up to 200 calls of 5 URLs a second each: one uses the
name of all replicas, and one a virtual address, which leads each new connection to a
random replica. None of their calls may fail. Then one replica is killed, and its name is
corrected a second later. Only calls that were open may fail.

The test runs in a network namespace of its own, with its own name server. It is skipped if
namespaces are not permitted.
"""

import argparse
import asyncio
import collections
import concurrent.futures
import multiprocessing
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from samples import blocks
from service import start_service

PORT = 50051
ORIGIN = 8080
# The address of all replicas together, like that of a Service in Kubernetes.
VIRTUAL = "127.0.2.1"
REPLICAS = 3
RATE = 200
URLS = 5
# Seconds for a call.
DEADLINE = 5
# How long names and load balancers take to learn that a replica is terminating.
PROPAGATION = 0.5
INSIDE = "FETCHD_TEST_INSIDE"


def enter_namespace():
    """Runs this program again in a namespace. Returns if it already runs in one."""
    if os.environ.get(INSIDE):
        return
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{VIRTUAL} fetchd\n")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    script = (
        f"ip link set lo up && mount --bind {folder}/hosts /etc/hosts && "
        f"mount --bind {folder}/resolv.conf /etc/resolv.conf"
    )
    for user in [], ["--map-root-user"]:
        unshare = ["unshare", *user, "--net", "--mount", "sh", "-ec"]
        if subprocess.run([*unshare, script], stderr=subprocess.DEVNULL).returncode == 0:
            command = [*unshare, f'{script} && exec "$0" "$@"', sys.executable, *sys.argv]
            sys.exit(subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode)
    print("skipped, since there is no network namespace")
    sys.exit(0)


class Names(asyncio.DatagramProtocol):
    """Answers every A query with the addresses of `ready`, and with a TTL of zero."""

    def __init__(self, ready):
        self.ready = ready

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, query, peer):
        end = query.index(0, 12) + 5
        [kind] = struct.unpack("!H", query[end - 4 : end - 2])
        addresses = self.ready() if kind == 1 else []
        header = query[:2] + struct.pack("!5H", 0x8180, 1, len(addresses), 0, 0)
        answers = [
            struct.pack("!3HIH", 0xC00C, 1, 1, 0, 4) + bytes(map(int, address.split(".")))
            for address in addresses
        ]
        self.transport.sendto(header + query[12:end] + b"".join(answers), peer)


class Origin(asyncio.Protocol):
    """Answers each request after 20 ms."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthere"
        for _ in range(data.count(b"\r\n\r\n")):
            asyncio.get_running_loop().call_later(0.02, self.transport.write, reply)


async def forward(reader, writer):
    """Copies from one connection to another."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()


def run_site(ready_file):
    """Runs the name server, the origin and the virtual address."""

    def ready():
        return ready_file.read_text().split()

    async def balance(reader, writer):
        try:
            there = await asyncio.open_connection(random.choice(ready()), PORT)
        except OSError:
            writer.close()
            return
        await asyncio.gather(forward(reader, there[1]), forward(there[0], writer))

    async def main():
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(
            lambda: Names(ready), local_addr=("127.0.0.1", 53)
        )
        await loop.create_server(Origin, "127.0.0.1", ORIGIN, backlog=1024)
        await asyncio.start_server(balance, VIRTUAL, PORT)
        await asyncio.Event().wait()

    asyncio.run(main())


class Replicas:
    """The processes behind the name, the oldest first."""

    def __init__(self, binary, folder):
        self.binary = binary
        self.ready_file = folder / "ready"
        self.running = []
        self.started = 0
        self.write()

    def write(self):
        """Writes the addresses of the name."""
        new = self.ready_file.with_suffix(".new")
        new.write_text(" ".join(address for address, _ in self.running))
        new.rename(self.ready_file)

    def add(self):
        """Starts a replica, and adds it to the name when it is ready."""
        self.started += 1
        address = f"127.0.1.{self.started}"
        command = [self.binary, "serve", "--drain-delay", "1s"]
        service, _ = start_service(command, f"{address}:{PORT}")
        self.running.append((address, service))
        self.write()

    def replace_oldest(self):
        self.add()
        self.stop_oldest(signal.SIGTERM, PROPAGATION)

    def stop_oldest(self, number, delay):
        """Sends the signal, and removes the replica from the name after the delay."""
        _, service = self.running[0]
        service.send_signal(number)
        time.sleep(delay)
        del self.running[0]
        self.write()
        service.wait(timeout=30)

    def kill_all(self):
        for _, service in self.running:
            service.kill()
            service.wait()


class Caller:
    """Makes calls at a constant rate, and counts those that fail."""

    def __init__(self, name, channel, pb2, pb2_grpc):
        self.name = name
        self.stub = pb2_grpc.FetchServiceStub(channel)
        self.batch = pb2.FetchBatchRequest(
            requests=[
                pb2.FetchRequest(url=f"http://127.0.0.1:{ORIGIN}/{index}")
                for index in range(URLS)
            ]
        )
        self.calls = 0
        self.open = 0
        self.failed = collections.Counter()
        self.slowest = 0.0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        pool = concurrent.futures.ThreadPoolExecutor(32)
        begun = time.monotonic()
        while not self.is_over.wait(max(0, begun - time.monotonic())):
            # After a pause of the whole machine, there is no burst of calls.
            begun = max(begun, time.monotonic() - 0.1) + 1 / RATE
            pool.submit(self.call)
        pool.shutdown(wait=False, cancel_futures=True)

    def call(self):
        import grpc

        with self.lock:
            self.open += 1
        begun = time.monotonic()
        error = None
        try:
            ends = 0
            for message in self.stub.FetchBatch(self.batch, timeout=DEADLINE):
                for part in message.parts:
                    ends += part.HasField("end") and not part.end.HasField("error")
            if ends != URLS:
                error = f"{ends} responses"
        except grpc.RpcError as failure:
            error = f"{failure.code().name}: {failure.details()}"
        took = time.monotonic() - begun
        with self.lock:
            self.open -= 1
            self.calls += 1
            self.slowest = max(self.slowest, took)
            if error:
                self.failed[error] += 1

    def stop(self):
        """Stops the caller. Calls that don't end at their deadline count as failed."""
        self.is_over.set()
        self.thread.join()
        end = time.monotonic() + 2 * DEADLINE
        while self.open and time.monotonic() < end:
            time.sleep(0.01)
        if self.open:
            self.failed["not ended at the deadline"] = self.open

    def report(self):
        failed = sum(self.failed.values())
        text = f"{self.name}: {self.calls} calls, {failed} failed, slowest {self.slowest:.2f} s"
        return "\n  ".join([text, *(f"{count} x {error}" for error, count in self.failed.items())])


def make_channel(root, target):
    """Runs the first Python code of docs/callers.md with another target."""
    text = (root / "docs/callers.md").read_text()
    code, *_ = blocks(text, "python")
    assert "fetchd-headless" in code
    scope = {}
    exec(code.replace("dns:///fetchd-headless", target), scope)
    return scope["channel"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()
    enter_namespace()

    replicas = Replicas(arguments.binary.resolve(), pathlib.Path(tempfile.mkdtemp()))
    site = multiprocessing.Process(target=run_site, args=(replicas.ready_file,), daemon=True)
    site.start()
    # gRPC must not be imported before the process above is forked.
    from fetch import generate_client

    modules = generate_client(arguments.root / "proto")

    def callers():
        targets = {"by name": "dns:///fetchd.test", "one connection": "dns:///fetchd"}
        return [
            Caller(name, make_channel(arguments.root, target), *modules)
            for name, target in targets.items()
        ]

    try:
        for _ in range(REPLICAS):
            replicas.add()
        rollout = callers()
        begun = time.monotonic()
        replaced = 0
        while replaced < REPLICAS or time.monotonic() - begun < arguments.seconds:
            replicas.replace_oldest()
            replaced += 1
        print(f"{replaced} replicas replaced in {time.monotonic() - begun:.1f} s")
        for caller in rollout:
            caller.stop()
            print(caller.report())
        killed = callers()
        time.sleep(1)
        replicas.stop_oldest(signal.SIGKILL, 1)
        time.sleep(1)
        print("one of three replicas killed")
        for caller in killed:
            caller.stop()
            print(caller.report())
    finally:
        replicas.kill_all()
        site.kill()
    assert not any(caller.failed for caller in rollout), "calls have failed during the rollout"
    for caller in killed:
        for error in caller.failed:
            # grpcio 1.85 may forget the deadline of a retried call if its connection is lost.
            assert error.startswith(("UNAVAILABLE", "not ended")), error


if __name__ == "__main__":
    code = 0
    try:
        main()
    except AssertionError:
        traceback.print_exc()
        code = 1
    # Don't wait for calls that never end.
    sys.stdout.flush()
    os._exit(code)

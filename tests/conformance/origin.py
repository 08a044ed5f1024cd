"""An origin whose behaviour is data.

It speaks HTTP/1.1 on 127.0.0.1, in an event loop of its own thread. A case gives a behaviour to
each path; `*` at the end of a path stands for anything. See conformance/README.md.
"""

import asyncio
import base64
import collections
import hashlib
import random
import threading
import time


class Origin:
    """Serves the paths of the current case, and records what it receives."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._behaviours = {}
        self._changed = threading.Condition()
        self._release = asyncio.Event()
        self.begin({})
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        started.wait()

    def begin(self, behaviours):
        """Begins a case."""
        # Connections that an earlier case has left hang no longer.
        self._loop.call_soon_threadsafe(self._release.set)
        self._release = asyncio.Event()
        with self._changed:
            self._behaviours = behaviours
            self.received = collections.Counter()
            self.echoed = {}
            self.closed = []
            self.waiting = 0

    def wait_for_requests(self, count, timeout):
        """Waits until the case has received `count` requests. Returns false if it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self.received.total() >= count, timeout)

    def wait_for_closes(self, timeout):
        """Waits until no request hangs. Returns the times at which those that hung were closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting == 0, timeout)
            return list(self.closed), self.waiting

    def _run(self, started):
        async def serve():
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
            self.url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
            started.set()
            await server.serve_forever()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(serve())

    async def _serve(self, reader, writer):
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader, writer):
        """Answers a request. Returns true if the connection stays open."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        body = await reader.readexactly(length)
        path = path.partition("?")[0]
        with self._changed:
            self.received[path] += 1
            self._changed.notify_all()
        behaviour = self._behaviour(path)
        if "random_delay" in behaviour:
            least, most = behaviour["random_delay"]
            await asyncio.sleep(random.Random(path).uniform(least, most))
        if "delay" in behaviour:
            await asyncio.sleep(behaviour["delay"])
        if behaviour.get("hang") == "before head":
            return await self._hang(reader)
        if behaviour.get("close"):
            return False
        if behaviour.get("echo"):
            lines = head.decode("latin-1").partition("\r\n")[2].lower()
            echo = f"{method}\n{lines}{body.decode('latin-1')}"
            behaviour = dict(behaviour, body={"text": echo})
            self.echoed[digest(echo.encode("latin-1"))["sha256"]] = echo
        content = content_of(behaviour.get("body", ""), path)
        writer.write(self._head(behaviour, len(content)))
        if method == "HEAD" or behaviour.get("no_body"):
            return True
        cut = behaviour.get("cut_after", len(content))
        for start in range(0, cut, 1 << 18):
            writer.write(content[start : min(cut, start + (1 << 18))])
            await writer.drain()
        if behaviour.get("hang") == "in body":
            return await self._hang(reader)
        if cut < len(content):
            # The body has to leave before the connection is closed.
            await writer.drain()
            return False
        return True

    async def _hang(self, reader):
        """Waits until the peer closes the connection, or the case is over."""
        release = self._release
        with self._changed:
            self.waiting += 1
        closed = asyncio.ensure_future(read_to_end(reader))
        over = asyncio.ensure_future(release.wait())
        try:
            await asyncio.wait([closed, over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            if release is self._release:
                with self._changed:
                    self.waiting -= 1
                    self.closed.append(time.time())
                    self._changed.notify_all()
        return False

    def _behaviour(self, path):
        if path in self._behaviours:
            return self._behaviours[path]
        for pattern, behaviour in self._behaviours.items():
            if pattern.endswith("*") and path.startswith(pattern[:-1]):
                return behaviour
        return {"status": 404}

    def _head(self, behaviour, length):
        status = behaviour.get("status", 200)
        lines = [f"HTTP/1.1 {status} x"]
        if status not in (204, 304) and not behaviour.get("no_length"):
            lines.append(f"content-length: {length}")
        for name, value in behaviour.get("headers", []):
            lines.append(f"{name}: {value}".replace("{origin}", self.url))
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_to_end(reader):
    """Returns when the peer has closed the connection."""
    try:
        await reader.read()
    except ConnectionError:
        pass


_CONTENT = {}


def content_of(body, path=""):
    """Returns the bytes of a body: text, `base64`, or `bytes` times a pattern."""
    if isinstance(body, str):
        return body.replace("{path}", path).encode()
    if "text" in body:
        return body["text"].encode("latin-1")
    if "base64" in body:
        return base64.b64decode(body["base64"])
    size = body["bytes"]
    if size not in _CONTENT:
        pattern = bytes(range(256)) * 4
        _CONTENT[size] = (pattern * (size // len(pattern) + 1))[:size]
    return _CONTENT[size]


def digest(content):
    """Returns what a driver reports about a body."""
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

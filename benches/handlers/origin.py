"""A slow origin for thousands of connections, with two hostile paths.

`/slow/N` answers with 10 KiB after 1.5 s. `/endless` sends its body for ever, at up to
100 MB/s. `/drip` sends a byte a second, for ever.
"""

import asyncio

SLOW = 1.5
PAGE = b"x" * 10_240
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
ANSWER = HEAD + b"Content-Length: %d\r\n\r\n" % len(PAGE) + PAGE
UNTIL_CLOSE = HEAD + b"Connection: close\r\n\r\n"
MEGABYTE = bytes(1_000_000)


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.head = b""
        self.timer = None
        self.is_paused = False

    def data_received(self, data):
        self.head += data
        if not self.head.endswith(b"\r\n\r\n"):
            return
        path = self.head.split(b" ", 2)[1]
        self.head = b""
        if path == b"/endless":
            self.transport.write(UNTIL_CLOSE)
            self.pour()
        elif path == b"/drip":
            self.transport.write(UNTIL_CLOSE)
            self.drip()
        else:
            self.timer = self.loop.call_later(SLOW, self.transport.write, ANSWER)

    def pour(self):
        if not self.is_paused:
            self.transport.write(MEGABYTE)
        self.timer = self.loop.call_later(0.01, self.pour)

    def drip(self):
        self.transport.write(b".")
        self.timer = self.loop.call_later(1, self.drip)

    def pause_writing(self):
        self.is_paused = True

    def resume_writing(self):
        self.is_paused = False

    def connection_lost(self, error):
        if self.timer:
            self.timer.cancel()


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4_096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())

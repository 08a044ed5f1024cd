"""A slow origin on 127.0.0.1, for the examples.

Usage: slow_origin.py [PORT]

`/NAME?seconds=1.5` answers after that time, `&status=404` with that status, and `&reset`
closes the connection instead. The origin prints which callers left before their answer.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from urllib.parse import parse_qs, urlsplit


async def serve_connection(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while await answer(reader, writer):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The caller has closed the connection.
    finally:
        writer.close()


async def answer(reader: StreamReader, writer: StreamWriter) -> bool:
    """Answers one request, and returns whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    target = urlsplit(head.split()[1].decode("latin-1"))
    query = parse_qs(target.query, keep_blank_values=True)
    if await leaves(reader, float(query.get("seconds", ["1.5"])[0])):
        print(f"{target.path}: the caller has left", flush=True)
        return False
    if "reset" in query:
        return False
    status = int(query.get("status", ["200"])[0])
    body = f"<h1>{target.path}</h1>\n".encode()
    writer.write(
        f"HTTP/1.1 {status} Slow\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
    )
    await writer.drain()
    return True


async def leaves(reader: StreamReader, seconds: float) -> bool:
    """Waits, and returns whether the caller closes its connection before the time is over."""
    try:
        await asyncio.wait_for(reader.read(1), seconds)
    except asyncio.TimeoutError:
        return False
    except ConnectionError:
        pass  # It has reset the connection.
    return True


async def main(port: int) -> None:
    server = await asyncio.start_server(serve_connection, "127.0.0.1", port, backlog=1024)
    address = server.sockets[0].getsockname()
    print(f"answers slowly at http://{address[0]}:{address[1]}/", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8001))
    except KeyboardInterrupt:
        pass

"""Runs the jobs of the conformance suite with this client. See conformance/README.md.

Usage: conformance.py [--asyncio]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import sys
import threading
import time
from typing import Any, Dict, Optional

from fetchd import AsyncClient, Client, FetchError, Request, Result

_LIMITS = ("idle_timeout", "connect_timeout", "max_redirects", "max_body_bytes", "truncate", "max_attempts")


def settings(job: Dict[str, Any]) -> Dict[str, Any]:
    """Returns the arguments of the client of a job."""
    tls = job.get("tls") or {}
    names = {"tls_ca": tls.get("ca"), "tls_cert": tls.get("cert"), "tls_key": tls.get("key")}
    for name in ("token", "token_file", "give_up_after", "silence_timeout"):
        names[name] = job.get(name)
    return {name: value for name, value in names.items() if value is not None}


def list_arguments(job: Dict[str, Any]) -> Dict[str, Any]:
    """Returns the arguments of the list of a job."""
    options = dict(job.get("options", {}))
    if "timeout" in options:
        options["request_timeout"] = options.pop("timeout")
    for name in ("timeout", "metadata", *(["concurrency"] if job["mode"] != "stream" else [])):
        if job.get(name) is not None:
            options[name] = job[name]
    return options


def request_of(data: Dict[str, Any]) -> Any:
    """Returns a request of a job."""
    if set(data) == {"url"}:
        return data["url"]
    body = data.get("body_base64")
    return Request(
        data["url"],
        data.get("method", "GET"),
        headers=data.get("headers"),
        body=None if body is None else base64.b64decode(body),
        timeout=data.get("timeout"),
        **{name: data[name] for name in _LIMITS if name in data},
    )


def error_of(error: Optional[FetchError]) -> Optional[Dict[str, Any]]:
    if error is None:
        return None
    return {"name": error.reason, "message": error.message, "retryable": error.retryable, "code": error.code}


def result_of(result: Result, with_text: bool) -> Dict[str, Any]:
    """Returns what the suite compares of a result."""
    answer = {
        "index": result.index,
        "status": result.status_code,
        "headers": result.headers.multi_items(),
        "size": len(result.content),
        "sha256": hashlib.sha256(result.content).hexdigest(),
        "url": result.url,
        "version": result.http_version,
        "attempts": result.attempts,
        "redirects": result.redirects,
        "truncated": result.truncated,
        "error": error_of(result.error),
    }
    if with_text:
        answer["text"] = result.text
    return answer


class Chunks:
    """What the suite compares of a streamed body."""

    def __init__(self) -> None:
        self.count = self.size = self.largest = 0
        self._hash = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        self.count += 1
        self.size += len(chunk)
        self.largest = max(self.largest, len(chunk))
        self._hash.update(chunk)

    def answer(self, response: Any, error: Optional[FetchError]) -> Dict[str, Any]:
        result = {
            "index": 0,
            "status": response and response.status_code,
            "headers": response.headers.multi_items() if response else [],
            "size": self.size,
            "sha256": self._hash.hexdigest(),
            "url": response and response.url,
            "version": response and response.http_version,
            "attempts": response and response.attempts,
            "redirects": response and response.redirects,
            "truncated": response and response.truncated,
            "error": error_of(error),
        }
        return {"results": [result], "chunks": self.count, "largest_chunk": self.largest}


def run(job: Dict[str, Any]) -> Dict[str, Any]:
    """Runs a job with the synchronous client."""
    with Client(job["endpoints"], **settings(job)) as client:
        requests = [request_of(data) for data in job["requests"]]
        arguments = list_arguments(job)
        if job["mode"] == "stream":
            return stream(client, requests[0], arguments, job.get("stop_after"))
        fetch = client.fetch(requests, **arguments)
        results, cancelled_at = [], None
        if job["mode"] == "collect" and "cancel_after" in job:
            # A synchronous call is cancelled by closing its client from another thread.
            def cancel() -> None:
                nonlocal cancelled_at
                cancelled_at = time.time()
                client.close()

            threading.Timer(job["cancel_after"], cancel).start()
        for result in fetch if job["mode"] == "arrive" else client.fetch_all(requests, **arguments):
            results.append(result)
            if len(results) == job.get("stop_after"):
                cancelled_at = time.time()
                break
        fetch.close()  # type: ignore[attr-defined]
        return answer_of(job, results, cancelled_at)


def stream(client: Client, request: Any, arguments: Any, stop_after: Optional[int]) -> Dict[str, Any]:
    chunks, response, cancelled_at = Chunks(), None, None
    try:
        with client.stream(request, **arguments) as response:
            for chunk in response:
                chunks.add(chunk)
                if chunks.count == stop_after:
                    cancelled_at = time.time()
                    break
    except FetchError as error:
        return chunks.answer(response, error)
    return {**chunks.answer(response, None), "cancelled_at": cancelled_at}


async def run_async(job: Dict[str, Any]) -> Dict[str, Any]:
    """Runs a job with the asyncio client."""
    async with AsyncClient(job["endpoints"], **settings(job)) as client:
        requests = [request_of(data) for data in job["requests"]]
        arguments = list_arguments(job)
        if job["mode"] == "stream":
            return await stream_async(client, requests[0], arguments, job.get("stop_after"))
        results, cancelled_at = [], None
        if job["mode"] == "collect":
            task = asyncio.ensure_future(client.fetch_all(requests, **arguments))
            if "cancel_after" in job:
                await asyncio.sleep(job["cancel_after"])
                cancelled_at = time.time()
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                results = await task
            return answer_of(job, results, cancelled_at)
        fetch = client.fetch(requests, **arguments)
        async for result in fetch:
            results.append(result)
            if len(results) == job.get("stop_after"):
                cancelled_at = time.time()
                break
        await fetch.aclose()  # type: ignore[attr-defined]
        return answer_of(job, results, cancelled_at)


async def stream_async(
    client: AsyncClient, request: Any, arguments: Any, stop_after: Optional[int]
) -> Dict[str, Any]:
    chunks, response, cancelled_at = Chunks(), None, None
    try:
        async with client.stream(request, **arguments) as response:
            async for chunk in response:
                chunks.add(chunk)
                if chunks.count == stop_after:
                    cancelled_at = time.time()
                    break
    except FetchError as error:
        return chunks.answer(response, error)
    return {**chunks.answer(response, None), "cancelled_at": cancelled_at}


def answer_of(job: Dict[str, Any], results: Any, cancelled_at: Optional[float]) -> Dict[str, Any]:
    return {
        "results": [result_of(result, job.get("text", False)) for result in results],
        "order": [result.index for result in results],
        "cancelled_at": cancelled_at,
    }


def main() -> None:
    # One event loop for all jobs, as in a program.
    loop = asyncio.new_event_loop()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            is_async = "--asyncio" in sys.argv
            answer = loop.run_until_complete(run_async(job)) if is_async else run(job)
            answer = {"failure": None, "cancelled_at": None, **answer}
        except (OSError, TypeError, ValueError) as error:
            failure = {"name": type(error).__name__, "message": str(error)}
            answer = {"results": [], "order": [], "cancelled_at": None, "failure": failure}
        print(json.dumps(answer), flush=True)


main()

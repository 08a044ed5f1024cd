"""Fetches a list of slow URLs for a page, which shows each result as soon as it arrives."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from fetchd import Client, Result
from flask import Flask, Response, abort, render_template, request

MAX_URLS = 1_000
# The list that the page suggests.
URLS = Path(os.environ.get("URLS", Path(__file__).parent.parent / "urls.txt"))
# Otherwise nginx would collect the lines of a response.
NO_BUFFERING = {"X-Accel-Buffering": "no"}

app = Flask(__name__, static_folder="../static")
client = Client(os.environ.get("FETCHD", "localhost:50051"))


@app.get("/")
def page() -> str:
    return render_template("page.html", urls=URLS.read_text())


@app.post("/check")
def check() -> list[dict[str, object]]:
    """Answers with all results at once, in the order of the list."""
    results = client.fetch_all(urls_of_form(), concurrency=100, timeout=10)
    return [row(result) for result in results]


@app.post("/stream")
def stream() -> Response:
    """Answers with a line of JSON for each result, in the order of arrival."""
    results = client.fetch(urls_of_form(), concurrency=100, timeout=10)
    return Response(lines(results), mimetype="application/x-ndjson", headers=NO_BUFFERING)


def lines(results: Iterator[Result]) -> Iterator[str]:
    for result in results:
        yield json.dumps(row(result)) + "\n"


def row(result: Result) -> dict[str, object]:
    return {
        "index": result.index,
        "status": result.status_code,
        "error": str(result.error) if result.error else None,
        "bytes": len(result.content),
        "seconds": result.elapsed.total_seconds(),
    }


def urls_of_form() -> list[str]:
    urls = request.form["urls"].split()
    if len(urls) > MAX_URLS:
        abort(413, f"expected at most {MAX_URLS} URLs, got {len(urls)}")
    return urls

"""Fetches a list of slow URLs for a page, which gets each result as a server-sent event."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from fetchd import AsyncClient, Result
from pydantic import BaseModel

HERE = Path(__file__).parent
MAX_URLS = 1_000
# The list that the page suggests.
URLS = Path(os.environ.get("URLS", HERE.parent / "urls.txt"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncClient(os.environ.get("FETCHD", "localhost:50051")) as client:
        app.state.client = client
        yield


def client_of(request: Request) -> AsyncClient:
    client: AsyncClient = request.app.state.client
    return client


templates = Jinja2Templates(HERE / "templates")
app = FastAPI(lifespan=lifespan)
app.mount("/static", StaticFiles(directory=HERE.parent / "static"))
Fetchd = Annotated[AsyncClient, Depends(client_of)]


class Row(BaseModel):
    index: int
    status: int | None
    error: str | None
    bytes: int
    seconds: float


@app.get("/")
async def page(request: Request) -> Response:
    return templates.TemplateResponse(request, "page.html", {"urls": URLS.read_text()})


@app.post("/check")
async def check(client: Fetchd, urls: Annotated[list[str], Body(max_length=MAX_URLS)]) -> list[Row]:
    """Answers with all results at once, in the order of the list."""
    results = await client.fetch_all(urls, concurrency=100, timeout=10)
    return [row(result) for result in results]


@app.get("/events", response_class=EventSourceResponse)
async def events(
    client: Fetchd, url: Annotated[list[str], Query(max_length=MAX_URLS)]
) -> AsyncIterator[Row | ServerSentEvent]:
    """Sends each result as it arrives. If the reader leaves, the other fetches are cancelled."""
    async for result in client.fetch(url, concurrency=100, timeout=10):
        yield row(result)
    # Otherwise, the browser would connect again.
    yield ServerSentEvent(event="end", data=len(url))


def row(result: Result) -> Row:
    return Row(
        index=result.index,
        status=result.status_code,
        error=str(result.error) if result.error else None,
        bytes=len(result.content),
        seconds=result.elapsed.total_seconds(),
    )

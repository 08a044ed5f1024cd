"""Fetches lists of URLs through a fetchd service.

>>> from fetchd import Client
>>> client = Client("localhost:50051")
>>> for result in client.fetch_all(["https://example.com/"]):
...     print(result.url, result.error or result.status_code)

:class:`Client` is for threads, and :class:`AsyncClient` for asyncio. A request that fails has
an ``error`` in its result; only wrong arguments raise an exception.
"""

from ._aio import AsyncClient
from ._client import Client
from ._stream import AsyncStreamedResponse, StreamedResponse
from ._version import __version__
from .errors import FetchError, HTTPStatusError
from .headers import Headers
from .request import Request
from .result import Result
from .timing import Timing

__all__ = [
    "AsyncClient",
    "AsyncStreamedResponse",
    "Client",
    "FetchError",
    "HTTPStatusError",
    "Headers",
    "Request",
    "Result",
    "StreamedResponse",
    "Timing",
    "__version__",
]

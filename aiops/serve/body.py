"""Reading request bodies under bounds that hold while reading, not after."""

import asyncio

from aiohttp import web

from aiops.errors import DecodeError, LimitError, OverloadError

READ_TIMEOUT_S = 30.0
"""Chosen: the largest body at 1 MiB/s; senders give up after 30 s as well (Prometheus' default)."""


def body_size(request: web.Request, *, bytes_max: int) -> int:
    """Return how many bytes the body may take: those declared, else `bytes_max`.

    Raises
    ------
    LimitError
        When more than `bytes_max` are declared.
    """
    declared = request.content_length
    if declared is None:
        return bytes_max
    _check_size(declared, bytes_max)
    return declared


async def read_body(
    request: web.Request, *, bytes_max: int, timeout_s: float = READ_TIMEOUT_S
) -> bytes:
    """Return the body as it was sent; the application runs with `auto_decompress=False`.

    Raises
    ------
    LimitError
        When more than `bytes_max` are declared or come.
    DecodeError
        When the body breaks off or is not framed as HTTP asks.
    OverloadError
        When it has not come whole within `timeout_s`.
    """
    body_size(request, bytes_max=bytes_max)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                chunks.append(chunk)
                size += len(chunk)
                _check_size(size, bytes_max)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise DecodeError("the body broke off or is not framed as HTTP asks") from error
    except TimeoutError as error:
        raise OverloadError(f"the body did not come within {timeout_s:g} s") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        raise LimitError(f"body larger than {bytes_max} bytes", setting="server.body_bytes_max")

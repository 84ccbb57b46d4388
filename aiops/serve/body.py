"""Reading request bodies under a bound that holds while reading, not after."""

from aiohttp import web

from aiops.errors import DecodeError, LimitError


async def read_body(request: web.Request, *, bytes_max: int) -> bytes:
    """Return the body as it was sent; the application runs with `auto_decompress=False`.

    Raises
    ------
    LimitError
        When more than `bytes_max` are declared or come.
    DecodeError
        When the body breaks off or is not framed as HTTP asks.
    """
    _check_size(request.content_length or 0, bytes_max)
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.content.iter_any():
            chunks.append(chunk)
            size += len(chunk)
            _check_size(size, bytes_max)
    except web.RequestPayloadError as error:
        raise DecodeError("the body broke off or is not framed as HTTP asks") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _check_size(size: int, bytes_max: int) -> None:
    if size > bytes_max:
        raise LimitError(f"body larger than {bytes_max} bytes", setting="server.body_bytes_max")

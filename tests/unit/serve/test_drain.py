import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from aiops.errors import OverloadError
from aiops.serve.body import read_body
from aiops.serve.drain import stop_serving
from aiops.serve.routes import build_application, build_runner

DRAIN_TIMEOUT_S = 60.0
"""Far more than any of these tests may take."""

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
Talk = Callable[[int, web.AppRunner], Awaitable[bytes]]


async def store(request: web.Request) -> web.Response:
    try:
        body = await read_body(request, bytes_max=1000)
    except OverloadError as error:
        return web.Response(status=503, text=str(error))
    return web.Response(text=f"{len(body)} bytes")


def answer_while(talk: Talk) -> bytes:
    """Return what `talk(port, runner)` does, under a time limit well below the drain's."""

    async def run() -> bytes:
        application = build_application([web.post("/", store)], [], body_bytes_max=1000)
        runner = build_runner(application, drain_timeout_s=DRAIN_TIMEOUT_S)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S / 6):
                return await talk(runner.addresses[0][1], runner)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server may hang up first
            await writer.wait_closed()


async def begin_upload(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes
) -> None:
    """Have a first request answered, and send `data` after it."""
    writer.write(HEAD % 1 + b"x")
    await reader.readuntil(b"1 bytes")
    writer.write(data)
    await writer.drain()


def test_an_upload_cut_short_by_the_stop_is_told_to_come_again():
    async def talk(port: int, runner: web.AppRunner) -> bytes:
        async with connected(port) as (reader, writer):
            await begin_upload(reader, writer, HEAD % 100 + b"the beginning")
            await stop_serving(runner)
            return await reader.read()

    answer = answer_while(talk)
    assert answer.startswith(b"HTTP/1.1 503")
    assert answer.endswith(b"the service is stopping; send again")


def test_an_upload_that_is_whole_in_time_is_answered():
    async def talk(port: int, runner: web.AppRunner) -> bytes:
        async with connected(port) as (reader, writer):
            await begin_upload(reader, writer, HEAD % 100 + b"x" * 50)
            stop = asyncio.ensure_future(stop_serving(runner))
            await asyncio.sleep(0)
            writer.write(b"x" * 50)
            await stop
            return await reader.read()

    assert answer_while(talk).endswith(b"100 bytes")


def test_a_connection_that_has_just_been_made_does_not_hold_up_the_stop():
    async def talk(port: int, runner: web.AppRunner) -> bytes:
        async with connected(port) as (reader, _):
            await stop_serving(runner)
            return await reader.read()

    assert answer_while(talk) == b""

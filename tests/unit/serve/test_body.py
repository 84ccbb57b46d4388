import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, web

from aiops.errors import AiopsError, DecodeError, LimitError, OverloadError
from aiops.serve.body import body_size, read_body
from aiops.serve.routes import build_application, build_runner

LIMIT = 1000


def outcome_of(talk, *, timeout_s: float = 30.0) -> object:
    """Return what reading the body gave, bytes or the error, for what `talk` sends."""
    outcomes: list[object] = []

    async def handler(request: web.Request) -> web.Response:
        try:
            outcomes.append(await read_body(request, bytes_max=LIMIT, timeout_s=timeout_s))
        except AiopsError as error:
            outcomes.append(error)
        done.set()
        return web.Response()

    async def run() -> None:
        # client_max_size is 1: the server's own limit must not be what holds
        application = build_application([web.post("/", handler)], [], body_bytes_max=1)
        runner = build_runner(application, drain_timeout_s=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await talk(*runner.addresses[0])
            await done.wait()
        finally:
            await runner.cleanup()

    done = asyncio.Event()
    asyncio.run(run())
    return outcomes[0]


def posting(body: object, **headers: str):
    async def talk(host: str, port: int) -> None:
        async with ClientSession() as client:
            response = await client.post(f"http://{host}:{port}/", data=body, headers=headers)
            assert response.status == 200

    return talk


@asynccontextmanager
async def connected(host: str, port: int):
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):  # the server may hang up first
            await writer.wait_closed()


def saying(text: bytes):
    async def talk(host: str, port: int) -> None:
        async with connected(host, port) as (_, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\n" + text)
            await writer.drain()

    return talk


async def pieces(*sizes: int):
    for size in sizes:
        yield b"x" * size


@pytest.mark.parametrize("body", [b"", b"a", b"x" * LIMIT])
def test_a_body_up_to_the_limit_comes_as_it_was_sent(body):
    assert outcome_of(posting(body)) == body


def test_a_body_in_pieces_comes_whole():
    assert outcome_of(posting(pieces(400, 0, 500, 100))) == b"x" * LIMIT


def test_a_packed_body_stays_packed():
    assert outcome_of(posting(b"no gzip", **{"Content-Encoding": "gzip"})) == b"no gzip"


@pytest.mark.parametrize("body", [b"x" * (LIMIT + 1), b"x" * 500_000])
def test_more_than_the_limit_is_refused_by_its_length(body):
    error = outcome_of(posting(body))
    assert isinstance(error, LimitError)
    assert error.setting == "server.body_bytes_max"


def test_more_than_the_limit_in_pieces_is_refused():
    assert isinstance(outcome_of(posting(pieces(600, 401))), LimitError)


def test_broken_chunks_are_refused_before_any_handler():
    async def status_line() -> bytes:
        application = build_application([web.post("/", never)], [], body_bytes_max=1)
        runner = build_runner(application, drain_timeout_s=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            async with connected(*runner.addresses[0]) as (reader, writer):
                writer.write(
                    b"POST / HTTP/1.1\r\nHost: x\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n"
                )
                return await reader.readline()
        finally:
            await runner.cleanup()

    async def never(_request: web.Request) -> web.Response:
        raise AssertionError("a handler saw the request")

    assert b" 400 " in asyncio.run(status_line())


def test_chunks_that_break_while_a_handler_reads_are_a_decode_error():
    async def talk(host: str, port: int) -> None:
        async with connected(host, port) as (reader, writer):
            head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            writer.write(head + b"Expect: 100-continue\r\n\r\n")
            assert b" 100 " in await reader.readline()
            writer.write(b"3\r\nabcdef\r\n")
            await writer.drain()

    assert isinstance(outcome_of(talk), DecodeError)


def test_a_body_that_stops_short_is_a_decode_error():
    error = outcome_of(saying(b"Content-Length: 50\r\n\r\nabc"))
    assert isinstance(error, DecodeError)


def test_a_body_that_does_not_come_in_time_is_to_be_sent_again():
    """With no time at all the first wait is one too many."""

    async def talk(host: str, port: int) -> None:
        async with connected(host, port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")
            assert b" 200 " in await reader.readline()  # the rest never comes

    error = outcome_of(talk, timeout_s=0.0)
    assert isinstance(error, OverloadError)
    assert error.retry_after_s > 0


class Sent:
    """As much of a request as its length."""

    def __init__(self, content_length: int | None) -> None:
        self.content_length = content_length


@pytest.mark.parametrize(("declared", "size"), [(0, 0), (7, 7), (LIMIT, LIMIT), (None, LIMIT)])
def test_a_body_counts_as_declared_and_at_its_bound_otherwise(declared, size):
    assert body_size(Sent(declared), bytes_max=LIMIT) == size


def test_a_declared_size_over_the_limit_is_refused():
    with pytest.raises(LimitError):
        body_size(Sent(LIMIT + 1), bytes_max=LIMIT)

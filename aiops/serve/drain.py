"""The end of serving: whole requests are answered, uploads cut short are told to come again.

From when it begins to close connections aiohttp throws away what still arrives on them, and a
handler that waits for the rest of a body would wait until the drain's time limit.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.typedefs import Middleware

from aiops.errors import OverloadError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SETTLE_S = 0.2
"""Chosen: uploads under way mostly end within it, and connections just accepted get a handler,
without which aiohttp waits for them until the time limit."""


class Uploads:
    """The bodies now being received; belongs to one application."""

    def __init__(self) -> None:
        self._receiving: set[StreamReader] = set()
        self._is_over = False

    @property
    def middleware(self) -> Middleware:
        """Return the middleware that watches bodies."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            content = request.content
            if content.is_eof():
                return await handler(request)
            if self._is_over:
                _cut_off(content)
            self._receiving.add(content)
            try:
                return await handler(request)
            finally:
                self._receiving.discard(content)

        return watch

    async def cut_off(self, application: web.Application) -> None:  # noqa: ARG002  # aiohttp's form
        """Let readers of bodies that are not whole fail with OverloadError, now and from now on."""
        self._is_over = True
        for content in self._receiving:
            _cut_off(content)


async def stop_serving(runner: web.AppRunner) -> None:
    """Accept no more connections, answer what is under way, and close."""
    for site in list(runner.sites):
        await site.stop()
    await asyncio.sleep(SETTLE_S)
    await runner.cleanup()


def _cut_off(content: StreamReader) -> None:
    if content.is_eof():
        return
    content.set_exception(OverloadError("the service is stopping; send again"))
    content.feed_eof()  # else aiohttp waits for the rest once more, after the answer

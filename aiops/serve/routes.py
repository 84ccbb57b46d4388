"""The web application: every door mounted, traps of the server switched off."""

from collections.abc import Iterable, Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from aiops.serve.drain import Uploads


def build_application(
    routes: Iterable[web.RouteDef], middlewares: Sequence[Middleware], *, body_bytes_max: int
) -> web.Application:
    """Return the application; the order of `routes` matters where one is a catch-all."""
    uploads = Uploads()
    application = web.Application(
        middlewares=[*middlewares, uploads.middleware], client_max_size=body_bytes_max
    )
    application.on_shutdown.append(uploads.cut_off)
    application.router.add_routes(list(routes))
    return application


def build_runner(application: web.Application, *, drain_timeout_s: float) -> web.AppRunner:
    """Return the runner: bodies stay as sent, handlers are not cancelled when a client leaves."""
    return web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=False,
        shutdown_timeout=drain_timeout_s,
        keepalive_timeout=75.0,
    )

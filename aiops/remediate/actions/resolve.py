"""Names to addresses for actions: what is checked is what is connected to.

The connection uses exactly the addresses that passed here, so that a name cannot point somewhere
harmless when checked and to a metadata service when called (DNS rebinding).
"""

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from aiops.errors import ActionError
from aiops.remediate.guard import check_address

CONNECTIONS_MAX = 4
"""Chosen: actions run one at a time; a little room for connections that close slowly."""


class GuardedResolver(AbstractResolver):
    """Resolves by another resolver and refuses a name if any of its addresses may not be called.

    Parameters
    ----------
    inner
        Asks the name service; the system's by default.
    """

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner if inner is not None else aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises ActionError when one of them is refused."""
        found = await self._inner.resolve(host, port, family)
        for result in found:
            verdict = check_address(result["host"])
            if not verdict.is_allowed:
                raise ActionError(f"refused: {host}: {verdict.reason}", retryable=False)
        return found

    async def close(self) -> None:
        """Release the inner resolver."""
        await self._inner.close()


def open_action_session(inner: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """Return a session for actions: guarded names, no proxies, no cookies, no decompression."""
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(inner), use_dns_cache=False, limit=CONNECTIONS_MAX
    )
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )

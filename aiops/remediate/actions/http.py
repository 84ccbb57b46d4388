"""The HTTP action: one request, and what is known of its effect afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from aiops.domain.action import OutcomeStatus, PlannedAction
from aiops.errors import ActionError
from aiops.remediate.guard import check_literal_host

CONNECT_S_MAX = 3.0
"""Chosen: a target on the same network answers SYN in milliseconds, or after one resend at 1 s."""

ANSWER_BYTES_MAX = 64 * 1024
"""Chosen: what is read of an answer at most; a longer one is cut off."""

DETAIL_CHARS_MAX = 500
"""Chosen: as much of an answer as people read in a time line."""

NO_EFFECT_STATUSES = frozenset({429, 503})
"""Answers by which a server says that it did not act and may be asked again (RFC 6585 4,
RFC 9110 15.6.4)."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call came out. `is_repeatable`: it surely had no effect and may be tried again."""

    status: OutcomeStatus
    detail: str
    is_repeatable: bool = False


async def call_http(
    session: aiohttp.ClientSession,
    action: PlannedAction,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
) -> CallResult:
    """Send an action's request once and return what came of it; redirects are not followed.

    Parameters
    ----------
    session
        Made by `open_action_session`, which guards what names resolve to.
    headers
        Headers of the playbook; the idempotency key and the content type are added.
    """
    if session.trust_env:
        raise RuntimeError("BUG: action session takes proxies from the environment")
    verdict = check_literal_host(action.url)
    if not verdict.is_allowed:
        return CallResult(OutcomeStatus.FAILED, f"refused: {verdict.reason}")
    try:
        return await _send(session, action, headers=headers, timeout_s=timeout_s)
    except (ActionError, aiohttp.ClientError, TimeoutError) as error:
        return _judge_failure(error, timeout_s=timeout_s)


def _judge_failure(
    error: ActionError | aiohttp.ClientError | TimeoutError, *, timeout_s: float
) -> CallResult:
    """Return what is known after a failed call; only what surely was not sent has failed."""
    if isinstance(error, ActionError):  # from the resolver
        return CallResult(OutcomeStatus.FAILED, str(error))
    if isinstance(error, aiohttp.InvalidURL):
        return CallResult(OutcomeStatus.FAILED, f"not sent: not a URL: {error}")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return CallResult(OutcomeStatus.FAILED, f"not sent: {error}", is_repeatable=True)
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError):
        what = f"no answer within {timeout_s:g} s"
    return CallResult(OutcomeStatus.UNKNOWN, f"{what}; it may have acted")


async def _send(
    session: aiohttp.ClientSession,
    action: PlannedAction,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
) -> CallResult:
    own = {"Idempotency-Key": action.key}
    if action.body:
        own["Content-Type"] = "application/json"
    async with session.request(
        action.method,
        URL(action.url, encoded=True),  # as planned and audited, not normalised again
        data=action.body or None,
        headers={**headers, **own},
        timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S_MAX),
        allow_redirects=False,
    ) as answer:
        return _judge(answer.status, await _answer_text(answer))


def _judge(status: int, text: str) -> CallResult:
    detail = f"HTTP {status} {text}".rstrip()
    if 200 <= status < 300:
        return CallResult(OutcomeStatus.SUCCEEDED, detail)
    return CallResult(OutcomeStatus.FAILED, detail, is_repeatable=status in NO_EFFECT_STATUSES)


async def _answer_text(answer: aiohttp.ClientResponse) -> str:
    """Return the beginning of an answer; reading to its end frees the connection for reuse."""
    raw = bytearray()
    while len(raw) < ANSWER_BYTES_MAX:
        chunk = await answer.content.read(ANSWER_BYTES_MAX - len(raw))
        if not chunk:
            break
        raw += chunk
    return bytes(raw).decode(errors="replace").strip()[:DETAIL_CHARS_MAX]

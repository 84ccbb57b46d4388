"""One POST with every guard an outbound call needs, and what its answer means."""

from collections.abc import Mapping

import aiohttp

from aiops.notify.receivers.base import DeliveryError

RETRYABLE_4XX = frozenset({408, 425, 429})
"""RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4: the only client errors that pass by themselves."""

ANSWER_BYTES_MAX = 512
"""Chosen: of an error answer this much goes into the log; the rest is never read."""

RETRY_AFTER_S_MAX = 3600.0
"""Chosen: a receiver that asks for more is asked again after an hour all the same."""


def open_session() -> aiohttp.ClientSession:
    """Return a session for outbound messages: no proxies from the environment, no cookies."""
    return aiohttp.ClientSession(
        trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


async def post(
    session: aiohttp.ClientSession,
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    timeout_s: float,
) -> None:
    """POST a body and return when it was answered with 2xx. Redirects are not followed.

    Raises
    ------
    DeliveryError
        On any other answer, on a broken connection, and when `timeout_s` has passed.
    """
    if session.trust_env:
        raise RuntimeError("BUG: outbound session takes proxies from the environment")
    limit = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with session.post(
            url, data=body, headers=headers, timeout=limit, allow_redirects=False
        ) as answer:
            if not 200 <= answer.status < 300:
                raise await _refusal(answer)
    except TimeoutError as error:
        raise DeliveryError(f"no answer within {timeout_s:g} s", retryable=True) from error
    except aiohttp.InvalidURL as error:
        raise DeliveryError(f"not a URL: {error}", retryable=False) from error
    except aiohttp.ClientError as error:
        raise DeliveryError(f"{type(error).__name__}: {error}", retryable=True) from error


async def _refusal(answer: aiohttp.ClientResponse) -> DeliveryError:
    text = (await answer.content.read(ANSWER_BYTES_MAX)).decode(errors="replace").strip()
    is_permanent = 400 <= answer.status < 500 and answer.status not in RETRYABLE_4XX
    return DeliveryError(
        f"HTTP {answer.status} {text}".rstrip(),
        retryable=not is_permanent,
        retry_after_s=_retry_after_s(answer.headers.get("Retry-After", "")),
    )


def _retry_after_s(text: str) -> float:
    """Return the seconds of a Retry-After header; its date form is not honoured."""
    if not (text.isascii() and text.isdigit()):
        return 0.0
    return min(float(text[:9]), RETRY_AFTER_S_MAX)

"""Speaking to a running service over its JSON API, with the standard library only."""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import orjson

from aiops.errors import AiopsError, ConfigError, ConflictError, NotFoundError

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Chosen: fifty incidents with all their evidence are a few MiB."""

Json = Mapping[str, object]


class UnreachableError(AiopsError):
    """No service answers at the address."""

    retryable = True


class RefusedError(AiopsError):
    """The service answered, but not with what was asked for."""


class ApiClient:
    """One service's API; requests are sent one after the other and never redirected.

    Parameters
    ----------
    base_url
        Address of the service, `http://127.0.0.1:9800`. Proxies from the environment are used
        except for loopback addresses.
    timeout_s
        Time limit of one request.

    Raises
    ------
    ConfigError
        When the address is neither http nor https.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 10.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._opener = _opener(_check_host(base_url))

    def get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Json:
        """Return the JSON object behind a path; a name may stand in the query several times.

        Raises
        ------
        UnreachableError, NotFoundError, ConflictError, RefusedError
        """
        suffix = "?" + urllib.parse.urlencode(query) if query else ""
        return self._call(path + suffix, body=None)

    def post(self, path: str, body: Mapping[str, str]) -> Json:
        """Send a JSON object to a path and return the answer; raises as `get` does."""
        return self._call(path, body=orjson.dumps(body))

    def _call(self, path: str, *, body: bytes | None) -> Json:
        request = urllib.request.Request(  # noqa: S310 - only http and https pass _check_host
            self._base_url + path,
            data=body,
            headers={"Accept": "application/json", "Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return _decode(answer.read(ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read(ANSWER_BYTES_MAX)) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise UnreachableError(
                f"no service at {self._base_url} ({reason}); "
                "is `aiops serve` running? Give its address with --url or AIOPS_URL"
            ) from error


def _check_host(base_url: str) -> str:
    host = _host(base_url)
    if not host:
        raise ConfigError((f"--url: {base_url!r} is not allowed; give http://HOST:PORT",))
    return host


def _host(base_url: str) -> str:
    """Return the host of an http or https address, "" when it is no such address."""
    try:
        parts = urllib.parse.urlsplit(base_url)
        is_usable = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return ""
    return (parts.hostname or "") if is_usable else ""


def _opener(host: str) -> urllib.request.OpenerDirector:
    """Return an opener without handlers for files, ftp and redirects."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler({} if _is_loopback(host) else None))
    opener.add_handler(urllib.request.HTTPHandler())
    opener.add_handler(urllib.request.HTTPSHandler())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    return opener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decode(raw: bytes) -> Json:
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError("the answer is not JSON; is there an aiops at this address?") from error
    if not isinstance(data, dict):
        raise RefusedError("the answer is no JSON object; is there an aiops at this address?")
    return data


def _refusal(status: int, raw: bytes) -> AiopsError:
    message = f"{_error_text(raw)} (HTTP {status})"
    if status == 404:
        return NotFoundError(message)
    return ConflictError(message) if status == 409 else RefusedError(message)


def _error_text(raw: bytes) -> str:
    try:
        text = _decode(raw).get("error")
    except RefusedError:
        text = None
    return text if isinstance(text, str) else "the service refused"

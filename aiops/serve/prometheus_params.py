"""Parameters of the Prometheus API: times, durations, limits, selectors, label names.

Parsing follows Prometheus' own (web/api/v1/api.go), its error texts included, since Grafana
shows them to people.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from aiohttp import web

from aiops.domain.matchers import Matchers
from aiops.domain.selector import parse_selector
from aiops.errors import QueryError
from aiops.query.tree import TIME_MS_MAX, Window

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_MAX = 2**63 - 1
"""Go's time.Duration is an int64 of nanoseconds."""

POINTS_MAX = 11_000
"""Prometheus' bound (web/api/v1/api.go): a week at one-minute resolution and some."""

FIELDS_MAX = 1000
"""Chosen: far above the ten parameters a dashboard sends, with many match[] among them."""

_DECIMAL = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE
)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII
)
_UNITS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)
_FAR_ENDS = {
    "-292273086-05-16T16:47:06Z": -TIME_MS_MAX,
    "+292277025-08-18T07:12:54.999999999Z": TIME_MS_MAX,
}
"""How Go clients spell the least and the greatest time (api.go minTimeFormatted)."""

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_ESCAPE = re.compile(r"_(?:(_)|([0-9a-fA-F]{1,6})_|)")


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of one request: each name with its values, the body's before the URL's."""

    values: Mapping[str, tuple[str, ...]]

    def first(self, name: str) -> str:
        """Return the first value of a parameter, "" when it was not sent."""
        return self.values.get(name, ("",))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a parameter."""
        return self.values.get(name, ())


async def read_params(request: web.Request) -> Params:
    """Return the parameters of a GET query string or a POST form.

    Raises
    ------
    QueryError
        When the form cannot be read.
    """
    pairs: list[tuple[str, str]] = []
    if request.method == "POST" and request.content_type == "application/x-www-form-urlencoded":
        try:
            text = (await request.read()).decode()
            pairs += parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
        except ValueError as error:
            raise QueryError(f"error parsing form values: {error}") from error
    pairs += request.query.items()
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        values[name] = (*values.get(name, ()), value)
    return Params(values)


def invalid(name: str, error: QueryError | str) -> QueryError:
    """Return an error that names the parameter it is about."""
    return QueryError(f'invalid parameter "{name}": {error}')


def parse_time(text: str) -> int:
    """Return epoch milliseconds of float seconds or an RFC 3339 time, held within +-2^53.

    Raises
    ------
    QueryError
        When the text is neither.
    """
    if _DECIMAL.fullmatch(text):
        return _seconds_to_ms(float(text))
    if text in _FAR_ENDS:
        return _FAR_ENDS[text]
    if found := _RFC3339.fullmatch(text):
        try:
            whole = datetime.fromisoformat(found[1] + found[3].upper())
        except ValueError:
            pass  # a month 13 or the like: refused below as any other text
        else:
            return int(whole.timestamp()) * 1000 + int((found[2] or "").ljust(3, "0")[:3])
    raise QueryError(f"cannot parse {_quoted(text)} to a valid timestamp")


def time_param(params: Params, name: str, default_ms: int) -> int:
    """Return an optional time parameter in epoch ms; an empty one counts as not sent."""
    if params.first(name) == "":
        return default_ms
    try:
        return parse_time(params.first(name))
    except QueryError as error:
        raise invalid(name, f"Invalid time value for '{name}': {error}") from error


def parse_duration_ns(text: str) -> int:
    """Return nanoseconds of float seconds or a Prometheus duration such as `1h30m`.

    Raises
    ------
    QueryError
        When the text is neither or overflows an int64.
    """
    if _DECIMAL.fullmatch(text):
        ns = float(text) * NS_PER_S
        if abs(ns) > NS_MAX:
            raise QueryError(
                f"cannot parse {_quoted(text)} to a valid duration. It overflows int64"
            )
        return int(ns)
    found = _DURATION.fullmatch(text)
    if text and found:
        parts = zip(found.groups("0"), _UNITS_MS, strict=True)
        ns_total = sum(int(part[:20]) * unit for part, unit in parts) * NS_PER_MS
        if ns_total <= NS_MAX:
            return ns_total
    raise QueryError(f"cannot parse {_quoted(text)} to a valid duration")


def duration_param(params: Params, name: str) -> int | None:
    """Return an optional duration parameter in ns, None when it was not sent."""
    if params.first(name) == "":
        return None
    try:
        return parse_duration_ns(params.first(name))
    except QueryError as error:
        raise invalid(name, error) from error


def range_window(params: Params) -> Window:
    """Return the evaluation grid of a range query.

    Raises
    ------
    QueryError
        When a bound is missing or bad, or the grid has more than POINTS_MAX points.
    """
    start_ms, end_ms = (_required_time(params, name) for name in ("start", "end"))
    if end_ms < start_ms:
        raise invalid("end", "end timestamp must not be before start time")
    try:
        step_ms = parse_duration_ns(params.first("step")) // NS_PER_MS
    except QueryError as error:
        raise invalid("step", error) from error
    if step_ms <= 0:
        raise invalid(
            "step",
            "zero or negative query resolution step widths are not accepted. "
            "Try a positive integer",
        )
    if (end_ms - start_ms) // step_ms > POINTS_MAX:
        raise QueryError(
            "exceeded maximum resolution of 11,000 points per timeseries. "
            "Try decreasing the query resolution (?step=XX)"
        )
    return Window(start_ms, end_ms, step_ms)


def limit_param(params: Params) -> int:
    """Return the `limit` parameter, 0 (everything) when it was not sent."""
    text = params.first("limit")
    if text == "":
        return 0
    if not re.fullmatch(r"[+-]?\d{1,18}", text, re.ASCII):
        raise invalid("limit", f"cannot parse {_quoted(text)} to a valid limit")
    if int(text) < 0:
        raise invalid("limit", "limit must be non-negative")
    return int(text)


def matcher_sets_param(params: Params) -> tuple[Matchers, ...]:
    """Return the matchers of each `match[]` selector.

    Raises
    ------
    QueryError
        When one does not parse or would match every series.
    """
    sets = tuple(parse_selector(text) if text else _no_selector() for text in params.all("match[]"))
    if any(all(m.is_match("") for m in matchers) for matchers in sets):
        raise QueryError("match[] must contain at least one non-empty matcher")
    return sets


def label_name_param(escaped: str) -> str:
    """Return the label name of a path, `U__` escapes undone.

    Raises
    ------
    QueryError
        When the name is not a legal one as it stands.
    """
    if escaped.startswith("U__") and (name := _unescaped(escaped[3:])):
        return name
    if not _LABEL_NAME.fullmatch(escaped):
        raise QueryError(f"invalid label name: {_quoted(escaped)}")
    return escaped


def _required_time(params: Params, name: str) -> int:
    try:
        return parse_time(params.first(name))
    except QueryError as error:
        raise invalid(name, error) from error


def _seconds_to_ms(seconds: float) -> int:
    """Return milliseconds rounded half away from zero, as Go rounds."""
    ms = math.floor(min(abs(seconds) * 1000 + 0.5, TIME_MS_MAX))
    return -ms if seconds < 0 else ms


def _no_selector() -> Matchers:
    raise QueryError("parse error: no expression found in input")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unescaped(escaped: str) -> str | None:
    """Return the name behind `U__`, None when an escape in it is broken."""
    parts: list[str] = []
    position = 0
    for found in _ESCAPE.finditer(escaped):
        character = "_" if found[1] else _character(found[2])
        if character is None:
            return None
        parts += (escaped[position : found.start()], character)
        position = found.end()
    return "".join([*parts, escaped[position:]])


def _character(digits: str | None) -> str | None:
    code = int(digits, 16) if digits else 0xFFFFFF
    is_rune = code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return chr(code) if is_rune else None

"""Filling an incident's facts into a URL or a JSON body, so that no value can break out of it.

A placeholder is `{incident_id}`, `{severity}`, `{event}`, `{title}` or `{label:NAME}`, nothing
else: no attributes, no formats, no expressions. In a URL a value is percent-encoded; in a body it
only ever stands inside a JSON string, which the encoder escapes.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

import orjson
from pydantic import JsonValue

from aiops.domain.incident import IncidentChange
from aiops.domain.verdict import Verdict, allow, refuse

URL_CHARS_MAX = 4096
"""Chosen: half of what common servers take in a request line (8 KiB)."""

BODY_BYTES_MAX = 64 * 1024
"""Chosen: an action carries parameters, not data."""

PLAIN_NAMES = ("incident_id", "severity", "event", "title")
ALLOWED = "{incident_id}, {severity}, {event}, {title}, {label:NAME}"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_LABEL = re.compile(r"label:[^{}\s]+")
_DOTS = (".", "..")


def check_placeholders(texts: Iterable[str]) -> None:
    """Check templates. Raises ValueError at the first placeholder that does not exist."""
    for text in texts:
        for name in _PLACEHOLDER.findall(text):
            if name not in PLAIN_NAMES and not _LABEL.fullmatch(name):
                raise ValueError(f"{{{name}}} is not a placeholder; there are {ALLOWED}")


def strings_in(body: JsonValue) -> list[str]:
    """Return every string a JSON template holds as a value, wherever it stands."""
    if isinstance(body, str):
        return [body]
    if isinstance(body, dict):
        return [text for value in body.values() for text in strings_in(value)]
    if isinstance(body, list):
        return [text for value in body for text in strings_in(value)]
    return []


def placeholder_values(change: IncidentChange) -> dict[str, str]:
    """Return what each placeholder stands for, for one change of an incident."""
    incident = change.incident
    values = {f"label:{name}": value for name, value in incident.labels}
    return values | {
        "incident_id": incident.incident_id,
        "severity": incident.severity.value,
        "event": change.event.value,
        "title": incident.title,
    }


def check_filled(texts: Iterable[str], values: Mapping[str, str]) -> Verdict:
    """Tell whether every placeholder has a value.

    An action without its target ("restart all pods of service ''") must not run.
    """
    for text in texts:
        for name in _PLACEHOLDER.findall(text):
            if not values.get(name):
                return refuse(f"the incident has no {name}")
    return allow("every placeholder has a value")


def fill_url(template: str, values: Mapping[str, str]) -> str:
    """Return the URL with its placeholders replaced by percent-encoded values."""
    return _fill(template, {name: quote(value, safe="") for name, value in values.items()})


def check_filled_url(url: str) -> Verdict:
    """Tell whether a filled URL still points where its template did."""
    if len(url) > URL_CHARS_MAX:
        return refuse(f"the URL is longer than {URL_CHARS_MAX} characters")
    if any(segment in _DOTS for segment in urlsplit(url).path.split("/")):
        return refuse("the URL's path contains . or ..")
    return allow("the URL is as its template")


def fill_body(template: JsonValue, values: Mapping[str, str]) -> bytes:
    """Return the JSON text with placeholders in its strings replaced, b"" for no template."""
    return b"" if template is None else orjson.dumps(_fill_json(template, values))


def _fill_json(template: JsonValue, values: Mapping[str, str]) -> JsonValue:
    if isinstance(template, str):
        return _fill(template, values)
    if isinstance(template, dict):
        return {key: _fill_json(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill_json(value, values) for value in template]
    return template


def _fill(template: str, values: Mapping[str, str]) -> str:
    # one pass: a value that looks like a placeholder is not replaced again
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)

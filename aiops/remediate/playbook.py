"""The schema of a playbook file: which incidents, and the one HTTP action it takes."""

import re
from functools import cached_property
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from aiops.config import SecretRef
from aiops.config_section import Section
from aiops.domain.action import ActionMode
from aiops.domain.matchers import Matchers
from aiops.domain.selector import parse_selector
from aiops.errors import QueryError
from aiops.remediate.template import check_placeholders, strings_in

EventName = Literal["opened", "reopened", "severity_raised", "acknowledged", "resolved"]

OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection"}
    | {"idempotency-key", "cookie", "proxy-authorization"}
)
"""Headers a playbook cannot set: the service sets them, or they steer the connection."""

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,1024}")


class HttpAction(Section):
    """One HTTP request."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "POST", description="request method"
    )
    url: str = Field(
        description="address with placeholders behind the host, for example "
        "http://deploy.internal:8080/restart/{label:service}"
    )
    headers: dict[str, str | SecretRef] = Field(
        default_factory=dict, description="additional headers; secrets by {file: ...} or {env: ...}"
    )
    body: dict[str, JsonValue] | list[JsonValue] | None = Field(
        None, description="JSON body; placeholders are replaced inside its texts"
    )

    @field_validator("url")
    @classmethod
    def _url_has_a_fixed_host(cls, url: str) -> str:
        check_placeholders([url])
        parts = urlsplit(url)  # raises ValueError for a bad address or port
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http://HOST or https://HOST")
        if "{" in parts.netloc or "@" in parts.netloc or parts.port == 0:
            raise ValueError("HOST and PORT must be fixed, without user name or placeholder")
        if parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be printable ASCII without spaces and fragment")
        return url

    @field_validator("headers")
    @classmethod
    def _headers_are_safe(cls, headers: dict[str, str | SecretRef]) -> dict[str, str | SecretRef]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
                raise ValueError(f"{name!r} is not a header that can be set here")
            if isinstance(value, str) and not is_header_value(value):
                raise ValueError(f"{name} must be up to 1024 printable ASCII characters")
        return headers

    @field_validator("body")
    @classmethod
    def _placeholders_exist(
        cls, body: dict[str, JsonValue] | list[JsonValue] | None
    ) -> dict[str, JsonValue] | list[JsonValue] | None:
        check_placeholders(strings_in(body))
        return body


class ActionSpec(Section):
    """What a playbook does: one HTTP request."""

    http: HttpAction = Field(description="the request")


class Playbook(Section):
    """What to do about which incidents; the default only records what would be done."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")] = Field(
        description="name in logs, keys and the audit trail"
    )
    description: str = Field("", max_length=1000, description="what it does, for people")
    match: str = Field(
        "{}", description='incidents by labels, severity and state, e.g. {severity="critical"}'
    )
    events: tuple[EventName, ...] = Field(
        ("opened",), min_length=1, description="changes of an incident that call for the action"
    )
    mode: ActionMode = Field(
        ActionMode.DRY_RUN, description="the most it may do; remediate.mode may allow less"
    )
    action: ActionSpec = Field(description="what it does")
    cool_down_s: int = Field(
        900, ge=0, le=86_400, description="time after an action in which it does not act again"
    )
    attempts_max: int = Field(
        1, ge=1, le=5, description="calls tried when an earlier one surely had no effect"
    )

    @field_validator("match")
    @classmethod
    def _selector_parses(cls, match: str) -> str:
        try:
            parse_selector(match)
        except QueryError as error:
            raise ValueError(str(error)) from error
        return match

    @cached_property
    def matchers(self) -> Matchers:
        """The parsed selector."""
        return parse_selector(self.match)


def is_header_value(value: str) -> bool:
    """Tell whether a text may stand in a header: printable ASCII, no line breaks."""
    return _HEADER_VALUE.fullmatch(value) is not None

"""The conditions that must hold before anything is done, each a verdict with its reason."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from aiops.domain.action import ActionMode
from aiops.domain.incident import IncidentEventKind, IncidentState
from aiops.domain.verdict import Verdict, allow, refuse

_MODE_RANK = {ActionMode.OFF: 0, ActionMode.DRY_RUN: 1, ActionMode.AUTO: 2}
_DEFAULT_PORTS = {"http": 80, "https": 443}

METADATA_ADDRESSES = frozenset({"fd00:ec2::254", "100.100.100.200", "168.63.129.16"})
"""Cloud metadata services outside the link-local range: AWS over IPv6, Alibaba, Azure's
WireServer (each named in that provider's documentation)."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052 2.1: the last 32 bits are an IPv4 address."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def effective_mode(global_mode: ActionMode, playbook_mode: ActionMode) -> ActionMode:
    """Return the lesser of two modes: both must allow."""
    return min(global_mode, playbook_mode, key=_MODE_RANK.__getitem__)


def check_mode(mode: ActionMode) -> Verdict:
    """Tell whether a mode lets anything be sent."""
    if mode is ActionMode.AUTO:
        return allow("mode is auto")
    return refuse(f"mode is {mode.value}")


def check_url(url: str, url_allow: Collection[str]) -> Verdict:
    """Tell whether an address is in the list of host:port pairs that may be called."""
    target = host_port(url)
    if target and target in {pair.lower() for pair in url_allow}:
        return allow(f"{target} is in url_allow")
    return refuse(f"{target or 'the address'} is not in remediate.url_allow")


def host_port(url: str) -> str:
    """Return `host:port` of a URL in lower case, IPv6 in brackets; "" when it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return ""
    if not parts.hostname or not port or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"


def check_rate(n_begun: int, *, actions_per_hour_max: int) -> Verdict:
    """Tell whether one more action keeps the hourly limit over all playbooks."""
    if n_begun < actions_per_hour_max:
        return allow(f"{n_begun} of {actions_per_hour_max} actions in the last hour")
    return refuse(f"rate limit: {n_begun} actions in the last hour, {actions_per_hour_max} allowed")


def check_cool_down(last_begun_ms: int | None, *, cool_down_s: int, now_ms: int) -> Verdict:
    """Tell whether a playbook has rested long enough since it last acted."""
    if last_begun_ms is None or now_ms - last_begun_ms >= cool_down_s * 1000:
        return allow("rested")
    since_s = (now_ms - last_begun_ms) // 1000
    return refuse(f"cool-down: acted {since_s} s ago, {cool_down_s} s must pass")


def check_still_wanted(event: str, state: IncidentState) -> Verdict:
    """Tell whether an incident still is as it was when the action was planned.

    An action that waited while the process was down must not hit what has healed since.
    """
    was_about_end = event == IncidentEventKind.RESOLVED
    if was_about_end == (state is IncidentState.RESOLVED):
        return allow(f"the incident is {state.value}")
    return refuse(f"the incident is {state.value} by now")


def check_literal_host(url: str) -> Verdict:
    """Tell whether a URL with a numeric host may be called; names are judged when resolved.

    Numeric spellings that are not plain addresses (`127.1`, `2852039166`) are refused: some
    resolvers read them as addresses.
    """
    host = urlsplit(url).hostname or ""
    if ":" in host or host.replace(".", "").isdigit():
        return check_address(host)
    return allow("the host is a name")


def check_address(text: str) -> Verdict:
    """Tell whether an IP address may be called at all, listed or not.

    Loopback and private addresses may, as targets are listed one by one. Link-local, metadata,
    multicast, unspecified and reserved ones may not, nor any of them wrapped in IPv6.
    """
    try:
        address = _unwrapped(ipaddress.ip_address(text))
    except ValueError:
        return refuse(f"{text!r} is not an IP address")
    if address.is_loopback:
        return allow("loopback")
    if address.is_link_local or str(address) in METADATA_ADDRESSES:
        return refuse(f"{text} is a link-local or metadata address")
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        return refuse(f"{text} is not an address of one host")
    return allow("an ordinary address")


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address an IPv6 one stands for (mapped, 6to4, Teredo, NAT64), or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    without_scope = ipaddress.IPv6Address(int(address))
    return address.ipv4_mapped or address.sixtofour or teredo or without_scope

"""Each guard refuses what it must, and says why."""

import pytest

from aiops.domain.action import ActionMode
from aiops.domain.incident import IncidentState
from aiops.remediate.guard import (
    check_address,
    check_cool_down,
    check_literal_host,
    check_rate,
    check_still_wanted,
    check_url,
    effective_mode,
    host_port,
)


@pytest.mark.parametrize("one", list(ActionMode))
@pytest.mark.parametrize("other", list(ActionMode))
def test_the_effective_mode_is_the_lesser(one: ActionMode, other: ActionMode) -> None:
    order = [ActionMode.OFF, ActionMode.DRY_RUN, ActionMode.AUTO]
    expected = order[min(order.index(one), order.index(other))]
    assert effective_mode(one, other) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://Deploy:8080/x", "deploy:8080"),
        ("http://deploy/x", "deploy:80"),
        ("https://deploy", "deploy:443"),
        ("http://[::1]:9/", "[::1]:9"),
        ("ftp://deploy/", ""),
        ("http://deploy:99999/", ""),
        ("http://user@deploy:80/", ""),
        ("http:///x", ""),
        ("", ""),
    ],
)
def test_host_and_port_of_a_url(url: str, expected: str) -> None:
    assert host_port(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://deploy:8081/x",
        "http://deploy.evil:8080/",
        "http://evil:8080/deploy:8080",
        "http://deploy:8080@evil/",
        "http://evil?deploy:8080",
        "",
    ],
)
def test_only_listed_targets_may_be_called(url: str) -> None:
    assert check_url("http://DEPLOY:8080/x?y", ["Deploy:8080"]).is_allowed
    verdict = check_url(url, ["deploy:8080"])
    assert not verdict.is_allowed
    assert "url_allow" in verdict.reason


def test_the_rate_limit_counts_the_hour() -> None:
    assert check_rate(11, actions_per_hour_max=12).is_allowed
    assert not check_rate(12, actions_per_hour_max=12).is_allowed


def test_a_playbook_rests_for_its_cool_down() -> None:
    assert check_cool_down(None, cool_down_s=60, now_ms=0).is_allowed
    assert not check_cool_down(1_000, cool_down_s=60, now_ms=60_999).is_allowed
    assert check_cool_down(1_000, cool_down_s=60, now_ms=61_000).is_allowed


@pytest.mark.parametrize(
    ("event", "state", "is_allowed"),
    [
        ("opened", IncidentState.OPEN, True),
        ("opened", IncidentState.ACKNOWLEDGED, True),
        ("opened", IncidentState.RESOLVED, False),
        ("resolved", IncidentState.RESOLVED, True),
        ("resolved", IncidentState.OPEN, False),
    ],
)
def test_an_action_must_still_be_wanted(event: str, state: IncidentState, is_allowed: bool) -> None:
    assert check_still_wanted(event, state).is_allowed is is_allowed


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "8.8.8.8", "fd12::1", "::ffff:10.0.0.1"],
)
def test_hosts_may_be_called_private_ones_too(address: str) -> None:
    assert check_address(address).is_allowed


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "fd00:ec2::254%1",
        "100.100.100.200",
        "168.63.129.16",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "240.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "localhost",
        "127.1",
        "",
    ],
)
def test_addresses_that_are_never_called(address: str) -> None:
    assert not check_address(address).is_allowed


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://deploy:80/", True),
        ("http://10.0.0.1/", True),
        ("http://[::1]/", True),
        ("http://169.254.169.254/", False),
        ("http://2852039166/", False),
        ("http://127.1/", False),
        ("http://[fe80::1]/", False),
    ],
)
def test_numeric_hosts_are_judged_by_their_address(url: str, is_allowed: bool) -> None:
    assert check_literal_host(url).is_allowed is is_allowed

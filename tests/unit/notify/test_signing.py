"""Signatures hold for one body, one secret and five minutes."""

import pytest

from aiops.notify.signing import TOLERANCE_S, sign, verify

SECRET, BODY, NOW_S = b"k3y", b'{"a":1}', 1_700_000_000


def test_a_signature_has_the_documented_form() -> None:
    # printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac k3y
    digest = "fd5a70e965043f7df6309c2c3b5ff5a8ffa99b1f5175e9a311459e73c4634d4a"
    assert sign(SECRET, BODY, at_s=NOW_S) == f"t=1700000000,v1={digest}"


def test_its_own_signature_verifies_up_to_the_tolerance() -> None:
    header = sign(SECRET, BODY, at_s=NOW_S)
    for now_s in (NOW_S, NOW_S + TOLERANCE_S, NOW_S - TOLERANCE_S):
        assert verify(SECRET, BODY, header, now_s=now_s).is_allowed


@pytest.mark.parametrize("drift_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_an_old_or_future_signature_is_refused(drift_s: int) -> None:
    header = sign(SECRET, BODY, at_s=NOW_S)
    assert not verify(SECRET, BODY, header, now_s=NOW_S + drift_s).is_allowed


def test_another_body_secret_or_time_is_refused() -> None:
    header = sign(SECRET, BODY, at_s=NOW_S)
    assert not verify(SECRET, BODY + b" ", header, now_s=NOW_S).is_allowed
    assert not verify(b"other", BODY, header, now_s=NOW_S).is_allowed
    moved = header.replace(str(NOW_S), str(NOW_S + 1))
    assert not verify(SECRET, BODY, moved, now_s=NOW_S).is_allowed


def test_one_of_several_signatures_is_enough_for_rotation() -> None:
    header = sign(b"new", BODY, at_s=NOW_S) + "," + sign(SECRET, BODY, at_s=NOW_S).split(",")[1]
    assert verify(SECRET, BODY, header, now_s=NOW_S).is_allowed


@pytest.mark.parametrize(
    "header",
    ["", "v1=00", "t=,v1=00", "t=x,v1=0", "t=1,t=2,v1=0", "t=-5,v1=1", "t=²,v1=ü", "t=9" * 9],
)
def test_a_malformed_header_is_refused(header: str) -> None:
    assert not verify(SECRET, BODY, header, now_s=NOW_S).is_allowed

"""Signatures over message bodies, so that a receiver knows who sent them, and when.

Notes
-----
The scheme is the one Stripe documents for its webhooks: `t=<unix seconds>,v1=<hex>` with
HMAC-SHA256 over `t`, a full stop and the raw body. The time is signed too, so that an old
message cannot be sent again later.
"""

import hashlib
import hmac

from aiops.domain.verdict import Verdict, allow, refuse

HEADER = "X-Aiops-Signature"

TOLERANCE_S = 300
"""Stripe's libraries allow the same five minutes between signing and checking."""


def sign(secret: bytes, body: bytes, *, at_s: int) -> str:
    """Return the value of the signature header for a body sent at a time."""
    return f"t={at_s},v1={_digest(secret, body, at_s)}"


def verify(secret: bytes, body: bytes, header: str, *, now_s: int) -> Verdict:
    """Return whether a header signs this very body and is fresh; several `v1` may be given."""
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) < 16):
        return refuse("the signature header has no time")
    at_s = int(times[0])
    if abs(now_s - at_s) > TOLERANCE_S:
        return refuse(f"the signature is more than {TOLERANCE_S} s old or ahead")
    expected = _digest(secret, body, at_s).encode()
    given = [value.strip().encode() for name, _, value in parts if name.strip() == "v1"]
    if not any([hmac.compare_digest(expected, value) for value in given]):  # noqa: C419 - constant time: try all
        return refuse("the signature does not fit the body")
    return allow("signed")


def _digest(secret: bytes, body: bytes, at_s: int) -> str:
    return hmac.new(secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()

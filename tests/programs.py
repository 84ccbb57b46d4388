"""Real programs that tests talk to: skipped at home where they are missing, a failure on CI."""

import os
import shutil

import pytest


def need(*programs: str) -> None:
    """Skip the test where a program is not installed; on CI that is a failure."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def program(name: str) -> str:
    """Return the path of a program the test needs."""
    need(name)
    path = shutil.which(name)
    assert path is not None
    return path

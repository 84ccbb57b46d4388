"""The two decorators of compiled code, so that every kernel has the same options.

Numba keys its cache by the source file of the kernel alone. A kernel therefore shares a file
with the helpers and constants it uses: a change elsewhere would leave a stale kernel behind.
"""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(signature: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles for one signature at import, from the cache if it can.

    The kernel runs without the interpreter lock and divides like numpy; an argument of another
    dtype or memory layout raises TypeError.
    """
    compiled = njit([signature], nogil=True, cache=True, error_model="numpy")
    return cast("Callable[[Function], Function]", compiled)


def helper(function: Function) -> Function:
    """Compile a leaf function that kernels of the same file call."""
    return cast("Function", njit(nogil=True, error_model="numpy")(function))

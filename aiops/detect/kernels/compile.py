"""The two decorators of compiled code, so that every kernel has the same options.

Numba keys its cache by the text of the kernel's own file. Where a kernel calls helpers of other
files, their text is added to the name it is cached under: else a change there would leave a stale
kernel behind, also after an upgrade. A constant of another file counts only if a helper comes
along with it.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])

_OURS = "aiops."
_STAMP_SIZE = 12  # chosen: 48 bits tell the few versions of a file apart


def kernel(signature: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles for one signature at import, from the cache if it can.

    The kernel runs without the interpreter lock and divides like numpy; an argument of another
    dtype or memory layout raises TypeError.
    """
    compiled = njit([signature], nogil=True, cache=True, error_model="numpy")

    def compile_stamped(function: Function) -> Function:
        stamp = helper_stamp(function)
        if stamp:
            function.__qualname__ += f"_{stamp}"  # part of the name of the cache's files
        return cast("Function", compiled(function))

    return compile_stamped


def helper(function: Function) -> Function:
    """Compile a leaf function that kernels of this file, or of others, call."""
    return cast("Function", njit(nogil=True, error_model="numpy")(function))


def helper_stamp(function: Callable[..., object]) -> str:
    """Return a digest of the other files whose compiled functions a function can reach, or ""."""
    names = sorted(_reached(function, set()) - {function.__module__})
    if not names:
        return ""
    texts = [inspect.getsource(sys.modules[name]) for name in names]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:_STAMP_SIZE]


def _reached(function: Callable[..., object], seen: set[str]) -> set[str]:
    """Return the modules of the compiled functions that a function's file knows, and theirs."""
    if not isinstance(function, FunctionType) or function.__module__ in seen:
        return seen
    seen.add(function.__module__)
    for value in list(function.__globals__.values()):
        plain = getattr(value, "py_func", None)
        if plain is not None and plain.__module__.startswith(_OURS):
            _reached(plain, seen)
    return seen

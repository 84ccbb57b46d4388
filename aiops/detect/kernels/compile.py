"""The two decorators of compiled code, so that every kernel has the same options.

Numba keys its cache by the text of the kernel's own file. Where that file takes helpers or
constants from other files of kernels, their text is added to the name it is cached under: else a
change there would leave a stale kernel behind, also after an upgrade.
"""

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])

_STAMP_SIZE = 12  # chosen: 48 bits tell the few versions of a file apart
_IMPORT = re.compile(r"^from (aiops\.[\w.]*kernels\.(?!compile\b)\w+) import", re.MULTILINE)


def kernel(signature: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles for one signature at import, from the cache if it can.

    The kernel runs without the interpreter lock and divides like numpy; an argument of another
    dtype or memory layout raises TypeError.
    """
    compiled = njit([signature], nogil=True, cache=True, error_model="numpy")

    def compile_stamped(function: Function) -> Function:
        stamp = imports_stamp(function.__module__)
        if stamp:
            function.__qualname__ += f"_{stamp}"  # part of the name of the cache's files
        return cast("Function", compiled(function))

    return compile_stamped


def helper(function: Function) -> Function:
    """Compile a leaf function that kernels of this file, or of others, call."""
    return cast("Function", njit(nogil=True, error_model="numpy")(function))


def imports_stamp(module: str) -> str:
    """Return a digest of all files of kernels that a module imports from, "" if there are none.

    A package without its sources has no stamps; there nothing can change either.
    """
    texts: dict[str, str] = {}
    todo = [module]
    while todo:
        for name in _IMPORT.findall(_text_of(todo.pop())):
            if name not in texts:
                texts[name] = _text_of(name)
                todo.append(name)
    if not texts:
        return ""
    together = "\0".join(texts[name] for name in sorted(texts))
    return hashlib.sha256(together.encode()).hexdigest()[:_STAMP_SIZE]


def _text_of(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except OSError:
        return ""

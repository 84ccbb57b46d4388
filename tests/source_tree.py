"""The package's source as syntax trees, for the tests that hold its rules."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "aiops"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the package: dotted name, path, text and tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that relative names are resolved in."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def functions(self) -> Iterator[FunctionNode]:
        """Yield every function and method, nested ones included."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode):
                yield node


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package, sorted by name."""
    found = []
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text()
        found.append(Module(name, path, text, ast.parse(text, str(path))))
    return tuple(found)


@functools.cache
def module_names() -> frozenset[str]:
    """Return the dotted names of every module of the package."""
    return frozenset(module.name for module in modules())


def imports_of(node: ast.AST, module: Module) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of every module that is imported anywhere below a node.

    `from a import b` counts as `a.b` where that is a module of ours and as `a` otherwise.
    """
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from ((alias.name, inner.lineno) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            base = _absolute(inner, module)
            for alias in inner.names:
                full = f"{base}.{alias.name}"
                yield (full if full in module_names() else base), inner.lineno


def called_name(call: ast.Call) -> str:
    """Return the last part of what is called: `njit` for `numba.njit(...)`."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def where(module: Module, line: int) -> str:
    """Return `path:line`, clickable in most terminals."""
    return f"{module.path.relative_to(ROOT)}:{line}"


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = module.package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)

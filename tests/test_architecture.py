"""The rules of the house, held by reading every module's syntax tree.

Each rule is a list at the top and one small test below; a failure names file and line.
"""

import ast
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.source_tree import (
    ROOT,
    FunctionNode,
    Module,
    called_name,
    imports_of,
    module_names,
    modules,
    where,
)

Unit = tuple[str, ...]

LAYERS: tuple[tuple[Unit, ...], ...] = (
    (("aiops.cli",),),
    (("aiops.app",),),
    (("aiops.warm",),),
    (("aiops.serve",), ("aiops.evaluate",)),
    (("aiops.reader",), ("aiops.background",), ("aiops.recovery",), ("aiops.self_metrics",)),
    (("aiops.engine",),),
    (("aiops.pipeline",),),
    (("aiops.dataplane",),),
    (
        ("aiops.river_watch",),
        ("aiops.group_watch",),
        ("aiops.derived_watch", "aiops.derived_book"),
        ("aiops.forecast_watch",),
        ("aiops.anomaly_notes",),
        ("aiops.batch_rows",),
    ),
    (
        ("aiops.lifecycle",),
        (
            "aiops.notify.build",
            "aiops.notify.metrics",
            "aiops.notify.outbox",
            "aiops.notify.receivers",
        ),
        ("aiops.remediate.run", "aiops.remediate.actions", "aiops.remediate.load"),
        ("aiops.journal",),
        ("aiops.store",),
        ("aiops.installation",),
        ("aiops.progress",),
    ),
    (
        ("aiops.wire",),
        ("aiops.series",),
        ("aiops.logs",),
        ("aiops.detect",),
        ("aiops.correlate",),
        ("aiops.query",),
        ("aiops.notify",),
        ("aiops.remediate",),
    ),
    (
        ("aiops.journal.base", "aiops.journal.memory"),
        ("aiops.store.base", "aiops.store.memory", "aiops.store.memory_state"),
    ),
    (("aiops.domain",),),
    (("aiops.config_file",), ("aiops.config_reference",)),
    (("aiops.config_problems",), ("aiops.config_links",)),
    (("aiops.config_schema",), ("aiops.config_yaml",)),
    (("aiops.config",), ("aiops.telemetry",)),
    (
        (
            "aiops.config_section",
            "aiops.config_groups",
            "aiops.config_alarms",
            "aiops.config_derived",
            "aiops.config_rules",
            "aiops.config_forecast",
        ),
    ),
    (("aiops.clock",), ("aiops.worker",)),
    (("aiops.errors",),),
    (("aiops",),),
)
"""From top to bottom: a module may import what is below it and its own unit, nothing else.

A module belongs to the unit with the longest prefix of its name; units of one layer are siblings
and do not know each other.
"""

PURE = ("aiops.pipeline", "aiops.dataplane", "aiops.river_watch", "aiops.wire", "aiops.domain")
"""One of each layer that does no effects and knows neither time nor chance."""

IMPURE_MODULES = (
    "aiohttp",
    "asyncio",
    "concurrent",
    "glob",
    "http.client",
    "http.server",
    "io",
    "multiprocessing",
    "os",
    "queue",
    "random",
    "secrets",
    "selectors",
    "shutil",
    "signal",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
    "uuid",
)
"""Modules, with all below them, that do effects or bring time or chance."""

IMPURE_FUNCTIONS = frozenset({"open", "input", "print"})
IMPURE_METHODS = frozenset(
    {"read_bytes", "read_text", "write_bytes", "write_text", "mkdir", "rmdir", "unlink", "touch"}
    | {"iterdir", "rglob", "is_file", "is_dir"}
    | {"now", "utcnow", "today"}
)
"""Methods that touch a file or read the time, whatever they are called on."""

UNSEEDED = re.compile(
    r"default_rng\(\)|.*\.default_rng\(\)|(np|numpy)\.random\.(?!default_rng).*", re.S
)
"""Calls of numpy's generators that nobody gave a seed to."""

OPTIONAL_ADAPTERS: tuple[str, ...] = ("aiops.evaluate.plot",)
"""Modules that import an optional library inside a function, so that it may be absent."""

PRINTING_PACKAGES = ("aiops.cli",)

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

KERNEL_FOLDER = "kernels"
KERNEL_DECORATORS = frozenset({"njit", "jit", "vectorize", "guvectorize", "kernel", "helper"})
KERNEL_OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}
DEVICE_DECORATORS = frozenset({"helper"})

NAIVE_FOLDER = ROOT / "tests/naive"
UNIT_FOLDER = ROOT / "tests/unit"
KERNEL_BENCHMARK = ROOT / "benchmarks/bench_kernels.py"


def assert_none(breaches: Iterable[str]) -> None:
    found = list(breaches)
    assert not found, "\n" + "\n".join(found)


def unit_of(name: str) -> tuple[int, Unit]:
    """Return the layer's position and the unit of a module, by the longest prefix.

    A module that nobody gave a layer counts as the package itself, at the bottom.
    """
    matches = [
        (len(prefix), position, unit)
        for position, layer in enumerate(LAYERS)
        for unit in layer
        for prefix in unit
        if name == prefix or name.startswith(prefix + ".")
    ]
    _, position, unit = max(matches)
    return position, unit


def our_imports(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the imports of a module that lead into the package."""
    for name, line in imports_of(module.tree, module):
        if name == "aiops" or name.startswith("aiops."):
            yield name, line


def pure_modules() -> list[Module]:
    positions = {unit_of(name)[0] for name in PURE}
    return [module for module in modules() if unit_of(module.name)[0] in positions]


def calls_of(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def body_lines(node: FunctionNode) -> int:
    """Return the lines of a function without its decorators and docstring."""
    last = node.end_lineno or node.lineno
    docstring = ast.get_docstring(node, clean=False)
    if docstring is None:
        return last - node.lineno + 1
    first = node.body[0]
    return last - node.lineno + 1 - ((first.end_lineno or first.lineno) - first.lineno + 1)


def decorator_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        return called_name(node)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def compiled_functions() -> Iterator[tuple[Module, FunctionNode, ast.expr]]:
    """Yield every function that Numba compiles, with the decorator that says so."""
    for module in modules():
        for function in module.functions():
            for decorator in function.decorator_list:
                if decorator_name(decorator) in KERNEL_DECORATORS:
                    yield module, function, decorator


def is_device(decorator: ast.expr) -> bool:
    """Tell whether a decorator makes a leaf function for kernels and not a kernel."""
    if decorator_name(decorator) in DEVICE_DECORATORS:
        return True
    return not isinstance(decorator, ast.Call) or not decorator.args


def kernels() -> list[tuple[Module, FunctionNode]]:
    return [
        (module, function)
        for module, function, decorator in compiled_functions()
        if not is_device(decorator)
    ]


def jit_calls() -> Iterator[tuple[Module, ast.Call]]:
    """Yield every call of Numba's own compiler, as decorator or inside one of ours."""
    for module in modules():
        for call in calls_of(module):
            if called_name(call) in ("njit", "jit"):
                yield module, call


def strongly_connected(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle."""
    reachable = {name: _reach(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reachable[name] if name in reachable[other]))
        for name in graph
        if name in reachable[name]
    }
    return [list(group) for group in sorted(groups)]


def _reach(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += graph.get(name, ())
    return seen


def test_every_module_has_a_layer():
    assert_none(
        f"{name} has no layer; give it one in LAYERS"
        for name in sorted(module_names() - {"aiops"})
        if unit_of(name)[1] == ("aiops",)
    )


def test_every_prefix_of_the_layers_is_written_once():
    prefixes = [prefix for layer in LAYERS for unit in layer for prefix in unit]
    assert sorted(set(prefixes)) == sorted(prefixes)


def test_imports_run_downwards_and_siblings_do_not_know_each_other():
    breaches: list[str] = []
    for module in modules():
        position, unit = unit_of(module.name)
        for name, line in our_imports(module):
            other_position, other_unit = unit_of(name)
            if other_unit != unit and other_position <= position:
                breaches.append(f"{where(module, line)} {module.name} imports {name}")
    assert_none(breaches)


def test_no_modules_import_each_other_in_a_circle():
    graph = {module.name: {name for name, _ in our_imports(module)} for module in modules()}
    assert_none(" <-> ".join(group) for group in strongly_connected(graph))


def test_imports_stand_at_the_top_of_the_file():
    late = [
        f"{where(module, line)} imports {name} inside {function.name}"
        for module in modules()
        if module.name not in OPTIONAL_ADAPTERS
        for function in module.functions()
        for name, line in imports_of(function, module)
    ]
    assert_none(late)


def test_the_core_imports_nothing_with_effects():
    assert_none(
        f"{where(module, line)} imports {name}"
        for module in pure_modules()
        for name, line in imports_of(module.tree, module)
        if any(name == impure or name.startswith(impure + ".") for impure in IMPURE_MODULES)
    )


def test_the_core_touches_no_file_and_reads_no_time():
    assert_none(
        f"{where(module, call.lineno)} calls {called_name(call)}"
        for module in pure_modules()
        for call in calls_of(module)
        if called_name(call)
        in (IMPURE_FUNCTIONS if isinstance(call.func, ast.Name) else IMPURE_METHODS)
    )


def test_chance_in_the_core_has_a_seed():
    assert_none(
        f"{where(module, call.lineno)} {ast.unparse(call)}"
        for module in pure_modules()
        for call in calls_of(module)
        if UNSEEDED.fullmatch(ast.unparse(call))
    )


def test_only_the_command_line_prints():
    breaches = [
        where(module, call.lineno)
        for module in modules()
        if not module.name.startswith(PRINTING_PACKAGES)
        for call in calls_of(module)
        if isinstance(call.func, ast.Name) and call.func.id == "print"
    ]
    assert_none(breaches)


def test_no_file_is_too_long():
    assert_none(
        f"{where(module, 1)} has {n} lines"
        for module in modules()
        if (n := len(module.text.splitlines())) > FILE_LINES_MAX
    )


def test_no_function_is_too_long():
    assert_none(
        f"{where(module, function.lineno)} {function.name} has {n} lines"
        for module in modules()
        for function in module.functions()
        if (n := body_lines(function)) > FUNCTION_LINES_MAX
    )


def test_compiled_functions_live_in_a_folder_of_kernels():
    strays = [
        f"{where(module, function.lineno)} {function.name}"
        for module, function, _ in compiled_functions()
        if KERNEL_FOLDER not in module.path.parts
    ]
    assert_none(strays)


def test_kernels_and_only_kernels_are_called_k_something():
    wrong = [
        f"{where(module, function.lineno)} {function.name}"
        for module, function, decorator in compiled_functions()
        if function.name.startswith("k_") == is_device(decorator)
    ]
    assert_none(wrong)


def test_every_function_called_k_something_is_compiled():
    compiled = {id(function) for _, function, _ in compiled_functions()}
    plain = [
        f"{where(module, function.lineno)} {function.name}"
        for module in modules()
        for function in module.functions()
        if function.name.startswith("k_") and id(function) not in compiled
    ]
    assert_none(plain)


@pytest.mark.parametrize(("option", "value"), KERNEL_OPTIONS.items())
def test_every_signature_is_compiled_with_the_options_of_the_house(option, value):
    wrong = []
    for module, call in jit_calls():
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        is_right = option in given and ast.unparse(given[option]) == repr(value)
        if call.args and not is_right:
            wrong.append(where(module, call.lineno))
    assert_none(wrong)


def test_fast_maths_is_off_or_the_one_constant():
    wrong = [
        where(module, call.lineno)
        for module, call in jit_calls()
        for keyword in call.keywords
        if keyword.arg == "fastmath" and ast.unparse(keyword.value) != "FASTMATH"
    ]
    assert_none(wrong)


def test_no_two_kernels_share_a_name():
    names = [function.name for _, function in kernels()]
    assert sorted(set(names)) == sorted(names)


def test_every_kernel_has_a_naive_twin():
    text = "\n".join(path.read_text() for path in sorted(NAIVE_FOLDER.rglob("*.py")))
    assert_none(k for k in kernel_names() if not re.search(rf"^def {twin(k)}\(", text, re.M))


def test_every_kernel_is_tested_against_its_twin():
    texts = [path.read_text() for path in sorted(UNIT_FOLDER.rglob("test_*.py"))]
    untested = [
        name
        for name in kernel_names()
        if not any(is_named(name, text) and is_named(twin(name), text) for text in texts)
    ]
    assert_none(untested)


def test_every_kernel_has_a_benchmark():
    text = KERNEL_BENCHMARK.read_text() if KERNEL_BENCHMARK.exists() else ""
    assert_none(name for name in kernel_names() if not is_named(name, text))


def kernel_names() -> list[str]:
    return sorted(function.name for _, function in kernels())


def twin(kernel: str) -> str:
    return "naive_" + kernel.removeprefix("k_")


def is_named(name: str, text: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None

"""What is written about the product agrees with the product."""

import ast
import importlib
import re
import tomllib
from collections.abc import Iterable, Iterator

import pytest

from aiops.config_reference import markdown_page, yaml_page
from tests.metrics_page import PAGE, metrics, page
from tests.source_tree import ROOT, FunctionNode, Module, modules, where

PRIVATE_ROUTES = ("/api/v1/{tail:.*}",)
"""Routes nobody is meant to ask for: the one that answers for all unknown paths."""

CHANGELOG_LINE = re.compile(r"- \[(CHANGE|FEATURE|ENHANCEMENT|BUGFIX|SECURITY)\] [a-z, ]+: .+")
METRIC_NAME = re.compile(r"aiops_[a-z][a-z0-9_]*")


def assert_none(faults: Iterable[str]) -> None:
    found = list(faults)
    assert not found, "\n" + "\n".join(found)


def text_of(name: str) -> str:
    path = ROOT / name
    return path.read_text() if path.exists() else ""


def dependencies() -> list[str]:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    return [re.split(r"[<>=!~\[; ]", entry)[0] for entry in project["dependencies"]]


def commands() -> list[str]:
    """Return the commands of the CLI: a module each, which adds a parser and runs."""
    return [
        module.name.rpartition(".")[2]
        for module in modules()
        if module.name.startswith("aiops.cli.")
        and {"add_parser", "run"} <= {function.name for function in module.functions()}
    ]


def routes() -> Iterator[tuple[str, str]]:
    """Yield (path, class) of every HTTP route that a part of the edge mounts.

    The parts need not be built for that: their handlers are named here, not called.
    """
    for module in modules():
        if module.name.startswith("aiops.serve."):
            for part in vars(importlib.import_module(module.name)).values():
                if isinstance(part, type) and part.__module__ == module.name:
                    mount = getattr(part, "routes", None)
                    for route in mount(part.__new__(part)) if mount else ():
                        yield route.path, f"{module.name}.{part.__name__}"


def undocumented(module: Module) -> Iterator[str]:
    if not ast.get_docstring(module.tree):
        yield where(module, 1)
    yield from _undocumented_in(module.tree.body, module, "")


def _undocumented_in(body: list[ast.stmt], module: Module, owner: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield f"{where(module, node.lineno)} {owner}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _undocumented_in(node.body, module, f"{node.name}.")


def test_the_example_configuration_is_the_schema():
    assert text_of("config/aiops.yaml") == yaml_page(), "run `make docs`"


def test_the_configuration_reference_is_the_schema():
    assert text_of("config/REFERENCE.md") == markdown_page(), "run `make docs`"


def test_every_public_module_class_and_function_has_a_docstring():
    assert_none(fault for module in modules() for fault in undocumented(module))


def test_every_metric_is_on_the_page_of_metrics():
    assert text_of("config/METRICS.md") == page(), "run `make docs`"
    assert PAGE.exists()


def test_every_metric_is_named_after_the_product_and_registered_once_by_name():
    assert_none(m.name for m in metrics() if not METRIC_NAME.fullmatch(m.name))
    names = [metric.name for metric in metrics()]
    assert sorted(set(names)) == sorted(names)


def test_the_walk_over_the_source_finds_metrics_commands_and_routes():
    assert "aiops_build_info" in {metric.name for metric in metrics()}
    assert {"serve", "check", "incident", "version"} <= set(commands())
    assert {"/-/healthy", "/api/v1/query", "/api/v1/incidents"} <= {path for path, _ in routes()}


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command):
    assert f"aiops {command}" in text_of("README.md")


def test_every_route_is_in_the_readme():
    readme = text_of("README.md")
    assert_none(
        f"{place} {path}"
        for path, place in sorted(set(routes()))
        if path not in PRIVATE_ROUTES and not is_in(readme, path)
    )


def is_in(readme: str, path: str) -> bool:
    """Tell whether a path is named; what a placeholder is called there does not matter."""
    parts = [re.escape(part) for part in re.split(r"\{[^}]*\}", path)]
    return re.search(r"[{<:]?[\w.*-]+[}>]?".join(parts) + r"(?![\w/{<-])", readme) is not None


@pytest.mark.parametrize("dependency", dependencies())
def test_every_dependency_has_its_reason_in_contributing(dependency):
    assert re.search(
        rf"^\| `{re.escape(dependency)}` \| \S.+ \|$", text_of("CONTRIBUTING.md"), re.M
    )


def test_no_reason_is_given_for_a_dependency_that_is_gone():
    section = text_of("CONTRIBUTING.md").partition("### Dependencies")[2].partition("\n#")[0]
    named = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    assert sorted(named) == sorted(dependencies())


def test_the_changelog_has_an_unreleased_section_with_lines_of_the_one_form():
    changelog = text_of("CHANGELOG.md")
    section = changelog.partition("## Unreleased\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("- ")]
    assert lines
    assert_none(line for line in lines if not CHANGELOG_LINE.fullmatch(line))

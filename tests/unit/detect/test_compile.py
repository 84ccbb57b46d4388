"""A kernel is never loaded from the cache after a change of what it was compiled from."""

import importlib
import sys
from types import ModuleType

import pytest

from aiops.detect.kernels.compile import imports_stamp
from tests.source_tree import imports_of, modules

COMPILE = "aiops.detect.kernels.compile"
NAMES = ("aiops.made_up.kernels.top", "aiops.made_up.kernels.middle", "aiops.made_up.kernels.leaf")


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """Three files: the first imports from the second, and that one from the third."""
    texts = (f"from {NAMES[1]} import a\n", f"from {NAMES[2]} import b\n", "b = 1\n")
    paths = [tmp_path / f"{name}.py" for name in NAMES]
    for name, path, text in zip(NAMES, paths, texts, strict=True):
        path.write_text(text)
        module = ModuleType(name)
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, name, module)
    return paths


@pytest.mark.parametrize("place", [1, 2])
def test_a_change_of_any_file_reached_changes_the_stamp(made_up, place):
    before = imports_stamp(NAMES[0])
    made_up[place].write_text(made_up[place].read_text() + "c = 2\n")
    after = imports_stamp(NAMES[0])
    assert before and after and before != after


def test_the_file_of_the_kernel_itself_is_left_to_numba(made_up):
    before = imports_stamp(NAMES[0])
    made_up[0].write_text(made_up[0].read_text() + "c = 2\n")
    assert imports_stamp(NAMES[0]) == before


def test_a_file_that_imports_from_no_other_has_no_stamp(made_up):
    assert made_up and imports_stamp(NAMES[2]) == ""


def taken_from(module):
    """Return the other files of kernels that a file imports from, by its syntax tree."""
    names = {name for name, _ in imports_of(module.tree, module)}
    others = {m.name for m in modules() if "kernels" in m.path.parts} - {module.name, COMPILE}
    return names & others


def test_every_file_of_kernels_that_takes_something_from_another_has_a_stamp():
    takers = [m.name for m in modules() if "kernels" in m.path.parts and taken_from(m)]
    assert "aiops.detect.kernels.seasonal" in takers
    for name in takers:
        importlib.import_module(name)
    assert [name for name in takers if not imports_stamp(name)] == []

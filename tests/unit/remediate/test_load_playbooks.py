"""Playbook files load, or every fault in them is told."""

from pathlib import Path

import pytest

from aiops.config import SecretRef
from aiops.domain.action import ActionMode
from aiops.errors import ConfigError
from aiops.remediate.load import load_playbooks

SAMPLES = sorted((Path(__file__).parents[3] / "config/playbooks").glob("*.yaml"))
GOOD = "name: restart\naction: {http: {url: 'http://deploy:8080/x'}}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o644)
    return path


def problems_of(*paths: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_playbooks(paths)
    return caught.value.problems


def test_the_samples_load_and_only_act_on_paper() -> None:
    assert len(SAMPLES) == 3
    playbooks = load_playbooks(SAMPLES)
    assert {playbook.mode for playbook in playbooks} == {ActionMode.DRY_RUN}
    assert [playbook.name for playbook in playbooks] == [path.stem for path in SAMPLES]


def test_playbooks_come_in_the_order_of_the_paths(tmp_path: Path) -> None:
    paths = [write(tmp_path, f"{n}.yaml", GOOD.replace("restart", n)) for n in ("b", "a")]
    assert [playbook.name for playbook in load_playbooks(paths)] == ["b", "a"]


def test_no_paths_are_no_playbooks() -> None:
    assert load_playbooks([]) == ()


def test_every_fault_names_file_setting_value_and_what_is_allowed(tmp_path: Path) -> None:
    bad = (
        "name: Restart\nmode: 'on'\nmach: '{}'\nmatch: '{a'\ncool_down_s: -1\nevents: [closed]\n"
        "action: {http: {url: 'gopher://x', bodi: {}}}\n"
    )
    path = write(tmp_path, "bad.yaml", bad)
    found = problems_of(path)
    assert all(line.startswith(f"{path}: ") for line in found)
    text = "\n".join(found)
    assert f"{path}: mode: 'on' is not allowed: Input should be 'off', 'dry-run' or 'auto'" in text
    assert f"{path}: mach: unknown setting; did you mean match?" in text
    assert f"{path}: action.http.bodi: unknown setting; did you mean body?" in text
    for place in ("name", "match", "cool_down_s", "events.0", "action.http.url"):
        assert f"{path}: {place}: " in text


def test_the_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    first = write(tmp_path, "a.yaml", "name: a\n")
    second = tmp_path / "absent.yaml"
    found = problems_of(first, second)
    assert found == (f"{first}: action: is missing", f"{second}: cannot be read: {found[1][-25:]}")


def test_two_playbooks_of_one_name_are_refused(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.yaml", GOOD), write(tmp_path, "b.yaml", GOOD)
    [line] = problems_of(first, second)
    assert line.startswith(f"{second}: name: 'restart' is the name of {first} already")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("name: [", "column 1"),
        ("a: &x 1\nb: *x\n", "aliases"),
        ("name: !!python/name:os.system x\n", "tags"),
        ("#" + "x" * 300_000, "larger than 262144 bytes"),
    ],
)
def test_what_is_no_plain_small_yaml_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    [line] = problems_of(write(tmp_path, "bad.yaml", text))
    assert reason in line


def test_a_file_that_anybody_may_change_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "open.yaml", GOOD)
    path.chmod(0o666)
    [line] = problems_of(path)
    assert "chmod o-w" in line


def test_a_relative_secret_file_lies_beside_the_playbook(tmp_path: Path) -> None:
    http = "{url: 'http://deploy:8080/x', headers: {A: {file: token}, B: {env: T}, C: plain}}"
    path = write(tmp_path, "a.yaml", f"name: a\naction: {{http: {http}}}\n")
    [playbook] = load_playbooks([path])
    assert playbook.action.http.headers == {
        "A": SecretRef(file=tmp_path / "token"),
        "B": SecretRef(env="T"),
        "C": "plain",
    }

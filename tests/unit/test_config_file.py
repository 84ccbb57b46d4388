"""Configuration from file, environment and flags: precedence, paths, and every fault in words."""

from operator import attrgetter
from pathlib import Path

import pytest

from aiops.config import Config
from aiops.config_file import load_config
from aiops.config_reference import EXAMPLES, yaml_page
from aiops.config_schema import all_settings
from aiops.config_yaml import FILE_BYTES_MAX, parse_yaml
from aiops.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    path = folder / "aiops.yaml"
    path.write_text(text)
    return path


def load(folder: Path, text: str, **variables: str) -> Config:
    return load_config(write(folder, text), environment=variables, overrides={})


def problems_of(folder: Path, text: str = "", **variables: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, **variables)
    return caught.value.problems


def test_no_file_no_variables_and_no_flags_give_the_defaults():
    assert load_config(None, environment={"PATH": "/bin"}, overrides={}) == Config()


def test_an_empty_file_gives_the_defaults(tmp_path):
    assert load(tmp_path, "") == Config()


def test_a_section_without_content_counts_as_absent(tmp_path):
    assert load(tmp_path, "server:\nlog:\n") == Config()


def test_the_generated_file_equals_the_defaults(tmp_path):
    assert load(tmp_path, yaml_page()) == Config()


def test_variables_override_the_file_and_flags_override_both(tmp_path):
    path = write(
        tmp_path, "server: {listen: 'a:1', external_url: http://file}\nlog: {level: debug}"
    )
    config = load_config(
        path,
        environment={"AIOPS_SERVER_LISTEN": "b:2", "AIOPS_LOG_LEVEL": "error"},
        overrides={"server.listen": "c:3"},
    )
    assert config.server.listen == "c:3"
    assert config.log.level == "error"
    assert config.server.external_url == "http://file"


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("AIOPS_DATA_DIR", "/srv/aiops", lambda c: c.data_dir == Path("/srv/aiops")),
        ("AIOPS_DETECT_ALARM_SCORE", "7.5", lambda c: c.detect.alarm_score == 7.5),
        ("AIOPS_STORE_CHUNK_ROWS", "64", lambda c: c.store.chunk_rows == 64),
        ("AIOPS_REMEDIATE_MODE", "off", lambda c: c.remediate.mode == "off"),
        ("AIOPS_SERVER_EXTERNAL_URL", "", lambda c: c.server.external_url == ""),
    ],
)
def test_a_variable_sets_a_scalar_of_each_type(variable, text, read):
    assert read(load_config(None, environment={variable: text}, overrides={}))


def test_no_two_settings_share_a_variable():
    variables = [s.variable for s in all_settings().values() if "[]" not in s.path]
    assert len(set(variables)) == len(variables)


def test_every_setting_has_a_meaning_in_one_line():
    poor = [s.path for s in all_settings().values() if not s.meaning or "\n" in s.meaning]
    assert poor == []


def test_every_example_of_a_list_is_accepted(tmp_path):
    for path, items in EXAMPLES.items():
        config = load_config(None, environment={}, overrides={path: items})
        assert len(attrgetter(path)(config)) == len(items)


def test_playbooks_and_secret_files_are_relative_to_the_file_but_data_dir_is_not(tmp_path):
    config = load(
        tmp_path,
        """
        data_dir: here
        remediate: {playbooks: [playbooks/a.yaml, /etc/b.yaml]}
        notify:
          receivers:
            - {name: a, kind: webhook, url: "http://h", secret: {file: a.key}}
            - {name: b, kind: webhook, url: "http://h", secret: {env: KEY}}
            - {name: c, kind: webhook, url: "http://h"}
        """,
    )
    assert config.data_dir == Path("here")
    assert config.remediate.playbooks == (tmp_path / "playbooks/a.yaml", Path("/etc/b.yaml"))
    secrets = [receiver.secret for receiver in config.notify.receivers]
    assert secrets[0] is not None and secrets[0].file == tmp_path / "a.key"
    assert secrets[1] is not None and secrets[1].env == "KEY"
    assert secrets[2] is None


def test_all_problems_of_all_sources_come_at_once(tmp_path):
    problems = problems_of(
        tmp_path,
        "server: {listen: nowhere}\nstore: {chunk_rows: 5}\n",
        AIOPS_LOG_LEVEL="loud",
        AIOPS_LOGLEVEL="info",
    )
    assert [problem.split(":")[0] for problem in problems] == [
        "AIOPS_LOGLEVEL",
        "server.listen",
        "store.chunk_rows",
        "log.level (from the variable AIOPS_LOG_LEVEL)",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "store: {chunk_rows: 5}",
            "store.chunk_rows: 5 is not allowed; give a whole number from 16 to 480 "
            "(newest rows of a series kept in memory before sealing)",
        ),
        (
            "journal: {sync: maybe}",
            "journal.sync: 'maybe' is not allowed; give one of full, os "
            "(full: acknowledged data survives a power cut; os: survives kill -9, "
            "a power cut may take the last seconds)",
        ),
        (
            "server: {lissten: 'x:1'}",
            "server.lissten: unknown setting; did you mean server.listen?",
        ),
        ("listen: 'x:1'", "listen: unknown setting; did you mean server.listen?"),
        (
            "log: {colour: red}",
            "log.colour: unknown setting; known here: level",
        ),
        (
            "log: loud",
            "log: 'loud' is not allowed; give a mapping of level "
            "(the service's own log: JSON lines on stderr)",
        ),
        (
            "notify: {receivers: [{name: a, kind: webhook}]}",
            "notify.receivers[0].url: is missing; give text that matches ^https?:// "
            "(webhook address, or Alertmanager's base address)",
        ),
        (
            "detect: {ignore: [5]}",
            "detect.ignore[0]: 5 is not allowed; give a list of texts "
            '(selectors of series to store but not to judge, e.g. {__name__=~"go_.+"})',
        ),
        (
            "detect: {alarm_score: 6, clear_score: 8}",
            "detect: clear_score must be below alarm_score (alarm_score = 6, clear_score = 8)",
        ),
        ("- a\n- b", "must hold a mapping of sections, not a list"),
        ("a: &x 1\nb: *x", "line 1, column 4: anchors (&) and aliases (*) are not allowed"),
        ("log: {level: info}\nlog: {level: debug}", "line 2, column 1: log is given twice"),
        ("log: !!python/name:os.system {}", "line 1, column 6: tags (!) are not allowed"),
        ("log: [", "line 2, column 1: while parsing a flow node, did not find"),
        ("a: \x01", "control characters are not allowed"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than 20 levels"),
        ("[a]: 1", "unhashable key"),
    ],
)
def test_a_fault_in_the_file_is_one_sentence_with_place_value_and_remedy(tmp_path, text, sentence):
    (problem,) = problems_of(tmp_path, text)
    assert sentence in problem
    assert "\n" not in problem


def test_a_wrong_value_in_a_union_is_one_problem_not_one_a_branch(tmp_path):
    river = "{name: a, match: '{}', detector: river.anomaly.X, params: {depth: [1]}}"
    (problem,) = problems_of(tmp_path, f"detect: {{river: [{river}]}}")
    assert problem.startswith("detect.river[0].params.depth: [1] is not allowed")


def test_a_long_value_is_cut_in_its_problem(tmp_path):
    (problem,) = problems_of(tmp_path, f"server: {{listen: {'x' * 5000}}}")
    assert len(problem) < 250


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("AIOPS_LISTEN", "AIOPS_LISTEN: unknown variable; did you mean AIOPS_SERVER_LISTEN?"),
        ("AIOPS_QQQ", "AIOPS_QQQ: unknown variable; config/REFERENCE.md lists them all"),
        ("AIOPS_DETECT_IGNORE", "AIOPS_DETECT_IGNORE: detect.ignore is no single value; set it"),
        ("AIOPS_PORT", "AIOPS_PORT: unknown variable"),
    ],
)
def test_a_variable_that_sets_nothing_is_a_fault(tmp_path, name, sentence):
    (problem,) = problems_of(tmp_path, **{name: "9800"})
    assert problem.startswith(sentence)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AIOPS_URL", "http://other:9800"),
        ("AIOPS_SERVICE_HOST", "10.0.0.1"),
        ("AIOPS_SERVICE_PORT_HTTP", "9800"),
        ("AIOPS_PORT", "tcp://10.0.0.1:9800"),
        ("AIOPS_PORT_9800_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_the_clients_and_kubernetes_own_variables_are_let_pass(name, value):
    assert load_config(None, environment={name: value}, overrides={}) == Config()


def test_a_variable_that_holds_a_secret_of_the_file_is_let_pass(tmp_path):
    receiver = "{name: a, kind: webhook, url: 'http://h', secret: {env: AIOPS_HOOK_KEY}}"
    config = load(tmp_path, f"notify: {{receivers: [{receiver}]}}", AIOPS_HOOK_KEY="s3cret")
    assert len(config.notify.receivers) == 1


def test_an_override_of_an_unknown_setting_is_a_fault():
    with pytest.raises(ConfigError, match=r"server.lisen .*command line.*server.listen\?"):
        load_config(None, environment={}, overrides={"server.lisen": "x:1"})


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment={}, overrides={})
    assert caught.value.problems == (f"{path}: cannot be read: No such file or directory",)


def test_a_folder_a_binary_and_a_huge_file_are_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    for path, reason in (
        (tmp_path, "directory"),
        (tmp_path / "binary", "UTF-8"),
        (tmp_path / "huge", "larger"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path, environment={}, overrides={})
        assert caught.value.problems[0].startswith(f"{path}: ")
        assert reason in caught.value.problems[0]


def test_words_that_old_yaml_takes_for_booleans_and_times_stay_texts():
    text = "[off, no, yes, on, 12:30, 2024-01-01, 1_000, 010, .nan]"
    assert parse_yaml(text, source="t") == text.strip("[]").split(", ")


def test_numbers_truth_and_nothing_keep_their_types():
    read = parse_yaml("[1, -2, 0x10, 1.5, .5, 1e-3, 2., true, FALSE, null, ~, ]", source="t")
    assert read == [1, -2, 16, 1.5, 0.5, 0.001, 2.0, True, False, None, None]
    assert [type(item).__name__ for item in read[:7]] == ["int"] * 3 + ["float"] * 4

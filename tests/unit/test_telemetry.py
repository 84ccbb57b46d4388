"""JSON log lines and the metrics registry."""

import json
import logging
import warnings

import numpy as np
import pytest

from aiops.clock import ManualClock
from aiops.telemetry import (
    FACT_BYTES_MAX,
    REASONS_MAX,
    JsonFormatter,
    LogOnChange,
    Metrics,
    log_event,
    setup_logging,
)


class Lines(logging.Handler):
    """Keeps every line that the formatter makes."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    def last(self) -> dict:
        return json.loads(self.texts[-1])


def make_logger() -> tuple[logging.Logger, Lines]:
    logger, lines = logging.Logger("aiops.test"), Lines()
    logger.addHandler(lines)
    return logger, lines


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_holds_time_level_event_logger_and_facts():
    logger, lines = make_logger()
    log_event(logger, logging.INFO, "incident.opened", incident_id="i-1", n_alerts=3)
    line = lines.last()
    ts = line.pop("ts")
    assert line == {
        "level": "info",
        "event": "incident.opened",
        "logger": "aiops.test",
        "incident_id": "i-1",
        "n_alerts": 3,
    }
    assert len(ts) == len("2026-01-01T00:00:00.000Z") and ts[10] == "T" and ts[19] == "."
    assert ts.endswith("Z")


def test_a_fact_cannot_take_the_place_of_the_lines_own_fields():
    logger, lines = make_logger()
    log_event(logger, logging.ERROR, "x.failed", level=7, ts=8, logger="z")
    line = lines.last()
    assert (line["level"], line["level_"], line["ts_"], line["logger_"]) == ("error", 7, 8, "z")


def test_control_characters_cannot_forge_a_second_line():
    logger, lines = make_logger()
    log_event(logger, logging.INFO, "x.seen", text='a\n{"event":"forged"}\x1b[31m')
    assert "\n" not in lines.texts[0] and "\x1b" not in lines.texts[0]
    assert lines.last()["text"] == 'a\n{"event":"forged"}\x1b[31m'


@pytest.mark.parametrize("text", ["x" * 5000, "é" * 5000, "x" + "é" * 5000])
def test_a_long_fact_is_cut_between_characters(text):
    logger, lines = make_logger()
    log_event(logger, logging.INFO, "x.seen", text=text)
    shown = lines.last()["text"]
    assert shown.endswith("…") and text.startswith(shown[:-1])
    assert FACT_BYTES_MAX - 2 <= len(shown[:-1].encode()) <= FACT_BYTES_MAX


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (np.float64(2.5), 2.5),
        (np.int64(4), 4),
        (2**80, str(2**80)),
        ("\ud800", "\\ud800"),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({1: {2}}, {"1": "{2}"}),
        (float("nan"), None),
        ({"a": "\ud800"}, "{'a': '\\ud800'}"),
        (ValueError("no"), "no"),
    ],
)
def test_a_fact_of_any_type_becomes_json(value, shown):
    logger, lines = make_logger()
    log_event(logger, logging.INFO, "x.seen", value=value)
    assert lines.last()["value"] == shown


def test_a_large_structure_is_cut_as_text():
    logger, lines = make_logger()
    log_event(logger, logging.INFO, "x.seen", rows=list(range(5000)))
    assert lines.last()["rows"].startswith("[0,1,2,")


def test_an_unexpected_error_brings_its_traceback():
    logger, lines = make_logger()
    try:
        {}["gone"]
    except KeyError as error:
        log_event(logger, logging.ERROR, "stage.failed", exc_info=error, stage="detect")
    line = lines.last()
    assert line["error"] == "KeyError: 'gone'"
    assert line["traceback"].startswith("Traceback") and '{}["gone"]' in line["traceback"]
    assert line["stage"] == "detect"


def test_of_a_long_traceback_the_end_is_kept():
    logger, lines = make_logger()
    log_event(logger, logging.ERROR, "x.failed", exc_info=ValueError("y" * 5000 + "the end"))
    assert lines.last()["traceback"].endswith("the end\n")
    assert len(lines.last()["traceback"]) <= FACT_BYTES_MAX


def test_lines_of_foreign_libraries_pass_through_the_same_formatter():
    logger, lines = make_logger()
    logger.warning("served %s\nin %d ms", "/metrics", 3)
    line = lines.last()
    assert line["event"] == "message.logged" and line["message"] == "served /metrics\nin 3 ms"
    assert line["level"] == "warning"


def test_setup_writes_to_stderr_from_the_level_on(root_logger, capsys):
    setup_logging("warning")
    setup_logging("warning")
    log_event(logging.getLogger("aiops.a"), logging.INFO, "x.hidden")
    log_event(logging.getLogger("aiops.a"), logging.WARNING, "x.shown")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(text)["event"] for text in captured.err.splitlines()] == ["x.shown"]


def test_setup_turns_warnings_into_lines(root_logger, capsys):
    setup_logging("info")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", stacklevel=1)
    assert "old thing" in json.loads(capsys.readouterr().err)["message"]


def test_a_repeated_failure_is_logged_once_a_minute_with_the_count_between():
    logger, lines = make_logger()
    clock = ManualClock()
    log = LogOnChange(logger, clock)
    outcomes = []
    for _ in range(121):
        outcomes.append(log.failed("delivery.failed", "refused", receiver="pager"))
        clock.advance(1000)
    assert [n for n, is_logged in enumerate(outcomes) if is_logged] == [0, 60, 120]
    assert [json.loads(text)["n_unlogged"] for text in lines.texts] == [0, 59, 59]
    assert lines.last()["reason"] == "refused" and lines.last()["receiver"] == "pager"


def test_a_new_reason_is_logged_at_once_but_two_in_turn_do_not_flood():
    logger, lines = make_logger()
    log = LogOnChange(logger, ManualClock())
    for reason in ("refused", "timeout") * 20:
        log.failed("delivery.failed", reason)
    assert [json.loads(text)["reason"] for text in lines.texts] == ["refused", "timeout"]


def test_recovery_is_logged_once_and_only_after_a_failure():
    logger, lines = make_logger()
    log = LogOnChange(logger, ManualClock())
    assert not log.recovered("delivery.recovered")
    log.failed("delivery.failed", "refused")
    log.failed("delivery.failed", "refused")
    assert log.recovered("delivery.recovered", receiver="pager")
    assert not log.recovered("delivery.recovered")
    assert lines.last()["event"] == "delivery.recovered" and lines.last()["n_unlogged"] == 1
    assert log.failed("delivery.failed", "refused"), "a failure after recovery is a change"


def test_the_reasons_remembered_are_bounded():
    logger, _ = make_logger()
    log = LogOnChange(logger, ManualClock())
    for n in range(REASONS_MAX + 1):
        assert log.failed("x.failed", f"reason {n}")
    assert not log.failed("x.failed", f"reason {REASONS_MAX}")
    assert log.failed("x.failed", "reason 0"), "the oldest was forgotten"


def test_two_instances_of_metrics_do_not_meet():
    first, second = Metrics(), Metrics()
    assert first.registry is not second.registry
    for metrics in (first, second):
        text = metrics.exposition().decode()
        for name in ("process_cpu_seconds_total", "python_info", "python_gc_collections_total"):
            assert f"\n{name}" in text
        assert 'aiops_build_info{version="' in text

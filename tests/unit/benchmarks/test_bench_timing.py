"""The clock of the benchmarks and their common output."""

from benchmarks.report import Sheet, append_history
from benchmarks.timing import time_calls

MACHINE = {
    "date": "2026-01-02",
    "commit": "abc",
    "cpu": "slow",
    "cores": 2,
    "memory_gib": 4.0,
    "python": "3.11",
    "numba": "0.61",
    "numpy": "2.0",
}


def test_what_a_call_uses_up_is_brought_back_before_each_call():
    states = []
    stock = {"left": 0}

    def call():
        states.append(stock["left"])
        stock["left"] = 0

    time_calls(call, 1_000_000_000, reset=lambda: stock.update(left=7), repeats=2)
    assert set(states) == {7}


def test_bringing_back_is_not_timed():
    def work():
        sum(range(50_000))

    def slow_reset():
        for _ in range(20):
            work()

    bare = time_calls(work, 1, repeats=5).cpu_ns_median
    assert time_calls(work, 1, reset=slow_reset, repeats=5).cpu_ns_median < 5 * bare


def test_a_cost_has_one_figure_a_run_and_names_the_item():
    cost = time_calls(lambda: sum(range(1000)), 1000, repeats=3)
    assert len(cost.cpu_ns) == len(cost.wall_ns) == 3
    figures = cost.figures("row")
    low, high = figures["cpu_ns_per_row_range"]
    assert low <= figures["cpu_ns_per_row"] <= high


def test_history_keeps_what_was_there_and_adds_table_and_machine(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("# Results\n")
    sheet = Sheet("things", ("what", "ns"), (("a", "1"), ("b", "2")), "quiet machine")
    append_history(MACHINE, sheet, path=path)
    text = path.read_text()
    assert text.startswith("# Results\n")
    assert "| what | ns |\n|---|---:|\n| a | 1 |\n| b | 2 |\n" in text
    assert "on slow, 2 cores, 4.0 GiB" in text
    assert "things. quiet machine." in text

"""The start benchmark believes no start that came up with other data, and reads imports right."""

import pytest

from benchmarks import bench_start
from benchmarks.bench_start import Start
from benchmarks.harness import BenchmarkError
from benchmarks.start_imports import largest, own_ms_by_package, parse_imports

REPORT = """\
import time: self [us] | cumulative | imported package
import time:      1500 |       1500 |     numpy.core
import time:       500 |       2000 |   numpy
{"level": "info", "event": "service.ready"}
import time:      3000 |       5000 | aiops.config
"""


def test_import_times_are_summed_by_package_without_what_they_import():
    imports = parse_imports(REPORT)
    assert [each.depth for each in imports] == [2, 1, 0]
    assert own_ms_by_package(imports) == {"aiops": 3.0, "numpy": 2.0}


def test_packages_beyond_the_largest_are_summed():
    assert largest({"a": 3.0, "b": 2.0, "c": 1.5}, 1) == {"a": 3.0, "others": 3.5}


def test_a_log_without_import_times_is_an_error():
    with pytest.raises(BenchmarkError, match="no import times"):
        parse_imports('{"event": "service.ready"}\n')


def test_the_series_of_a_start_are_read_from_its_log():
    log = '{"event": "service.listening"}\n{"event": "service.ready", "series": 20000}\n'
    assert bench_start.series_when_ready(log) == 20_000
    with pytest.raises(BenchmarkError, match="did not log"):
        bench_start.series_when_ready('{"event": "service.listening"}\n')


def test_a_start_with_other_series_than_were_saved_is_found_out():
    starts = [Start(1.0, 1.0, 1, 20_000), Start(1.0, 1.0, 1, 19_999)]
    bench_start.check_starts(starts[:1], 20_000)
    with pytest.raises(BenchmarkError, match="19999 series, 20000"):
        bench_start.check_starts(starts, 20_000)


def test_a_summary_has_median_and_spread():
    starts = [Start(s, s / 2, 2**20, 0) for s in (3.0, 1.0, 2.0)]
    told = bench_start.summarise(starts)
    assert told["ready_s"] == 2.0
    assert told["ready_s_range"] == [1.0, 3.0]
    assert told["rss_mib"] == 1.0

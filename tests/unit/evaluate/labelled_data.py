"""Small labelled sets, written as the public ones are laid out."""

import numpy as np


def series_with_jumps(n, seed):
    """Noise around 10 with two labelled jumps of six rows each."""
    values = np.random.default_rng(seed).normal(10, 1, n)
    labels = np.zeros(n, np.int8)
    for start in (n // 3, 4 * n // 5):
        values[start : start + 6] += 40
        labels[start : start + 6] = 1
    return values, labels


def write_univariate(data, name, n_series=2, n=900, *, has_windows=False):
    columns = [series_with_jumps(n, seed) for seed in range(n_series)]
    steps_s = np.full(n, 60)
    steps_s[0] = 1_500_000_000
    arrays = {
        "names": np.array([f"series-{k}" for k in range(n_series)]),
        "off": np.arange(n_series + 1) * n,
        "dts": np.tile(steps_s, n_series),
        "values": np.concatenate([values for values, _ in columns]),
        "labels": np.concatenate([labels for _, labels in columns]),
    }
    if has_windows:
        rows = [(k, s, s + 29) for k in range(n_series) for s in (n // 3, 4 * n // 5)]
        arrays["windows"] = np.array(rows)
    return write(data, name, arrays)


def write_machines(data, name, n_metrics=3, n_train=600, n_test=400):
    arrays = {"names": np.array(["machine-1"])}
    parts = [series_with_jumps(n_test, seed) for seed in range(n_metrics)]
    noise = np.random.default_rng(9).normal(10, 1, (n_metrics, n_train))
    arrays["machine-1|train"] = (noise * 1e6).astype(np.int32)
    arrays["machine-1|test"] = (np.stack([v for v, _ in parts]) * 1e6).astype(np.int32)
    arrays["machine-1|label"] = parts[0][1]
    return write(data, name, arrays)


def write(data, name, arrays):
    folder = data / "detection"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    return data


def write_all(data):
    """Return a folder with a small set of each family."""
    write_univariate(data, "kpi_small", n_series=3)
    write_univariate(data, "nab_small", has_windows=True)
    write_machines(data, "smd_small")
    return write_machines(data, "asd_small", n_metrics=2)

"""Seeded streams of dicts, and the detectors that are held to River's contract."""

import random

from river import preprocessing
from series_data import START_MS

from aiops.detect.river import GroupDetector, PeerDetector, SeriesDetector

DETECTORS = {
    "series": lambda: SeriesDetector(feature="Amount"),
    "series in a zone": lambda: SeriesDetector(30, 900.0, "Amount", "Europe/Berlin"),
    "group": GroupDetector,
    "group of few": lambda: GroupDetector(20, members_min=2, features_max=6),
    "peers": PeerDetector,
    "scaled series": lambda: preprocessing.StandardScaler() | SeriesDetector(feature="Amount"),
    "scaled group": lambda: preprocessing.StandardScaler() | GroupDetector(20),
}


def payments(n=600, *, n_features=8, seed=1, step_ms=None):
    """Samples such as River's CreditCard has; one in a hundred is far off in three features."""
    rng = random.Random(seed)
    stream = []
    for i in range(n):
        is_odd = i > 400 and rng.random() < 0.01
        shift = 9.0 if is_odd else 0.0
        x = {f"V{k}": rng.gauss(shift if k < 3 else 0.0, 1) for k in range(1, n_features)}
        x["Amount"] = rng.gauss(50 + 10 * shift, 10)
        if step_ms is not None:
            x["ts_ms"] = START_MS + step_ms * i
        stream.append((x, is_odd))
    return stream


def run(detector, stream):
    """Scores of samples that are scored, then learnt."""
    scores = []
    for x, _ in stream:
        scores.append(detector.score_one(x))
        detector.learn_one(x)
    return scores

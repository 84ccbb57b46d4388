"""Our detectors as River estimators: in, a dict a sample; out, -log10 of a tail probability.

`SeriesDetector` judges one series, `GroupDetector` several of one entity together, `PeerDetector`
replicas of one thing against each other. Each runs its bank one sample at a time, with the same
scores to the bit, keeps River's contract (`river.checks`), and goes on exactly after a copy or a
pickle.
"""

from aiops.detect.river.detector import TIME_KEY
from aiops.detect.river.group import GroupDetector
from aiops.detect.river.peers import PeerDetector
from aiops.detect.river.series import SeriesDetector

__all__ = ["TIME_KEY", "GroupDetector", "PeerDetector", "SeriesDetector"]

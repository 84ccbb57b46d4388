"""Plain twins of the kernels over several series: entities and replicas, in words before symbols.

The methods are those that `aiops.detect.banks.group` and `aiops.detect.banks.peers` describe; the
figures are repeated here on purpose, so that a kernel's constant cannot change unnoticed.
"""

import math
import statistics
from dataclasses import dataclass, field


def _tail_score(threshold: float, excess: float, square: float, unit: float) -> float:
    """-log10 of the share of observations beyond `unit`; 2 % lie beyond the threshold."""
    if unit <= threshold:
        return -math.log10(0.02) * unit / threshold
    variance = max(square - excess**2, 0.05 * excess**2)
    shape = min(max(0.5 * (1 - excess**2 / variance), 0.0), 0.4)
    beyond = (unit - threshold) / (excess * (1 - shape))
    survival_log = -beyond if shape < 1e-4 else -math.log(1 + shape * beyond) / shape
    return -math.log10(0.02) - survival_log / math.log(10)


@dataclass
class NaiveMember:
    n: int = 0
    level: float = 0.0
    spread: float = 0.0
    evidence: float = 0.0
    reported: int = 0


@dataclass
class NaiveEntity:
    members: dict[int, NaiveMember] = field(default_factory=dict)
    warmup: int = 60
    members_min: int = 3
    rounds_warmup: int = 300
    round: int = 0
    newest_ms: int = 0
    judged_ms: int = 0
    rounds: int = 0
    mean: float = 0.0
    threshold: float = 0.0
    excess: float = 0.0
    square: float = 0.0


def naive_group_judge(
    entity: NaiveEntity, rows: list[tuple[int, int, float, float]]
) -> list[tuple[int, float, float, float, float]]:
    """(time, score, evidence, expected, half) of the rounds that rows of one entity end.

    Rows are (member, time, feature, score of its own bank).
    """
    told = []
    for key, ts_ms, feature, score in rows:
        if math.isnan(feature):
            continue
        if entity.round == 0:
            entity.round = 1
            entity.newest_ms = entity.judged_ms = ts_ms - 1
        member = entity.members[key]
        verdicts = []
        if member.reported == entity.round and ts_ms > entity.newest_ms:
            verdicts.append(_end_round(entity))
        left = member.evidence * 0.97 ** (entity.round - member.reported)
        value = min(max(feature, -1e150), 1e150)
        member.evidence = max(left, _evidence(member, value, score, entity.warmup))
        member.reported = entity.round
        entity.newest_ms = max(entity.newest_ms, ts_ms)
        all_reported = all(each.reported == entity.round for each in entity.members.values())
        if all_reported and entity.newest_ms > entity.judged_ms:
            verdicts.append(_end_round(entity))
        told += [(entity.judged_ms, *verdict) for verdict in verdicts if verdict is not None]
    return told


def _evidence(member: NaiveMember, value: float, score: float, warmup: int) -> float:
    member.n += 1
    if member.n == 1:
        member.level, member.spread = value, 0.0
        return 0.0
    spread = max(member.spread, 1e-4 * abs(member.level) + 1e-12)
    away = value - member.level
    distance = min(abs(away) / spread, 1e6)
    if member.n > warmup:
        away = min(max(away, -4 * spread), 4 * spread)
    rate = max(1e-5, 1 / member.n)
    member.level += rate * away
    member.spread += rate * (abs(away) - member.spread)
    if member.n <= warmup:
        return 0.0
    sudden = max(score - 1.5, 0.0)
    lasting = 2 * math.log(distance - 3) if distance > 4 else 0.0
    return min(sudden + lasting, 16.0)


def _end_round(entity: NaiveEntity) -> tuple[float, float, float, float] | None:
    ripe = [member for member in entity.members.values() if member.n > entity.warmup]
    shown = [each.evidence * 0.97 ** (entity.round - each.reported) for each in ripe]
    entity.round += 1
    entity.judged_ms = entity.newest_ms
    if len(ripe) < entity.members_min:
        return None
    pooled = sum(shown) / len(ripe)
    verdict = None
    if entity.rounds >= entity.rounds_warmup:
        score = _tail_score(entity.threshold, entity.excess, entity.square, pooled)
        score = min(score, math.log10(entity.rounds) + 4.5)
        band = entity.threshold + math.log(20) * entity.excess
        verdict = (score, pooled, entity.mean, band - entity.mean)
    _learn_round(entity, pooled, n_series=len(ripe))
    return verdict


def _learn_round(entity: NaiveEntity, pooled: float, *, n_series: int) -> None:
    threshold_least, excess_least = 12 / n_series, 1.2 / n_series
    entity.rounds += 1
    n = entity.rounds
    if n == 1:
        entity.mean = pooled
        entity.threshold = max(2 * pooled, threshold_least)
        entity.excess = max(0.7 * pooled, excess_least)
        entity.square = 2 * entity.excess**2
        return
    learnt = min(pooled, entity.threshold + 4 * entity.excess)
    entity.mean += max(1e-4, 1 / n) * (learnt - entity.mean)
    step = 3 * max(1e-4, 1 / (0.3 * n + 1)) * max(entity.mean, threshold_least)
    if learnt <= entity.threshold:
        entity.threshold = max(entity.threshold - 0.02 * step, threshold_least)
        return
    beyond = learnt - entity.threshold
    rate = max(1e-3, 1 / (0.02 * n + 5))
    entity.threshold += 0.98 * step
    entity.excess = max(entity.excess + rate * (beyond - entity.excess), excess_least)
    entity.square = max(entity.square + rate * (beyond**2 - entity.square), excess_least**2)


@dataclass
class NaiveReplica:
    value: float = 0.0
    n: int = 0
    offset: float = 0.0
    spread: float = 0.0
    threshold: float = 2.5
    excess: float = 1.0
    square: float = 2.0
    was_beyond: bool = False
    reported: int = 0


@dataclass
class NaivePeers:
    replicas: dict[int, NaiveReplica] = field(default_factory=dict)
    warmup: int = 60
    peers_min: int = 4
    round: int = 0
    newest_ms: int = 0
    judged_ms: int = 0


Verdict = tuple[int, int, float, float, float, float]


def naive_peers_judge(peers: NaivePeers, rows: list[tuple[int, int, float]]) -> list[Verdict]:
    """(replica, time, score, value, expected, half) of the rounds that rows of one group end."""
    told: list[Verdict] = []
    for key, ts_ms, feature in rows:
        if math.isnan(feature):
            continue
        if peers.round == 0:
            peers.round = 1
            peers.newest_ms = peers.judged_ms = ts_ms - 1
        replica = peers.replicas[key]
        if replica.reported == peers.round and ts_ms > peers.newest_ms:
            told += _end_peers(peers)
        replica.value = min(max(feature, -1e150), 1e150)
        replica.reported = peers.round
        peers.newest_ms = max(peers.newest_ms, ts_ms)
        all_reported = all(each.reported == peers.round for each in peers.replicas.values())
        if all_reported and peers.newest_ms > peers.judged_ms:
            told += _end_peers(peers)
    return told


def _end_peers(peers: NaivePeers) -> list[Verdict]:
    here = {key: each for key, each in peers.replicas.items() if each.reported == peers.round}
    peers.round += 1
    peers.judged_ms = peers.newest_ms
    if len(here) < peers.peers_min + 1:
        return []
    median = statistics.median(each.value for each in here.values())
    common = 1.183 * statistics.median(
        abs(each.value - median - each.offset) if each.n else 0.0 for each in here.values()
    )
    return [
        (key, peers.judged_ms, *_judge_replica(each, median, common, peers.warmup))
        for key, each in here.items()
    ]


def _judge_replica(
    replica: NaiveReplica, median: float, common: float, warmup: int
) -> tuple[float, float, float, float]:
    if replica.n == 0:
        replica.offset = replica.value - median
    replica.n += 1
    away = replica.value - median - replica.offset
    scale = max(replica.spread, common) + 1e-3 * abs(median) + 1e-12
    unit = min(abs(away) / scale, 1e6)
    verdict = (0.0, replica.value, math.nan, math.nan)
    if replica.n > warmup:
        score = _tail_score(replica.threshold, replica.excess, replica.square, unit)
        score = min(score, math.log10(replica.n) + 4.5)
        band = scale * (replica.threshold + math.log(20) * replica.excess)
        verdict = (score, replica.value, median + replica.offset, band)
    if replica.n > 20:
        _learn_replica_tail(replica, unit)
        away = min(max(away, -4 * scale), 4 * scale)
    rate = max(0.002, 1 / replica.n)
    replica.offset += rate * away
    replica.spread += rate * (abs(away) - replica.spread)
    return verdict


def _learn_replica_tail(replica: NaiveReplica, unit: float) -> None:
    was_beyond = replica.was_beyond
    replica.was_beyond = unit > replica.threshold
    if was_beyond and replica.was_beyond:
        return
    unit = min(unit, replica.threshold + 4 * replica.excess)
    step = 3 * max(0.002, 1 / (0.3 * replica.n + 1))
    if unit <= replica.threshold:
        replica.threshold = max(replica.threshold - 0.02 * step, 1.0)
        return
    beyond = unit - replica.threshold
    rate = max(0.02, 1 / (0.02 * replica.n + 5))
    replica.threshold += 0.98 * step
    replica.excess = max(replica.excess + rate * (beyond - replica.excess), 0.2)
    replica.square = max(replica.square + rate * (beyond**2 - replica.square), 0.04)

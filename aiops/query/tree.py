"""The syntax tree of a query: only what can be evaluated, parentheses already gone."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from aiops.domain.matchers import Matchers
from aiops.domain.samples import I64

LOOKBACK_SPAN_MS = 300_000
"""Prometheus' default query.lookback-delta: a sample counts for 5 minutes."""


TIME_MS_MAX = 2**53
"""Chosen: times are held within +-2^53 ms, exact as JSON numbers and far from int64's ends."""


class ValueType(StrEnum):
    """What an expression yields; the values are Prometheus' names in `resultType`."""

    SCALAR = "scalar"
    STRING = "string"
    VECTOR = "vector"
    MATRIX = "matrix"


class Anchor(StrEnum):
    """What the `@` modifier pins a selector to."""

    NONE = ""
    FIXED = "fixed"
    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Window:
    """The evaluation times of a query: one for an instant query, a grid for a range query."""

    start_ms: int
    end_ms: int
    step_ms: int = 1
    lookback_span_ms: int = LOOKBACK_SPAN_MS

    def times_ms(self) -> I64:
        """Return the evaluation times, int64 epoch ms."""
        return np.arange(self.start_ms, self.end_ms + 1, self.step_ms, dtype=np.int64)

    def last_ms(self) -> int:
        """Return the last evaluation time; `end_ms` itself need not be on the grid."""
        return self.end_ms - (self.end_ms - self.start_ms) % self.step_ms


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector, or a range selector when `range_span_ms` is not 0."""

    matchers: Matchers
    range_span_ms: int = 0
    offset_ms: int = 0
    anchor: Anchor = Anchor.NONE
    at_ms: int = 0

    def times_ms(self, window: Window) -> I64:
        """Return the time this selector looks at for each evaluation time."""
        times_ms = window.times_ms()
        if self.anchor is not Anchor.NONE:
            times_ms = np.full(len(times_ms), self._pinned_ms(window), dtype=np.int64)
        return times_ms - self.offset_ms

    def reach_ms(self, window: Window) -> tuple[int, int]:
        """Return the first and last sample time that can matter, both included."""
        first_ms, last_ms = window.start_ms, window.last_ms()
        if self.anchor is not Anchor.NONE:
            first_ms = last_ms = self._pinned_ms(window)
        back_ms = self.range_span_ms or window.lookback_span_ms
        return first_ms - self.offset_ms - back_ms + 1, last_ms - self.offset_ms

    def _pinned_ms(self, window: Window) -> int:
        if self.anchor is Anchor.START:
            return window.start_ms
        return window.end_ms if self.anchor is Anchor.END else self.at_ms


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation of which at most one side is a vector."""

    operator: str
    left: "Node"
    right: "Node"
    is_bool: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; `returns` comes from the function's declaration."""

    function: str
    arguments: tuple["Node", ...]
    returns: ValueType


@dataclass(frozen=True, slots=True)
class RangeCall:
    """A call of a function that computes on each window of a range selector."""

    function: str
    selector: Selector


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation over a vector; `labels` are kept, or dropped with `is_without`."""

    operator: str
    operand: "Node"
    labels: tuple[str, ...] = ()
    is_without: bool = False


Node = Number | Text | Selector | Negate | Binary | Call | RangeCall | Aggregate


def value_type(node: Node) -> ValueType:
    """Return what a node yields."""
    match node:
        case Number():
            kind = ValueType.SCALAR
        case Text():
            kind = ValueType.STRING
        case Selector():
            kind = ValueType.MATRIX if node.range_span_ms else ValueType.VECTOR
        case Negate():
            kind = value_type(node.operand)
        case Binary():
            sides = (value_type(node.left), value_type(node.right))
            kind = ValueType.VECTOR if ValueType.VECTOR in sides else ValueType.SCALAR
        case Call():
            kind = node.returns
        case RangeCall() | Aggregate():
            kind = ValueType.VECTOR
    return kind


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct operands of a node."""
    match node:
        case Negate() | Aggregate():
            return (node.operand,)
        case RangeCall():
            return (node.selector,)
        case Binary():
            return (node.left, node.right)
        case Call():
            return node.arguments
        case _:
            return ()


def depth(node: Node) -> int:
    """Return the number of levels of a tree; without recursion, so that any tree is measured."""
    n_levels = 0
    level = [node]
    while level:
        n_levels += 1
        level = [child for one in level for child in children(one)]
    return n_levels


def selectors(node: Node) -> tuple[Selector, ...]:
    """Return every selector of a tree, left to right."""
    if isinstance(node, Selector):
        return (node,)
    return tuple(found for child in children(node) for found in selectors(child))

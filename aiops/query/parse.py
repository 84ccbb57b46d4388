"""PromQL text to a tree of what can be evaluated; all else is refused by name."""

import functools
import re
from collections.abc import Callable
from datetime import timedelta

import promql_parser

from aiops.domain.selector import parse_expression, selector_matchers
from aiops.errors import QueryError, UnsupportedQueryError
from aiops.query.aggregates import AGGREGATIONS
from aiops.query.functions import FUNCTIONS
from aiops.query.operators import ARITHMETIC, COMPARISON
from aiops.query.rates import RANGE_FUNCTIONS
from aiops.query.tree import (
    TIME_MS_MAX,
    Aggregate,
    Anchor,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    RangeCall,
    Selector,
    Text,
    ValueType,
    depth,
    value_type,
)

CACHE_SIZE = 1024
"""Chosen: dashboards ask the same few hundred texts again at every refresh."""

DEPTH_MAX = 200
"""Chosen: evaluation takes up to three Python frames a level, of the 1000 there are."""

_AT = re.compile(r"@ (\d+\.\d{3})(?: offset \S+)?$")
"""The pinned time in the parser's own spelling of a selector."""


@functools.lru_cache(maxsize=CACHE_SIZE)
def parse_query(text: str) -> Node:
    """Return the tree of a query.

    Raises
    ------
    QueryError
        When the text does not parse, or is longer or deeper than is evaluated.
    UnsupportedQueryError
        When it uses a construct that is not evaluated; the text names it.
    """
    try:
        tree = _node(parse_expression(text))
    except RecursionError as error:
        raise _too_deep() from error
    if depth(tree) > DEPTH_MAX:
        raise _too_deep()
    return tree


def _too_deep() -> QueryError:
    return QueryError(f"query nested deeper than {DEPTH_MAX} levels")


def _node(tree: promql_parser.Expr) -> Node:
    convert = _CONVERTERS.get(type(tree))
    if convert is None:
        raise UnsupportedQueryError(type(tree).__name__)
    return convert(tree)


def _number(tree: promql_parser.NumberLiteral) -> Node:
    return Number(tree.val)


def _text(tree: promql_parser.StringLiteral) -> Node:
    return Text(tree.val)


def _inner(tree: promql_parser.ParenExpr) -> Node:
    return _node(tree.expr)


def _negate(tree: promql_parser.UnaryExpr) -> Node:
    return Negate(_node(tree.expr))


def _vector_selector(tree: promql_parser.VectorSelector) -> Selector:
    anchor, at_ms = _anchor(tree)
    return Selector(selector_matchers(tree), offset_ms=_offset_ms(tree), anchor=anchor, at_ms=at_ms)


def _range_selector(tree: promql_parser.MatrixSelector) -> Selector:
    inner = _vector_selector(tree.vector_selector)
    return Selector(
        inner.matchers,
        range_span_ms=_span_ms(lambda: tree.range),
        offset_ms=inner.offset_ms,
        anchor=inner.anchor,
        at_ms=inner.at_ms,
    )


def _binary(tree: promql_parser.BinaryExpr) -> Node:
    operator = str(tree.op)
    left, right = _node(tree.lhs), _node(tree.rhs)
    if {value_type(left), value_type(right)} == {ValueType.VECTOR}:
        raise UnsupportedQueryError(f"binary operation between two vectors ({operator})")
    if operator not in ARITHMETIC and operator not in COMPARISON:
        raise UnsupportedQueryError(f"operator {operator}")
    is_bool = tree.modifier is not None and tree.modifier.return_bool
    return Binary(operator, left, right, is_bool)


def _call(tree: promql_parser.Call) -> Node:
    if tree.func.name in RANGE_FUNCTIONS:
        selector = _node(tree.args[0])  # not a subquery: those are refused
        assert isinstance(selector, Selector)
        return RangeCall(tree.func.name, selector)
    function = FUNCTIONS.get(tree.func.name)
    if function is None:
        raise UnsupportedQueryError(f"function {tree.func.name}")
    return Call(tree.func.name, tuple(_node(one) for one in tree.args), function.returns)


def _aggregate(tree: promql_parser.AggregateExpr) -> Node:
    operator = str(tree.op)
    if operator not in AGGREGATIONS:
        raise UnsupportedQueryError(f"aggregation {operator}")
    if tree.modifier is None:
        return Aggregate(operator, _node(tree.expr))
    is_without = tree.modifier.type == promql_parser.AggModifierType.Without
    return Aggregate(operator, _node(tree.expr), tuple(tree.modifier.labels), is_without)


def _subquery(_: promql_parser.SubqueryExpr) -> Node:
    raise UnsupportedQueryError("subquery")


_CONVERTERS: dict[type, Callable[..., Node]] = {
    promql_parser.NumberLiteral: _number,
    promql_parser.StringLiteral: _text,
    promql_parser.ParenExpr: _inner,
    promql_parser.UnaryExpr: _negate,
    promql_parser.VectorSelector: _vector_selector,
    promql_parser.MatrixSelector: _range_selector,
    promql_parser.BinaryExpr: _binary,
    promql_parser.Call: _call,
    promql_parser.AggregateExpr: _aggregate,
    promql_parser.SubqueryExpr: _subquery,
}


def _offset_ms(tree: promql_parser.VectorSelector) -> int:
    return _span_ms(lambda: tree.offset or timedelta())


def _span_ms(read: Callable[[], timedelta]) -> int:
    """Return a span in ms; reading one beyond a timedelta's reach is what fails."""
    try:
        return read() // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"parse error: duration out of range: {error}") from error


def _anchor(tree: promql_parser.VectorSelector) -> tuple[Anchor, int]:
    if tree.at is None:
        return Anchor.NONE, 0
    if tree.at.type == promql_parser.AtModifierType.Start:
        return Anchor.START, 0
    if tree.at.type == promql_parser.AtModifierType.End:
        return Anchor.END, 0
    return Anchor.FIXED, _pinned_ms(tree)


def _pinned_ms(tree: promql_parser.VectorSelector) -> int:
    """Return the time of `@`, read from the spelling: the attribute kills the thread below 1970.

    A time before 1970 is spelt as 0, which finds as little.
    """
    found = _AT.search(tree.prettify())
    if found is None:
        raise QueryError("parse error: unreadable @ modifier")
    return min(int(found[1].replace(".", "")), TIME_MS_MAX)

"""Computing a tree over all evaluation times at once, on rows already fetched."""

import numpy as np

from aiops.errors import QueryError
from aiops.query.aggregates import aggregate
from aiops.query.fetched import Fetched, read_matrix, read_vector, read_windows
from aiops.query.functions import FUNCTIONS
from aiops.query.operators import combine_scalars, combine_vector, negate
from aiops.query.rates import RANGE_FUNCTIONS
from aiops.query.tree import (
    Aggregate,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    RangeCall,
    Selector,
    Text,
    Window,
)
from aiops.query.values import Scalar, StringValue, Value, Vector, drop_names


def evaluate(tree: Node, window: Window, fetched: Fetched) -> Value:
    """Return the value of a tree.

    Parameters
    ----------
    tree
        From `parse_query`. A range selector is allowed at the top only, and only when the
        window holds one evaluation time.
    fetched
        Must hold every fetch of `plan_query(tree, window)`.

    Raises
    ------
    QueryExecutionError
        When the sample limit is exceeded or a result would hold one label set twice.
    """
    match tree:
        case Number():
            return Scalar(np.full(len(window.times_ms()), tree.value))
        case Text():
            return StringValue(tree.value)
        case Selector():
            read = read_matrix if tree.range_span_ms else read_vector
            return read(tree, window, fetched)
        case _:
            return _computed(tree, window, fetched)


def _computed(
    tree: Negate | Binary | Call | RangeCall | Aggregate, window: Window, fetched: Fetched
) -> Value:
    match tree:
        case Negate():
            return negate(_number(evaluate(tree.operand, window, fetched)))
        case Binary():
            return _binary(tree, window, fetched)
        case Call():
            arguments = tuple(evaluate(one, window, fetched) for one in tree.arguments)
            return FUNCTIONS[tree.function].compute(window.times_ms() / 1000.0, arguments)
        case RangeCall():
            function = RANGE_FUNCTIONS[tree.function]
            return drop_names(read_windows(function, tree.selector, window, fetched))
        case Aggregate():
            vector = evaluate(tree.operand, window, fetched)
            assert isinstance(vector, Vector)
            return aggregate(tree.operator, vector, tree.labels, is_without=tree.is_without)


def _binary(tree: Binary, window: Window, fetched: Fetched) -> Value:
    left = _number(evaluate(tree.left, window, fetched))
    right = _number(evaluate(tree.right, window, fetched))
    if isinstance(left, Scalar) and isinstance(right, Scalar):
        return combine_scalars(tree.operator, left, right)
    return combine_vector(tree.operator, left, right, is_bool=tree.is_bool)


def _number(value: Value) -> Scalar | Vector:
    """Return the value as what operators take; the parser refuses the rest already."""
    if not isinstance(value, Scalar | Vector):
        raise QueryError("parse error: operators take scalars and instant vectors only")
    return value

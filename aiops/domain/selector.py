"""Series selectors as people write them: `up{job="node"}` to matchers."""

import re

import promql_parser

from aiops.domain.labels import METRIC_NAME
from aiops.domain.matchers import Matcher, Matchers, MatchOp, check_matcher
from aiops.errors import QueryError

QUERY_BYTES_MAX = 8192
OPERATORS_MAX = 512
"""Measured: the parser's cost grows faster than length and very deep input kills the process
(5,000 chained `+`); 8 KiB and 512 brackets and operators stay under 1 ms."""

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', re.DOTALL)
_OPERATORS = re.compile(r"[-+*/%^()\[\]{}<>=!@,]|\b(?:and|or|unless|atan2|by|without|on|offset)\b")


def parse_expression(text: str) -> promql_parser.Expr:
    """Return the syntax tree of a PromQL expression.

    Raises
    ------
    QueryError
        When the text is longer or deeper than the bounds above, or does not parse.
    """
    if len(text.encode()) > QUERY_BYTES_MAX:
        raise QueryError(f"query longer than {QUERY_BYTES_MAX} bytes")
    if len(_OPERATORS.findall(_STRINGS.sub('""', text))) > OPERATORS_MAX:
        raise QueryError(f"query with more than {OPERATORS_MAX} operators and brackets")
    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise QueryError(f"parse error: {error}") from error
    except BaseException as error:
        # the parser panics on some numbers (`up offset NaN`), with a BaseException it exports
        # nowhere; past here it would pass every border and end the task
        if type(error).__name__ != "PanicException":
            raise
        raise QueryError(f"parse error: {error}") from error


def parse_selector(text: str) -> Matchers:
    """Return the matchers of a plain series selector; `{}` matches everything.

    Raises
    ------
    QueryError
        When the text is not a selector or a regular expression in it does not compile.
    """
    if text.strip() in ("", "{}"):
        return ()
    tree = parse_expression(text)
    if not isinstance(tree, promql_parser.VectorSelector):
        raise QueryError(f"not a series selector: {text}")
    return selector_matchers(tree)


def selector_matchers(tree: promql_parser.VectorSelector) -> Matchers:
    """Return the matchers of a parsed vector selector, its metric name among them.

    Raises
    ------
    QueryError
        When a regular expression is bad, or on `or` between matchers: the parser reads that
        dialect, Prometheus does not, and leaving it out would select too much.
    """
    if tree.matchers.or_matchers:
        raise QueryError("parse error: unexpected `or` between label matchers")
    found = [Matcher(m.name, _operator(m.op), m.value) for m in tree.matchers.matchers]
    if tree.name:
        found.insert(0, Matcher(METRIC_NAME, MatchOp.EQUAL, tree.name))
    return tuple(check_matcher(matcher) for matcher in found)


def _operator(op: promql_parser.MatchOp) -> MatchOp:
    return MatchOp(_SPELLING[str(op)])


_SPELLING = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}

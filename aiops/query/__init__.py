"""The PromQL subset: text in, JSON-ready results out, with rows fetched in between by the shell.

`parse_query` turns text into a tree, `plan_query` says which rows and incidents the tree needs,
`evaluate` computes on what was fetched, `encode_instant` and `encode_range` shape the answer.
Everything here is synchronous and pure. A construct that is not evaluated is refused by name
while parsing, before anything is fetched.
"""

from aiops.query.encode import Encoded, encode_instant, encode_range
from aiops.query.evaluate import evaluate
from aiops.query.fetched import Fetched
from aiops.query.parse import parse_query
from aiops.query.plan import Plan, RowsFetch, plan_query
from aiops.query.tree import Node, ValueType, Window, value_type

__all__ = [
    "Encoded",
    "Fetched",
    "Node",
    "Plan",
    "RowsFetch",
    "ValueType",
    "Window",
    "encode_instant",
    "encode_range",
    "evaluate",
    "parse_query",
    "plan_query",
    "value_type",
]

"""Owns row conditions: the pandas query text and the nested objects of Great Expectations 1.24, as masks of rows.

What is written otherwise, or compares what pandas compares in ways of its own, is left to the pandas engine.
"""

import ast
import io
import re
import tokenize
from collections.abc import Mapping
from functools import reduce
from typing import Any, cast

import polars as pl

from quality.suites.needs import Unsettled
from quality.suites.source import Column, Source

EXACT = 2**53
"""Whole numbers below it are the same as floats."""
_WORDS = {"&": "and", "|": "or"}
_QUOTED = re.compile(r"`([^`]*)`")
_OPERATORS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "IN", ast.NotIn: "NOT_IN",
}  # fmt: skip


def row_mask(source: Source, condition: object, parser: object) -> pl.Expr | None:
    """Return the mask of the rows that `condition` selects, without nulls; None selects all.

    Raises:
        Unsettled: If it is not one of the forms that are understood here.
    """
    if not condition:
        return None
    if isinstance(condition, str):
        if parser != "pandas":
            raise Unsettled(f"a row condition for the parser {parser!r}")
        return _query(source, condition)
    if isinstance(condition, Mapping):
        return _nested(source, cast("Mapping[str, Any]", condition))
    raise Unsettled(f"a row condition of type {type(condition).__name__}")


def number(value: object) -> bool:
    """Return whether `value` is a number that is the same as an integer and as a float, and no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -EXACT < value < EXACT


def _nested(source: Source, condition: Mapping[str, Any]) -> pl.Expr:
    match condition.get("type"):
        case "and" | "or" as word:
            parts = [_nested(source, part) for part in condition["conditions"]]
            return reduce(lambda left, right: left & right if word == "and" else left | right, parts)
        case "nullity":
            missing = _column(source, condition["column"]["name"]).value.is_null()
            return missing if condition["is_null"] else ~missing
        case "comparison":
            column = _column(source, condition["column"]["name"])
            return _compared(column, str(condition["operator"]), condition["parameter"])
        case "pass_through":
            return _query(source, condition["pass_through_filter"])
        case other:
            raise Unsettled(f"a row condition of type {other!r}")


def _query(source: Source, text: str) -> pl.Expr:
    names: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return names.setdefault(match.group(1), f"quoted_{len(names)}_")

    try:
        replaced = _QUOTED.sub(named, text)
        tokens = tokenize.generate_tokens(io.StringIO(replaced).readline)
        words = [(token.type, _WORDS.get(token.string, token.string)) for token in tokens]
        tree = ast.parse(tokenize.untokenize(words).strip(), mode="eval").body
    except (SyntaxError, tokenize.TokenError) as error:
        raise Unsettled("a row condition that does not parse") from error
    return _mask(source, tree, {place: name for name, place in names.items()})


def _mask(source: Source, node: ast.expr, quoted: Mapping[str, str]) -> pl.Expr:
    match node:
        case ast.BoolOp(op=op, values=values):
            masks = [_mask(source, value, quoted) for value in values]
            return reduce(lambda left, right: left & right if isinstance(op, ast.And) else left | right, masks)
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=inner):
            return ~_mask(source, inner, quoted)
        case ast.Compare(left=left, ops=ops, comparators=others):
            ends = zip((left, *others[:-1]), ops, others, strict=True)
            return reduce(lambda a, b: a & b, (_comparison(source, *end, quoted) for end in ends))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=called), args=[], keywords=[]):
            column = _column(source, quoted.get(name, name))
            if called in ("isnull", "isna"):
                return column.value.is_null()
            if called in ("notnull", "notna"):
                return column.value.is_not_null()
        case ast.Name(id=name):
            column = _column(source, quoted.get(name, name))
            if column.dtype == "bool":
                return column.value
        case _:
            pass
    raise Unsettled("a row condition that is more than comparisons")


def _comparison(source: Source, left: ast.expr, op: ast.cmpop, right: ast.expr, quoted: Mapping[str, str]) -> pl.Expr:
    operator = _OPERATORS.get(type(op))
    if operator is None:
        raise Unsettled("a row condition that is more than comparisons")
    if isinstance(left, ast.Name):
        column = _column(source, quoted.get(left.id, left.id))
        if isinstance(right, ast.Name):
            return _beside(column, operator, _column(source, quoted.get(right.id, right.id)))
        return _compared(column, operator, _literal(right))
    if isinstance(right, ast.Name) and operator not in ("IN", "NOT_IN"):
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(operator, operator)
        return _compared(_column(source, quoted.get(right.id, right.id)), turned, _literal(left))
    raise Unsettled("a row condition that is more than comparisons")


def _literal(node: ast.expr) -> Any:  # Any: a literal of the condition
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise Unsettled("a row condition that is more than comparisons") from error


def _column(source: Source, name: str) -> Column:
    if name not in source.schema:
        raise Unsettled(f"a row condition on {name!r}, which is no column")
    return source.column(name)


def _compared(column: Column, operator: str, value: Any) -> pl.Expr:
    if operator in ("IN", "NOT_IN"):
        values = list(value) if isinstance(value, (list, tuple, set)) else []
        if not values or not all(_fits(column, item) for item in values):
            raise Unsettled("a row condition that compares values of other types")
        within = column.value.is_in(values).fill_null(False)
        return within if operator == "IN" else ~within
    if not _fits(column, value):
        raise Unsettled("a row condition that compares values of other types")
    return _masked(column.value.cast(pl.Float64) if column.single else column.value, operator, pl.lit(value))


def _beside(left: Column, operator: str, right: Column) -> pl.Expr:
    if operator in ("IN", "NOT_IN") or left.dtype != right.dtype or left.kind not in ("int", "float", "str"):
        raise Unsettled("a row condition that compares columns of other types")
    return _masked(left.value, operator, right.value)


def _masked(left: pl.Expr, operator: str, right: pl.Expr) -> pl.Expr:
    match operator:
        case "==":
            found = left == right
        case "!=":
            return (left != right).fill_null(True)
        case "<":
            found = left < right
        case "<=":
            found = left <= right
        case ">":
            found = left > right
        case ">=":
            found = left >= right
        case _:
            raise Unsettled(f"a row condition with {operator!r}")
    return found.fill_null(False)


def _fits(column: Column, value: object) -> bool:
    match column.kind:
        case "int":
            return number(value)
        case "float":
            return number(value) and not column.single
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool) and column.dtype == "bool"
        case _:
            return False

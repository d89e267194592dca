"""Arithmetic on columns: ``fiscal_revenue / fiscal_expenditure``, ``growth(gdp_real)``, ``gdp * 1e8``.

An expression is parsed once, without evaluating anything, so that a job file can be checked before
data are read. Names are Python identifiers in any script; a name with spaces or brackets is put in
backticks: `` `GDP (current)` / population ``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from engine.errors import InputError

Array = np.ndarray[Any, np.dtype[np.float64]]

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
}


def _lag(x: Array) -> Array:
    """x_{t-1}, missing in the first year; the last axis is years."""
    out = np.full_like(x, np.nan)
    out[..., 1:] = x[..., :-1]
    return out


def _detrend(x: Array) -> Array:
    """What a straight line through a unit's observed years leaves; zero where that is rounding."""
    known = np.isfinite(x)
    n = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    years = np.where(known, np.arange(x.shape[-1], dtype=np.float64), 0.0)
    values = np.where(known, x, 0.0)
    t = np.where(known, years - years.sum(axis=-1, keepdims=True) / n, 0.0)
    centred = np.where(known, values - values.sum(axis=-1, keepdims=True) / n, 0.0)
    spread = (t * t).sum(axis=-1, keepdims=True)
    slope = (t * centred).sum(axis=-1, keepdims=True) / np.where(spread > 0, spread, 1.0)
    left = centred - slope * t
    rounding = 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
    straight = np.abs(left).max(axis=-1, keepdims=True) <= rounding
    return np.where(known, np.where(straight, 0.0, left), np.nan)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "lag": _lag,
    "diff": lambda x: x - _lag(x),
    "growth": lambda x: np.log(x) - np.log(_lag(x)),
    "detrend": _detrend,
}

_MAX_LENGTH, _MAX_NODES = 500, 100


@dataclass(frozen=True)
class Expression:
    """A parsed expression.

    Attributes
    ----------
    text : str
        As written.
    names : tuple of str
        The columns it reads, in order of appearance.
    """

    text: str
    names: tuple[str, ...]
    _tree: ast.expr = field(repr=False, compare=False)
    _quoted: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def is_name(self) -> bool:
        """True where the expression is one bare column."""
        return isinstance(self._tree, ast.Name)

    def evaluate(self, columns: Mapping[str, Array]) -> Array:
        """Value on float64 arrays ``[n_units, n_years]``; division by zero gives inf or nan, not an error."""
        with np.errstate(all="ignore"):
            return np.asarray(self._value(self._tree, columns), dtype=np.float64)

    def _value(self, node: ast.AST, columns: Mapping[str, Array]) -> Any:
        match node:
            case ast.Name(id=name):
                return columns[self._quoted.get(name, name)]
            case ast.Constant(value=int() | float() as value):
                return float(value)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](self._value(left, columns), self._value(right, columns))
            case ast.UnaryOp(op=op, operand=operand):
                return _OPERATORS[type(op)](self._value(operand, columns))
            case ast.Call(func=ast.Name(id=function), args=[argument]):
                return FUNCTIONS[function](self._value(argument, columns))
        raise AssertionError(f"parse() let {ast.dump(node)} through")


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Parse an expression; raises InputError that names the part it cannot read."""
    allowed = "allowed are + - * / **, brackets, numbers, column names and " + ", ".join(
        f"{name}()" for name in FUNCTIONS
    )
    if len(text) > _MAX_LENGTH:
        raise InputError(f"expression of {len(text)} characters, the limit is {_MAX_LENGTH}")
    quoted: dict[str, str] = {}

    def hide(match: re.Match[str]) -> str:
        key = f"_quoted_{len(quoted)}"
        quoted[key] = match[1]
        return key

    try:
        tree = ast.parse(re.sub(r"`([^`]+)`", hide, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise InputError(f"cannot read the expression '{text}'", remedy=allowed) from None
    names: list[str] = []
    nodes = list(_walk(tree))
    if len(nodes) > _MAX_NODES:
        raise InputError(f"the expression '{text[:40]}...' has more than {_MAX_NODES} parts")
    for node in nodes:
        match node:
            case ast.Name(id=name):
                names.append(quoted.get(name, name))
            case ast.Constant(value=bool() as value):
                raise InputError(f"'{value}' has no place in the expression '{text}'", remedy=allowed)
            case ast.Constant(value=int() | float()):
                pass
            case ast.BinOp(op=op) | ast.UnaryOp(op=op) if type(op) in _OPERATORS:
                pass
            case ast.Call(func=ast.Name(id=function), args=[_], keywords=[]) if function in FUNCTIONS:
                pass
            case _:
                part = ast.unparse(node)
                raise InputError(f"'{part}' has no place in the expression '{text}'", remedy=allowed)
    return Expression(text, tuple(dict.fromkeys(names)), tree, quoted)


def _walk(node: ast.expr) -> list[ast.expr]:
    """Every operand below a node, depth first, without function names."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [node, *_walk(left), *_walk(right)]
        case ast.UnaryOp(operand=operand):
            return [node, *_walk(operand)]
        case ast.Call(args=args):
            return [node, *(part for argument in args for part in _walk(argument))]
    return [node]

"""Arithmetic on columns: ``fiscal_revenue / fiscal_expenditure``, ``growth(gdp_real)``, ``gdp * 1e8``.

An expression is parsed once, without evaluating anything, so that a job file can be checked before
data are read. Names are letters, digits and ``_`` in any script, exactly as written; any other name is put in
backticks: `` `GDP (current)` / population ``. The grammar is in `engine.tables.grammar`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from engine.arrays import Array
from engine.tables.grammar import Call, Column, Node, Number, Operation, Sign, columns_of, parse_tree

_OPERATORS: dict[str, Callable[[Array, Array], Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
}
_SIGNS: dict[str, Callable[[Array], Array]] = {"+": np.positive, "-": np.negative}


def _lag(x: Array) -> Array:
    """x_{t-1}, missing in the first year; the last axis is years."""
    lagged = np.full_like(x, np.nan)
    lagged[..., 1:] = x[..., :-1]
    return lagged


def _detrend(x: Array) -> Array:
    """Deviations from a straight line through a unit's observed years; zero where that is rounding."""
    observed = np.isfinite(x)
    n = np.maximum(observed.sum(axis=-1, keepdims=True), 1)
    years = np.where(observed, np.arange(x.shape[-1], dtype=np.float64), 0.0)
    values = np.where(observed, x, 0.0)
    t = np.where(observed, years - years.sum(axis=-1, keepdims=True) / n, 0.0)
    centred = np.where(observed, values - values.sum(axis=-1, keepdims=True) / n, 0.0)
    spread = (t * t).sum(axis=-1, keepdims=True)
    slope = (t * centred).sum(axis=-1, keepdims=True) / np.where(spread > 0, spread, 1.0)
    deviation = centred - slope * t
    rounding = 1e-12 * np.abs(values).max(axis=-1, keepdims=True)
    straight = np.abs(deviation).max(axis=-1, keepdims=True) <= rounding
    return np.where(observed, np.where(straight, 0.0, deviation), np.nan)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "log": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "lag": _lag,
    "diff": lambda x: x - _lag(x),
    "growth": lambda x: np.log(x) - np.log(_lag(x)),
    "detrend": _detrend,
}

_LAGGING = ("lag", "diff", "growth")
_TRENDING = ("detrend",)  # fitted to all years
_OVER_TIME = (*_LAGGING, *_TRENDING)


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
    _tree: Node = field(repr=False, compare=False)

    @property
    def is_name(self) -> bool:
        """True where the expression is one bare column."""
        return isinstance(self._tree, Column)

    @property
    def reach(self) -> int:
        """How many years back the expression looks: one for each lag, diff or growth within another."""
        return _reach(self._tree)

    @property
    def over_time(self) -> bool:
        """Whether a value depends on other years than its own."""
        return _calls(self._tree, _OVER_TIME)

    @property
    def looks_ahead(self) -> bool:
        """Whether a value depends on later years."""
        return _calls(self._tree, _TRENDING)

    def evaluate(self, columns: Mapping[str, Array]) -> Array:
        """Value on float64 arrays ``[..., n_years]``; division by zero gives inf or nan, not an error.

        The last axis is consecutive years, or lags are of other years than they seem.
        """
        with np.errstate(all="ignore"):
            return np.asarray(_value(self._tree, columns), dtype=np.float64)

    def evaluate_over(self, columns: Mapping[str, Array], shape: tuple[int, ...]) -> Array:
        """Value of that shape, NaN where missing and infinity where undefined.

        Undefined, as the logarithm of -1 is, is what is no number although nothing is missing that the expression
        reads, there or in the years that it reaches back to.
        """
        values = np.array(np.broadcast_to(self.evaluate(columns), shape))
        present = np.ones(shape, dtype=bool)
        for column in columns.values():
            present &= ~np.isnan(column)
        complete = present.copy()
        for depth in range(1, self.reach + 1):
            complete[..., depth:] &= present[..., :-depth]
            complete[..., :depth] = False
        values[np.isnan(values) & complete] = np.inf
        return values


def _value(node: Node, columns: Mapping[str, Array]) -> Array:
    match node:
        case Number(value):
            return np.asarray(value, dtype=np.float64)
        case Column(name):
            return columns[name]
        case Sign(operator, operand):
            return _SIGNS[operator](_value(operand, columns))
        case Operation(operator, left_operand, right_operand):
            return _OPERATORS[operator](_value(left_operand, columns), _value(right_operand, columns))
        case Call(function, argument):
            return FUNCTIONS[function](_value(argument, columns))


def _reach(node: Node) -> int:
    match node:
        case Sign(_, operand):
            return _reach(operand)
        case Operation(_, left_operand, right_operand):
            return max(_reach(left_operand), _reach(right_operand))
        case Call(function, argument):
            return (function in _LAGGING) + _reach(argument)
    return 0


def _calls(node: Node, functions: Collection[str]) -> bool:
    """Whether one of some functions stands in the expression."""
    match node:
        case Sign(_, operand):
            return _calls(operand, functions)
        case Operation(_, left_operand, right_operand):
            return _calls(left_operand, functions) or _calls(right_operand, functions)
        case Call(function, argument):
            return function in functions or _calls(argument, functions)
    return False


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Parse an expression; raises InputError that names the part it cannot read."""
    tree = parse_tree(text, functions=FUNCTIONS, over_time=_OVER_TIME)
    return Expression(text, tuple(dict.fromkeys(columns_of(tree))), tree)

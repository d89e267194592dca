"""Numbers as tables, figures and sentences print them.

Numbers of one term have one notation: the decimals that its standard errors ask for. A coefficient near zero then
reads as zero to that precision, and does not lengthen the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

_MOST_SHARED = 1000.0  # columns whose errors differ by a larger factor have their own decimals
_SMALLEST, _LARGEST = 1e-6, 1e7  # beyond them numbers are in powers of ten
_SMALL, _LARGE = 1e-3, 100.0  # numbers between them have four decimals


@dataclass(frozen=True)
class Notation:
    """How numbers that belong together are printed.

    Attributes
    ----------
    decimals : int or None
        None for powers of ten with three significant digits.
    """

    decimals: int | None

    def text(self, value: float) -> str:
        """The number, zero without a sign.

        >>> Notation(2).text(-0.001), Notation(2).text(1234.5), Notation(None).text(0.07)
        ('0.00', '1,234.50', '7.00e-02')
        """
        if abs(value) == float("inf"):
            return "∞" if value > 0 else "-∞"
        return f"{value:z.2e}" if self.decimals is None else f"{value:z,.{self.decimals}f}"


@dataclass(frozen=True)
class AlignedNumbers:
    """Numbers of one term in one column of a table.

    Attributes
    ----------
    values : sequence of float
        Coefficient, ends of intervals or measures of fit; not finite where undefined.
    errors : sequence of float
        Standard errors; empty where there are none.
    """

    values: Sequence[float]
    errors: Sequence[float] = ()

    @property
    def error(self) -> float:
        """The largest standard error; zero where there is none."""
        return _largest(self.errors)

    @property
    def precision(self) -> float:
        """The number that has to show its digits: the largest standard error, else the largest number."""
        return self.error or _largest(self.values)

    @property
    def size(self) -> float:
        return max(_largest(self.values), self.error)


def notations(columns: Sequence[AlignedNumbers]) -> list[Notation]:
    """The notation of each column of a term, shared unless the columns differ by more than a factor of 1000.

    Four decimals (two where all numbers of a column from 100 on are known no better), or three significant digits of
    the largest standard error below 0.001; powers of ten where it is below a millionth, or a number is 1e7 or more.
    Without standard errors the largest number stands for them.

    >>> two = [AlignedNumbers([0.00031], [0.04]), AlignedNumbers([0.0702], [0.0412])]
    >>> [notation.decimals for notation in notations(two)]
    [4, 4]
    >>> [notation.decimals for notation in notations([AlignedNumbers([250.1234], [12.3456])])]
    [2]
    """
    errors = [column.error for column in columns if column.error]
    precisions = errors or [column.precision for column in columns if column.precision]
    if precisions and max(precisions) > _MOST_SHARED * min(precisions):
        return [_notation([column.size], column.precision) for column in columns]
    sizes = [column.size for column in columns if column.size]
    return [_notation(sizes, max(precisions, default=0.0))] * len(columns)


def number(value: float) -> str:
    """Four decimals, or three significant digits where four decimals would hide or drown them.

    >>> number(0.07021), number(-0.000412), number(1234.56), number(3.2e-9), number(float("-inf"))
    ('0.0702', '-0.000412', '1,234.56', '3.20e-09', '-∞')
    """
    return notations([AlignedNumbers([value])])[0].text(value)


def percent(share: float) -> str:
    """A share in percent, not rounded.

    >>> percent(0.95), percent(0.995), percent(0.9)
    ('95%', '99.5%', '90%')
    """
    return f"{100 * share:.6g}%"


def _largest(values: Iterable[float]) -> float:
    return max((abs(value) for value in values if isfinite(value)), default=0.0)


def _notation(sizes: Sequence[float], precision: float) -> Notation:
    """The notation of numbers up to these sizes, one a column, of which ``precision`` has to be seen."""
    if precision == 0:
        return Notation(4)
    if precision < _SMALLEST or max(sizes) >= _LARGEST:
        return Notation(None)
    significant = 2 - int(f"{precision:.2e}".partition("e")[2])  # decimals of three significant digits
    if precision < _SMALL:
        return Notation(significant)
    return Notation(max(2, min(4, significant)) if min(sizes) >= _LARGE else 4)

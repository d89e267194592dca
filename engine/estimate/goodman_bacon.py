"""Two-way fixed effects as an average of comparisons of two groups over two periods, with its weights.

Of groups k and l, shares n of the pairs and shares d of years treated with d_k > d_l, one comparison takes k as treated
before l is, another l as treated once k is:

    n_k n_l (d_k - d_l) (1 - d_k)    (y_k between - y_k before) - (y_l between - y_l before)
    n_k n_l d_l (d_k - d_l)          (y_l after - y_l between)  - (y_k after - y_k between)

with weights that are divided by their sum; the second kind has treated pairs as controls. Never-treated pairs are a
group with d = 0, those treated in every year one with d = 1. The weighted sum is the coefficient, exactly.
Source: Goodman-Bacon (2021), Difference-in-differences with variation in treatment timing, theorem 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from engine.arrays import Array, Flags

NEVER_CONTROLS = "treated and never treated"
LATER_CONTROLS = "earlier and later treated"
EARLIER_CONTROLS = "later and earlier treated"
ALWAYS_CONTROLS = "treated and always treated"
COMPARISON_KINDS = (NEVER_CONTROLS, LATER_CONTROLS, EARLIER_CONTROLS, ALWAYS_CONTROLS)


@dataclass(frozen=True)
class TwoByTwo:
    """A comparison of two groups over two periods.

    Attributes
    ----------
    kind : str
        Of `COMPARISON_KINDS`.
    treated, control : float
        First treated years; ``inf`` for never, ``-inf`` for always.
    weight, effect : float
    """

    kind: str
    treated: float
    control: float
    weight: float
    effect: float


@dataclass(frozen=True)
class _Group:
    start: float
    n_pairs: float
    means: Array
    is_treated: Flags

    @property
    def share(self) -> float:
        """Of the years."""
        return float(self.is_treated.mean())


def two_by_twos(starts: Array, n_pairs: Array, sums: Array, years: Array) -> list[TwoByTwo]:
    """All comparisons of complete pairs, without those of weight zero.

    Parameters
    ----------
    starts : float64 ``[C]``
        First treated year of each cohort.
    n_pairs : float64 ``[C]``
    sums : float64 ``[C, T]``
        Sums of the outcome over the pairs of a cohort, up to a number for each cohort.
    years : float64 ``[T]``
    """
    groups = sorted(_groups(starts, n_pairs, sums, years), key=lambda group: group.start)
    comparisons = [
        comparison
        for pair in combinations(groups, 2)
        for comparison in _of_two(*pair)
        if comparison.weight > 0
    ]
    total = sum(comparison.weight for comparison in comparisons)
    return [replace(comparison, weight=comparison.weight / total) for comparison in comparisons]


def _groups(starts: Array, n_pairs: Array, sums: Array, years: Array) -> Iterator[_Group]:
    """Cohorts with pairs; those treated in all years are one, and so are those treated in none."""
    of_group = np.where(starts <= years[0], -np.inf, np.where(starts > years[-1], np.inf, starts))
    for start in np.unique(of_group[n_pairs > 0]):
        members = of_group == start
        count = float(n_pairs[members].sum())
        yield _Group(float(start), count, sums[members].sum(axis=0) / count, years >= start)


def _of_two(earlier: _Group, later: _Group) -> Iterator[TwoByTwo]:
    between = earlier.is_treated & ~later.is_treated
    before, after = ~earlier.is_treated, later.is_treated
    size = earlier.n_pairs * later.n_pairs * (earlier.share - later.share)
    if before.any():
        kind = NEVER_CONTROLS if later.start == np.inf else LATER_CONTROLS
        effect = _change(earlier, between, before) - _change(later, between, before)
        yield TwoByTwo(kind, earlier.start, later.start, size * (1 - earlier.share), effect)
    if after.any():
        kind = ALWAYS_CONTROLS if earlier.start == -np.inf else EARLIER_CONTROLS
        effect = _change(later, after, between) - _change(earlier, after, between)
        yield TwoByTwo(kind, later.start, earlier.start, size * later.share, effect)


def _change(group: _Group, end: Flags, start: Flags) -> float:
    return float(group.means[end].mean() - group.means[start].mean())

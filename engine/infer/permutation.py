"""Permutation tests: adoption is randomly reassigned among the cities, and all that follows from it is rebuilt.

Pair treatment, the exclusion of both-treated pairs, the gravity screen and the year effects are those of each draw;
the controls are partialled out in each. Statistics are the coefficient and the t ratio with the draw's own
dyadic-robust standard error. Pairs are never permuted: a pair has no treatment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Integers, check_shape
from engine.estimate.many_samples import BatchFit, Tested
from engine.float64 import double_precision
from engine.infer import permuted_influences, permuted_rows, permuted_sums
from engine.infer.draws import permuted_classes
from engine.infer.errors.dyadic import drawn_variances
from engine.infer.inversion import N_INVERSION
from engine.infer.partner_rows import rows_fit
from engine.infer.permuted_sums import PermutedSample
from engine.infer.summary import t_ratio
from engine.infer.tested_fit import tested_fit

OBSERVED = -1
"""Replicate number of the assignment that happened."""


@dataclass(frozen=True)
class Permutation:
    """A permutation test of some regressions that share their pairs.

    Attributes
    ----------
    sample : PermutedSample
    strata : int32 ``[n_units]`` or None
    seed : int
    cells : tuple of Tested
    studentise : bool
        Compute t ratios too.
    """

    sample: PermutedSample
    strata: Integers | None
    seed: int
    cells: tuple[Tested, ...]
    studentise: bool = True

    def __post_init__(self) -> None:
        if self.strata is not None:
            check_shape("strata", self.strata, self.sample.classes.shape)


@dataclass(frozen=True)
class Draws:
    """Draws of every cell; one entry a cell.

    Attributes
    ----------
    replicates : int32 ``[n_draws]``
    estimate, statistic : tuple of float64 ``[n_draws, n_tested]``
        NaN where a draw does not identify the regression.
    fallback : tuple of int
        Draws whose dyadic variance was not positive, so that city sums without the subtraction were used.
    inversion : tuple of float64 ``[n_draws, N_INVERSION]``
        Slope s on the treatment that happened, then yy, yd, dd of city sums and of pair sums: at a hypothesised effect
        b0 a draw's t ratio is (b - b0 s) over the root of the guarded variance of the sums yy - 2 b0 yd + b0^2 dd.
        NaN where the test is not inverted.
    """

    replicates: Integers
    estimate: tuple[Array, ...]
    statistic: tuple[Array, ...]
    fallback: tuple[int, ...]
    inversion: tuple[Array, ...]

    @classmethod
    def without_inversion(
        cls, replicates: Integers, estimate: tuple[Array, ...], statistic: tuple[Array, ...] | None = None
    ) -> Draws:
        """Draws of another scheme: no inversion, no fallback, and no t ratios where it has none."""
        if statistic is None:
            statistic = tuple(np.full_like(values, np.nan) for values in estimate)
        inversion = (np.full((len(replicates), N_INVERSION), np.nan),) * len(estimate)
        return cls(replicates, estimate, statistic, (0,) * len(estimate), inversion)


def drawn_classes(test: Permutation, replicates: Integers) -> Integers:
    """Classes of the units ``[n_draws, n_units]`` in some replicates; replicate -1 is what happened."""
    observed = test.sample.classes
    drawn = permuted_classes(test.seed, np.maximum(replicates, 0), observed, test.strata)
    return np.where(replicates[:, None] == OBSERVED, observed, drawn)


def permutation_draws(test: Permutation, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates; a pure function of test and replicate numbers."""
    classes = drawn_classes(test, replicates)  # outside float64, as everywhere: one shape, one compilation
    return draws_of(test, classes, replicates)


def draws_of(test: Permutation, classes: Integers, replicates: Integers) -> Draws:
    """As `permutation_draws`, for the classes ``[n_draws, n_units]`` of some assignments."""
    with double_precision():
        by_rows = draws_by_rows(test.sample)
        sums, reach = (permuted_rows if by_rows else permuted_sums).type_sums(test.sample, classes)
        fits = [_fit(test, cell, sums) for cell in test.cells]
        by_target = [
            fit.estimate[:, :, list(cell.tested)] for fit, cell in zip(fits, test.cells, strict=True)
        ]
        unstudentised = Draws.without_inversion(replicates, tuple(values[:, 0] for values in by_target))
        if not test.studentise:
            return unstudentised
        cells = tuple(zip(fits, test.cells, strict=True))
        room = permuted_rows if by_rows else permuted_influences
        variances = room.variance_moments(test.sample, cells, classes, reach)
    statistic, inversion = [], []
    for cell, values, (moments, _), no_inversion in zip(
        test.cells, by_target, variances, unstudentised.inversion, strict=True
    ):
        statistic.append(t_ratio(values[:, 0], np.sqrt(drawn_variances(*moments[..., 0, 0]))))
        inversion.append(_inversion(values, moments) if _is_inverted(test, cell) else no_inversion)
    return Draws(
        replicates,
        unstudentised.estimate,
        tuple(statistic),
        tuple(n_replaced for _, n_replaced in variances),
        tuple(inversion),
    )


def draws_by_rows(sample: PermutedSample) -> bool:
    """Whether draws go by rows of partners, on an accelerator; rows know no split of a draw's own."""
    return sample.split is None and rows_fit(sample.pairs)


def _is_inverted(test: Permutation, cell: Tested) -> bool:
    return test.studentise and cell.observed is not None and len(cell.tested) == 1


def _fit(test: Permutation, cell: Tested, sums: Array) -> BatchFit:
    """The regression of a cell in every draw, and of the treatment that happened where the test is inverted."""
    treatment = (cell.observed,) if _is_inverted(test, cell) and cell.observed is not None else ()
    return tested_fit(
        test.sample.pairs.layout, sums, cell, targets=(-1, *treatment), influences=test.studentise
    )


def _inversion(by_target: Array, moments: Array) -> Array:
    """``[n_draws, N_INVERSION]``, see `Draws`."""
    sums = (part[:, 0, a, b] for part in moments for a, b in ((0, 0), (0, 1), (1, 1)))
    return np.stack([by_target[:, 1, 0], *sums], axis=1)


def merge_draws(first: Draws, second: Draws) -> Draws:
    """Draws of two blocks, in order."""
    return Draws(
        np.concatenate([first.replicates, second.replicates]),
        _concatenated(first.estimate, second.estimate),
        _concatenated(first.statistic, second.statistic),
        tuple(a + b for a, b in zip(first.fallback, second.fallback, strict=True)),
        _concatenated(first.inversion, second.inversion),
    )


def _concatenated(first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(np.concatenate(blocks) for blocks in zip(first, second, strict=True))

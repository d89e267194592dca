"""The registry of pair regressors, and columns of several kinds beside each other in one kernel call."""

from __future__ import annotations

from itertools import combinations

import jax
import numpy as np
import pytest

from engine.pairs import kernels
from engine.pairs.centre import standardise
from engine.pairs.moments import Layout
from engine.pairs.outcomes.synchronization import synchronization
from engine.pairs.regressors import REGRESSORS
from engine.spec.design import Control

N, T = 7, 9


@pytest.mark.parametrize("name", REGRESSORS)
def test_every_kind_is_a_key_of_a_control_and_has_a_formula(name: str) -> None:
    control = Control(**{name: "roads"})
    assert (control.kind, control.formula) == (name, "roads")
    assert (control.logged, control.standardised) == (REGRESSORS[name].logged, REGRESSORS[name].standardised)
    assert callable(REGRESSORS[name].pair_values)


@pytest.mark.parametrize("lag", [0, 2])
def test_each_column_is_of_its_kind_whatever_stands_beside_it(lag: int) -> None:
    """Difference, synchronization, sum, difference: grouped by formula inside the kernel, in order outside."""
    names = ("neg_abs_diff", "synchronization", "sum", "neg_abs_log_diff")
    levels = np.random.default_rng(1).normal(size=(N, T, 4)).cumsum(1)
    levels[:, :, 1] = standardise(levels[:, :, 1], np.ones(T, bool))
    i, j = (np.array(side, np.int32) for side in zip(*combinations(range(N), 2), strict=True))
    layout = Layout(T, 5, balanced=True)
    options = kernels.KernelOptions(layout, 1, N, True, 0.0, directed=False, regressors=names, lag=lag)
    x_i, x_j = levels[i], levels[j]
    with jax.enable_x64(True):
        arrays = kernels.to_device({"levels": levels, "window": np.ones(T, bool)})
        columns = np.asarray(kernels._regressor_values(options, arrays, i, j))
        rho = np.asarray(synchronization(x_i[:, :, 1], x_j[:, :, 1], T, look_ahead=True, clip=0.0))
    np.testing.assert_array_equal(columns[:, :, [0, 3]], -np.abs(x_i - x_j)[:, :, [0, 3]])
    np.testing.assert_array_equal(columns[:, :, 2], (x_i + x_j)[:, :, 2])
    np.testing.assert_array_equal(columns[:, lag:, 1], rho[:, : T - lag])
    assert np.isnan(columns[:, :lag, 1]).all()

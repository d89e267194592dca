"""The registry of standard-error types: what reads it, and what a new type may be."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

from engine.infer.errors import CONVENTIONAL, ERROR_TYPES, ROBUST, STUDENTISING
from engine.infer.errors.dyadic import drawn_moments, drawn_variances
from engine.infer.errors.error_type import Covariance
from engine.infer.errors.jackknife import leave_out_covariance
from engine.infer.errors.small_sample import small_sample_factor
from engine.infer.intervals import student
from engine.report.error_types import ERROR_LOOKS, preferred, robust_and_conventional
from engine.spec.job import ErrorKind


def test_registry_imports_neither_jax_nor_dask() -> None:
    code = "import sys, engine.infer.errors; print([name for name in ('jax', 'dask') if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_jobs_and_reports_know_the_types_of_the_registry() -> None:
    assert get_args(get_args(ErrorKind)[0]) == tuple(ERROR_TYPES) == tuple(ERROR_LOOKS)
    assert {*ROBUST, *CONVENTIONAL} == set(ERROR_TYPES)
    assert not {*ROBUST} & {*CONVENTIONAL}
    assert STUDENTISING in ROBUST


def test_robust_types_are_preferred_and_an_unknown_one_is_still_shown() -> None:
    assert preferred(["pair", "jackknife", "dyadic"]) == "dyadic"
    assert preferred(["pair", "another"]) == "pair"
    assert preferred([]) is None
    assert robust_and_conventional(["jackknife", "city"]) == ("jackknife", "city")
    assert robust_and_conventional(["dyadic"]) == ("dyadic", None)


def test_degrees_of_freedom_may_be_one_a_coefficient() -> None:
    each = Covariance("dyadic", np.diag([1.0, 4.0]), np.array([3.5, 20.25]))
    same = Covariance("dyadic", np.diag([1.0, 4.0]), 20)
    np.testing.assert_array_equal(each.dof_of_coefficients, [3.5, 20.25])
    np.testing.assert_array_equal(same.dof_of_coefficients, [20, 20])
    assert same.dof_of_coefficients.dtype.kind == "i"  # as the column `dof` prints it
    assert (each.smallest_dof, same.smallest_dof) == (3.5, 20)
    estimate = np.array([2.0, 3.0])
    interval = student(estimate, each.std_error, each.dof, 0.9)
    for k, dof in enumerate([3.5, 20.25]):
        alone = student(estimate[k : k + 1], each.std_error[k : k + 1], dof, 0.9)
        assert (interval.low[k], interval.p_value[k]) == (alone.low[0], alone.p_value[0])


def test_factors() -> None:
    assert small_sample_factor(5, 101, 11) == pytest.approx(5 / 4 * 100 / 90)
    factors = small_sample_factor(np.array([0.0, 1.0, 2.0, 11.0]), np.full(4, 101.0), np.full(4, 11.0))
    assert not np.isfinite(factors[1])
    np.testing.assert_allclose(factors[2:], [2.0 / 0.9, 1.1 / 0.9])


def test_leave_out_covariance_is_the_scaled_sum_of_squared_steps() -> None:
    steps = np.array([[1.0, 2.0], [-3.0, 0.5], [0.0, np.nan]])
    covariance = leave_out_covariance(steps, 3)
    assert covariance[0, 0] == pytest.approx(2 / 3 * 10)
    assert np.isnan(covariance[1]).all()


def test_a_draw_without_a_positive_variance_has_city_sums() -> None:
    cities = np.array([[[4.0, 1.0], [1.0, 9.0]], [[4.0, 1.0], [1.0, 9.0]]])
    pairs = np.array([[[1.0, 0.5], [0.5, 2.0]], [[5.0, 0.5], [0.5, 2.0]]])
    factor = np.array([2.0, 3.0])
    moments, replaced = drawn_moments(cities, pairs, factor)
    np.testing.assert_array_equal(replaced, [False, True])
    np.testing.assert_array_equal(moments, [cities * factor[:, None, None], pairs * factor[:, None, None]])
    np.testing.assert_array_equal(drawn_variances(cities[:, 0, 0], pairs[:, 0, 0], factor), [6.0, 12.0])
    np.testing.assert_array_equal(drawn_variances(*moments[:, :, 0, 0]), [6.0, 12.0])


@pytest.mark.filterwarnings("error")
def test_a_draw_with_one_city_has_no_variance() -> None:
    nothing, factor = np.zeros((1, 1, 1)), np.array([np.inf])
    moments, _ = drawn_moments(nothing, nothing, factor)
    assert np.isnan(moments).all()
    assert np.isnan(drawn_variances(nothing[0, 0], nothing[0, 0], factor)).all()

"""The guard of dyadic variances: one term alone is replaced, wherever a variance or a covariance is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
from hypothesis import given
from strategies import pair_table, run_table, seeds

from engine.infer.guard import guarded_covariances, guarded_variances, semidefinite

CLOSE = {"rtol": 1e-9, "atol": 1e-12}  # a difference of sums that nearly cancel loses some digits
TERMS = ["x", "w", "v"]


def sums_of(seed: int, k: int = 4, n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """City sums and what is subtracted, of independent influences of five units, half of them negative."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(n, 1)
    psi = rng.normal(size=(len(first), k)) * 10.0 ** rng.uniform(-6, 6, size=k)
    city = np.zeros((n, k))
    np.add.at(city, first, psi)
    np.add.at(city, second, psi)
    return city.T @ city, psi.T @ psi


@given(seeds)
def test_each_variance_depends_on_its_own_sums_alone(seed: int) -> None:
    sums, subtracted = sums_of(seed)
    matrix, replaced = guarded_covariances(sums, subtracted)
    for k in range(4):
        difference = sums[k, k] - subtracted[k, k]
        assert replaced[k] == (difference <= 1e-12 * sums[k, k])
        assert matrix[k, k] == (sums[k, k] if replaced[k] else difference)
    single, also = guarded_variances(np.diag(sums), np.diag(subtracted))
    np.testing.assert_array_equal(single, np.diag(matrix))
    np.testing.assert_array_equal(also, replaced)


@given(seeds)
def test_a_joint_matrix_with_a_replaced_term_has_no_negative_combination(seed: int) -> None:
    stack = [np.stack(parts) for parts in zip(*(sums_of(seed + n) for n in range(5)), strict=True)]
    matrices, replaced = guarded_covariances(*stack)
    for matrix, bad, sums, subtracted in zip(matrices, replaced, *stack, strict=True):
        if not bad.any():
            np.testing.assert_array_equal(matrix, sums - subtracted)
            continue
        scale = np.sqrt(np.diag(matrix))
        assert np.linalg.eigvalsh(matrix / np.outer(scale, scale))[0] > -1e-12


def test_the_worlds_above_have_matrices_of_every_kind() -> None:
    counts = [int(guarded_covariances(*sums_of(seed))[1].sum()) for seed in range(60)]
    assert {0, 1, 2} <= set(counts)


@given(seeds)
def test_semidefinite_is_free_of_units_and_keeps_variances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(3, 3))
    matrix = a + a.T
    matrix[np.diag_indices(3)] = np.abs(np.diag(matrix)) + 0.1
    units = np.diag(10.0 ** rng.uniform(-8, 8, size=3))
    repaired = semidefinite(matrix)
    np.testing.assert_array_equal(np.diag(repaired), np.diag(matrix))
    np.testing.assert_allclose(semidefinite(units @ matrix @ units), units @ repaired @ units, rtol=1e-9)
    np.testing.assert_array_equal(semidefinite(np.eye(3)), np.eye(3))


def test_a_term_without_any_influence_stays_at_zero() -> None:
    matrix, replaced = guarded_covariances(np.diag([0.0, 4.0]), np.diag([0.0, 5.0]))
    np.testing.assert_array_equal(matrix, np.diag([0.0, 4.0]))
    np.testing.assert_array_equal(replaced, [False, True])


# -- whole regressions against a dense dyadic sandwich -----------------------------------------------------


def table(seed: int) -> pd.DataFrame:
    """Six units, three regressors, independent noise: about half of the dyadic variances are not positive."""
    rng = np.random.default_rng(seed)
    frame = pair_table(seed, 6, missing=0.05)
    return frame.assign(v=rng.normal(size=len(frame)), y=rng.normal(size=len(frame)))


def oracle(frame: pd.DataFrame) -> reference.Estimate:
    return reference.estimate(frame.rename(columns={"one": "city_i", "other": "city_j"}), TERMS)


def expected_variances(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Literal dyadic variances with literal city sums where one is not positive; and where that was."""
    fit = oracle(frame)
    dyadic, sums = np.diag(fit.dyadic()), np.diag(fit.city_sums())
    bad = dyadic <= 1e-12 * sums
    return np.where(bad, sums, dyadic), bad


def mixed_seeds() -> list[int]:
    """Worlds in which some but not all of the three variances are positive."""
    return [seed for seed in range(30) if 0 < expected_variances(table(seed))[1].sum() < 3]


def of_kind(results: Any, kind: str = "dyadic") -> pd.DataFrame:
    rows = results.estimates
    return rows[rows["errors"] == kind].set_index("term").loc[TERMS]


@pytest.mark.parametrize("effects", [["pair", "year"], ["pair", "year", "group"]])
def test_only_the_term_itself_is_replaced_and_named(effects: list[str]) -> None:
    """By moments and by rows; the third effect is one group, which takes nothing more out."""
    chosen = mixed_seeds()[:3]
    assert len(chosen) == 3
    for seed in chosen:
        frame = table(seed).assign(group="all")
        expected, bad = expected_variances(frame)
        model = {"regressors": TERMS, "fixed_effects": effects, "errors": ["pair", "dyadic"]}
        found = run_table(frame, model=model)
        np.testing.assert_allclose(of_kind(found)["std_error"] ** 2, expected, **CLOSE)
        warned = [text for text in found.manifest["warnings"] if "not positive" in text]
        names = ", ".join(np.array(TERMS)[bad])
        assert len(warned) == 1
        assert f"dyadic: the variance is not positive for {names}; the city sums" in warned[0]


def test_draws_report_the_same_number() -> None:
    """`target_se_dyadic` of inference.parquet is the error of the table, replaced or not."""
    frame = table(mixed_seeds()[0])
    model = {"regressors": TERMS, "errors": ["dyadic"]}
    for kind in ("multiplier", "node"):
        found = run_table(frame, model=model, inference={"bootstrap": {"kind": kind, "reps": 50, "seed": 1}})
        rows = found.inference[found.inference["method"] == "target_se_dyadic"].set_index("term")
        np.testing.assert_array_equal(rows.loc[TERMS, "statistic"], of_kind(found)["std_error"])

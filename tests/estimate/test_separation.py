"""Separated rows: the test sets of Correia, Guimaraes and Zylkin, and random tables against a linear program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from engine.estimate.absorb import Effect
from engine.estimate.ppml import find_separated, separation
from engine.float64 import double_precision

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "oracles" / "separation"
SETS = ["01", "03", "05", "07", "09", "11", "13", "15", "17"]


def design(frame: pd.DataFrame) -> tuple[Any, Any, tuple[Effect, ...]]:
    """Outcome, regressors and effects of a test set; one level for all rows where it has no effect."""
    regressors = frame[[name for name in frame if name.startswith("x")]].to_numpy(float)
    effects = [
        Effect(name, np.unique(frame[name], return_inverse=True)[1]) for name in frame if name[:2] == "id"
    ]
    whole = Effect("constant", np.zeros(len(frame), dtype=int))
    return frame["y"].to_numpy(float), regressors.reshape(len(frame), -1), tuple(effects) or (whole,)


@pytest.mark.realdata
@pytest.mark.skipif(not FOLDER.exists(), reason="the published test sets are not there")
@pytest.mark.parametrize("name", SETS)
def test_published_sets(name: str) -> None:
    frame = pd.read_csv(FOLDER / f"{name}.csv")
    with double_precision():
        result = find_separated(*design(frame))
    np.testing.assert_array_equal(result.separated, frame["separated"] == 1)
    assert result.settled


def literal(outcome: Any, regressors: Any, effects: tuple[Effect, ...]) -> Any:
    """Rows on which some combination of columns, zero on positive outcomes and nowhere negative, is positive.

    One linear program a row, on dummies written out: the largest value there, others between zero and one.
    """
    dummies = [(codes[:, None] == np.unique(codes)).astype(float) for codes in (e.codes for e in effects)]
    columns = np.hstack([regressors, *dummies])
    zero = outcome == 0
    out = np.zeros(len(outcome), dtype=bool)
    for row in np.flatnonzero(zero):
        solved = linprog(
            -columns[row],
            A_ub=np.vstack([-columns[zero], columns[row]]),
            b_ub=np.append(np.zeros(zero.sum()), 1.0),
            A_eq=columns[~zero],
            b_eq=np.zeros((~zero).sum()),
            bounds=(None, None),
        )
        out[row] = -solved.fun > 0.5
    return out


def drawn(seed: int) -> tuple[Any, Any, tuple[Effect, ...]]:
    """Outcomes that are mostly zero, three regressors of very different size, one to three effects."""
    rng = np.random.default_rng(seed)
    effects = tuple(Effect(f"e{k}", rng.integers(0, 3 + 2 * k, 40)) for k in range(1 + seed % 3))
    regressors = rng.integers(-1, 3, (40, 3)) * np.array([1.0, 300.0, 0.01])
    outcome = rng.poisson(0.15 if seed % 2 else 0.4, 40).astype(float)
    return outcome, regressors, effects


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("without", ["", "_rectified", "_by_linear_program"])
def test_random_tables(seed: int, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method alone finds what a literal linear program a row does."""
    outcome, regressors, effects = drawn(seed)
    expected = literal(outcome, regressors / np.abs(regressors).max(axis=0), effects)
    if without:
        monkeypatch.setattr(separation, without, lambda *_: None)
    with double_precision():
        result = find_separated(outcome, regressors, effects)
    if result.settled or without != "_by_linear_program":
        np.testing.assert_array_equal(result.separated, expected)
        assert result.settled
    assert not (result.separated & ~expected).any()


def test_the_rectifier_settles_nearly_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not, it says; the linear program is there for that."""
    monkeypatch.setattr(separation, "_by_linear_program", lambda *_: None)
    with double_precision():
        settled = [find_separated(*drawn(seed)).settled for seed in range(12)]
    assert sum(settled) >= 11


def test_the_random_tables_have_separation_of_every_kind() -> None:
    """Else the test above could not fail: rows in all-zero levels, rows that are in none, no such rows."""
    in_levels = beyond = none = 0
    for seed in range(12):
        with double_precision():
            result = find_separated(*drawn(seed))
        in_levels += result.in_levels > 0
        beyond += int(result.separated.sum()) > result.in_levels
        none += not result.separated.any()
    assert min(in_levels, beyond, none) > 1


def test_levels_of_both_ends() -> None:
    """A unit whose outcomes are all zero, in an effect through both ends of a pair."""
    first, second = np.triu_indices(6, 1)
    codes = np.stack([first, second], axis=1)
    outcome = np.where((first == 2) | (second == 2), 0.0, 1.0 + first)
    with double_precision():
        result = find_separated(outcome, np.zeros((len(outcome), 0)), (Effect("unit", codes),))
    np.testing.assert_array_equal(result.separated, outcome == 0)
    assert result.in_levels == 5

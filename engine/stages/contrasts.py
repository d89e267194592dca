"""Do the coefficients of the three classes of a split differ? Tests that know the classes share their cities.

With city influences psi_c of each class's regression (their sum over its pairs), the covariance of two classes
is sum_c psi_c^a psi_c^b' (no pair is in both), and within a class it is the dyadic one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc, stdtr

from engine.arrays import Array
from engine.infer.errors.small_sample import city_factor
from engine.infer.guard import semidefinite
from engine.infer.summary import t_ratio
from engine.stages.estimation import Estimated

CONTRASTS = ("job", "split", "term", "classes", "difference", "std_error", "statistic", "dof", "p_value")


def contrasts_frame(results: Sequence[Estimated], job: str) -> pd.DataFrame:
    """Differences of coefficients between the classes of each split, and the joint test that there is none.

    Rows: every two classes, ``high - low``, with a t test of N - 1 degrees of freedom, N the cities of the
    smaller class; ``all equal`` with a Wald chi-squared test.
    """
    groups: dict[str, list[Estimated]] = {}
    for estimated in results:
        if estimated.cell.job.pairs.split is not None:
            groups.setdefault(_without_class(estimated), []).append(estimated)
    rows = [row for group in groups.values() if len(group) > 1 for row in _rows(group)]
    return pd.DataFrame([(job, *row) for row in rows], columns=list(CONTRASTS))


def _without_class(result: Estimated) -> str:
    content = result.cell.job.model_dump(mode="json", exclude={"inference"})
    del content["pairs"]["split"]["pairs"]
    return json.dumps(content, sort_keys=True)


def _rows(group: list[Estimated]) -> Iterator[tuple[Any, ...]]:
    split = group[0].cell.job.pairs.split
    assert split is not None
    names = [result.cell.job.pairs.split.pairs for result in group]  # type: ignore[union-attr]  # grouped by it
    for term in (name for name in group[0].fit.names if all(name in result.fit.names for result in group)):
        at = [result.fit.names.index(term) for result in group]
        estimate = np.array([result.fit.values[k] for result, k in zip(group, at, strict=True)])
        covariance = _covariance(group, at)
        for a, b in itertools.combinations(range(len(group)), 2):
            difference = estimate[a] - estimate[b]
            error = float(np.sqrt(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b]))
            dof = min(group[a].fit.n_units, group[b].fit.n_units) - 1
            t = float(t_ratio(difference, error))
            p = float(2 * stdtr(dof, -abs(t)))
            yield split.by, term, f"{names[a]} - {names[b]}", difference, error, t, dof, p
        step = np.diff(np.eye(len(group)), axis=0)
        moved, inside = step @ estimate, step @ covariance @ step.T
        rank = int(np.linalg.matrix_rank(inside, hermitian=True)) if np.isfinite(inside).all() else 0
        wald = float(moved @ np.linalg.pinv(inside, hermitian=True) @ moved) if rank else np.nan
        yield split.by, term, "all equal", np.nan, np.nan, wald, rank, float(chdtrc(rank, wald))


def _covariance(group: list[Estimated], positions: list[int]) -> Array:
    """Covariance of one coefficient over the classes, each with its own variance; positive semidefinite."""
    city = np.stack(
        [estimated.fit.city_influence[:, k] for estimated, k in zip(group, positions, strict=True)],
        axis=1,
    )
    variances = np.array(
        [estimated.studentising.matrix[k, k] for estimated, k in zip(group, positions, strict=True)]
    )
    sums = city.T @ city
    factor = np.array([city_factor(estimated.fit) for estimated in group])
    out = sums * np.sqrt(np.outer(factor, factor))
    np.fill_diagonal(out, variances)
    return semidefinite(out)

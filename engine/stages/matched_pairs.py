"""Propensity-score matching of the pairs of a pass: logit, nearest neighbours, balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.arrays import Array
from engine.errors import InputError
from engine.estimate.covariate_balance import balance
from engine.estimate.matching import MatchOptions, match
from engine.pairs.design import Matches
from engine.pairs.gravity import PairSample
from engine.pairs.treatment import Adoption, policy_paths
from engine.spec import Job
from engine.stages.load_data import CityData


@dataclass(frozen=True)
class MatchReport:
    """What matching found.

    Attributes
    ----------
    scores : DataFrame
        Logit of being a treated pair: ``column, coefficient, std_error``.
    balance : DataFrame
        Means and standardised differences before and after.
    counts : dict
        Treated rows and controls, matched, off the common support, without a partner, controls used.
    """

    scores: pd.DataFrame
    balance: pd.DataFrame
    counts: dict[str, int]


def match_pairs(
    data: CityData, job: Job, sample: PairSample, adoption: Adoption, levels: dict[str, Array]
) -> tuple[Matches, MatchReport]:
    """Match the treated pairs of a sample one to one on their controls.

    Treated is a pair that is treated in some year of the sample. Units are pairs (covariates averaged over the
    years, or of the first), pair-years pooled, or pair-years within each year.

    Parameters
    ----------
    levels : dict of str to float64 ``[n_units, n_years]``
        City columns of the controls to match on.

    Raises
    ------
    InputError
        Where controls tell treated pairs from others without error, the logit does not converge, or nothing is
        matched.
    """
    from engine.estimate.logit import logit  # here and not above: check and plan import JAX only to match

    rule, treatment = job.matching, job.treatment
    assert rule is not None
    assert treatment is not None
    i, j = sample.all_pairs()
    order = np.lexsort((j, i))  # `Matches` is searched by code
    i, j = i[order], j[order]
    n_years = data.panel.n_years
    names = list(levels)
    columns = np.stack([_pair_column(job, name, level, i, j) for name, level in levels.items()], axis=2)
    path = policy_paths(adoption, np.array(data.panel.years), treatment.rule)
    treated = (path.max(axis=2) > 0)[adoption.classes[i], adoption.classes[j]]
    code = i.astype(np.int64) * sample.n_units + j
    if rule.unit == "pair":
        had = columns[:, job.model.lag :]  # years that a lag loses have no rows
        x = had[:, 0] if rule.year == "first" else had.mean(axis=1)
        y, ids, groups = treated, code, None
    else:
        x = columns.reshape(-1, len(names))
        y = np.repeat(treated, n_years)
        ids = (code[:, None] * n_years + np.arange(n_years)).ravel()
        groups = np.tile(np.arange(n_years), len(i)) if rule.unit == "yearly" else None
    whole = np.isfinite(x).all(axis=1)
    fitted = logit(x[whole], y[whole], names=names)
    if fitted.separated or not fitted.converged:
        raise InputError(
            fitted.separated or "the logit of being a treated pair does not converge",
            where="matching.covariates",
            remedy="match on other controls: without finite coefficients there are no propensity scores",
        )
    found = match(
        fitted.index,
        y[whole],
        ids=ids[whole],
        groups=None if groups is None else groups[whole],
        options=MatchOptions(
            caliper=rule.caliper,
            replacement=rule.replacement,
            common_support=rule.common_support,
            seed=rule.seed,
        ),
    )
    if not len(found.rows):
        raise InputError("no treated pair finds a partner", where="matching", remedy="widen the caliper")
    weight = np.zeros(len(y))
    weight[whole] = found.weight
    rows = np.broadcast_to(weight.reshape(len(i), -1), (len(i), n_years))
    kept = (rows > 0).any(axis=1)
    scaled = rows[kept] / rows[rows > 0].mean()
    report = MatchReport(
        pd.DataFrame(
            {"column": fitted.names, "coefficient": fitted.coefficients, "std_error": fitted.std_errors}
        ),
        balance(x[whole], y[whole], found.weight, names=names),
        {
            "treated": found.n_treated,
            "controls": found.n_controls,
            "matched": len(found.rows),
            "off_support": found.n_off_support,
            "without_partner": found.n_unmatched,
            "controls_used": found.n_controls_used,
        },
    )
    return Matches(code[kept], np.ascontiguousarray(scaled)), report


def _pair_column(job: Job, name: str, level: Array, i: Any, j: Any) -> Array:
    """``[n_pairs, n_years]`` of a control."""
    kind = job.controls[name].kind
    if kind == "synchronization":
        raise InputError(
            f"'{name}' is a synchronization, which matching does not take",
            where="matching.covariates",
            remedy="name controls that are differences or sums",
        )
    return np.asarray(level[i] + level[j] if kind == "sum" else -np.abs(level[i] - level[j]))

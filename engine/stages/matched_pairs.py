"""Propensity-score matching of the pairs of a pass: logit, nearest neighbours, balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags, Integers, LongIntegers
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.covariate_balance import balance
from engine.estimate.matching import Matched, MatchOptions, match
from engine.pairs.gravity import PairSample
from engine.pairs.panel_design import Matches
from engine.pairs.regressors import REGRESSORS
from engine.pairs.treatment import Adoption, policy_paths
from engine.spec import Job
from engine.spec.design import Matching

if TYPE_CHECKING:
    from engine.estimate.logit import Logit


@dataclass(frozen=True)
class MatchReport:
    """Result of matching: scores, balance and counts.

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


@dataclass(frozen=True)
class _Candidates:
    """Units that may be matched: pairs, or pair-years.

    Attributes
    ----------
    covariates : float64 ``[n, k]``
        NaN where missing.
    treated : bool ``[n]``
    ids : int64 ``[n]``
        Stands for the unit whatever the order: ties are broken by it.
    groups : int64 ``[n]`` or None
        Partners are of one group; None where any may be.
    """

    covariates: Array
    treated: Flags
    ids: LongIntegers
    groups: LongIntegers | None


def match_pairs(
    panel: CityPanel, job: Job, sample: PairSample, adoption: Adoption, levels: dict[str, Array]
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

    matching = job.matching_block
    i, j = sample.all_pairs()
    order = np.lexsort((j, i))  # `Matches` is searched by code
    i, j = i[order], j[order]
    path = policy_paths(adoption, np.array(panel.years), job.treatment_block.rule)
    treated = (path.max(axis=2) > 0)[adoption.classes[i], adoption.classes[j]]
    code = i.astype(np.int64) * sample.n_units + j
    columns = np.stack([_pair_column(job, name, level, i, j) for name, level in levels.items()], axis=2)
    candidates = _candidates(matching, columns, treated, code, lag=job.model.lag)
    complete = np.all(np.isfinite(candidates.covariates), axis=1)
    covariates, is_treated = candidates.covariates[complete], candidates.treated[complete]
    scores = logit(covariates, is_treated, names=list(levels))
    if scores.separated or not scores.converged:
        raise InputError(
            scores.separated or "the logit of being a treated pair does not converge",
            where="matching.covariates",
            remedy="match on other controls: without finite coefficients there are no propensity scores",
        )
    matched = match(
        scores.index,
        is_treated,
        ids=candidates.ids[complete],
        groups=None if candidates.groups is None else candidates.groups[complete],
        options=MatchOptions(
            caliper=matching.caliper,
            replacement=matching.replacement,
            common_support=matching.common_support,
            seed=matching.seed,
        ),
    )
    if not len(matched.rows):
        raise InputError("no treated pair finds a partner", where="matching", remedy="widen the caliper")
    weight = np.zeros(len(complete))
    weight[complete] = matched.weight
    balanced = balance(covariates, is_treated, matched.weight, names=list(levels))
    return _matches(code, weight, panel.n_years), _report(scores, balanced, matched)


def _candidates(
    matching: Matching, columns: Array, treated: Flags, code: LongIntegers, *, lag: int
) -> _Candidates:
    """The units of ``matching.unit`` with covariates of the pair columns ``[n_pairs, n_years, k]``."""
    n_pairs, n_years, n_columns = columns.shape
    if matching.unit == "pair":
        observed = columns[:, lag:]  # years that a lag loses have no rows
        covariates = observed[:, 0] if matching.year == "first" else observed.mean(axis=1)
        return _Candidates(covariates, treated, code, None)
    year = np.arange(n_years)
    return _Candidates(
        columns.reshape(-1, n_columns),
        np.repeat(treated, n_years),
        (code[:, None] * n_years + year).ravel(),
        np.tile(year, n_pairs) if matching.unit == "yearly" else None,
    )


def _matches(code: LongIntegers, weight: Array, n_years: int) -> Matches:
    """Weights of pairs, or of pair-years, as those of rows with mean one."""
    rows = np.broadcast_to(weight.reshape(len(code), -1), (len(code), n_years))
    matched = (rows > 0).any(axis=1)
    scaled = rows[matched] / rows[rows > 0].mean()
    return Matches(code[matched], np.ascontiguousarray(scaled))


def _report(scores: Logit, balanced: pd.DataFrame, matched: Matched) -> MatchReport:
    return MatchReport(
        pd.DataFrame(
            {"column": scores.names, "coefficient": scores.coefficients, "std_error": scores.std_errors}
        ),
        balanced,
        {
            "treated": matched.n_treated,
            "controls": matched.n_controls,
            "matched": len(matched.rows),
            "off_support": matched.n_off_support,
            "without_partner": matched.n_unmatched,
            "controls_used": matched.n_controls_used,
        },
    )


def _pair_column(job: Job, name: str, level: Array, i: Integers, j: Integers) -> Array:
    """``[n_pairs, n_years]`` of a control."""
    kind = REGRESSORS[job.controls[name].kind]
    if kind.standardised:
        raise InputError(
            f"'{name}' is a {kind.name}, which matching does not take",
            where="matching.covariates",
            remedy="name controls that are differences or sums",
        )
    return np.asarray(kind.pair_values(level[i], level[j]))

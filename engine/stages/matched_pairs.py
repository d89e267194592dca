"""Propensity-score matching of the pairs of a pass: logit, nearest neighbours, balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags, LongIntegers
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.covariate_balance import balance
from engine.estimate.matching import Matched, MatchOptions, match
from engine.pairs.panel_design import Matches, PanelDesign
from engine.pairs.regressors import REGRESSORS
from engine.pairs.treatment import Adoption, policy_paths
from engine.spec import Job
from engine.spec.design import Matching
from engine.stages.treatment_terms import timing_of

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
    panel: CityPanel, job: Job, design: PanelDesign, adoption: Adoption, levels: dict[str, Array]
) -> tuple[Matches, MatchReport]:
    """Match the treated pairs of a design one to one on their controls.

    Candidates are the rows that the regression would have without matching: of the design's class of pairs, without
    the pair-years that its timing leaves out, and observed. Treated is a pair that is treated, as a placebo in time has
    it where there is one, in some year of the sample. Units are pairs (covariates averaged over their rows, or of the
    first), pair-years pooled, or pair-years within each year.

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
    code, in_regression = _regression_rows(design)
    i, j = code // design.n_units, code % design.n_units
    timing = timing_of(job, panel.years, adoption)
    path = policy_paths(timing.adoption, timing.years, timing.rule)
    treated = (path.max(axis=2) > 0)[adoption.classes[i], adoption.classes[j]]
    columns = np.stack([_pair_column(job, name, level, i, j) for name, level in levels.items()], axis=2)
    candidates = _candidates(matching, columns, in_regression, treated, code)
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
    rows = np.zeros(in_regression.shape)
    rows[in_regression] = weight[np.nonzero(in_regression)[0]] if matching.unit == "pair" else weight
    balanced = balance(covariates, is_treated, matched.weight, names=list(levels))
    return _matches(code, rows), _report(scores, balanced, matched)


def _regression_rows(design: PanelDesign) -> tuple[LongIntegers, Flags]:
    """Pairs as `Matches` codes them, ascending, and bool ``[n_pairs, n_years]``: rows that a regression would have."""
    from engine.pairs.map_reduce import MomentPass, pair_rows  # JAX, see above

    moment_pass = MomentPass(design, balanced=False)
    codes, flags = [np.zeros(0, dtype=np.int64)], [np.zeros((0, design.n_years), dtype=bool)]
    for task in design.tasks():
        rows = pair_rows(moment_pass, task)
        present = np.zeros((len(rows.i), design.n_years), dtype=bool)
        present[rows.pair, rows.year] = True
        some = present.any(axis=1)
        codes.append(rows.i[some].astype(np.int64) * design.n_units + rows.j[some])
        flags.append(present[some])
    code, in_regression = np.concatenate(codes), np.concatenate(flags)
    order = np.argsort(code)
    return code[order], in_regression[order]


def _candidates(
    matching: Matching, columns: Array, in_regression: Flags, treated: Flags, code: LongIntegers
) -> _Candidates:
    """The units of ``matching.unit`` with covariates of the pair columns ``[n_pairs, n_years, k]``."""
    n_pairs, n_years, _ = columns.shape
    if matching.unit == "pair":
        if matching.year == "first":
            covariates = columns[np.arange(n_pairs), in_regression.argmax(axis=1)]
        else:
            covariates = np.mean(columns, axis=1, where=in_regression[:, :, None])
        return _Candidates(covariates, treated, code, None)
    pair, year = np.nonzero(in_regression)
    return _Candidates(
        columns[pair, year],
        treated[pair],
        code[pair] * n_years + year,
        year if matching.unit == "yearly" else None,
    )


def _matches(code: LongIntegers, weights: Array) -> Matches:
    """Those that are matched, their rows' weights ``[n_pairs, n_years]`` with mean one."""
    matched = (weights > 0).any(axis=1)
    return Matches(code[matched], np.ascontiguousarray(weights[matched] / weights[weights > 0].mean()))


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


def _pair_column(job: Job, name: str, level: Array, i: LongIntegers, j: LongIntegers) -> Array:
    """``[n_pairs, n_years]`` of a control."""
    kind = REGRESSORS[job.controls[name].kind]
    if kind.standardised:
        raise InputError(
            f"'{name}' is a {kind.name}, which matching does not take",
            where="matching.covariates",
            remedy="name controls that are differences or sums",
        )
    return np.asarray(kind.pair_values(level[i], level[j]))

"""What the engine says about one simulated panel: p-values of a true null, intervals for a true effect."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import jax
import numpy as np
import worlds

from engine.estimate.city_years import CityYears, interaction, residual_sums
from engine.estimate.estimate import Estimate
from engine.estimate.fit import fit, stage
from engine.estimate.many_samples import Tested
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Regression, Term
from engine.infer.draws import resampled_counts
from engine.infer.errors import Covariance, covariances
from engine.infer.intervals import intervals
from engine.infer.inversion import confidence_set
from engine.infer.permutation import OBSERVED, Draws, Permutation, permutation_draws
from engine.infer.permuted_sums import PermutedSample
from engine.infer.summary import bootstrap_interval, permutation_p
from engine.infer.weighted import sort_by_type, weighted_fit
from engine.pairs.map_reduce import (
    CellBlock,
    InteractionPass,
    MomentPass,
    ScorePass,
    city_moments,
    interaction_sums,
    merge_graphs,
    merge_interactions,
    merge_moments,
    pair_graph,
)
from engine.pairs.pair_statistics import PairStatistics, pair_statistics
from engine.pairs.table_design import TableDesign
from engine.pairs.treatment import allowed_classes, policy_paths

Array = np.ndarray[Any, np.dtype[np.float64]]

REPS = 199
KINDS = ("pair", "city", "dyadic_cr2", "dyadic", "jackknife")
P_VALUES = (*KINDS, "permutation_coefficient", "permutation")
INTERVALS = (*KINDS, "permutation", "node_bootstrap")
CONFIDENCE = 0.95

_REPLICATES = np.arange(OBSERVED, REPS, dtype=np.int32)
_NO_TERMS = np.zeros((1, 1, len(worlds.YEARS), 0))


def estimated(panel: worlds.Panel) -> tuple[Estimate, tuple[Covariance, ...]]:
    """Coefficient of treatment with pair and year effects, and its kinds of error."""
    kept = panel.eligible
    values = np.stack([panel.treated[kept], panel.outcome[kept]], axis=2)
    of_first, of_second = worlds.pairs_of(panel.n_cities)
    design = TableDesign(of_first[kept], of_second[kept], values, panel.n_cities, directed=False)
    setting = MomentPass(design, balanced=True)

    def of_all(function: Any, pass_input: Any, merge: Any) -> Any:
        return reduce(merge, (function(pass_input, task) for task in design.tasks()))

    moments = of_all(city_moments, setting, merge_moments)
    policy = Term("policy")
    normal = normal_equations(moments, design.classes, terms=(policy,), table=_NO_TERMS)
    found = replace(fit(stage(normal), Regression((policy,))), takes_both=panel.rule == "both")
    block = CellBlock(_NO_TERMS, found.residual_path[:, None], found.weight_path)
    years = CityYears(of_all(pair_graph, setting, merge_graphs), panel.n_cities, len(worlds.YEARS))
    effects = years.solve(residual_sums(normal, found, directed=False)[:, :, None])
    second = InteractionPass(ScorePass(setting, block), effects)
    sums = of_all(interaction_sums, second, merge_interactions)
    of_pairs = interaction(
        normal,
        found,
        years,
        products=sums.products[0],
        kappa_squares=sums.kappa_squares[0],
        kappa=None,
        effects=effects[:, :, 0],
    )
    found = replace(
        found,
        pair_meat=sums.scores.pair_meat[0],
        reciprocal_meat=sums.scores.reciprocal_meat[0],
        interaction=of_pairs,
    )
    return found, covariances(found, KINDS)


def permuted(panel: worlds.Panel, seed: int, *, invert: bool) -> Draws:
    """What happened, then the permutations; all pairs, since relabelling makes any of them eligible."""
    sample = PermutedSample(
        pairs=_features(panel, observed=invert),
        classes=panel.classes,
        allowed=allowed_classes(panel.adoption, "both_treated"),
        recompute=False,
        n_ranked=int(panel.eligible.sum()),
    )
    cell = _tested(panel, sample.types, observed=invert)
    return permutation_draws(Permutation(sample, None, seed, (cell,)), _REPLICATES)


def p_values(design: str, number: int) -> Array:
    """``[P_VALUES]`` two-sided, in a panel without an effect."""
    panel = worlds.panel(design, number)
    found, errors = estimated(panel)
    draws = permuted(panel, number, invert=False)
    of_draws = [
        permutation_p(values[0, 0], values[1:, 0]).value for values in (draws.estimate[0], draws.statistic[0])
    ]
    return np.array([*(intervals(found, one, CONFIDENCE).p_value[0] for one in errors), *of_draws])


def confidence_intervals(design: str, number: int) -> Array:
    """``[INTERVALS, 2]`` low and high ends, in a panel with `worlds.EFFECT`."""
    panel = worlds.panel(design, number, effect=worlds.EFFECT)
    found, errors = estimated(panel)
    ends = []
    for one in errors:
        interval = intervals(found, one, CONFIDENCE)
        ends.append((interval.low[0], interval.high[0]))
    here, error = float(found.values[0]), float(errors[KINDS.index("dyadic")].std_error[0])
    draws = permuted(panel, number, invert=True)
    known, inversion = draws.estimate[0][1:, 0], draws.inversion[0][1:]
    inverted = confidence_set(here, error, known, inversion, confidence=CONFIDENCE)
    ends.append((inverted.low, inverted.high))
    drawn, statistic = bootstrapped(panel, number, here)
    ends.append(bootstrap_interval(here, error, drawn, statistic, kind="percentile_t", confidence=CONFIDENCE))
    return np.array(ends)


def bootstrapped(panel: worlds.Panel, seed: int, here: float) -> tuple[Array, Array]:
    """Node-bootstrap coefficients, and their t ratios around the sample's."""
    allowed = allowed_classes(panel.adoption, "both_treated")
    types = [(g, h) for g, h in zip(*np.triu_indices(len(allowed)), strict=True) if allowed[g, h]]
    kinds = np.full(allowed.shape, -1, dtype=np.int32)
    for number, (g, h) in enumerate(types):
        kinds[g, h] = kinds[h, g] = number
    weighted = sort_by_type(
        _features(panel, observed=False),
        kinds[panel.classes[worlds.FIRST], panel.classes[worlds.SECOND]],
        len(types),
    )
    counts = resampled_counts(seed, _REPLICATES[1:], worlds.N_CITIES)
    with jax.enable_x64(True):
        cell = _tested(panel, types, observed=False)
        _, estimate, variance = weighted_fit(weighted, counts, cell, studentise=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return estimate[:, 0], ((estimate - here) / np.sqrt(variance))[:, 0]


def _features(panel: worlds.Panel, *, observed: bool) -> PairStatistics:
    columns = [panel.treated, panel.outcome] if observed else [panel.outcome]
    every = TableDesign(
        *worlds.pairs_of(panel.n_cities), np.stack(columns, axis=2), panel.n_cities, directed=False
    )
    return pair_statistics(every, every_screen=False, memory_bytes=1e9)


def _tested(panel: worlds.Panel, types: list[tuple[int, int]], *, observed: bool) -> Tested:
    """Treatment as a term of the pair's type; with ``observed``, what happened is a column before it."""
    paths = policy_paths(panel.adoption, worlds.YEARS, "exactly_one")[..., None]
    place = 1 if observed else 0
    own = np.stack([paths[g, h] for g, h in types])
    return Tested(regressors=(place,), tested=(0,), paths=own, observed=0 if observed else None)

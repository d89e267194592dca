"""The two-way wild bootstrap on simulated panels, its parts by dense algebra: complete years, one treatment."""

from __future__ import annotations

import numpy as np
import truth_worlds
from worlds import YEARS, Array, Panel, pairs_of

from engine.infer.draws import multipliers
from engine.infer.summary import equal_tailed_p, permutation_p
from engine.infer.two_way_wild import TwoWayParts, two_way_statistics

REPS = np.arange(199, dtype=np.int32)
_T = len(YEARS)


def parts_of(panel: Panel) -> TwoWayParts:
    """Under the null the residuals are the outcome less pair and year means."""
    kept = panel.eligible
    i, j = (side[kept] for side in pairs_of(panel.n_cities))
    treated, outcome = panel.treated[kept].astype(float), panel.outcome[kept]

    def within(values: Array) -> Array:
        return np.asarray(values - values.mean(axis=1, keepdims=True))

    def residual(values: Array) -> Array:
        return np.asarray(within(values) - within(values).mean(axis=0))

    x, u = residual(treated), residual(outcome)
    weight = x / (x**2).sum()
    graph = np.zeros((panel.n_cities, panel.n_cities))
    graph[i, j] = graph[j, i] = 1.0
    sums = np.zeros((panel.n_cities, _T))
    np.add.at(sums, i, u)
    np.add.at(sums, j, u)
    effects = np.linalg.lstsq(graph + np.diag(graph.sum(axis=1)), sums, rcond=None)[0]
    first, second, own = (within(part) for part in (effects[i], effects[j], u - effects[i] - effects[j]))
    z = np.concatenate([np.broadcast_to(np.eye(_T)[1:], (len(i), _T - 1, _T)), treated[:, None]], axis=1)
    z = z - z.mean(axis=2, keepdims=True)

    def on_regressors(values: Array) -> Array:
        return np.asarray(np.einsum("pft,pt->pf", z, values))

    city_sums = np.zeros((panel.n_cities, _T))
    np.add.at(city_sums, i, on_regressors(first))
    np.add.at(city_sums, j, on_regressors(second))
    return TwoWayParts(
        i=i.astype(np.int32),
        j=j.astype(np.int32),
        city_sums=city_sums,
        pair_sums=on_regressors(own),
        influence=np.stack([(weight * part).sum(axis=1) for part in (first, second, own)]),
        weight_sums=on_regressors(weight),
        bread=np.linalg.inv(np.einsum("pft,pgt->fg", z, z)),
        tested=_T - 1,
    )


def p_values(design: str, cities: int, adopters: str, number: int) -> tuple[float, float, float]:
    """The symmetric and the equal-tailed p of a true null, and the observed t ratio."""
    parts = parts_of(truth_worlds.panel(design, cities, adopters, number))
    _, (observed,) = two_way_statistics(parts, np.ones((1, parts.n_units)))
    _, drawn = two_way_statistics(parts, multipliers(number, REPS, parts.n_units, "rademacher"))
    return permutation_p(observed, drawn).value, equal_tailed_p(observed, drawn).value, float(observed)

"""Sums that spatial and network errors read: samples without a city's neighbourhood, products by nearness."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from engine.arrays import Array, Flags
from engine.estimate.city_years import CityYears
from engine.estimate.estimate import Estimate, Nearby
from engine.estimate.fit import Stage, left_out_values
from engine.estimate.normal import Projected
from engine.pairs.map_reduce import merge_products
from engine.pairs.near_pairs import PRODUCT_GROUPS, NearProductPass, near_products, near_tasks
from engine.runtime.execute import UNITS
from engine.stages.city_ties import CityTies
from engine.stages.left_out_samples import samples_without
from engine.stages.pair_sums import CELLS, PassSums, interaction_pass


def with_nearby(
    passes: PassSums, stage: Stage, city_years: CityYears, city_ties: CityTies, estimates: list[Estimate]
) -> list[Estimate]:
    """The estimates, their interaction summed, with what each of the codes reads."""
    neighbourhoods = city_ties.neighbourhoods
    near = np.stack([city_ties.within(neighbourhood) for neighbourhood in neighbourhoods])
    samples = samples_without(passes, near)
    nearness = np.stack([city_ties.nearness(code) for code in city_ties.radii])
    is_near = np.asarray((nearness > 0).any(axis=0))
    with_codes: list[Estimate] = []
    for start in range(0, len(estimates), CELLS):
        block = estimates[start : start + CELLS]
        products = passes.machine.reduce(
            near_products,
            NearProductPass(interaction_pass(passes, block, city_years), nearness, is_near),
            near_tasks(passes.pass_input.design, PRODUCT_GROUPS),
            merge_products,
            label="near cities",
            units=UNITS,
        )
        for number, estimate in enumerate(block):
            alone, *together = _steps(stage, estimate, samples, near)
            steps = dict(zip(neighbourhoods, together, strict=True))
            k = len(estimate.terms)
            nearby = {}
            for code, of_code, kernel in zip(city_ties.radii, products, nearness, strict=True):
                weighted = [(weight, steps.get(at, alone)) for at, weight in city_ties.weights(code).items()]
                nearby[code] = _nearby(
                    passes, city_years, estimate, weighted, of_code[number, :k, :k], kernel
                )
            with_codes.append(replace(estimate, nearby=nearby))
    return with_codes


@dataclass(frozen=True)
class _Steps:
    """Steps ``[n_units, K]`` of one radius, and which of them influences or steps of single cities stand in for."""

    values: Array
    replaced: Flags


def _steps(stage: Stage, estimate: Estimate, samples: list[Projected], near: Flags) -> list[_Steps]:
    """b less its value without each city alone, then without its neighbourhood of every radius.

    Where a sample does not identify a coefficient, and for two-stage least squares, influences stand for steps.
    """
    influence = estimate.city_influence
    alone = estimate.values - estimate.without_city
    replaced = np.isnan(alone) | estimate.is_instrumented
    alone = np.where(replaced, influence, alone)
    steps = [_Steps(alone, replaced)]
    for sample, near_of_radius in zip(samples, near, strict=True):
        together = near_of_radius.astype(np.float64) @ alone
        replaced = np.full(alone.shape, True)
        if not estimate.is_instrumented:
            at = stage.normal.positions(estimate.terms)
            step = estimate.values - left_out_values(stage, sample, at)
            replaced = np.isnan(step)
            together = np.where(replaced, together, step)
        steps.append(_Steps(together, replaced))
    return steps


def _nearby(
    passes: PassSums,
    city_years: CityYears,
    estimate: Estimate,
    weighted: list[tuple[float, _Steps]],
    products: Array,
    kernel: Array,
) -> Nearby:
    assert estimate.interaction is not None
    moved = (passes.normal.of_cities @ estimate.weight_path)[:, : passes.normal.n_years]  # [n_units, T, K]
    squares = estimate.city_influence**2
    replaced = [weight * (squares * steps.replaced).sum(axis=0) for weight, steps in weighted]
    total = squares.sum(axis=0)
    return Nearby(
        step=np.asarray(np.sum([weight * steps.values for weight, steps in weighted], axis=0)),
        interaction=estimate.interaction.matrix + 2 * city_years.factor(estimate.n_obs) * products,
        effective_cities=_effective(kernel, moved, passes.machine.threads),
        unidentified=np.divide(np.sum(replaced, axis=0), total, out=np.zeros_like(total), where=total > 0),
    )


def _effective(kernel: Array, weight_sums: Array, threads: int) -> Array:
    """`Nearby.effective_cities` from a ``[n_units, T, K]``."""
    of_kernel = sparse.csr_array(kernel)
    first, second = of_kernel.nonzero()

    def of_term(a: Array) -> float:
        shared = of_kernel.data * np.einsum("pt,pt->p", a[first], a[second])
        if not shared.any():
            return np.inf
        product = of_kernel @ sparse.csr_array(
            (shared, of_kernel.indices, of_kernel.indptr), shape=kernel.shape
        )
        square, trace = float((product * product.T).sum()), float(product.trace())
        return trace**2 / square if square > 0 and trace > 0 else 0.0

    with ThreadPoolExecutor(threads) as pool:  # products of sparse matrices release the interpreter's lock
        return np.array([*pool.map(of_term, np.moveaxis(weight_sums, 2, 0))])

"""Sums of influences: passes over the pairs that estimates from type sums take once coefficients are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array
from engine.estimate.city_years import CityYears, interaction, residual_sums
from engine.estimate.estimate import Estimate
from engine.estimate.many_samples import influence_products
from engine.estimate.normal import Normal
from engine.pairs.map_reduce import (
    CellBlock,
    InteractionPass,
    InteractionProductPass,
    MomentPass,
    ScorePass,
    interaction_products,
    interaction_sums,
    merge_graphs,
    merge_interactions,
    merge_products,
    merge_scores,
    pair_graph,
    score_sums,
)
from engine.pairs.moments import CityMoments
from engine.runtime.execute import UNITS, Machine

CELLS = 16  # cells whose influences one pass holds at a time
WIDEST = 600  # statistics of a pair of which a pass sums all products


@dataclass(frozen=True)
class PassSums:
    """Where passes run, their input, and what the first one gave; ``table``: treatment paths of all terms by class."""

    machine: Machine
    pass_input: MomentPass
    moments: CityMoments
    normal: Normal
    table: Array


def with_sums(passes: PassSums, estimates: list[Estimate], city_years: CityYears | None) -> list[Estimate]:
    """The estimates with their pair meat and, with the equations of `city_years_of`, their interaction."""
    products = None if city_years is None else _interaction_products(passes, city_years)
    summed: list[Estimate] = []
    for start in range(0, len(estimates), CELLS):
        block = estimates[start : start + CELLS]
        residual, weight = stacked_paths(block)
        if city_years is None:
            summed += _with_meat(passes, block, residual, weight)
        elif products is None:
            summed += _with_interaction(
                passes, block, interaction_pass(passes, block, city_years), city_years
            )
        else:
            with_meat = _with_meat(passes, block, residual, weight)
            summed += _with_products_of(passes, with_meat, weight, city_years, products)
    return summed


def stacked_paths(block: list[Estimate]) -> tuple[Array, Array]:
    """Residual paths ``[Q, n_cells]`` and weight paths ``[Q, n_cells, K]`` of some estimates, K of the widest."""
    residual = np.stack([estimate.residual_path for estimate in block], axis=1)
    weight = np.zeros((len(residual), len(block), max(len(estimate.terms) for estimate in block)))
    for number, estimate in enumerate(block):
        weight[:, number, : len(estimate.terms)] = estimate.weight_path
    return residual, weight


def _interaction_products(passes: PassSums, city_years: CityYears) -> Array | None:
    """Products of what city-year effects leave of the columns; None where the first pass has no products either."""
    n_years, n_columns = passes.normal.n_years, len(passes.normal.terms) + 1
    if passes.moments.products is None or (n_years + n_columns) * n_columns > WIDEST:
        return None
    of_cities = passes.normal.of_cities
    order = _kernel_order(of_cities.shape[1], passes.table.shape[-1])[n_years:]
    effects = city_years.solve(of_cities[:, :n_years, order])
    return passes.machine.reduce(
        interaction_products,
        InteractionProductPass(passes.pass_input, passes.table, effects),
        passes.pass_input.design.tasks(),
        merge_products,
        label="interactions",
        units=UNITS,
    )


def _with_products_of(
    passes: PassSums, block: list[Estimate], weight: Array, city_years: CityYears, products: Array
) -> list[Estimate]:
    """Estimates with their interaction, from `_interaction_products` and those of the first pass."""
    normal, moments, widest = passes.normal, passes.moments, weight.shape[2]
    order = _kernel_order(len(weight), passes.table.shape[-1])[normal.n_years :]
    of_terms = weight.reshape(len(weight), -1).T
    assert moments.products is not None
    squares = influence_products(
        moments.layout, moments.products, of_terms, of_terms[:, :, None], by_type(passes.table)
    ).reshape(len(block), widest)
    with_interaction = []
    for estimate, kappa_squares in zip(block, squares, strict=True):
        k = len(estimate.terms)
        outer = np.einsum("fk,g->kfg", estimate.weight_path[:-1], estimate.residual_path[order])
        phi = outer.reshape(k, -1)
        of_pairs = interaction(
            normal,
            estimate,
            city_years,
            products=phi @ products @ phi.T,
            kappa_squares=kappa_squares[:k],
            kappa=None,
            effects=_effects_of(passes, estimate, city_years),
        )
        with_interaction.append(replace(estimate, interaction=of_pairs))
    return with_interaction


def _effects_of(passes: PassSums, estimate: Estimate, city_years: CityYears) -> Array:
    """City-year effects ``[n_units, T]`` of the residuals of an estimate that has city parts, else none."""
    if not estimate.takes_both:
        return np.zeros((0, passes.normal.n_years))
    sums = residual_sums(passes.normal, estimate, directed=passes.pass_input.design.directed)
    return city_years.solve(sums[:, :, None])[:, :, 0]


def score_pass(passes: PassSums, residual: Array, weight: Array) -> ScorePass:
    """Input of passes that read influences, of estimates with `stacked_paths`."""
    order = _kernel_order(len(residual), passes.table.shape[-1])
    cells = CellBlock(passes.table, residual[order], weight[order].reshape(len(residual), -1))
    return ScorePass(passes.pass_input, cells)


def _with_meat(passes: PassSums, block: list[Estimate], residual: Array, weight: Array) -> list[Estimate]:
    """Pair meat by a second pass over the pairs, unless the first has the products."""
    moments = passes.moments
    if moments.products is not None:
        pair_meat = influence_products(
            moments.layout, moments.products, residual.T, weight.swapaxes(0, 1), by_type(passes.table)
        )
        reciprocal_meat = np.zeros_like(pair_meat)
    else:
        sums = passes.machine.reduce(
            score_sums,
            score_pass(passes, residual, weight),
            passes.pass_input.design.tasks(),
            merge_scores,
            label="scores",
            units=UNITS,
        )
        pair_meat, reciprocal_meat = sums.pair_meat, sums.reciprocal_meat
    return _with_products(block, pair_meat, reciprocal_meat)


def _with_products(block: list[Estimate], pair_meat: Array, reciprocal_meat: Array) -> list[Estimate]:
    """Estimates with sums ``[n_cells, K, K]``, K that of the widest."""
    with_products = []
    for estimate, meat, reciprocal in zip(block, pair_meat, reciprocal_meat, strict=True):
        k = len(estimate.terms)
        of_pairs = meat[:k, :k] if estimate.share_meat is None else meat[:k, :k] + estimate.share_meat
        with_products.append(replace(estimate, pair_meat=of_pairs, reciprocal_meat=reciprocal[:k, :k]))
    return with_products


def city_years_of(passes: PassSums) -> CityYears:
    """Equations of the city-year effects of the sample's pairs."""
    return sample_city_years(passes.machine, passes.pass_input)


def sample_city_years(machine: Machine, pass_input: MomentPass) -> CityYears:
    """`city_years_of` the input of a pass."""
    design = pass_input.design
    graph = machine.reduce(
        pair_graph, pass_input, design.tasks(), merge_graphs, label="pairs by year", units=UNITS
    )
    return CityYears.of(graph, design.n_units, design.n_years, directed=design.directed)


def interaction_pass(passes: PassSums, block: list[Estimate], city_years: CityYears) -> InteractionPass:
    """Input of passes that read influences without city-year effects."""
    directed = passes.pass_input.design.directed
    of_cities = np.stack(
        [residual_sums(passes.normal, estimate, directed=directed) for estimate in block], axis=2
    )
    return InteractionPass(score_pass(passes, *stacked_paths(block)), city_years.solve(of_cities))


def _with_interaction(
    passes: PassSums, block: list[Estimate], pass_input: InteractionPass, city_years: CityYears
) -> list[Estimate]:
    """Pair meat, and the influences without city-year effects, by a second pass."""
    sums = passes.machine.reduce(
        interaction_sums,
        pass_input,
        passes.pass_input.design.tasks(),
        merge_interactions,
        label="interactions",
        units=UNITS,
    )
    with_interaction = []
    with_meat = _with_products(block, sums.scores.pair_meat, sums.scores.reciprocal_meat)
    for number, estimate in enumerate(with_meat):
        k = len(estimate.terms)
        of_pairs = interaction(
            passes.normal,
            estimate,
            city_years,
            products=sums.products[number, :k, :k],
            kappa_squares=sums.kappa_squares[number, :k],
            kappa=None if sums.kappa is None else sums.kappa[:, number, :k],
            effects=pass_input.city_years[..., number],
        )
        with_interaction.append(replace(estimate, interaction=of_pairs))
    return with_interaction


def by_type(table: Array) -> Array:
    """Treatment paths ``[H, H, T, r]`` by class as ``[n_types, T, r]``, in the order of `type_of`."""
    return np.asarray(table[np.triu_indices(len(table))])


def _kernel_order(size: int, n_terms: int) -> Array:
    """From [years | columns | terms | outcome] to the kernel's [years | columns | outcome | terms]."""
    outcome, terms = size - 1, np.arange(size - 1 - n_terms, size - 1)
    return np.concatenate([np.arange(size - 1 - n_terms), [outcome], terms])

"""The protocol of pair designs: panel and table answer alike, and a table refuses by name the pairs of a sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.notes import Note
from engine.pairs.design import PairDesign
from engine.pairs.gravity import GravityModel, PairSample
from engine.pairs.pair_split import PairSplit
from engine.pairs.panel_design import Matches, PanelDesign
from engine.pairs.table_design import TableDesign
from engine.pairs.tiles import serial_map_reduce

N, T = 6, 4


def panel_design() -> PanelDesign:
    """Two of six units adopt, and pairs of the two are excluded."""
    rng = np.random.default_rng(1)
    allowed = np.array([[False, True], [True, True]])
    sample = PairSample(np.array([0, 0, 1, 1, 1, 1], np.int32), allowed)
    return PanelDesign(
        sample=sample,
        series=rng.normal(size=(N, T)),
        window=np.ones(T, bool),
        clip=0.0,
        levels=rng.normal(size=(N, T, 2)),
        kept_rows=None,
        edge=4,
        kinds=("sum", "difference"),
    )


def table_design() -> TableDesign:
    rng = np.random.default_rng(2)
    i, j = (np.array(side, np.int32) for side in ([0, 0, 1], [1, 2, 2]))
    return TableDesign(i, j, rng.normal(size=(3, T, 3)), 3, directed=False, weights=rng.uniform(1, 2, (3, T)))


@pytest.mark.parametrize("design", [panel_design(), table_design()], ids=["panel", "table"])
def test_a_list_of_pairs_holds_the_rows_of_the_chunks(design: PairDesign) -> None:
    length, screened = design.list_length(every_screen=False, map_reduce=serial_map_reduce)
    i, j, tie_start = design.pair_list(length, screened=False)
    assert screened is None
    assert tie_start.tolist() == list(range(length))
    position = {pair: k for k, pair in enumerate(zip(i.tolist(), j.tolist(), strict=True))}
    chunks = [chunk for task in design.tasks() for chunk in design.chunks(task)]
    assert sum(chunk.n for chunk in chunks) > 0
    for chunk in chunks:
        places = [position[chunk.i[k], chunk.j[k]] for k in range(chunk.n)]
        for k, place in enumerate(places):
            part = slice(place, place + 1)
            values, weights = design.listed_rows(part, i[part], j[part], 2)
            for listed, in_chunk in ((values, chunk.values), (weights, chunk.weights)):
                assert (listed is None) == (in_chunk is None)
                if listed is not None and in_chunk is not None:
                    np.testing.assert_array_equal(listed, [in_chunk[k], np.zeros_like(in_chunk[k])])


@pytest.mark.parametrize("design", [panel_design(), table_design()], ids=["panel", "table"])
def test_rows_of_years_that_are_left_out_make_a_design_incomplete(design: PairDesign) -> None:
    assert design.complete == (design.n_classes == 2)  # the table has weights
    fewer = design.without_years(np.arange(T) == 1)
    assert not fewer.complete
    assert (fewer.n_years, fewer.n_columns, fewer.n_units) == (T, 3, design.n_units)
    assert design.allowed.shape == (design.n_classes, design.n_classes)
    assert set(design.classes.tolist()) == set(range(design.n_classes))


def test_the_steps_of_a_panel_are_the_filters_that_it_applies() -> None:
    design = panel_design()
    assert [(step.step, step.pairs, step.rows) for step in design.steps] == [
        (Note("both_treated_excluded"), 14, 14 * T)
    ]
    everyone = replace(design, sample=replace(design.sample, allowed=np.ones((2, 2), bool)))
    assert everyone.steps == ()
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0.6, 0.8, 0]], float)
    screened = replace(everyone.sample, gravity=GravityModel(np.arange(6.0), corners)).screened()
    weights, low = np.array([[0.0, 2.0, 1.0, 1.0]]), Note.of("split_class", part="low", column="size")
    filtered = replace(
        everyone,
        sample=screened,
        split=PairSplit(np.zeros(N), (-1.0, 1.0), 5, low),
        matches=Matches(np.array([1]), weights),
    )
    assert screened.n_kept is not None
    assert [(step.step, step.pairs, step.rows) for step in filtered.steps] == [
        (Note("gravity_above_median"), screened.n_kept, screened.n_kept * T),
        (low, 5, 5 * T),
        (Note("matched"), 1, 3),
    ]


def test_a_sample_without_gravity_model_has_no_threshold() -> None:
    sample = panel_design().sample
    assert sample.threshold == -np.inf
    assert sample.ln_force(np.array([0, 1], np.int32), np.array([2, 3], np.int32)).tolist() == [0.0, 0.0]

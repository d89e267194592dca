"""Tasks, messages and bytes of a pass as the grid grows: the formulas of `cluster/SCALE.md`, counted and measured."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

from engine.pairs import tiles as module
from engine.pairs.gravity import Between, GravityModel, PairSample
from engine.pairs.map_reduce import MomentPass
from engine.pairs.moments import added
from engine.pairs.panel_design import PanelDesign
from engine.pairs.tiles import groups, most_groups, triangle
from engine.runtime.execute import Machine

YEARS, CONTROLS = 6, 2


def design(n: int, edge: int = 256) -> PanelDesign:
    rng = np.random.default_rng(n)
    classes = rng.integers(0, 3, n).astype(np.int32)
    gravity = GravityModel(rng.normal(size=n), rng.normal(size=(n, 3)))
    sample = PairSample(classes, np.ones((3, 3), dtype=bool), gravity)
    levels = rng.normal(size=(n, YEARS, CONTROLS))
    return PanelDesign(
        sample, rng.normal(size=(n, YEARS)), np.ones(YEARS, bool), 0.0, levels, None, min(edge, n)
    )


def pickled(value: object) -> int:
    return len(pickle.dumps(value, protocol=5))


@pytest.mark.parametrize(
    ("n_units", "tasks"),
    [(254, 1), (2_000, 36), (2_850, 64), (10_000, 95), (40_000, 1_525), (200_000, 4_096)],
)
def test_tasks_of_a_pass_over_the_pairs(n_units: int, tasks: int) -> None:
    """min(tiles, max(64, pairs / 2^19), 4,096), from the grid alone."""
    edge = min(n_units, 256)
    bands = -(-n_units // edge)
    limit = min(4_096, max(64, math.comb(n_units, 2) // 2**19))
    assert most_groups(math.comb(n_units, 2)) == limit
    assert tasks == min(limit, bands * (bands + 1) // 2)
    if n_units < 100_000:
        assert len(groups(triangle(n_units, edge))) == pytest.approx(tasks, abs=1 + tasks // 200)
    assert len(groups(triangle(n_units, edge))) <= tasks


def test_small_grids_keep_their_tasks() -> None:
    """Up to 33 million pairs nothing changes: neither tasks nor the last bits of what they sum."""
    for n in (300, 2_850, 8_000):
        tiles = triangle(n, 64)
        assert groups(tiles) == groups(tiles, 64)


@pytest.mark.parametrize("setting", [lambda one: MomentPass(one, True), lambda one: Between(one.sample)])
def test_bytes_to_a_worker_are_those_of_the_panel(setting: Any) -> None:
    """At most 8 N (T (k + 1) + 5) and a constant: series and levels, mass, place and class of each unit."""
    sizes = {n: pickled(setting(design(n))) for n in (100, 400, 1_600)}
    for n, size in sizes.items():
        assert size <= 8 * n * (YEARS * (CONTROLS + 1) + 5) + 3_000
    slope = (sizes[1_600] - sizes[400]) / 1_200
    assert sizes[400] - sizes[100] == pytest.approx(300 * slope, rel=0.05)


def test_bytes_of_a_task_are_those_of_its_tiles() -> None:
    """The scheduler keeps every task of a pass: under 200 bytes a tile and 200 more."""
    for n in (3_000, 12_000):
        for task in design(n).tasks()[::7]:
            assert pickled(task) <= 200 * (1 + len(task))


@pytest.mark.parametrize("n", [3_000, 12_000, 40_000])
def test_cities_in_the_parts_of_the_moments(n: int) -> None:
    """What workers hold and send: a task of a band its own tiles' cities, one that ends a band at most all of them."""
    one = design(10)  # `span` asks for nothing but the tiles
    tasks = groups(triangle(n, 256))
    spans = [one.span(task) for task in tasks]
    sizes = np.array([(a - b) + (c - d) for (b, a), (d, c) in spans])
    inside = np.array([task[0].rows == task[-1].rows for task in tasks])
    assert (sizes[inside] <= 256 * (1 + max(map(len, tasks)))).all()
    assert sizes.max() <= n + 256 * (1 + len(tasks[-1]))
    assert sizes.sum() < len(tasks) * 256 * (2 + max(map(len, tasks))) + n * -(-n // 256)


@pytest.mark.parametrize("n", [3_000, 12_000, 40_000])
def test_cities_that_reach_the_driver(n: int) -> None:
    """In 8 parts at most: their first cities add up to N and an edge each, their second to 8 N at most."""
    one, tasks = design(10), groups(triangle(n, 256))
    size = 1
    while -(-len(tasks) // size) > 8:
        size *= 2
    first = second = 0
    for start in range(0, len(tasks), size):
        spans = [one.span(task) for task in tasks[start : start + size]]
        first += max(top[1] for top, _ in spans) - min(top[0] for top, _ in spans)
        second += max(left[1] for _, left in spans) - min(left[0] for _, left in spans)
    assert first <= n + 8 * 256 * (1 + max(map(len, tasks)))
    assert second <= 8 * n


def test_ranges_of_cities_are_added_where_they_belong() -> None:
    rng = np.random.default_rng(0)
    for at, length, other_at, other_length in [(0, 4, 2, 5), (6, 2, 0, 3), (3, 2, 1, 7), (1, 3, 1, 3)]:
        one, other = rng.normal(size=(length, 2, 3)), rng.normal(size=(other_length, 2, 3))
        whole = np.zeros((12, 2, 3))
        whole[at : at + length] += one
        whole[other_at : other_at + other_length] += other
        found, start = added(one, at, other, other_at)
        assert start == min(at, other_at)
        np.testing.assert_array_equal(found, whole[start : start + len(found)])
        assert not whole[:start].any()
        assert not whole[start + len(found) :].any()


def test_the_moments_of_many_tasks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of any cut add up to every city, on any tree."""
    from engine.pairs.map_reduce import city_moments, merge_moments

    small = design(60, edge=8)
    setting = MomentPass(small, True)
    whole = city_moments(setting, triangle(60, 8))
    assert len(whole.first) == len(whole.second) == 60
    monkeypatch.setattr(module, "MAX_GROUPS", 13)
    found = Machine(threads=2).reduce(city_moments, setting, small.tasks(), merge_moments, label="m", units=4)
    assert (found.first_at, found.second_at, len(found.first), len(found.second)) == (0, 0, 60, 60)
    np.testing.assert_allclose(found.first, whole.first, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(found.second, whole.second, rtol=1e-13, atol=1e-12)

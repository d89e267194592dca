"""Matching against a plain quadratic search, with ties, groups, calipers, and more treated rows than controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import KDTree

from engine.errors import InputError
from engine.estimate import matching as module
from engine.estimate.matching import Matched, MatchOptions, match

MASK = 2**64 - 1


def split_mix(state: int) -> int:
    """One output of SplitMix64, in integers of any length; published outputs are tested below."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def word(seed: int, name: int) -> int:
    z = (name + split_mix(seed)) & MASK
    return split_mix((z - 0x9E3779B97F4A7C15) & MASK)


@dataclass(frozen=True)
class World:
    score: np.ndarray
    treated: np.ndarray
    ids: np.ndarray
    groups: np.ndarray


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Rows with a treated one and a control at least; scores on a coarse grid tie often, others never."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, share = draw(st.integers(2, 60)), draw(st.sampled_from([0.1, 0.4, 0.9]))
    treated = rng.random(n) < share
    treated[:2] = [True, False]
    # A grid of eighths: differences are exact, so that equal distances are equal in float64 too.
    steps = draw(st.sampled_from([0, 3, 12]))
    score = rng.integers(-steps, steps + 1, n) / 8 if steps else rng.normal(size=n) + treated
    groups = rng.integers(0, draw(st.sampled_from([1, 3, 8])), n)
    ids = rng.permutation(3 * n)[:n] - n
    order = rng.permutation(n)
    return World(score[order], treated[order], ids[order], groups[order])


def quadratic(
    world: World,
    *,
    caliper: float | None = None,
    replacement: bool = True,
    common_support: bool = True,
    seed: int = 0,
) -> tuple[dict[int, int], int, int, float]:
    """Control of each matched treated row, rows off the support, rows without a control, and the width."""
    score, rows = world.score, range(len(world.score))
    width = np.inf
    if caliper is not None:
        arms = [[score[r] for r in rows if world.treated[r] == arm] for arm in (True, False)]
        spread = [sum((s - sum(arm) / len(arm)) ** 2 for s in arm) / (len(arm) - 1) for arm in arms]
        width = caliper * ((spread[0] + spread[1]) / 2) ** 0.5
    queue = [r for r in rows if world.treated[r]]
    if not replacement:
        queue.sort(key=lambda r: word(seed, int(world.ids[r])))
    taken, found, off, left_over = set(), {}, 0, 0
    for t in queue:
        group = [c for c in rows if not world.treated[c] and world.groups[c] == world.groups[t]]
        scores = [score[c] for c in group]
        if common_support and group and not min(scores) <= score[t] <= max(scores):
            off += 1
            continue
        near = [c for c in group if abs(score[t] - score[c]) <= width and c not in taken]
        if not near:
            left_over += 1
            continue
        found[t] = min(near, key=lambda c: (abs(score[t] - score[c]), world.ids[c]))
        if not replacement:
            taken.add(found[t])
    return found, off, left_over, width


def matched(world: World, **settings: Any) -> Matched:
    return match(
        world.score, world.treated, ids=world.ids, groups=world.groups, options=MatchOptions(**settings)
    )


@settings(max_examples=300)
@given(worlds(), st.sampled_from([None, 0.1, 0.5]), st.booleans(), st.booleans(), st.integers(0, 2**64 - 1))
def test_equals_a_quadratic_search(
    world: World, caliper: float | None, replacement: bool, common_support: bool, seed: int
) -> None:
    rule: dict[str, Any] = {
        "caliper": caliper if 1 < world.treated.sum() < len(world.treated) - 1 else None,
        "replacement": replacement,
        "common_support": common_support,
        "seed": seed,
    }
    found, off, left_over, width = quadratic(world, **rule)
    if not found:
        with pytest.raises(InputError, match="treated rows finds a control"):
            matched(world, **rule)
        return
    own = matched(world, **rule)
    rows = sorted(found)
    partner = np.array([found[r] for r in rows])
    weight = np.zeros(len(world.score))
    for t, c in found.items():
        weight[t] = 1
        weight[c] += 1
    np.testing.assert_array_equal(own.rows, rows)
    np.testing.assert_array_equal(own.partner, partner)
    np.testing.assert_array_equal(own.weight, weight)
    np.testing.assert_array_equal(own.distance, np.abs(world.score[rows] - world.score[partner]))
    # Two ways to sum at most 60 squares.
    np.testing.assert_allclose(own.width, width, rtol=1e-13)
    n_treated = int(world.treated.sum())
    assert (own.n_treated, own.n_controls) == (n_treated, len(world.treated) - n_treated)
    assert (own.n_off_support, own.n_unmatched) == (off, left_over)
    assert own.n_controls_used == len(set(found.values()))


@settings(max_examples=100)
@given(worlds(), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(world: World, replacement: bool, seed: int) -> None:
    rule = {"replacement": replacement, "common_support": False}
    order = np.random.default_rng(seed).permutation(len(world.score))
    other = World(*(part[order] for part in vars(world).values()))

    def pairs(world: World) -> set[tuple[int, int, int]] | None:
        try:
            own = matched(world, **rule)
        except InputError:
            return None
        names = world.groups[own.rows], world.ids[own.rows], world.ids[own.partner]
        return set(zip(*(part.tolist() for part in names), strict=True))

    assert pairs(world) == pairs(other)


def test_distances_are_those_of_a_tree() -> None:
    """Ten thousand rows, where a quadratic search is slow: scipy's k-d tree."""
    rng = np.random.default_rng(0)
    score, treated = rng.normal(size=10_000), rng.random(10_000) < 0.4
    own = match(score, treated, ids=np.arange(10_000), options=MatchOptions(common_support=False))
    distance, place = KDTree(score[~treated, None]).query(score[treated, None])
    np.testing.assert_array_equal(own.rows, np.flatnonzero(treated))
    np.testing.assert_array_equal(own.partner, np.flatnonzero(~treated)[place])
    # The tree takes the root of a square.
    np.testing.assert_allclose(own.distance, distance, rtol=1e-12)


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_without_replacement_among_many_rows(share: float) -> None:
    """Long runs of taken controls, and scores shared by a hundred rows each."""
    rng = np.random.default_rng(1)
    n = 1500
    treated = rng.random(n) < share
    score = np.where(rng.random(n) < 0.5, rng.integers(0, 8, n), np.round(rng.normal(4, 2, n), 2))
    world = World(score, treated, rng.permutation(n), np.zeros(n, dtype=np.int64))
    for seed in range(2):
        found, _, left_over, _ = quadratic(world, replacement=False, common_support=False, seed=seed)
        own = matched(world, replacement=False, common_support=False, seed=seed)
        assert dict(zip(own.rows.tolist(), own.partner.tolist(), strict=True)) == found
        assert len(own.rows) == min(treated.sum(), n - treated.sum())
        assert own.n_unmatched == left_over
        assert own.weight.max() == 1


def test_groups_are_matched_as_if_alone() -> None:
    rng = np.random.default_rng(2)
    n = 900
    score, treated = np.round(rng.normal(size=n), 1), rng.random(n) < 0.3
    pair, year = np.tile(np.arange(90), 10), np.repeat(np.arange(2010, 2020), 90)
    for replacement in (True, False):
        options = MatchOptions(replacement=replacement)
        whole = match(score, treated, ids=pair, groups=year, options=options)
        weight = np.zeros(n)
        for one in range(2010, 2020):
            rows = year == one
            weight[rows] = match(score[rows], treated[rows], ids=pair[rows], options=options).weight
        np.testing.assert_array_equal(whole.weight, weight)


def test_a_group_without_controls_is_unmatched_not_off_support() -> None:
    own = match(
        np.array([0.0, 0.0, 1.0, 5.0, 9.0]),
        np.array([True, False, False, True, True]),
        ids=np.arange(5),
        groups=np.array([7, 7, 7, 8, 7]),
    )
    np.testing.assert_array_equal(own.weight, [1, 1, 0, 0, 0])
    assert (own.n_treated, own.n_off_support, own.n_unmatched) == (3, 1, 1)


def test_ties_go_to_the_smallest_id_on_either_side() -> None:
    score = np.array([0.5, 0.25, 0.75, 0.25, 0.75])
    treated = np.array([True, False, False, False, False])
    for smallest in range(1, 5):
        ids = np.array([9, 5, 6, 7, 8])
        ids[smallest] = -1
        for replacement in (True, False):
            own = match(score, treated, ids=ids, options=MatchOptions(replacement=replacement))
            np.testing.assert_array_equal(own.partner, [smallest])


def test_a_caliper_includes_its_width() -> None:
    # Both variances are 4, so that half a standard deviation is the distance of all neighbours.
    score = np.array([0.0, 2.0, 4.0, 1.0, 3.0, 5.0])
    treated = np.arange(6) < 3
    own = match(score, treated, ids=np.arange(6), options=MatchOptions(caliper=0.5, common_support=False))
    assert own.width == 1.0
    np.testing.assert_array_equal(own.partner, [3, 3, 4])
    with pytest.raises(InputError, match="none of 3 treated rows finds a control\n  hint: widen the caliper"):
        match(score, treated, ids=np.arange(6), options=MatchOptions(caliper=0.4999, common_support=False))


# -- the draw ----------------------------------------------------------------------------------------------


def test_published_outputs_of_the_generator() -> None:
    assert split_mix(0) == 0xE220A8397B1DCDAF
    assert split_mix(1234567) == 6457827717110365317


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_words_are_those_of_integers_of_any_length(seed: int, names: list[int]) -> None:
    own = module._words(seed, np.array(names, dtype=np.int64))
    assert own.tolist() == [word(seed, name) for name in names]


def test_the_lot_is_fair_and_the_seed_decides_it() -> None:
    """Two treated rows, one control: over 2,000 seeds the first one gets it in half, give or take four errors."""
    score, treated = np.array([0.0, 0.0, 0.0]), np.array([True, True, False])

    def winner(seed: int) -> int:
        options = MatchOptions(replacement=False, seed=seed)
        return int(match(score, treated, ids=np.arange(3), options=options).rows[0])

    winners = [winner(seed) for seed in range(2000)]
    assert winners == [winner(seed) for seed in range(2000)]
    assert abs(np.mean(winners) - 0.5) < 4 * 0.5 / np.sqrt(2000)


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "settings", "said"),
    [
        (lambda s, t: t.fill(False), {}, "matching: there are no treated rows among 6 rows"),
        (lambda s, t: t.fill(True), {}, "matching: there are no controls among 6 rows"),
        (lambda s, t: s.__setitem__(2, np.nan), {}, "the score is missing or infinite in 1 rows"),
        (lambda s, t: s.__setitem__(slice(2), np.inf), {}, "the score is missing or infinite in 2 rows"),
        (lambda s, t: None, {"caliper": 0.0}, "matching.caliper: the caliper is 0.0"),
        (lambda s, t: None, {"caliper": -1.0}, "matching.caliper: the caliper is -1.0"),
        (lambda s, t: None, {"caliper": np.nan}, "matching.caliper: the caliper is nan"),
        (lambda s, t: t.__setitem__(0, False), {"caliper": 0.2}, "needs two treated rows and two controls"),
        (lambda s, t: s.__setitem__(t, 99.0), {}, "none of 2 treated rows finds a control"),
    ],
)
def test_bad_input_is_refused(change: Callable[..., None], settings: dict[str, Any], said: str) -> None:
    score, treated = np.arange(6.0), np.array([True, False, False, False, True, False])
    change(score, treated)
    with pytest.raises(InputError, match=said) as error:
        match(score, treated, ids=np.arange(6), options=MatchOptions(**settings))
    assert error.value.remedy


def test_ids_and_shapes_are_checked() -> None:
    score, treated = np.arange(4.0), np.array([True, False, True, False])
    with pytest.raises(ValueError, match="every id once in a group"):
        match(score, treated, ids=np.array([0, 1, 1, 2]))
    years = np.array([1, 1, 2, 2])
    own = match(
        score, treated, ids=np.array([0, 1, 1, 2]), groups=years, options=MatchOptions(common_support=False)
    )
    np.testing.assert_array_equal(own.partner, [1, 3])
    with pytest.raises(ValueError, match="expected arrays of one length"):
        match(score, treated, ids=np.arange(3))

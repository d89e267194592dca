"""Permutations of a third of the pairs, whose bounds are those of each draw's own pairs, against refits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import engine
from engine.float64 import double_precision
from engine.infer import permuted_sums
from engine.infer.draws import permuted_classes
from engine.infer.pair_permutation import PairPermutation, pair_permutation_sums
from engine.infer.permutation import Permutation, drawn_classes, draws_of, permutation_draws
from engine.spec.inference import PermutationTest
from engine.stages.inference.permutation_draws import permutation_test
from engine.stages.inference.refitted_draws import refits_of, refitted_test

THIRDS = ("low", "mixed", "high")
REPLICATES = np.arange(6, dtype=np.int32)


def pairs_of(third: str, exclude: str = "both_treated") -> dict[str, object]:
    return {"exclude": exclude, "split": {"by": "schools", "rule": "terciles", "pairs": third}}


def first_pass(third: str, *, holes: bool = False, gravity: bool = True, **blocks: object) -> worlds.Pass:
    pairs = pairs_of(third) | ({"gravity": {"mass": ["population"], "year": 2010}} if gravity else {})
    return worlds.first_pass(worlds.panel(2, holes=holes), pairs=pairs, **blocks)


def permutation(done: worlds.Pass, screen: Literal["fixed", "recomputed"] = "recomputed") -> Permutation:
    return permutation_test(done.prepared, done.results, PermutationTest(reps=9, seed=3, screen=screen))


@pytest.mark.parametrize("screen", ["fixed", "recomputed", "none"])
@pytest.mark.parametrize("third", THIRDS)
@pytest.mark.parametrize("estimator", ["twfe", "event_study"])
def test_draws_are_refits(estimator: str, third: str, screen: str) -> None:
    model = {"estimator": estimator} | ({"window": [-2, 1]} if estimator == "event_study" else {})
    for holes in (False, True):
        done = first_pass(third, holes=holes, gravity=screen != "none", model=model)
        block = PermutationTest(reps=9, seed=3, screen="fixed" if screen == "fixed" else "recomputed")
        classes = permuted_classes(3, REPLICATES, done.prepared.design.classes)
        test = permutation(done, block.screen)
        assert test.sample.split is not None
        drawn = draws_of(test, classes, REPLICATES)
        refits = refits_of(refitted_test(done.prepared, done.results[0], block), classes, REPLICATES)
        assert np.isfinite(refits.estimate[0]).any()
        assert_allclose(drawn.estimate[0], refits.estimate[0], rtol=1e-8, atol=1e-12)
        assert_allclose(drawn.statistic[0], refits.statistic[0], rtol=1e-7)
        assert drawn.fallback == refits.fallback


@pytest.mark.parametrize("third", THIRDS)
def test_bounds_move_with_the_pairs_that_a_draw_leaves(third: str) -> None:
    """By quantiles of the sums of the pairs that each draw's exclusion and screen leave, pair by pair."""
    test = permutation(first_pass(third))
    sample, split = test.sample, test.sample.split
    assert split is not None
    classes = drawn_classes(test, REPLICATES)
    with double_precision():
        _, reach = permuted_sums.type_sums(sample, classes)
    assert reach.bounds is not None
    moved = 0
    for of_draw, screen, bounds in zip(classes, reach.screens, reach.bounds.T, strict=True):
        sums = sorted(
            split.value[i] + split.value[j]
            for i, j in zip(sample.pairs.i[:screen], sample.pairs.j[:screen], strict=True)
            if sample.allowed[of_draw[i], of_draw[j]]
        )
        cuts = [-np.inf, *np.quantile(sums, [1 / 3, 2 / 3]), np.inf]
        place = THIRDS.index(third)
        np.testing.assert_array_equal(bounds, cuts[place : place + 2])
        moved += tuple(bounds) != split.bounds
    assert moved


def test_the_observed_assignment_has_the_sample_of_the_estimate() -> None:
    done = first_pass("mixed")
    drawn = permutation_draws(permutation(done), np.array([-1], dtype=np.int32))
    fit, errors = done.results[0].fit, done.results[0].studentising
    place = fit.names.index("policy")
    assert_allclose(drawn.estimate[0][0, 0], fit.values[place], rtol=1e-9)
    assert_allclose(drawn.statistic[0][0, 0], fit.values[place] / errors.std_error[place], rtol=1e-8)


def test_tiles_that_are_computed_when_read_give_the_same() -> None:
    test = permutation(first_pass("mixed"))
    computed = replace(test, sample=replace(test.sample, pairs=replace(test.sample.pairs, in_memory=False)))
    from_memory, from_tiles = (permutation_draws(each, REPLICATES) for each in (test, computed))
    for name in ("estimate", "statistic", "inversion"):
        assert_allclose(getattr(from_tiles, name)[0], getattr(from_memory, name)[0], rtol=1e-9)


def test_pairs_are_shuffled_within_the_third() -> None:
    test = permutation(first_pass("mixed"))
    sums = pair_permutation_sums(PairPermutation(test.sample, 0, 4), np.arange(4, dtype=np.int32))
    with double_precision():
        observed, _ = permuted_sums.type_sums(test.sample, test.sample.classes[None])
    for shuffled in sums:
        assert_allclose(shuffled.sum(axis=0), observed[0].sum(axis=0), rtol=1e-9, atol=1e-9)


def test_a_job_has_an_interval_that_is_the_inversion_of_its_test(tmp_path: Path) -> None:
    """At an end of the interval the p-value of the outcome less that effect passes the level."""
    frame = worlds.panel(4)
    blocks = {"pairs": pairs_of("mixed"), "inference": {"permutation": {"reps": 199, "seed": 8}}}
    found = engine.run(worlds.write(tmp_path, frame, worlds.job_of(frame, **blocks)))
    rows = found.inference.set_index("method")
    row = rows.loc["permutation"]
    estimate = found.estimates.set_index("errors").loc["dyadic", "estimate"]
    assert row["conf_low"] < float(np.ravel(estimate)[-1]) < row["conf_high"]
    assert "pair_shuffle" in set(found.draws["method"])


def test_splits_by_two_columns_with_equal_bounds_are_two(tmp_path: Path) -> None:
    """Codes 0 to 3 of the cities in two orders: what a process keeps of one is not the other's."""
    frame = worlds.panel(4)
    code = frame.groupby("city").ngroup() % 4
    frame = frame.assign(
        one=code.astype(float), other=((code + frame.groupby("city").ngroup() // 4) % 4).astype(float)
    )
    blocks = {"inference": {"permutation": {"reps": 40, "seed": 3}}}

    def tests_of(name: str, **changes: object) -> pd.DataFrame:
        (tmp_path / name).mkdir()
        split = {"by": "one", "rule": "terciles", "pairs": "mixed"}
        job = worlds.job_of(frame, pairs={"exclude": "both_treated", "split": split}, **blocks) | changes
        found = engine.run(worlds.write(tmp_path / name, frame, job)).inference
        return found[found["method"] == "permutation"][["statistic", "p_value", "conf_low", "conf_high"]]

    together = tests_of("both", sweep={"pairs.split.by": ["one", "other"]})
    alone = [tests_of(by, sweep={"pairs.split.by": [by]}) for by in ("one", "other")]
    assert_allclose(together, pd.concat(alone), rtol=1e-12)
    assert not np.allclose(*(each.to_numpy() for each in alone))

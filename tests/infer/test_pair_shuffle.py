"""The customary placebo that misleads: pairs shuffled, one literal regression a draw."""

from __future__ import annotations

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pytest
import reference
from tolerances import BRUTE

from engine.infer.draws import words
from engine.infer.pair_shuffle import Shuffles, pair_shuffle_estimates, shuffled_sums
from engine.pairs import features
from engine.spec.inference import PermutationTest
from engine.stages.inference.permutation import permutation_setting


@pytest.mark.parametrize("holes", [False, True], ids=["balanced", "missing"])
def test_each_shuffle_is_a_refit(holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are dealt to the pairs in the order of their random words; a pair takes the path of its type."""
    frame = worlds.panel(holes=holes)
    done = worlds.first_pass(frame)
    setting = permutation_setting(done.prepared, done.results, PermutationTest(reps=1))
    given, cell = setting.given, setting.cells[0]
    every = np.arange(20, dtype=np.int32)
    found = pair_shuffle_estimates(given, cell, shuffled_sums(Shuffles(given, 3, 20), every))
    monkeypatch.setattr(features, "TILE", 10)
    short = [shuffled_sums(Shuffles(given, 3, 8), block) for block in np.split(every, [8, 16])]
    np.testing.assert_allclose(pair_shuffle_estimates(given, cell, np.concatenate(short)), found, rtol=1e-11)

    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    i, j = given.pairs.i, given.pairs.j
    named = [(done.units[a], done.units[b]) for a, b in zip(i, j, strict=True)]
    kept = set(
        long[np.isfinite(long["y"])]
        .groupby(oracle.PAIR)
        .filter(lambda own: len(own) > 1)
        .set_index(oracle.PAIR)
        .index
    )
    place = [number for number, pair in enumerate(named) if pair in kept]
    by_type = sorted(
        place, key=lambda number: tuple(sorted((given.classes[i[number]], given.classes[j[number]])))
    )
    pairs, in_order = [named[number] for number in place], [named[number] for number in by_type]
    paths = long.pivot(index=oracle.PAIR, columns="year", values="policy").loc[in_order].to_numpy()
    long = long.set_index(oracle.PAIR).loc[sorted(set(pairs))].reset_index()
    for replicate in range(20):
        order = np.argsort(words(3, np.array([replicate], dtype=np.int32), len(pairs))[0])
        dealt = {pairs[place]: paths[slot] for slot, place in enumerate(order)}
        policy = np.concatenate([dealt[pair] for pair in sorted(set(pairs))])
        fit = reference.estimate(long.assign(policy=policy), ["edu", "dense", "policy"])
        error = np.sqrt(fit.pair()[-1, -1])
        assert abs(found[replicate, 0] - fit.coefficients[-1]) < BRUTE * error


def test_the_spread_is_that_of_the_pair_clustered_error() -> None:
    """Which is why it misleads: a permutation of cities spreads wider on the same panel."""
    done = worlds.first_pass(worlds.panel(2))
    setting = permutation_setting(done.prepared, done.results, PermutationTest(reps=1))
    sums = shuffled_sums(Shuffles(setting.given, 0, 400), np.arange(400, dtype=np.int32))
    found = pair_shuffle_estimates(setting.given, setting.cells[0], sums)
    result = done.results[0]
    pair = next(one for one in result.covariances if one.kind == "pair").std_error[-1]
    assert np.isfinite(found).all()
    # The error is itself an estimate, from some thirty pairs: a factor of two separates it from any mistake of form.
    assert pair / 2 < found.std() < 2 * pair

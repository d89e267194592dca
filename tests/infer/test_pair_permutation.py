"""The customary placebo that misleads: pairs shuffled, one literal regression a draw."""

from __future__ import annotations

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pytest
import reference
from tolerances import BRUTE

from engine.infer.draws import random_bits
from engine.infer.pair_permutation import PairPermutation, pair_permutation_estimates, pair_permutation_sums
from engine.pairs import pair_statistics
from engine.spec.inference import PermutationTest
from engine.stages.inference.permutation_draws import permutation_test


@pytest.mark.parametrize(
    ("holes", "around"), [(False, None), (True, None), (False, 2)], ids=["balanced", "missing", "window"]
)
def test_each_shuffle_is_a_refit(holes: bool, around: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are dealt to the pairs in the order of their random words; a pair takes the path of its type, and its
    years.
    """
    frame = worlds.panel(holes=holes)
    treatment = {"adoption": "pilot_year", "rule": "exactly_one", "around": around}
    done = worlds.first_pass(frame, treatment=treatment)
    setting = permutation_test(done.prepared, done.results, PermutationTest(reps=1))
    given, cell = setting.sample, setting.cells[0]
    every = np.arange(20, dtype=np.int32)
    found = pair_permutation_estimates(
        given, cell, pair_permutation_sums(PairPermutation(given, 3, 20), every)
    )
    monkeypatch.setattr(pair_statistics, "TILE", 10)
    short = [pair_permutation_sums(PairPermutation(given, 3, 8), block) for block in np.split(every, [8, 16])]
    np.testing.assert_allclose(
        pair_permutation_estimates(given, cell, np.concatenate(short)), found, rtol=1e-11
    )

    adopted = worlds.observed_adoption(frame)
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), adopted)
    of_pair = np.minimum(*(long[side].map(adopted) for side in oracle.PAIR))
    near = True if around is None else np.isinf(of_pair) | ((long["year"] - of_pair).abs() <= around)
    long = long.assign(near=near)
    i, j = given.pairs.i, given.pairs.j
    named = [(done.units[a], done.units[b]) for a, b in zip(i, j, strict=True)]
    kept = set(
        long[np.isfinite(long["y"]) & long["near"]]
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
    paths, years = (
        long.pivot(index=oracle.PAIR, columns="year", values=name).loc[in_order].to_numpy()
        for name in ("policy", "near")
    )
    long = long.set_index(oracle.PAIR).loc[sorted(set(pairs))].reset_index()
    for replicate in range(20):
        order = np.argsort(random_bits(3, np.array([replicate], dtype=np.int32), len(pairs))[0])
        slots = {pairs[place]: slot for slot, place in enumerate(order)}
        policy, rows = (
            np.concatenate([of_type[slots[pair]] for pair in sorted(set(pairs))])
            for of_type in (paths, years)
        )
        fit = reference.estimate(long.assign(policy=policy)[rows], ["edu", "dense", "policy"])
        error = np.sqrt(fit.pair()[-1, -1])
        assert abs(found[replicate, 0] - fit.coefficients[-1]) < BRUTE * error


def test_the_spread_is_that_of_the_pair_clustered_error() -> None:
    """Which is why it misleads: a permutation of cities spreads wider on the same panel."""
    done = worlds.first_pass(worlds.panel(2))
    setting = permutation_test(done.prepared, done.results, PermutationTest(reps=1))
    sums = pair_permutation_sums(PairPermutation(setting.sample, 0, 400), np.arange(400, dtype=np.int32))
    found = pair_permutation_estimates(setting.sample, setting.cells[0], sums)
    result = done.results[0]
    pair = next(one for one in result.covariances if one.kind == "pair").std_error[-1]
    assert np.isfinite(found).all()
    # The error is itself an estimate, from some thirty pairs: a factor of two separates it from any mistake of form.
    assert pair / 2 < found.std() < 2 * pair

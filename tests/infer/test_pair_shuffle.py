"""The customary placebo that misleads: pairs shuffled, one literal regression a draw."""

from __future__ import annotations

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pytest
import reference
from tolerances import BRUTE

from engine.infer import pair_shuffle as module
from engine.infer.draws import words
from engine.infer.pair_shuffle import pair_shuffle_estimates
from engine.stages.inference import shared


@pytest.mark.parametrize("holes", [False, True], ids=["balanced", "missing"])
def test_each_shuffle_is_a_refit(holes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types are dealt to the pairs in the order of their random words; a pair takes the path of its type."""
    frame = worlds.panel(holes=holes)
    done = worlds.first_pass(frame)
    setting = shared.weighted_setting(done.prepared)
    cell = shared.tested_of(done.prepared, done.results[0], None)
    found = pair_shuffle_estimates(setting, cell, reps=20, seed=3)
    monkeypatch.setattr(module, "_BLOCK", 3)
    np.testing.assert_allclose(pair_shuffle_estimates(setting, cell, reps=20, seed=3), found, rtol=1e-11)

    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    pairs = [(done.units[i], done.units[j]) for i, j in zip(setting.pairs.i, setting.pairs.j, strict=True)]
    paths = long.pivot(index=oracle.PAIR, columns="year", values="policy").loc[pairs].to_numpy()
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
    setting = shared.weighted_setting(done.prepared)
    found = pair_shuffle_estimates(
        setting, shared.tested_of(done.prepared, done.results[0], None), reps=400, seed=0
    )
    result = done.results[0]
    pair = next(one for one in result.covariances if one.kind == "pair").std_error[-1]
    assert np.isfinite(found).all()
    # The error is itself an estimate, from some thirty pairs: a factor of two separates it from any mistake of form.
    assert pair / 2 < found.std() < 2 * pair

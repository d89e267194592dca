"""Every permutation draw against the literal one: relabel the cities, rebuild the sample, refit with dummies."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from tolerances import BRUTE

from engine.infer import permutation
from engine.infer.permutation import OBSERVED, Draws, Permutation, assignments, permutation_draws
from engine.spec.inference import PermutationTest
from engine.stages.inference.permutation import permutation_setting

DRAWS = np.arange(OBSERVED, 20, dtype=np.int32)
"""What happened, and twenty draws."""

EVENTS = {"estimator": "event_study", "base": -1, "window": [-3, 2]}
NO_SCREEN = {"exclude": "both_treated"}
KEPT = {"exclude": "none", "gravity": {"mass": ["population"], "keep": "above_median"}}

CASES: dict[str, dict[str, Any]] = {
    "balanced": {},
    "missing": {"holes": True},
    "infinite": {"frame": worlds.twins},
    "ties": {"frame": worlds.tied},
    "fixed": {"test": {"screen": "fixed"}},
    "fixed, missing": {"test": {"screen": "fixed"}, "holes": True},
    "fixed, ties": {"frame": worlds.tied, "test": {"screen": "fixed"}},
    "no screen": {"pairs": NO_SCREEN},
    "province": {"test": {"strata": ["province"]}},
    "rank and size": {"test": {"strata": ["admin_rank", "size:3"]}, "holes": True},
    "both": {"pairs": KEPT, "rule": "both"},
    "either, missing": {"pairs": KEPT, "rule": "either", "holes": True},
    "count, no screen": {"pairs": {"exclude": "none"}, "rule": "count", "holes": True},
    "exactly one, kept": {"pairs": KEPT, "rule": "exactly_one"},
    "event study": {"model": EVENTS},
    "event study, missing": {"model": EVENTS, "holes": True},
    "event study, both": {"model": EVENTS, "pairs": KEPT, "rule": "both"},
    "controls tested": {"test": {"terms": ["dense", "policy"]}},
}


@cache
def world(name: str) -> tuple[pd.DataFrame, worlds.Pass, Permutation]:
    case = CASES[name]
    frame = case["frame"]() if "frame" in case else worlds.panel(holes=case.get("holes", False))
    blocks: dict[str, Any] = {"inference": {"permutation": {"reps": 20, **case.get("test", {})}}}
    blocks |= {key: case[key] for key in ("pairs", "model") if key in case}
    if "rule" in case:
        blocks["treatment"] = {"adoption": "pilot_year", "rule": case["rule"]}
    done = worlds.first_pass(frame, **blocks)
    wanted = done.results[0].cell.job.inference.permutation
    assert wanted is not None
    return frame, done, permutation_setting(done.prepared, done.results, wanted)


@cache
def engine_draws(name: str) -> Draws:
    return permutation_draws(world(name)[2], DRAWS)


def oracle_draws(
    name: str, frame: pd.DataFrame, done: worlds.Pass, setting: Permutation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, t ratios and errors ``[draw, tested]`` by `oracle_draws`."""
    case = CASES[name]
    pairs = case.get("pairs", worlds.PANEL_JOB["pairs"])
    everything = worlds.oracle_grid(frame, gravity="gravity" in pairs)
    options: dict[str, Any] = {"rule": case.get("rule", "exactly_one"), "exclude": pairs["exclude"] != "none"}
    if "model" in case:
        options["event"] = (EVENTS["base"], tuple(EVENTS["window"]))
    if case.get("test", {}).get("screen") == "fixed":
        every = everything.long[oracle.PAIR].drop_duplicates()
        mine = every[oracle.eligible(every, worlds.observed_adoption(frame), exclude=True)]
        forces = everything.force[list(mine.itertuples(index=False, name=None))]
        options["threshold"] = oracle.lower_middle(forces.to_numpy())
    found = []
    for classes in assignments(setting, DRAWS):
        long, terms = oracle.relabelled(everything, done.adopted(classes), **options)
        found.append(oracle.studentised(long, ["edu", "dense", *terms], case.get("test", {}).get("terms", terms)))
    estimate, statistic, error = (np.stack(part) for part in zip(*found, strict=True))
    return estimate, statistic, error


@pytest.mark.parametrize("name", CASES)
def test_each_draw_is_a_refit(name: str) -> None:
    frame, done, setting = world(name)
    draws = engine_draws(name)
    estimate, statistic, error = oracle_draws(name, frame, done, setting)
    known = np.isfinite(estimate)
    np.testing.assert_array_equal(np.isfinite(draws.estimate[0]), known)
    assert known.mean() > 0.7  # the comparison is of numbers
    # A coefficient is known to a share of its error; so is its t ratio, absolutely.
    off = np.abs(draws.estimate[0] - estimate)[known] / error[known]
    np.testing.assert_array_less(off, BRUTE)
    np.testing.assert_allclose(draws.statistic[0][known], statistic[known], rtol=BRUTE, atol=BRUTE)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("ties", "fixed, ties")])
def test_the_observed_assignment_gives_the_table(name: str) -> None:
    """Where no covariance of the table had a negative eigenvalue set to zero."""
    _, done, setting = world(name)
    draws, result = engine_draws(name), done.results[0]
    tested = list(setting.cells[0].tested)
    np.testing.assert_array_equal(assignments(setting, DRAWS)[0], done.prepared.adoption.classes)
    error = result.dyadic.std_error[tested]
    np.testing.assert_allclose(draws.estimate[0][0], result.fit.estimate[tested], rtol=0, atol=BRUTE * error.min())
    if not result.dyadic.note:
        t = result.fit.estimate[tested] / error
        np.testing.assert_allclose(draws.statistic[0][0], t, rtol=BRUTE, atol=BRUTE)

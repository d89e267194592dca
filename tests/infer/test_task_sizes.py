"""What tasks of draws are sent: as large as the panel, never as the pairs; what a process makes of it is the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import draw_worlds as worlds
import numpy as np
import pytest

from engine.infer.pair_permutation import PairPermutation, pair_permutation_sums
from engine.infer.permutation import permutation_draws
from engine.pairs import pair_statistics
from engine.pairs.city_series import ROUNDING
from engine.pairs.map_reduce import MomentPass, city_arrays
from engine.pairs.process_cache import ProcessCache, forget_all
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.inference import pass_inputs
from engine.stages.inference.leave_out import LeaveOutInput, leave_out_columns
from engine.stages.inference.permutation_draws import permutation_test

SOME = np.arange(6, dtype=np.int32)


def settings_of(done: worlds.Pass) -> dict[str, tuple[Callable[..., Any], Any]]:
    """Settings of tasks of draws, each with its leaf."""
    permuted = permutation_test(done.prepared, done.results, PermutationTest(reps=20, seed=1))
    types, cell = (
        pass_inputs.typed_pairs(done.prepared),
        pass_inputs.tested_of(done.prepared, done.results[0], None),
    )
    groups = np.arange(len(done.units), dtype=np.int32)
    return {
        "permutation": (permutation_draws, permuted),
        "shuffles": (pair_permutation_sums, PairPermutation(permuted.sample, 3, 8)),
        "left out": (leave_out_columns, LeaveOutInput(types, groups, (cell,))),
    }


def arrays_of(found: Any) -> list[Any]:
    parts = [found] if isinstance(found, np.ndarray) else found if isinstance(found, tuple) else None
    return list(parts) if parts is not None else [*found.estimate, *found.statistic, *found.inversion]


@pytest.mark.parametrize("holes", [False, True], ids=["balanced", "missing"])
def test_what_is_sent_is_enough_and_gives_the_same_bits(holes: bool) -> None:
    for leaf, setting in settings_of(worlds.first_pass(worlds.panel(holes=holes))).values():
        here = leaf(setting, SOME)
        forget_all()
        there = leaf(pickle.loads(pickle.dumps(setting)), SOME)
        for one, other in zip(arrays_of(here), arrays_of(there), strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_is_sent_grows_with_the_panel() -> None:
    """At most 8 bytes times units, years and columns, four times over; pairs grow with the square."""
    sizes: dict[str, list[int]] = {}
    numbers = (20, 40, 80, 160)
    for n in numbers:
        done = worlds.first_pass(worlds.panel(n_cities=n))
        for name, (leaf, setting) in settings_of(done).items():
            leaf(setting, SOME)  # what was made of it is not sent either
            sizes.setdefault(name, []).append(len(pickle.dumps(setting, protocol=5)))
        years, columns = done.prepared.design.n_years, done.prepared.design.n_columns
    for own in sizes.values():
        steps = np.diff(own) / np.diff(numbers)  # bytes for each further unit
        assert steps.max() < 4 * 8 * years * columns
        assert steps[-1] < 1.1 * steps[0]


def test_the_order_of_the_pairs_is_that_of_a_full_sort() -> None:
    for frame, every in ((worlds.panel(), True), (worlds.tied(), True), (worlds.tied(), False)):
        design = worlds.first_pass(frame).prepared.design
        pairs = pair_statistics.pair_statistics(design, every_screen=every, memory_bytes=1e9)
        i, j = np.triu_indices(design.n_units, 1)
        force = design.sample.gravity.ln_force(i, j)
        order = np.argsort(-force, kind="stable")[: pairs.n_pairs]
        np.testing.assert_array_equal(pairs.i, i[order])
        np.testing.assert_array_equal(pairs.j, j[order])
        first = [np.flatnonzero(force[order] == one)[0] for one in force[order]]
        np.testing.assert_array_equal(pairs.tie_start, first)
        assert pairs.n_screened == (force > design.sample.gravity.threshold).sum()


@pytest.mark.parametrize("gap", [0.0, 0.9e-12, 1.1e-12, 3e-12, 1e-3])
@pytest.mark.parametrize("opposite", [False, True])
def test_no_infinite_outcome_is_overlooked(gap: float, opposite: bool) -> None:
    """Two units a little apart in one year, or nearly as far as they can be: the kernel sees what the check feared."""
    design = worlds.first_pass(worlds.panel()).prepared.design
    setting = MomentPass(design, True)
    arrays = dict(city_arrays(setting))
    z = arrays["series"].copy()
    bound = 2 * np.sqrt(design.n_years - 1.0)
    low, moved = np.argsort(z[:, 2])[[0, 3]]
    z[moved, 2] = z[low, 2] + (bound - gap if opposite else gap)
    arrays["series"] = z
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_statistics, "city_arrays", lambda _: arrays)
        feared = pair_statistics._may_be_infinite(setting)
        pair_statistics._on_device.cache_clear()
        found = pair_statistics.pair_statistics(design, every_screen=True, memory_bytes=1e9)
        pair_statistics._on_device.cache_clear()
    close = gap <= ROUNDING
    assert feared >= close
    assert feared == (gap <= 2.1e-12)
    inside = ((found.i == min(low, moved)) & (found.j == max(low, moved))).any()
    assert found.layout.balanced == (not (close and inside))


def test_the_passes_of_a_setting_may_run_anywhere() -> None:
    done = worlds.first_pass(worlds.twins())
    wanted = PermutationTest(reps=20, seed=1)
    here = permutation_test(done.prepared, done.results, wanted).sample.pairs
    there = permutation_test(
        done.prepared, done.results, wanted, map_reduce=pass_inputs.over_pairs(Machine(threads=2))
    ).sample.pairs
    assert (here.n_pairs, here.n_screened, here.layout, here.key) == (
        there.n_pairs, there.n_screened, there.layout, there.key,
    )  # fmt: skip
    assert not here.layout.balanced


def test_one_value_of_a_kind_is_kept_and_made_once() -> None:
    kept: ProcessCache[list[int]] = ProcessCache()
    made: list[str] = []
    start = Barrier(8)

    def ask() -> None:
        start.wait()
        kept.get("a", lambda: made.append("a") or [1])  # type: ignore[func-returns-value]

    threads = [Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert made == ["a"]
    assert kept.get("b", lambda: [2]) == [2]
    assert kept.get("a", lambda: [3]) == [3]
    with pytest.raises(ZeroDivisionError):
        kept.get("c", lambda: [1 // 0])
    assert kept.get("a", lambda: [4]) == [4]
    forget_all()
    assert kept.get("a", lambda: [5]) == [5]

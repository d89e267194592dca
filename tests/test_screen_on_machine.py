"""The gravity screen of a large grid is located on the machine, and is the same to the bit wherever it is located."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from designs import JOBS
from distributed import Client, LocalCluster
from screen_worlds import world

import engine
from engine.pairs import gravity
from engine.pairs.gravity import PairSample
from engine.runtime.codec import nbytes
from engine.runtime.execute import Machine
from engine.runtime.store import Store
from engine.stages import sample as stage

COLUMN_6 = JOBS / "paper" / "column6.yaml"


def screened_on(place: Machine, sample: PairSample) -> tuple[float, int | None]:
    found = sample.screened(lambda *given: place.reduce(*given, label="screen"))
    assert found.gravity is not None
    return found.gravity.threshold, found.n_kept


@pytest.mark.parametrize("ties", [False, True])
def test_threads_workers_and_a_store_find_one_threshold(
    ties: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = world(5, n=90, ties=ties)
    whole = sample.screened()
    monkeypatch.setattr(gravity, "_EDGE", 16)
    monkeypatch.setattr(gravity, "_COLLECT", 50)
    monkeypatch.setattr(gravity, "_BINS", 64)
    assert len(sample.parts()) > 10
    here = (whole.gravity.threshold, whole.n_kept)
    assert screened_on(Machine(threads=3), sample) == here
    store = Store(str(tmp_path))
    assert screened_on(Machine(threads=3, store=store), sample) == here
    assert store.written > 10
    again = Store(str(tmp_path))
    assert screened_on(Machine(store=again), sample) == here
    assert (again.read, again.written) == (store.written, 0)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert screened_on(Machine(client=client), sample) == here


def test_what_a_look_brings_does_not_grow_with_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two numbers or one array of counts from a task; of values, no more than are to be held in all."""
    monkeypatch.setattr(gravity, "_EDGE", 32)
    monkeypatch.setattr(gravity, "_COLLECT", 100)
    monkeypatch.setattr(gravity, "_BINS", 128)
    looks = []
    for n in (64, 128, 256, 512):
        brought: list[tuple[str, int, int]] = []

        def over(leaf, setting, tasks, merge, brought=brought):
            parts = [leaf(setting, task) for task in tasks]
            brought.append((leaf.__name__, max(map(nbytes, parts)), sum(map(nbytes, parts))))
            found = parts[0]
            for part in parts[1:]:
                found = merge(found, part)
            return found

        world(1, n=n).screened(over)
        looks.append([name for name, _, _ in brought])
        most = {name: largest for name, largest, _ in brought}
        assert most["force_span"] == 16
        assert most["force_counts"] == 8 * 128
        assert brought[-1][0] == "forces_inside"
        assert brought[-1][2] <= 8 * 100
    assert looks[0] == ["force_span", "force_counts", "forces_inside"]
    assert max(map(len, looks)) <= 4  # 130,000 pairs in 128 bins: more than 100 of them in one


def test_a_job_asks_the_machine_for_its_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a number of pairs, and nothing else changes; the pass is told like the others."""
    told: list[str] = []
    small = {"overrides": ["panel.options.cities=40"], "progress": lambda label, *_: told.append(label)}
    alone = engine.run(COLUMN_6, **small)
    assert "screen" not in told
    monkeypatch.setattr(stage, "_SERIAL_PAIRS", 0)
    spread = engine.run(COLUMN_6, **small)
    assert "screen" in told
    pd.testing.assert_frame_equal(spread.estimates, alone.estimates, check_exact=True)


def test_groups_without_an_eligible_pair_have_no_span() -> None:
    sample = PairSample(np.zeros(27, np.int32), np.zeros((1, 1), bool), world(0).gravity)
    span = gravity.force_span(gravity.Between(sample), sample.parts()[0])
    np.testing.assert_array_equal(gravity.merge_spans(span, np.array([1.0, 2.0])), [1.0, 2.0])

"""Map and merge: a fixed tree whatever runs it, 2n - 1 tasks, progress, errors that come through."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from dask.callbacks import Callback
from distributed import Client, LocalCluster, get_worker
from distributed.comm import CommClosedError

from engine.report.language.wording import ENGLISH
from engine.runtime.clusters import place as place_of
from engine.runtime.execute import Machine
from engine.spec.cluster import SchedulerProfile

COUNTS = [1, 2, 3, 4, 5, 7, 8, 13, 64]


def leaf(setting: str, task: int) -> str:
    """Later tasks end first, so that an order of completion would show."""
    time.sleep(0.002 * (task % 3 == 0))
    return f"{setting}{task}"


def merge(one: str, other: str) -> str:
    return f"({one}+{other})"


def failing(setting: str, task: int) -> str:
    if task == 3:
        raise ValueError("task 3 is not to be done")
    return leaf(setting, task)


def tree(n: int) -> str:
    """Neighbours are merged level by level; an odd one out moves up."""
    level = [f"s{k}" for k in range(n)]
    while len(level) > 1:
        level = [
            merge(*level[k : k + 2]) if k + 1 < len(level) else level[k] for k in range(0, len(level), 2)
        ]
    return level[0]


class Watch:
    """Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, label: str, done: int, total: int) -> None:
        self.told.append((label, done, total))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Two workers in this process: a scheduler and its messages without the seconds that processes take."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def reduce_on(place: Machine, n: int, function: Any = leaf, units: int | None = None) -> str:
    return place.reduce(function, "s", range(n), merge, label="moments", units=units)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("n", COUNTS)
def test_the_tree_is_fixed_on_threads(n: int, threads: int) -> None:
    assert reduce_on(Machine(threads=threads), n) == tree(n)


@pytest.mark.parametrize("units", [None, 1, 3])
@pytest.mark.parametrize("n", COUNTS)
def test_the_tree_is_the_same_on_a_cluster(n: int, units: int | None, client: Client) -> None:
    assert reduce_on(Machine(client=client), n, units=units) == tree(n)


def test_the_tree_of_seven() -> None:
    """The oracle itself, spelled out."""
    assert tree(7) == "(((s0+s1)+(s2+s3))+((s4+s5)+s6))"


class Tasks(Callback):  # type: ignore[misc]
    """Counts leaves and merges."""

    def __init__(self) -> None:
        super().__init__()
        self.leaves, self.merges, self.other = 0, 0, 0

    def _posttask(self, key: str, *_: Any) -> None:
        name = str(key)
        self.merges += "merge" in name
        self.other += name.endswith("-input")
        self.leaves += "merge" not in name and not name.endswith("-input")


@pytest.mark.parametrize("n", COUNTS[1:])
@pytest.mark.parametrize("units", [1, 2, 8, 100])
def test_n_tasks_in_u_parts_make_n_leaves_and_n_less_u_merges(n: int, units: int) -> None:
    with Tasks() as tasks:
        found = Machine(threads=2).reduce(leaf, "s", range(n), merge, label="moments", units=units)
    size = next(2**k for k in range(20) if -(-n // 2**k) <= units)
    assert found == tree(n)
    assert (tasks.leaves, tasks.merges) == (n, n - -(-n // size))
    assert tasks.other <= 1  # the setting, which dask may count as a task


def slow_leaf(setting: str, task: int) -> str:
    time.sleep(0.002)
    return leaf(setting, task)


def nested_leaf(setting: str, task: int) -> str:
    """A task that makes a pass of its own."""
    return Machine().reduce(slow_leaf, f"{setting}{task}-", range(3), merge, label="inner")


@pytest.mark.parametrize("threads", [1, 3])
def test_passes_at_one_time_do_not_mix(threads: int) -> None:
    """From threads of the caller, and from tasks of another pass: each takes its own results, and its own progress."""

    def run(name: int) -> tuple[str, list[tuple[str, int, int]]]:
        watch = Watch()
        machine = Machine(threads=threads, progress=watch)
        return machine.reduce(slow_leaf, f"{name}:", range(5), merge, label="outer"), watch.told

    with ThreadPoolExecutor(6) as pool:
        for name, (found, told) in enumerate(pool.map(run, range(24))):
            assert found == tree(5).replace("s", f"{name}:")
            assert told == [("outer", done, 5) for done in range(6)]
    for _ in range(5):
        found = Machine(threads=threads).reduce(nested_leaf, "s", range(4), merge, label="outer")
        inner = [tree(3).replace("s", f"s{task}-") for task in range(4)]
        assert found == f"(({inner[0]}+{inner[1]})+({inner[2]}+{inner[3]}))"


@pytest.mark.parametrize("units", [None, 1])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_progress_counts_every_task_once(n: int, units: int | None, client: Client) -> None:
    for options in ({"threads": 2}, {"client": client}):
        watch = Watch()
        reduce_on(Machine(**options, progress=watch), n, units=units)
        assert watch.told == [("moments", done, n) for done in range(n + 1)]


@pytest.mark.parametrize("units", [None, 1])
def test_errors_come_through(units: int | None, client: Client) -> None:
    for place in (Machine(threads=2), Machine(client=client)):
        with pytest.raises(ValueError, match="task 3 is not to be done"):
            reduce_on(place, 6, failing, units)


def worker_of(seconds: float, task: int) -> str:
    time.sleep(seconds)
    return str(get_worker().name)


@pytest.mark.parametrize(("units", "most"), [(None, 4), (1, 5)])
def test_tasks_are_dealt_to_all_workers(units: int | None, most: int, client: Client) -> None:
    """Evenly where each comes back by itself; a merge that waits has the place of a task."""
    names = Machine(client=client).reduce(worker_of, 0.05, range(8), operator.add, label="names", units=units)
    assert max(Counter(names).values()) <= most


CALLED: list[int] = []


def called() -> None:
    CALLED.append(1)


def test_a_function_is_called_everywhere(client: Client) -> None:
    """Here, and on the two workers, which are in this process too."""
    CALLED.clear()
    Machine(threads=2).everywhere(called)
    assert len(CALLED) == 1
    Machine(client=client).everywhere(called)
    assert len(CALLED) == 1 + 3


def test_two_passes_with_one_label_do_not_mix(client: Client) -> None:
    """Keys on a cluster hold the setting's content: a second pass must not be answered with the first one's results."""
    place = Machine(client=client)
    assert reduce_on(place, 4) == tree(4)
    assert place.reduce(leaf, "t", range(4), merge, label="moments") == tree(4).replace("s", "t")
    assert place.reduce(leaf, "s", range(4, 8), merge, label="moments") == "((s4+s5)+(s6+s7))"


def test_a_setting_whose_worker_dies_is_shipped_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dask tells the loss of a worker while it ships; copying to all of them could hang then."""
    scatter, calls = client.scatter, []

    def lost_twice(setting: str, **options: Any) -> Any:
        calls.append(options)
        if len(calls) < 3:
            raise CommClosedError("in <TLS local>: Stream is closed")
        return scatter(setting, **options)

    monkeypatch.setattr(client, "scatter", lost_twice)
    place = Machine(client=client)
    assert reduce_on(place, 5) == tree(5)
    assert calls == [{"hash": False}] * 3
    assert place.account()["bytes_to_workers"] < 100

    monkeypatch.setattr(client, "scatter", Mock(side_effect=CommClosedError("gone")))
    with pytest.raises(CommClosedError, match="gone"):
        reduce_on(place, 5)


def test_this_process_is_the_default() -> None:
    with place_of() as opened:
        place = opened()
        assert place.client is None
        assert ENGLISH.note(place.whereabouts) == f"this process, {place.threads} threads"
        assert reduce_on(place, 5) == tree(5)


def test_a_running_scheduler_is_joined_and_left_running(client: Client) -> None:
    address = client.scheduler.address
    with place_of(SchedulerProfile(kind="scheduler", address=address)) as opened:
        place = opened()
        assert ENGLISH.note(place.whereabouts) == "2 Dask workers, 2 threads"
        assert reduce_on(place, 5) == tree(5)
    assert client.submit(merge, "a", "b").result() == "(a+b)"


def test_core_hours_are_those_of_the_job_on_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that were there before count from the job's start, later ones from their own; none counts twice."""
    seconds = {"tcp://a": 100.0, "inproc://driver": 7.0}

    def run(function: Callable[[], float], *, on_error: str) -> dict[str, float]:
        return dict(seconds)

    monkeypatch.setattr("engine.runtime.execute.time.process_time", lambda: seconds["inproc://driver"])
    machine = Machine(client=SimpleNamespace(run=run))
    machine = replace(machine, used_before=machine.processor_seconds())
    seconds |= {"tcp://a": 1900.0, "tcp://late": 900.0, "inproc://driver": 907.0}
    assert machine.core_hours() == pytest.approx(0.5 + 0.25 + 0.25)
    del seconds["tcp://a"]  # lost, and what it had used with it
    assert machine.core_hours() == pytest.approx(0.5)

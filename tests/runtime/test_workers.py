"""Workers that would compute something else are refused or leave; nothing listens beyond the loopback interface."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from engine.errors import InputError, RunError
from engine.report.language.wording import ENGLISH
from engine.runtime.clusters import place
from engine.runtime.equal_facts import differences
from engine.runtime.workers import check_workers, wait_for_workers
from engine.spec.cluster import LocalProfile, SchedulerProfile
from engine.stages.worker_facts import worker_facts

VERSION = ["1.0"]


def facts() -> dict[str, str]:
    """Workers of the fixture live in this process, and see what a test has set."""
    return {"Python": "3.11", "jax": VERSION[0]}


def other_facts_there() -> dict[str, str]:
    """The first to ask is the driver."""
    VERSION.append("2.0")
    return {"jax": VERSION.pop(0)}


def no_facts() -> dict[str, str]:
    raise ModuleNotFoundError("No module named 'engine'")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "VERSION", ["1.0"])


@pytest.mark.usefixtures("version")
def test_a_worker_that_differs_is_refused(cluster: LocalCluster) -> None:
    with Client(cluster) as client:
        check_workers(client, facts)
        with pytest.raises(
            InputError, match=r"the worker at inproc://\S+ differs .*: jax 2\.0 \(here 1\.0\)"
        ):
            check_workers(client, other_facts_there)


def test_a_worker_without_the_package_is_refused(cluster: LocalCluster) -> None:
    calls = iter([{"jax": "1.0"}])

    def own_then_none() -> dict[str, str]:
        found = next(calls, None)
        return found if found is not None else no_facts()

    with (
        Client(cluster) as client,
        pytest.raises(InputError, match=r"cannot run dyadid \(ModuleNotFoundError"),
    ):
        check_workers(client, own_then_none)


@pytest.mark.usefixtures("version")
def test_a_worker_that_comes_later_and_differs_leaves(cluster: LocalCluster) -> None:
    with Client(cluster) as client:
        check_workers(client, facts)
        (first,) = client.scheduler_info(n_workers=-1)["workers"]
        VERSION[0] = "2.0"
        cluster.scale(2)
        end = time.monotonic() + 20
        while len(cluster.workers) < 2 or cluster.workers[1].status.name != "closed":
            assert time.monotonic() < end
            time.sleep(0.05)
        assert list(client.scheduler_info(n_workers=-1)["workers"]) == [first]
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3


def test_differences_name_what_is_absent() -> None:
    assert differences({"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}) == ""
    assert differences({"a": "1", "b": "2"}, {"a": "0"}) == "a 0 (here 1), b absent (here 2)"


def test_facts_of_this_process() -> None:
    found = worker_facts()
    assert found["float64"] == "True"
    assert {"Python", "dyadid", "jax", "numpy", "dask", "distributed", "source"} <= set(found)


def test_no_worker_comes(cluster: LocalCluster) -> None:
    cluster.scale(0)
    with Client(cluster) as client:
        end = time.monotonic() + 10
        while client.scheduler_info(n_workers=-1)["workers"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        with pytest.raises(RunError, match=r"the queue has had no worker for 0\.3 s\n  hint: wait"):
            wait_for_workers(client, seconds=0.3, waited_for="the queue", remedy="wait")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "FileNotFoundError"), ("{", "JSONDecodeError"), ('{"id": 1}', "KeyError: 'address'")],
)
def test_no_scheduler_file(content: str | None, says: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    if content is not None:
        file.write_text(content)
    asked = SchedulerProfile(kind="scheduler", file=str(file))
    with pytest.raises(InputError, match=f"is not a scheduler file .{says}"), place(asked) as opened:
        opened()


def test_local_workers_listen_on_the_loopback_interface_alone() -> None:
    with place(LocalProfile(kind="local", workers=2)) as opened:
        here = psutil.Process()
        assert ENGLISH.note(opened().whereabouts) == "2 Dask workers, 2 threads"
        every = [here, *here.children(recursive=True)]
        sockets = [one for process in every for one in process.net_connections(kind="inet")]
        listening = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


def test_one_cluster_serves_several_jobs_and_opens_late() -> None:
    before = psutil.Process().children(recursive=True)
    with place(LocalProfile(kind="local", workers=1)) as opened:
        assert psutil.Process().children(recursive=True) == before
        first, second = opened(), opened()
        assert first.client is second.client

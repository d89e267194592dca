"""Three hosts on real TCP and TLS: cables pulled for a while and for good, and strangers at the door."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed.security import Security
from driver import Driver, tables
from network_lab import HOSTS, NetworkLab, network_lab

pytestmark = pytest.mark.cluster

HERE = str(Path(__file__).parent)
ASK = "import sys; sys.path.insert(0, {folder!r}); from driver import plain_answer; print(plain_answer{door})"
_START_SECONDS = 60
# What a supervisor does; and a shorter patience of TCP than the 30 s that Dask has by default.
_SUPERVISED = [
    "env",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=12s",
    "sh",
    "-c",
    'while :; do "$@"; sleep 1; done',
    "sh",
]
_WHILE_SECONDS = 20
ADDRESS = f"tls://{HOSTS['driver']}:8786"


class Keys:
    """A certificate authority of one member: files for the command line, for a profile and for Dask."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        made = Security.temporary()
        texts = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
        self.files = {name: folder / f"{name}.pem" for name in texts}
        for name, text in texts.items():
            self.files[name].touch(mode=0o600)
            self.files[name].write_text(text)

    @property
    def profile(self) -> dict[str, str]:
        return {name: str(path) for name, path in self.files.items()}

    @property
    def options(self) -> list[str]:
        names = {"ca": "--tls-ca-file", "cert": "--tls-cert", "key": "--tls-key"}
        return [word for name, option in names.items() for word in (option, str(self.files[name]))]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def lab(keys: Keys, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NetworkLab]:
    """A scheduler on one host, a worker on each of the others; before their commands whatever a test wants."""
    with network_lab() as opened:
        log = tmp_path / "dask.log"
        page = ["--dashboard-address", "127.0.0.1:0"]  # --no-dashboard alone leaves a page at 0.0.0.0
        places = {"driver": ["scheduler", "--host", ADDRESS]}
        for host in ("first", "second"):
            places[host] = ["worker", ADDRESS, "--host", HOSTS[host], "--nthreads", "1"]
        with open(log, "wb") as said:
            for host, words in places.items():
                command = [*getattr(request, "param", []), sys.executable, "-m", "dask", *words, *page]
                opened.start(host, *command, *keys.options, cwd=tmp_path, stdout=said, stderr=said)
        end = time.monotonic() + _START_SECONDS
        while log.read_text().count("Registered to:") < 2:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield opened


@pytest.fixture
def run(lab: NetworkLab, keys: Keys, jobs: dict[str, Path], tmp_path: Path) -> Callable[..., Driver]:
    """Starts ``dyadid run --cluster`` on the scheduler's host; ``tls`` is that of the profile."""

    def begin(*, address: str = ADDRESS, tls: object = None) -> Driver:
        profile = tmp_path / "scheduler.yaml"
        text = {"kind": "scheduler", "address": address, "tls": keys.profile if tls is None else tls}
        profile.write_text(json.dumps(text), encoding="utf-8")
        options = ["--cluster", str(profile)]
        return Driver(partial(lab.start, "driver"), jobs["sixth"], tmp_path / "out", *options)

    return begin


def test_a_cable_pulled_for_a_while_changes_nothing(
    run: Callable[..., Driver], lab: NetworkLab, local: dict[str, dict[str, bytes]]
) -> None:
    """TCP bears 30 s, but tries ever more rarely: on a slow machine the worker may be given up."""
    driver = run()
    driver.until_half()
    lab.pull("first")
    time.sleep(_WHILE_SECONDS)
    lab.plug("first")
    assert driver.ended() == 0, driver.said()
    assert tables(driver.folder) == local["sixth"]
    assert driver.manifest["execution"]["workers_lost"] <= 1


def test_a_cable_pulled_for_good_costs_a_worker_and_nothing_else(
    run: Callable[..., Driver], lab: NetworkLab, local: dict[str, dict[str, bytes]]
) -> None:
    driver = run()
    driver.until_half()
    lab.pull("first")
    assert driver.ended() == 0, driver.said()
    assert tables(driver.folder) == local["sixth"]
    assert driver.manifest["execution"]["workers_lost"] == 1


@pytest.mark.parametrize("lab", [_SUPERVISED], indirect=True, ids=["supervised"])
def test_workers_that_are_started_again_come_back(
    run: Callable[..., Driver], lab: NetworkLab, local: dict[str, dict[str, bytes]]
) -> None:
    """Cut off for longer than TCP bears, all workers end; the run waits for those that take their place."""
    driver = run()
    driver.until_half()
    lab.pull("driver")
    time.sleep(_WHILE_SECONDS)
    lab.plug("driver")
    assert driver.ended() == 0, driver.said()
    assert tables(driver.folder) == local["sixth"]
    assert driver.manifest["execution"]["workers_lost"] == 2


def test_strangers_are_refused(run: Callable[..., Driver], lab: NetworkLab, tmp_path: Path) -> None:
    for host in HOSTS:
        doors = lab.listening(host)
        assert doors
        for door in doors:
            asked = ASK.format(folder=HERE, door=door)
            assert lab.run("driver", sys.executable, "-c", asked, check=True).stdout == "b''\n"
    foreign = Keys(tmp_path / "foreign").profile
    plain = ADDRESS.replace("tls", "tcp")
    for stranger in ({"tls": foreign}, {"tls": False}, {"tls": False, "address": plain}):
        driver = run(**stranger)
        assert driver.ended() == 2, driver.said()
        assert "no Dask scheduler answers" in driver.said()
        assert "certificate" in driver.said()

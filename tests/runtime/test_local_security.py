"""Workers of this machine answer to none but the process that started them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from distributed.comm import connect
from distributed.security import Security

from engine.runtime.clusters import place
from engine.runtime.execute import Machine
from engine.runtime.security import in_memory
from engine.spec.cluster import LocalProfile, profile_of

STRANGER = """
import sys
from distributed import Client
from distributed.security import Security
security = Security.temporary() if sys.argv[2] == "foreign" else None
address = sys.argv[1] if sys.argv[2] != "plain" else sys.argv[1].replace("tls://", "tcp://")
try:
    with Client(address, security=security, timeout=3) as client:
        print("in", client.submit(sum, [1, 2]).result(timeout=3))
except Exception as error:
    print("out", type(error).__name__)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with place(profile_of(workers=2)) as opened:
        yield opened(lambda *_: None)


def listening() -> list[tuple[str, int]]:
    here = psutil.Process()
    sockets = [
        one for process in [here, *here.children(True)] for one in process.net_connections(kind="inet")
    ]
    return [(one.laddr.ip, one.laddr.port) for one in sockets if one.status == psutil.CONN_LISTEN]


def test_a_page_that_is_wanted_is_on_the_loopback_interface() -> None:
    with place(LocalProfile(kind="local", workers=1, dashboard=True)) as opened:
        page = str(opened(lambda *_: None).dashboard)
        assert page.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(page.replace("/status", "/json/identity.json"), timeout=5) as reply:
            assert json.load(reply)["type"] == "Scheduler"
        assert {ip for ip, _ in listening()} == {"127.0.0.1"}


@pytest.mark.parametrize("who", ["plain", "no certificate", "foreign"])
def test_another_process_gets_no_way_in(machine: Machine, who: str) -> None:
    address = machine.client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, address, who], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("out "), done.stdout + done.stderr
    assert machine.client.submit(sum, [1, 2]).result(timeout=10) == 3  # who belongs to it is still served


@pytest.mark.parametrize("who", ["plain", "foreign"])
def test_nor_does_any_port_that_listens(machine: Machine, who: str) -> None:
    """Scheduler, nannies and workers: a request for their identity, as the first thing that anyone sends."""
    ports = listening()
    assert len(ports) >= 5  # scheduler, its page, two nannies, two workers
    given = (in_memory() if who == "foreign" else Security()).get_connection_args("client")
    scheme = "tls" if who == "foreign" else "tcp"

    async def answer(port: int) -> Any:
        async with asyncio.timeout(5):
            comm = await connect(f"{scheme}://127.0.0.1:{port}", timeout=1, **given)
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()

    for _, port in ports:
        with pytest.raises((OSError, ValueError, TypeError)):
            print(asyncio.run(answer(port)))


def test_no_page_is_served_unless_it_is_wanted(machine: Machine) -> None:
    assert machine.dashboard is None
    server = machine.client.cluster.scheduler.http_server
    for path in ("/", "/status", "/info/main/workers.html", "/json/identity.json", "/metrics", "/health"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5)


def test_the_key_is_in_no_file_and_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with place(profile_of(workers=1), folder=tmp_path) as opened:
        client: Client = opened(lambda *_: None).client
        key = client.security.tls_client_key
        assert "PRIVATE KEY" in key
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            assert "PRIVATE KEY" not in " ".join(process.cmdline()) + str(process.environ())
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path for path in files if b"PRIVATE KEY" in path.read_bytes()] == []

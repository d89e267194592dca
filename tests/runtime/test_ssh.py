"""Workers by SSH: the real protocol, to a server within this process that runs what it is told on this machine."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from engine.errors import InputError
from engine.runtime.ssh import ssh_client
from engine.spec.cluster import SSHProfile


async def run_command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """What a login does: run the command, and end it when the connection does."""
    child = await asyncio.create_subprocess_shell(
        str(process.command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    await process.redirect(stdin=child.stdin, stdout=child.stdout, stderr=child.stderr)
    gone = asyncio.create_task(process.channel.wait_closed())
    ended = asyncio.create_task(child.wait())
    await asyncio.wait([gone, ended], return_when=asyncio.FIRST_COMPLETED)
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)
    process.exit(await ended)


async def end_tasks() -> None:
    """Cancel whatever the loop still does, and wait for it."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that lets this user in by key, through ``~/.ssh/config``; its working folder is a temporary one."""
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True, mode=0o700)
    server_key, own = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    own.write_private_key(home / "id")
    (home / "authorized").write_bytes(own.export_public_key())
    loop, started, ports = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        listener = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[server_key], authorized_client_keys=str(home / "authorized"),
            process_factory=run_command, encoding=None,
        )  # fmt: skip
        ports.append(listener.get_port())
        started.set()

    def work() -> None:
        asyncio.set_event_loop(loop)
        asyncio.get_child_watcher().attach_loop(loop) if sys.version_info < (3, 12) else None
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert started.wait(10)
    known = f"[127.0.0.1]:{ports[0]} ".encode() + server_key.export_public_key()
    (home / "known").write_bytes(known)
    (home / "config").write_text(
        f"Host *\n  Port {ports[0]}\n  IdentityFile {home / 'id'}\n  UserKnownHostsFile {home / 'known'}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    yield "127.0.0.1"
    asyncio.run_coroutine_threadsafe(end_tasks(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
    # What the server leaves is finalised here, not within a later test: ast.parse of Python 3.11 fails where it is.
    gc.collect()


def test_workers_of_two_processes(host: str, tmp_path: Path) -> None:
    profile = SSHProfile(kind="ssh", hosts=[host], workers=2, python=sys.executable, wait=60.0)
    with ssh_client(profile, tmp_path / "out") as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        client.wait_for_workers(2, timeout=60)
        threads = client.run(os.getenv, "NPROC")
        assert list(threads.values()) == ["1", "1"]
        (key,) = (tmp_path / "out").glob("tls-*/key.pem")
        secret = key.read_text().splitlines()[1]
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
        assert not any(secret.encode() in line for line in lines)
    assert not list((tmp_path / "out").glob("tls-*"))


def test_a_host_without_python(host: str, tmp_path: Path) -> None:
    profile = SSHProfile(kind="ssh", hosts=[host], python="/nowhere/python")
    with (
        pytest.raises(InputError, match=r"the cluster cannot be started by SSH.*\n  hint: try `ssh HOST"),
        ssh_client(profile, tmp_path / "out"),
    ):
        pass


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "config").write_text("Host *\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with (
        pytest.raises(InputError, match=r"hosts: 127\.0\.0\.1: the cluster cannot be started by SSH"),
        ssh_client(SSHProfile(kind="ssh", hosts=["127.0.0.1"]), tmp_path / "out"),
    ):
        pass

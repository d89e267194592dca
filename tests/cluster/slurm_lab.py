"""A real Slurm of four nodes on this machine, in a temporary folder, for as long as it is needed.

Debian's ``slurm-wlm`` and ``munge``, installed where they are absent; no systemd, no cgroups, a socket of its own for
munge and free ports, so it stands beside whatever else runs here. Needs root.

    python tests/cluster/slurm_lab.py squeue        # any command, in a lab that lasts as long as the command
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from debian_packages import need

NODES = ("n1", "n2", "n3", "n4")
_SECONDS = 60  # for anything that Slurm does by itself; it takes few

_CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=10
KillWait=5
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
"""
# What Slurm gives away, not what the machine has.
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=16000"


@dataclass
class SlurmLab:
    """A Slurm that runs.

    Attributes
    ----------
    folder : Path
        Configuration, logs and state; gone with the lab.
    env : dict
        The environment in which ``sbatch`` and its like speak to this Slurm.
    """

    folder: Path
    env: dict[str, str]
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __call__(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self, state: str = "all") -> dict[int, str]:
        """Jobs of a state that are in the queue or have not quite left it, and their nodes."""
        lines = self("squeue", "--noheader", f"--states={state}", "--format=%i %T %N").splitlines()
        gone = {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT"}  # squeue shows them for some minutes
        known = [line.split(" ") for line in lines]
        return {int(number): node for number, told, node in known if told not in gone}

    def wait(self, what: Callable[[], bool], why: str, seconds: float = _SECONDS) -> None:
        """Until something holds.

        Raises
        ------
        TimeoutError
            With the log of the controller.
        """
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                log = self.folder / "log" / "slurmctld.log"
                told = log.read_text().splitlines()[-20:] if log.exists() else []
                raise TimeoutError("\n".join([f"waited {seconds:.0f} s until {why}", *told]))
            time.sleep(0.1)

    def idle(self) -> bool:
        """Whether all nodes are idle."""
        try:
            states = self("sinfo", "--noheader", "--Node", "--format=%T").split()
        except RuntimeError:  # the controller is not there yet
            return False
        return states == ["idle"] * len(NODES)

    def start(self, node: str) -> None:
        """Start the daemon of a node."""
        self._start(node, "slurmd", "-D", "-N", node)

    def kill(self, node: str) -> None:
        """End a node as a power cut would: its daemon and everything on it, at once."""
        daemon = self._daemons.pop(node)
        steps = [one for one in self.processes() if one[1].get("SLURMD_NODENAME") == node]
        daemon.kill()
        daemon.wait()
        for process, _ in steps:
            with suppress(psutil.NoSuchProcess):
                parent = process.parent()
                if parent is not None and parent.name() == "slurmstepd":
                    parent.kill()
                process.kill()

    def killed(self) -> list[str]:
        """Nodes whose daemon does not run."""
        return [node for node in NODES if node not in self._daemons]

    def processes(self) -> list[tuple[psutil.Process, dict[str, str]]]:
        """Processes of this machine that belong to the lab, with their environment."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                if environment.get("SLURM_CONF") == self.env["SLURM_CONF"]:
                    found.append((process, environment))
        return found

    def _start(self, name: str, *command: str) -> None:
        # They end with this process, however it ends; Ctrl-C in a terminal is not for them.
        with open(self.folder / "log" / f"{name}.err", "wb") as err:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=err,
                start_new_session=True,
            )

    def _begin(self) -> None:
        self._start("munged", "munged", "--foreground", *_munge(self.folder))
        self.wait((self.folder / "munge.socket").exists, "munge listens")
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start(node)
        self.wait(self.idle, "all nodes are idle")

    def _end(self) -> None:
        with suppress(RuntimeError, TimeoutError):
            self("scancel", "--signal=KILL", "--full", "--state=RUNNING", "--user=root")
            self("scancel", "--user=root")
            self.wait(lambda: not self.jobs(), "no job is left", 15)
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process, _ in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()


@contextmanager
def slurm_lab() -> Iterator[SlurmLab]:
    """A Slurm of four idle nodes; nothing of it is left afterwards."""
    if os.geteuid() != 0:
        raise RuntimeError(
            "the Slurm of these tests needs root: run them in a container or a virtual machine"
        )
    need("slurmctld", "slurm-wlm", "munge")
    folder = Path(tempfile.mkdtemp(prefix="slurm-lab-"))
    folder.chmod(0o755)  # munge wants to be reached by all
    for name in ("log", "state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").touch(mode=0o600)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    host, ports = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
    nodes = "\n".join(
        _NODE.format(name=name, host=host, port=port) for name, port in zip(NODES, ports[1:], strict=True)
    )
    (folder / "slurm.conf").write_text(
        _CONFIGURATION.format(folder=folder, host=host, ports=ports, nodes=nodes), encoding="utf-8"
    )
    lab = SlurmLab(folder, {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")})
    try:
        lab._begin()
        yield lab
    finally:
        lab._end()
        shutil.rmtree(folder, ignore_errors=True)


def _munge(folder: Path) -> list[str]:
    kept = {
        "key-file": "munge.key",
        "socket": "munge.socket",
        "pid-file": "munge.pid",
        "seed-file": "munge.seed",
    }
    return [
        *(f"--{option}={folder / name}" for option, name in kept.items()),
        f"--log-file={folder}/log/munge.log",
    ]


def _free_ports(count: int) -> list[int]:
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in with_ports]
    for one in with_ports:
        one.close()
    return ports


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with slurm_lab() as opened:
        sys.exit(subprocess.run(sys.argv[1:], env=opened.env).returncode)

"""Cluster profiles: where a job runs, apart from what it asks. One YAML file each, strict like job files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.errors import InputError
from engine.spec.block import LABEL, MEMORY, MOST_NAMES, WALLTIME, Block, Listed, ListedSome
from engine.spec.data_frames import plain
from engine.spec.paths import Source, expanded
from engine.spec.plain import shown
from engine.spec.strict_yaml import read_mapping
from engine.spec.validate import validate

Count = Annotated[int, Field(ge=1, le=100_000)]
Memory = Annotated[str, Field(pattern=MEMORY)]
Walltime = Annotated[str, Field(pattern=WALLTIME)]


class Adaptive(Block):
    """As many workers as there is work for."""

    minimum: Count = Field(1, description="workers that are kept even without work")
    maximum: Count = Field(description="most workers at one time")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self


class Certificates(Block):
    """The user's own certificates, PEM files that every machine of the cluster can read."""

    ca: Source = Field(description="certificate of the authority that signed the others")
    cert: Source = Field(description="certificate of scheduler, workers and client")
    key: Source = Field(description="its private key")


_PAGE = "serve Dask's page on the loopback interface, to every user of that machine"
Tls = Literal["auto"] | bool | Certificates


class _Profile(Block):
    keys_listed: ClassVar[str] = "cluster/README.md has the keys of every kind of profile"


class _Workers(_Profile):
    workers: Count | Adaptive = Field(description="worker processes: a number, or {minimum, maximum}")
    threads: Count = Field(1, description="threads of each worker process, for XLA")
    memory: Memory | None = Field(None, description="memory of each worker process")

    @property
    def least(self) -> int:
        """Workers that the run has even without work."""
        return self.workers if isinstance(self.workers, int) else self.workers.minimum

    @property
    def most(self) -> int:
        """Workers that the run has at most."""
        return self.workers if isinstance(self.workers, int) else self.workers.maximum


class LocalProfile(_Workers):
    """Worker processes of this machine; nothing listens beyond the loopback interface."""

    kind: Literal["local"]
    threads: Count | None = Field(None, description="default: an equal share of the cores")  # type: ignore[assignment]
    dashboard: bool = Field(False, description=_PAGE)


class _Remote(_Profile):
    tls: Tls = Field("auto", description="auto (on), true, false, or {ca, cert, key}")
    wait: float = Field(
        300, gt=0, le=1e7, description="seconds to wait for a first worker, and for one to come back"
    )


class Driver(Block):
    """The job that `dyadid run --submit` sends: the driver itself."""

    threads: Count = 1
    memory: Memory = "4GB"
    walltime: Walltime | None = Field(None, description="default: that of the workers")
    queue: str | None = Field(None, description="default: that of the workers")


class BatchProfile(_Workers, _Remote):
    """Workers as jobs of a batch system, one job a worker."""

    kind: Literal["slurm", "pbs", "lsf", "sge"]
    memory: Memory = Field(description="memory of each worker process")
    walltime: Walltime = Field(description="longest time of one worker, like 02:00:00; a new one follows it")
    queue: str | None = Field(None, description="partition or queue; default: the system's")
    account: str | None = Field(None, description="account or project that is charged")
    gpus: int = Field(0, ge=0, le=1000, description="GPUs of each worker (Slurm)")
    interface: str | None = Field(
        None, description="network interface, like ib0; default: that of the host name"
    )
    python: str | None = Field(None, description="Python on the compute nodes; default: this one")
    folder: Source | None = Field(None, description="of job logs, on a shared disk; default: below --out")
    prologue: list[str] = Field(
        [], max_length=MOST_NAMES, description="shell lines before a worker starts, like `module load`"
    )
    directives: Listed[str] = Field([], description="further lines for the batch system, without its prefix")
    driver: Driver = Driver()
    dashboard: bool = Field(False, description=_PAGE)

    @model_validator(mode="after")
    def _gpus_of_slurm(self) -> Self:
        if self.gpus and self.kind != "slurm":
            raise ValueError(f"gpus are asked of Slurm only; for {self.kind} write the line into directives")
        return self


class SSHProfile(_Remote):
    """Workers on machines that let this one in by SSH without a password."""

    kind: Literal["ssh"]
    hosts: ListedSome[str] = Field(description="the first runs the scheduler too")
    workers: Count = Field(1, description="worker processes on each host")
    threads: Count = Field(1, description="threads of each worker process, for XLA")
    memory: Memory | None = Field(None, description="memory of each worker process")
    user: str | None = None
    python: str | None = Field(None, description="Python on the hosts; default: this one's path")
    folder: Source | None = Field(None, description="of certificates, on a shared disk; default: below --out")
    dashboard: bool = Field(False, description=_PAGE)


class SchedulerProfile(_Remote):
    """A Dask cluster that somebody else started."""

    kind: Literal["scheduler"]
    address: str | None = Field(None, description="like tcp://10.0.0.1:8786 or tls://10.0.0.1:8786")
    file: Source | None = Field(None, description="its scheduler file")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.address is None) == (self.file is None):
            raise ValueError("needs address or file, and not both")
        return self


class KubernetesProfile(_Workers, _Remote):
    """Workers as pods that the Dask operator makes."""

    kind: Literal["kubernetes"]
    memory: Memory = Field(description="memory of each worker pod")
    name: str = Field(
        "dyadid", pattern=LABEL, max_length=40, description="what the names of its pods begin with"
    )
    namespace: str = Field("default", pattern=LABEL, description="where the pods run")
    image: str = Field(description="container image with this version of dyadid, see cluster/Dockerfile")
    gpus: int = Field(0, ge=0, le=1000, description="GPUs of each worker pod")
    service_account: str | None = Field(None, description="of scheduler and workers; they get no token of it")
    node_selector: dict[str, str] = Field(
        {}, max_length=MOST_NAMES, description="labels of the nodes that workers may run on"
    )
    tls_secret: str | None = Field(
        None, description="secret with ca.crt, tls.crt and tls.key; default: one that is made for each run"
    )


Profile = LocalProfile | BatchProfile | SSHProfile | SchedulerProfile | KubernetesProfile

_KINDS: dict[str, type[Any]] = {
    "local": LocalProfile,
    **dict.fromkeys(("slurm", "pbs", "lsf", "sge"), BatchProfile),
    "ssh": SSHProfile,
    "scheduler": SchedulerProfile,
    "kubernetes": KubernetesProfile,
}
_PATHS = ("folder", "file")


def load_profile(path: Path) -> Profile:
    """Read a profile; paths in it are relative to it.

    Raises
    ------
    InputError
        Naming the file and the key.
    """
    path = Path(path)
    document, _ = read_mapping(path)
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        problem = "is missing" if kind is None else f"there is no kind {shown(repr(kind))}"
        raise InputError(problem, where=f"{path}: kind", remedy=f"write one of {', '.join(_KINDS)}")
    profile: Profile = validate(_KINDS[kind], document, file=str(path))
    return profile.model_copy(update=_absolute(profile, path))


def profile_of(
    *, workers: int | None = None, scheduler: str | None = None, cluster: str | Path | None = None
) -> Profile | None:
    """The profile that a number of local workers, a scheduler's address or a file stands for; None for none."""
    options = {"--workers": workers, "--scheduler": scheduler, "--cluster": cluster}
    options_used = [name for name, value in options.items() if value]
    if len(options_used) > 1:
        remedy = "each of them says where the workers are"
        raise InputError(f"{options_used[0]} and {options_used[1]} exclude each other", remedy=remedy)
    if cluster:
        return load_profile(Path(cluster))
    if scheduler:
        return validate(SchedulerProfile, {"kind": "scheduler", "address": scheduler}, file="--scheduler")
    return (
        validate(LocalProfile, {"kind": "local", "workers": plain(workers)}, file="--workers")
        if workers
        else None
    )


def _absolute(profile: Profile, path: Path) -> dict[str, Any]:
    """Files that a profile names, as paths relative to the profile's folder."""
    folder = path.parent.resolve()

    def seen(name: str, key: str) -> str:
        return expanded(name, folder, where=f"{path}: {key}")

    paths: dict[str, Any] = {key: seen(name, key) for key in _PATHS if (name := getattr(profile, key, None))}
    tls = getattr(profile, "tls", None)
    if isinstance(tls, Certificates):
        paths["tls"] = Certificates(
            **{key: seen(name, f"tls.{key}") for key, name in tls.model_dump().items()}
        )
        for key, name in paths["tls"].model_dump().items():
            if not os.path.isfile(name):
                raise InputError(f"there is no file {name}", where=f"{path}: tls.{key}")
    return paths

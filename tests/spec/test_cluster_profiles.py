"""Profiles: the shipped ones are valid, wrong ones are refused by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import InputError
from engine.spec.cluster import (
    Adaptive,
    BatchProfile,
    Certificates,
    LocalProfile,
    SchedulerProfile,
    load_profile,
    profile_of,
)

SHIPPED = sorted((Path(__file__).parents[2] / "cluster").glob("*.yaml"))
SLURM = 'kind: slurm\nworkers: 2\nmemory: 4GB\nwalltime: "01:00:00"\n'

WRONG = {
    "no kind": ("workers: 2\n", ("p.yaml: kind: is missing", "write one of local, slurm, pbs, lsf, sge, ssh")),
    "no such kind": ("kind: slurn\n", ("p.yaml: kind: there is no kind 'slurn'",)),
    "misspelt key": (SLURM + "quueue: x\n", ("p.yaml: quueue: unknown key 'quueue', did you mean 'queue'?",)),
    "key of another kind": ("kind: local\nworkers: 2\nqueue: x\n", ("unknown key 'queue'; known here: workers",)),
    "walltime": (SLURM.replace("01:00:00", "1 h"), ("walltime: must be a time like 02:00:00 (got '1 h')",)),
    "memory": (SLURM.replace("4GB", "4g"), ("memory: must be an amount like 500MB or 2GB (got '4g')",)),
    "no walltime": (
        SLURM.replace("walltime", "wait"),
        ("2 problems", "walltime: is missing", "wait: must be a number"),
    ),
    "minimum above maximum": (
        SLURM.replace("workers: 2", "workers: {minimum: 3, maximum: 2}"),
        ("p.yaml: workers: ", "minimum 3 is above maximum 2"),
    ),
    "no worker": (SLURM.replace("workers: 2", "workers: 0"), ("p.yaml: workers: ",)),
    "GPUs of PBS": (SLURM.replace("slurm", "pbs") + "gpus: 1\n", ("gpus are asked of Slurm only",)),
    "address and file": (
        "kind: scheduler\naddress: tcp://a:1\nfile: b.json\n",
        ("needs address or file, and not both",),
    ),
    "neither": ("kind: scheduler\n", ("needs address or file, and not both",)),
    "no certificate": (
        "kind: scheduler\naddress: tls://a:1\ntls: {ca: ca.pem, cert: c.pem, key: k.pem}\n",
        ("p.yaml: tls.ca: there is no file", "ca.pem"),
    ),
    "tls": (SLURM + "tls: maybe\n", ("p.yaml: tls: must be 'auto' or true or false or a mapping",)),
    "pod name": (
        "kind: kubernetes\nimage: x\nworkers: 1\nmemory: 1GB\nname: My_Run\n",
        ("name: must be small letters, digits and -",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_are_valid(path: Path) -> None:
    profile = load_profile(path)
    assert profile.kind == path.stem.removesuffix("_gpu")


def test_there_is_a_profile_of_every_kind() -> None:
    names = {"local", "slurm", "slurm_gpu", "pbs", "lsf", "sge", "ssh", "scheduler", "kubernetes"}
    assert {path.stem for path in SHIPPED} == names


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_profiles(kind: str, tmp_path: Path) -> None:
    text, says = WRONG[kind]
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_profile(path)
    for part in says:
        assert part in str(caught.value)


def test_paths_are_relative_to_the_profile(tmp_path: Path) -> None:
    for name in ("ca.pem", "c.pem", "k.pem"):
        (tmp_path / name).touch()
    path = tmp_path / "p.yaml"
    path.write_text(SLURM + "folder: logs\ntls: {ca: ca.pem, cert: c.pem, key: k.pem}\n")
    profile = load_profile(path)
    assert isinstance(profile, BatchProfile)
    assert profile.folder == str(tmp_path / "logs")
    names = [str(tmp_path / name) for name in ("ca.pem", "c.pem", "k.pem")]
    assert profile.tls == Certificates(ca=names[0], cert=names[1], key=names[2])


def test_workers_fixed_and_adaptive() -> None:
    fixed = LocalProfile(kind="local", workers=3)
    moving = LocalProfile(kind="local", workers=Adaptive(minimum=1, maximum=4))
    assert [(one.least, one.most) for one in (fixed, moving)] == [(3, 3), (1, 4)]


def test_what_the_command_line_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SLURM)
    assert profile_of() is None
    assert profile_of(workers=2) == LocalProfile(kind="local", workers=2)
    assert profile_of(scheduler="tcp://a:1") == SchedulerProfile(kind="scheduler", address="tcp://a:1")
    assert profile_of(cluster=path) == load_profile(path)
    with pytest.raises(InputError, match="--workers and --cluster exclude each other"):
        profile_of(workers=2, cluster=path)

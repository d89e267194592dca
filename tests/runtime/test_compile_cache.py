"""Kernels are compiled once a shape in a run, kept for later processes, and never a reason for a run to fail.

What JAX compiles, and what it finds in the folder, is read from its log: a hit in the very process that filled an
empty folder means that a kernel was compiled twice for one shape.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import pytest

from engine import terminal

SCRIPT = """
import json, logging, resource, signal, sys
largest = int(sys.argv[2])
if largest:  # a disk that fills up: no file grows beyond so many bytes
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
from engine import cli, terminal
terminal.use_compilation_cache()
import engine
seen = {"hit": [], "MISS": []}
missed_keys = []
class Tally(logging.Handler):
    def emit(self, record):
        words = record.getMessage().split("'")
        for kind, names in seen.items():
            if words[0].lower() == f"persistent compilation cache {kind} for ".lower():
                names.append(words[1].removeprefix("jit_"))
                if kind == "MISS":
                    missed_keys.append((names[-1], words[3]))
for name in ("jax._src.compiler", "jax._src.compilation_cache"):
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Tally())
from jax import monitoring
events = []
monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
results = engine.run(sys.argv[1])
frames = {name: getattr(results, name).to_json(double_precision=15) for name in ("estimates", "inference", "draws")}
exact = [value.hex() for name in ("estimates", "draws") for value in getattr(results, name)["estimate"]]
exact += [value.hex() for value in results.draws["statistic"]]
jitted = {
    value.__name__
    for name, module in list(sys.modules.items()) if name.startswith("engine.")
    for value in vars(module).values() if hasattr(value, "_cache_size")
}
requests = events.count("compile_requests_use_cache")
print(json.dumps({
    "hits": seen["hit"], "misses": seen["MISS"], "requests": requests, "jitted": sorted(jitted),
    "missed_keys": missed_keys,
    "frames": frames, "exact": exact,
}))
"""


@dataclass(frozen=True)
class Ran:
    """What a process found in the folder, what it did not, the kernels of ours there are, and its results.

    ``missed_keys`` has the kernel and the name in the folder of every miss.
    """

    hits: list[str]
    misses: list[str]
    missed_keys: list[tuple[str, str]]
    requests: int
    jitted: set[str]
    results: Any
    errors: str


def run(job: Path, environment: Mapping[str, str], *, largest: int = 0) -> Ran:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(job), str(largest)],
        env={**own, **environment}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    results = said["frames"], said["exact"]
    return Ran(
        said["hits"],
        said["misses"],
        [(kernel, key) for kernel, key in said["missed_keys"]],
        said["requests"],
        set(said["jitted"]),
        results,
        done.stderr,
    )


def kept(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of each file."""
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of draw of two cells, in more than one block; and the folder of its kernels is empty."""
    frame = worlds.panel()
    inference = {"permutation": {"reps": 300}, "bootstrap": {"reps": 300}, "jackknife": {"by": "city"}}
    blocks = {"inference": inference, "sweep": {"model.controls": [[], ["edu", "dense"]]}}
    return worlds.write(tmp_path_factory.mktemp("job"), frame, worlds.job_of(frame, **blocks))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(job: Path, home: Path) -> Ran:
    """A process that starts with no folder."""
    return run(job, {"XDG_CACHE_HOME": str(home)})


def test_a_run_compiles_each_kernel_once_a_shape(first: Ran, home: Path) -> None:
    assert first.errors == ""
    assert len(first.hits) + len(first.misses) == first.requests  # the log tells all
    assert len(first.jitted & set(first.misses)) >= 6  # our kernels are among what it tells
    assert set(first.hits) & first.jitted == set()  # JAX's own copies of arrays may be of one kind
    ours = [key for kernel, key in first.missed_keys if kernel in first.jitted]
    assert len(ours) == len(set(ours))
    # Two threads may ask for one of JAX's own copies at the same moment, and both miss it.
    assert len(kept(home / "dyadid" / "jax")) == len({key for _, key in first.missed_keys})


def test_a_second_process_compiles_nothing(job: Path, first: Ran, home: Path) -> None:
    before = kept(home / "dyadid" / "jax")
    second = run(job, {"XDG_CACHE_HOME": str(home)})
    assert second.misses == []
    assert (
        len(second.hits) == second.requests
    )  # as many as of the first, but where two threads ask for one copy
    assert set(second.hits) == set(first.hits) | set(first.misses)
    assert kept(home / "dyadid" / "jax") == before
    assert second.results == first.results  # to the last bit
    assert second.errors == ""


def test_a_folder_that_may_only_be_read_is_read(job: Path, first: Ran, home: Path, tmp_path: Path) -> None:
    """As the command sets it up, see below: what is there is used, what is not is compiled and not kept."""
    filled = (
        home / "dyadid" / "jax"
    )  # here and in no copy: JAX counts the folder's name among a kernel's properties
    lost = next(path for path in filled.iterdir() if path.name.startswith("jit__add_influences-"))
    whole = kept(filled)
    shutil.move(lost, tmp_path)
    try:
        found = run(job, {"XDG_CACHE_HOME": str(home), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"})
        assert kept(filled) == {name: file for name, file in whole.items() if name != lost.name}
    finally:
        shutil.move(tmp_path / lost.name, lost)
    assert found.misses == ["_add_influences"]
    assert len(found.hits) == found.requests - 1
    assert set(found.hits) | {"_add_influences"} == set(first.hits) | set(first.misses)
    assert found.results == first.results


# -- a small job on folders of all sorts ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = worlds.panel()
    return worlds.write(tmp_path_factory.mktemp("plain"), frame, worlds.job_of(frame))


@pytest.fixture(scope="module")
def off(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Switched off: a folder is neither made nor asked."""
    home = tmp_path_factory.mktemp("nothing")
    found = run(plain, {"XDG_CACHE_HOME": str(home), "JAX_ENABLE_COMPILATION_CACHE": "false"})
    assert (found.hits, found.misses, found.errors, list(home.iterdir())) == ([], [], "", [])
    return found


def test_a_disk_that_fills_up_and_what_it_left_behind(plain: Path, off: Ran, tmp_path: Path) -> None:
    """Kernels are cut off in the folder that was named; neither this process nor the next, which reads them, minds."""
    environment = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "there")}
    full = run(plain, environment, largest=2048)
    cut = kept(tmp_path / "there")
    assert max(size for size, _ in cut.values()) == 2048
    after = run(plain, environment)
    assert len(full.misses) == len(cut) == full.requests
    assert full.results == after.results == off.results
    assert full.errors == after.errors == ""


def test_a_folder_that_cannot_be_made(plain: Path, off: Ran, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "jax"
    found = run(plain, {"JAX_COMPILATION_CACHE_DIR": str(folder)})
    assert found.errors == (
        f"warning: compiled kernels cannot be kept in {folder} (Not a directory); "
        "set JAX_COMPILATION_CACHE_DIR to a folder that can be written\n"
    )
    assert (found.hits, found.misses) == ([], [])
    assert found.results == off.results


# -- what the command sets up --------------------------------------------------------------------------------

FOLDER, ENABLE, LEAST = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_ENABLE_COMPILATION_CACHE",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
)


def set_up(monkeypatch: pytest.MonkeyPatch, **given: str) -> dict[str, str]:
    """The environment after `use_compilation_cache`, of JAX's variables."""
    environment = {"PATH": os.environ["PATH"], **given}
    monkeypatch.setattr(terminal.os, "environ", environment)
    with warnings.catch_warnings():
        terminal.use_compilation_cache()
    return {key: value for key, value in environment.items() if key.startswith("JAX_")}


def test_the_folder_lies_among_the_users_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept_all = {LEAST: "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    home, other, named = (tmp_path / name for name in ("home", "other", "named"))
    for given, folder in (
        ({"HOME": str(home)}, home / ".cache" / "dyadid" / "jax"),
        ({"HOME": str(home), "XDG_CACHE_HOME": str(other)}, other / "dyadid" / "jax"),
        ({"XDG_CACHE_HOME": str(other), FOLDER: str(named)}, named),
        ({"HOME": str(home), FOLDER: "~/mine"}, home / "mine"),
    ):
        assert set_up(monkeypatch, **given) == {FOLDER: str(folder), **kept_all}
        assert list(folder.iterdir()) == []


def test_what_the_user_set_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = {FOLDER: str(tmp_path / "a"), LEAST: "2", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "9"}
    assert set_up(monkeypatch, **own) == own
    for given in ({FOLDER: ""}, {FOLDER: "gs://bucket/jax"}, {FOLDER: str(tmp_path / "b"), ENABLE: "False"}):
        found = set_up(monkeypatch, HOME=str(tmp_path), **given)
        assert {key: found[key] for key in given} == given
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a read-only file system (permissions alone do not stop a test that runs as root)."""

    def refuse(**_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(terminal.tempfile, "TemporaryFile", refuse)
    found = set_up(monkeypatch, XDG_CACHE_HOME=str(tmp_path))
    assert (found[LEAST], ENABLE in found) == ("1e9", False)
    assert "(Read-only file system); set JAX_COMPILATION_CACHE_DIR" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_user_without_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: os.fspath(path))  # what Python gives then
    assert set_up(monkeypatch)[ENABLE] == "false"
    assert "cannot be kept in ~/.cache/dyadid/jax (" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []

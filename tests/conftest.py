"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from engine import cli, terminal

# No array of JAX silently changes its dtype or is broadcast along an axis that it lacks, in this process or in
# those that tests start. JAX reads both when it is imported, which importing `engine.cli` does not do.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

# Three quarters of a run were compilation: what a process has compiled is kept for the others, and for the next run on
# this checkout. JAX's key holds the program, the compiler's version and its flags.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# The first example of a property compiles kernels, and the machine may be busy: time is not what is tested.
settings.register_profile("dyadid", deadline=None)
settings.load_profile("dyadid")

MAPPINGS = Path("/proc/self/maps")
MOST_MAPPINGS = 20_000
"""Of memory in a test process; Linux allows 65,530, beyond which the next kernel is a segmentation fault."""

Command = Callable[..., tuple[int, str, str]]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``-m gpu`` looks at the tests of accelerators alone: a machine that has one may lack the peers of the others."""
    alone = config.getoption("markexpr") == "gpu" and collection_path.name.startswith("test_")
    return True if alone and collection_path.parent.name != "gpu" else None


@pytest.fixture(autouse=True, scope="module")
def few_kernels() -> Iterator[None]:
    """Kernels that the files before have loaded are let go of where they are thousands."""
    yield
    if "jax" in sys.modules and MAPPINGS.exists() and len(MAPPINGS.read_bytes().splitlines()) > MOST_MAPPINGS:
        sys.modules["jax"].clear_caches()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The ``dyadid`` command in a fresh folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # main sets its own
    monkeypatch.setattr(terminal, "use_compilation_cache", lambda: None)  # of this process nothing shall stay

    def call(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dyadid", *argv])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call

"""The driver as a process forked from one that has imported everything: a start costs 0.1 s instead of 2 s.

It is the command ``dyadid run`` in a process and session of its own, killed, stopped and restarted like any other.
JAX has been imported but has not started when it forks. Figures are not drawn, only their files written.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import distributed  # noqa: F401
import jax  # noqa: F401
import matplotlib.figure  # noqa: F401

import engine.report.outputs.registry
import engine.stages.curve_run
import engine.stages.estimation
import engine.stages.frames
import engine.stages.inference
import engine.stages.job_files
import engine.stages.manifest
from engine import cli


def drive(arguments: Sequence[str], environment: Mapping[str, str], said: Path, errors: Path) -> None:
    """``dyadid`` with these arguments; its exit code is that of the process."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((said, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    sys.modules["__main__"] = ModuleType("__main__")  # workers shall not import what started the campaign
    engine.stages.job_files.figure_bytes = lambda figure, kind: kind.encode()
    sys.argv = ["dyadid", *arguments]
    try:
        cli.main()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()

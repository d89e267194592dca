"""Frames of a job in its folder: written as Parquet, and read back only where the manifest lists their bytes."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import InputError, readable
from engine.report.outputs.registry import STORED_FRAMES
from engine.runtime.files import recorded, write_with

_REMEDY = "run the job again, it writes the file anew"


def write_frames(frames: Mapping[str, pd.DataFrame], folder: Path) -> dict[str, str]:
    """``<name>.parquet`` of each, and the sha256 of each; those of an earlier run that are not there now go."""
    with recorded() as hashes:
        for name, frame in frames.items():
            write_with(folder / f"{name}.parquet", partial(frame.to_parquet, index=False))
    for name in STORED_FRAMES.keys() - frames.keys():
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    return {path.stem: sha256 for path, sha256 in hashes.items()}


def read_frames(folder: Path, manifest: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The frames that the run of this manifest wrote; other files beside them are none of its results.

    Raises
    ------
    InputError
        Naming a frame that is gone or is another than the run wrote.
    """
    hashes = manifest.get("frames")
    if not isinstance(hashes, Mapping):
        raise InputError("the manifest lists no frames", where=str(folder / "manifest.json"), remedy=_REMEDY)
    return {
        name: _frame(folder / f"{name}.parquet", hashes[name]) for name in STORED_FRAMES if name in hashes
    }


def _frame(path: Path, sha256: object) -> pd.DataFrame:
    with readable(path, remedy=_REMEDY):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError("is not what the run wrote", where=str(path), remedy=_REMEDY)
    with readable(path, remedy=_REMEDY):
        return pd.read_parquet(io.BytesIO(content))

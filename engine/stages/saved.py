"""Results of a finished job, read back from its folder and checked: a folder may be damaged, or of another version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from engine.errors import InputError, readable
from engine.report.language.wording import LANGUAGES, lang_of, shared_words
from engine.report.outputs.registry import STORED_FRAMES
from engine.stages.job_files import MANIFEST
from engine.stages.stored_frames import read_frames

Content = TypeVar("Content", dict[str, Any], list[Any])

_REMEDY = "run the job again"
_MOST_JSON = 200_000_000  # bytes of a JSON file; a manifest of ten thousand cells has some 20 million
_OF_CELL: Mapping[str, type | tuple[type, ...]] = {"cell": str, "number": int, "label": str}
_OF_MANIFEST: Mapping[str, type | tuple[type, ...]] = {
    "title": str,
    "treatment": (str, type(None)),
    "data": dict,
    "more_data": list,
    "cells": list,
    "confidence": (int, float),
    "frames": dict,
}
_LISTS = ("counts", "warnings", "warning_codes", "notes", "note_codes")
_IF_THERE: Mapping[str, type] = {
    **dict.fromkeys(_LISTS, list),
    "choices": dict,
    "table": dict,
    "figure": dict,
    "lang": str,
}
_IN_WORDS = {str: "text", int: "a whole number", dict: "a mapping", list: "a list"}


@dataclass(frozen=True)
class SavedJob:
    """A finished job as its folder has it."""

    folder: Path
    manifest: dict[str, Any]
    frames: dict[str, pd.DataFrame]
    validation: dict[str, object]

    def figures(self) -> list[tuple[str, str, bytes]]:
        """Title, text and PNG of each figure that was drawn."""
        path = self.folder / "figures.json"
        figures = []
        for entry in _read_json(path, list):
            _check_types(path, entry, {"name": str, "title": str, "text": str})
            if not re.fullmatch(r"\w[\w.-]*", entry["name"]):  # a name, not a path to elsewhere
                raise InputError(
                    f"'{entry['name']}' is not the name of a figure", where=str(path), remedy=_REMEDY
                )
            png = self.folder / f"{entry['name']}.png"
            with readable(png, remedy=_REMEDY):
                figures.append((entry["title"], entry["text"], _regular(png).read_bytes()))
        return figures


def saved_jobs(folder: Path, notice: Callable[[Exception], None]) -> list[SavedJob]:
    """Finished jobs, the folder itself or those in it: "Table 1. ..." and on, then others by name.

    A damaged one is reported to ``notice`` and left out.

    Raises
    ------
    InputError
        Where there is none, or all are damaged.
    """
    if not folder.is_dir():
        reason = "this is a file, not a folder" if folder.exists() else "no such folder"
        raise InputError(reason, where=str(folder), remedy="name a folder that `dyadid run` wrote")
    jobs, damaged = [], []
    for path in _manifests(folder):
        try:
            jobs.append(read_job(path.parent))
        except InputError as error:
            damaged.append(error)
    if not jobs:
        raise (
            damaged[0]
            if damaged
            else InputError(
                "no finished job here (no manifest.json)",
                where=str(folder),
                remedy="run `dyadid run JOB --out DIR` first",
            )
        )
    for problem in damaged:
        notice(problem)
    return sorted(jobs, key=lambda job: _place(job.manifest["title"]))


def folder_lang(folder: Path) -> str:
    """The language that all jobs of a folder have whose manifest is sound; English where they differ, or none is."""
    langs = []
    for path in _manifests(folder) if folder.is_dir() else []:
        with suppress(InputError):
            langs.append(lang_of(_sound_manifest(path)))
    return shared_words(langs).lang


def _manifests(folder: Path) -> list[Path]:
    """Those of the folder itself and of the folders in it."""
    folders = [folder, *(child for child in sorted(folder.iterdir()) if child.is_dir())]
    paths = [child / MANIFEST for child in folders]
    return [path for path in paths if path.exists() or path.is_symlink()]


def _place(title: str) -> tuple[int, int]:
    """Numbered tables, in order, before numbered figures, and both before what has no number."""
    numbered = re.match(r"(Figure|Table) (\d{1,9})\. ", title)
    return (2, 0) if numbered is None else (0 if numbered[1] == "Table" else 1, int(numbered[2]))


def read_job(folder: Path) -> SavedJob:
    """Manifest, frames and validation report of a job's folder.

    Raises
    ------
    InputError
        A file is missing, damaged or of another version; it is named.
    """
    manifest = _sound_manifest(folder / MANIFEST)
    if "estimates" not in manifest["frames"]:
        raise InputError("lists no estimates: it is damaged", where=str(folder / MANIFEST), remedy=_REMEDY)
    for name in manifest["frames"]:
        _regular(folder / f"{name}.parquet")
    frames = read_frames(folder, manifest)
    for name, frame in frames.items():
        _check_frame(folder / f"{name}.parquet", name, frame)
    return SavedJob(folder, manifest, frames, _read_json(folder / "validation.json", dict))


def _regular(path: Path) -> Path:
    """The path, if it is an ordinary file: reading a device or a pipe would never end."""
    if path.is_dir():
        raise InputError("this is a folder, not a file", where=str(path), remedy=f"remove it and {_REMEDY}")
    if not path.is_file():
        problem = "it is not an ordinary file" if path.exists() else "there is no such file"
        raise InputError(problem, where=str(path), remedy=_REMEDY)
    return path


def _read_json(path: Path, kind: type[Content]) -> Content:
    with readable(path, remedy=_REMEDY):
        if _regular(path).stat().st_size > _MOST_JSON:
            raise InputError(f"the file is larger than {_MOST_JSON:,} bytes", where=str(path), remedy=_REMEDY)
        value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, kind):
        raise InputError(
            f"is not {_IN_WORDS[kind]}: it is damaged, or not a file of a run",
            where=str(path),
            remedy=_REMEDY,
        )
    return value


def _sound_manifest(path: Path) -> dict[str, Any]:
    manifest = _read_json(path, dict)
    missing = sorted(set(_OF_MANIFEST) - set(manifest))
    if missing:
        raise InputError(
            f"lacks {', '.join(missing)}: it was made by another version, or is damaged",
            where=str(path),
            remedy=_REMEDY,
        )
    _check_types(path, manifest, _OF_MANIFEST)
    _check_types(path, manifest, {key: kind for key, kind in _IF_THERE.items() if key in manifest})
    if lang_of(manifest) not in LANGUAGES:
        raise InputError(
            f"there are no words in '{manifest['lang']}': it was made by another version, or is damaged",
            where=str(path),
            remedy=_REMEDY,
        )
    for source in (manifest["data"], *manifest["more_data"]):
        _check_types(path, source, {"synthetic": bool})
    for cell in manifest["cells"]:
        _check_types(path, cell, _OF_CELL)
    if not manifest["cells"] or not 0 < manifest["confidence"] < 1:
        raise InputError("cells or confidence are impossible: it is damaged", where=str(path), remedy=_REMEDY)
    return manifest


def _check_types(path: Path, entry: object, types: Mapping[str, type | tuple[type, ...]]) -> None:
    if not isinstance(entry, Mapping):
        raise InputError(
            f"holds {str(entry)[:40]!r} where a mapping belongs", where=str(path), remedy=_REMEDY
        )
    for key, kind in types.items():
        if not isinstance(entry.get(key), kind) or (kind is not bool and isinstance(entry.get(key), bool)):
            raise InputError(
                f"'{key}' is {str(entry.get(key))[:40]!r}: it was made by another version, or is damaged",
                where=str(path),
                remedy=_REMEDY,
            )


def _check_frame(path: Path, name: str, frame: pd.DataFrame) -> None:
    """Refuse a frame that lacks what tables, figures and page read of it."""
    with readable(path, remedy=_REMEDY):
        texts = {
            column: frame[column].unique() for column in frame if frame[column].dtype.kind not in "biufM"
        }
    stored = STORED_FRAMES[name]
    missing = [column for column in (*stored.text, *stored.numbers) if column not in frame]
    if missing:
        raise InputError(f"the column '{missing[0]}' is missing", where=str(path), remedy=_REMEDY)
    if frame.empty:
        raise InputError("there are no rows", where=str(path), remedy=_REMEDY)
    for column in stored.numbers:
        if not all(cell is None or isinstance(cell, Real) for cell in texts.get(column, ())):
            raise InputError(f"the column '{column}' does not hold numbers", where=str(path), remedy=_REMEDY)
    for column in stored.text:
        if not all(isinstance(cell, str) for cell in texts.get(column, (None,))):
            raise InputError(f"the column '{column}' does not hold text", where=str(path), remedy=_REMEDY)

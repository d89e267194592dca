"""Whether a folder already holds what a run would write: same code, job, data and language, files untouched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from engine.runtime.files import file_hash, write_text
from engine.runtime.fingerprint import fingerprint
from engine.runtime.source_code import code_version, source_changed
from engine.spec import Plan, spec_hash
from engine.stages.prepare_passes import Prepared, distinct_data

STATE = ".dyadid"
"""Folder, beside a job's results, of its units, log and marks."""
_MARK = "finished.json"
_READERS_AND_PAINTERS = ("openpyxl", "matplotlib")
"""Distributions that read cells or draw figures; those that make numbers are in `code_version`."""


def request_key(plan: Plan, prepared: tuple[Prepared, ...], lang: str) -> str:
    """What is asked of which code and data; equal keys ask for equal files."""
    sources = [(source.name, source.sha256) for data in distinct_data(prepared) for source in data.sources]
    loaded = plan.loaded
    asked = (spec_hash(plan), dict(loaded.hashes), loaded.job.model_dump_json())
    tools = [(name, version(name)) for name in _READERS_AND_PAINTERS]
    return fingerprint(code_version(), tools, asked, sources, lang)


def is_finished(folder: Path, key: str) -> bool:
    """Whether a run of that key ended in this folder and every file that it wrote is as it left it."""
    try:
        mark = json.loads((folder / STATE / _MARK).read_text(encoding="utf-8"))
        files = dict(mark["files"])
        return mark["key"] == key and files == {name: file_hash(folder / name) for name in files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def mark_finished(folder: Path, key: str, written: Mapping[Path, str]) -> None:
    """Say that the folder holds what was asked.

    Parameters
    ----------
    folder : Path
    key : str
        As `request_key` gives it.
    written : mapping of Path to str
        sha256 of every file that the run wrote there. Whatever else lies in the folder is none of its results.

    Where the files of this package changed since the process began, nothing is said: the key stands for other code.
    """
    (folder / STATE / _MARK).unlink(missing_ok=True)
    if source_changed():
        return
    files = {path.name: sha256 for path, sha256 in sorted(written.items()) if path.parent == folder}
    write_text(folder / STATE / _MARK, json.dumps({"key": key, "files": files}, indent=1))

"""Whether a folder already holds what a run would write: same code, job, data and language, files untouched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from engine.runtime.files import STATE, file_hash, write_text
from engine.runtime.fingerprint import fingerprint
from engine.runtime.source_code import code_version, package_version, source_changed
from engine.spec import Plan, spec_hash
from engine.stages.prepare_passes import Prepared, distinct_data

FILE_ENDINGS = frozenset({".json", ".parquet", ".txt", ".tex", ".html", ".csv", ".pdf", ".png", ".svg"})
"""Of the files that a job's folder gets."""
_MARK = "finished.json"
_PAINTERS = ("matplotlib",)
"""Distributions that draw figures; those that make numbers are in `code_version`."""


def request_key(plan: Plan, prepared: tuple[Prepared, ...]) -> str:
    """Hash of the request, the code and the data; equal keys stand for equal files."""
    sources = [(source.name, source.sha256) for panel in distinct_data(prepared) for source in panel.sources]
    loaded = plan.loaded
    request = (spec_hash(plan), dict(loaded.hashes), loaded.job.model_dump_json())
    tools = [(name, package_version(name)) for name in _PAINTERS]
    return fingerprint(code_version(), tools, request, sources)


def is_finished(folder: Path, key: str) -> bool:
    """Whether a run of that key ended in this folder and every file that it wrote is as it left it."""
    try:
        mark = json.loads((folder / STATE / _MARK).read_text(encoding="utf-8"))
        files = dict(mark["files"])
        return mark["key"] == key and files == {name: file_hash(folder / name) for name in files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def mark_finished(folder: Path, key: str, hashes: Mapping[Path, str]) -> None:
    """Mark the folder as holding the results of a request.

    Parameters
    ----------
    folder : Path
    key : str
        As `request_key` gives it.
    hashes : mapping of Path to str
        sha256 of every file that the run wrote there. Other files in the folder are none of its results.

    Where the files of this package changed since the process began, there is no mark: the key stands for other code.
    """
    (folder / STATE / _MARK).unlink(missing_ok=True)
    if source_changed():
        return
    files = {path.name: sha256 for path, sha256 in sorted(hashes.items()) if path.parent == folder}
    write_text(folder / STATE / _MARK, json.dumps({"key": key, "files": files}, indent=1))

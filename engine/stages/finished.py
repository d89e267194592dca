"""Whether a folder already holds what a run would write: same code, job, data and language, files untouched."""

from __future__ import annotations

import json
from pathlib import Path

from engine.runtime.files import write_text
from engine.runtime.fingerprint import code_version, fingerprint
from engine.spec import Plan, spec_hash
from engine.stages.prepare import Prepared, distinct_data
from engine.tables.read import file_hash

STATE = ".dyadid"
"""Folder, beside a job's results, of its units, log and marks."""
_MARK = "finished.json"


def request_key(plan: Plan, prepared: tuple[Prepared, ...], lang: str) -> str:
    """What is asked of which code and data; equal keys ask for equal files."""
    sources = [(source.name, source.sha256) for one in distinct_data(prepared) for source in one.sources]
    loaded = plan.loaded
    asked = (spec_hash(plan), dict(loaded.hashes), loaded.job.model_dump_json())
    return fingerprint(code_version(), asked, sources, lang)


def is_finished(folder: Path, key: str) -> bool:
    """Whether a run of that key ended in this folder and every file is as it left it."""
    try:
        mark = json.loads((folder / STATE / _MARK).read_text(encoding="utf-8"))
        files = dict(mark["files"])
        return mark["key"] == key and files == {name: file_hash(folder / name) for name in files}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def mark_finished(folder: Path, key: str) -> None:
    """Say that the folder holds what was asked."""
    files = {path.name: file_hash(path) for path in sorted(folder.iterdir()) if path.is_file()}
    write_text(folder / STATE / _MARK, json.dumps({"key": key, "files": files}, indent=1))

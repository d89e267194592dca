"""Files of a job: frames, manifest, tables and figures, each written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from engine.runtime.files import write_text, write_with


def write_results(
    estimates: pd.DataFrame,
    events: pd.DataFrame | None,
    manifest: dict[str, Any],
    validation: dict[str, Any],
    folder: Path,
) -> None:
    """Write everything a job leaves behind; the manifest comes last and says that the rest is there."""
    (folder / "manifest.json").unlink(missing_ok=True)
    write_with(folder / "estimates.parquet", lambda path: estimates.to_parquet(path, index=False))
    if events is not None:
        write_with(folder / "event_study.parquet", lambda path: events.to_parquet(path, index=False))
    write_text(folder / "validation.json", json.dumps(validation, indent=1, ensure_ascii=False))
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False))


def render_folder(folder: Path) -> Path:
    return folder

"""Files of a job: frames, manifest, tables and figures, each written whole or not at all; one page for all jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.report.figures import (
    coefficient_figure,
    coefficient_text,
    event_study_figure,
    event_study_text,
    figure_bytes,
)
from engine.report.page import JobSection, report_page
from engine.report.placebo import (
    inference_html,
    influence_figure,
    influence_text,
    placebo_figure,
    placebo_text,
)
from engine.report.reading import reading
from engine.report.tables import Table, regression_table
from engine.runtime.files import write_bytes, write_text, write_with

MANIFEST = "manifest.json"
FRAMES = ("estimates", "event_study", "inference", "draws", "influence")


def write_results(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], validation: dict[str, Any], folder: Path
) -> None:
    """Write everything a job leaves behind; the manifest comes last and says that the rest is there.

    ``frames`` become ``<name>.parquet``; those of an earlier run that this one does not have are removed.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in FRAMES:
        if name in frames:
            write_with(folder / f"{name}.parquet", partial(frames[name].to_parquet, index=False))
        else:
            (folder / f"{name}.parquet").unlink(missing_ok=True)
    write_text(folder / "validation.json", json.dumps(validation, indent=1, ensure_ascii=False))
    write_tables(frames["estimates"], manifest, folder)
    write_figures(frames, manifest, folder)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))


def write_tables(estimates: pd.DataFrame, manifest: dict[str, Any], folder: Path) -> None:
    """``table.txt``, ``.tex``, ``.html`` and ``.csv``."""
    table = _table(estimates, manifest)
    write_text(folder / "table.txt", table.to_text())
    write_text(folder / "table.tex", table.to_latex())
    write_text(folder / "table.html", table.to_html(standalone=True))
    write_text(folder / "table.csv", table.to_csv())


def write_figures(frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], folder: Path) -> None:
    """Each figure as PDF and PNG, and ``figures.json`` with title and text of each, in order."""
    written = []
    for name, title, text, figure in (*_figures(frames, manifest), *_draw_figures(frames, manifest)):
        write_bytes(folder / f"{name}.pdf", figure_bytes(figure, "pdf"))
        write_bytes(folder / f"{name}.png", figure_bytes(figure, "png"))
        written.append({"name": name, "title": title, "text": text})
    write_text(folder / "figures.json", json.dumps(written, indent=1, ensure_ascii=False))


def _figures(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any]
) -> Iterator[tuple[str, str, str, Any]]:
    """Name, title, text and figure: an event study a cell that has one, and the main term over the cells."""
    estimates, events = frames["estimates"], frames.get("event_study")
    subtitle = "Synthetic data" if _synthetic(manifest) else ""
    studies = [cell for cell in manifest["cells"] if "event_study" in cell]
    for cell in studies if events is not None else []:
        assert events is not None
        rows, setting = events[events["cell"] == cell["cell"]], cell["event_study"]
        several = len(studies) > 1
        title = f"{manifest['title']}: {cell['label']}" if several else manifest["title"]
        figure = event_study_figure(
            rows,
            title=title,
            subtitle=subtitle,
            base=setting["base"],
            binned=setting["ends"] == "bin",
            confidence=manifest["confidence"],
        )
        name = f"event_study_{cell['number']}" if several else "event_study"
        yield name, title, event_study_text(rows), figure
    term = _main_term(estimates, manifest)
    if term is not None:
        figure = coefficient_figure(
            estimates, term, title=manifest["title"], subtitle=subtitle, confidence=manifest["confidence"]
        )
        yield "coefficients", f"{manifest['title']}: {term}", coefficient_text(estimates, term), figure


def _draw_figures(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any]
) -> Iterator[tuple[str, str, str, Any]]:
    """Placebo densities and influences of the last cell that has them, for the treatment or its first term."""
    subtitle = "Synthetic data" if _synthetic(manifest) else ""
    if "draws" in frames and (frames["draws"]["method"] == "permutation").any():
        draws = frames["draws"]
        cell = draws.loc[draws["method"] == "permutation", "cell"].iloc[-1]
        own = draws[draws["cell"] == cell]
        term = own["term"].iloc[0]
        own = own[own["term"] == term]
        city, pair = (
            own.loc[own["method"] == method, "estimate"].to_numpy()
            for method in ("permutation", "pair_shuffle")
        )
        rows = frames["inference"]
        rows = rows[(rows["cell"] == cell) & (rows["term"] == term)].set_index("method")
        estimate = float(rows.at["permutation_coefficient", "statistic"])
        p = float(rows.at["permutation", "p_value"])
        title = f"{manifest['title']}: placebo"
        figure = placebo_figure(
            city,
            estimate,
            p,
            term=term,
            title=title,
            subtitle=subtitle,
            pair_draws=pair if len(pair) else None,
        )
        yield "placebo", title, placebo_text(city, estimate, p, term), figure
    if "influence" in frames:
        influence = frames["influence"]
        last = influence[influence["cell"] == influence["cell"].iloc[-1]]
        term = last["term"].iloc[0]
        last = last[last["term"] == term]
        title = f"{manifest['title']}: influence"
        figure = influence_figure(last, term=term, title=title, subtitle=subtitle)
        yield "influence", title, influence_text(last, term), figure


def _main_term(estimates: pd.DataFrame, manifest: dict[str, Any]) -> str | None:
    """The term to compare over cells: the treatment, or what most cells have last; None for a single cell."""
    cells = [cell["cell"] for cell in manifest["cells"] if "event_study" not in cell]
    if len(cells) < 2:
        return None
    rows = estimates[estimates["cell"].isin(cells)]
    if manifest["treatment"] in set(rows["term"]):
        return str(manifest["treatment"])
    return str(rows.groupby("cell", sort=False)["term"].last().mode().iloc[0])


def _synthetic(manifest: dict[str, Any]) -> bool:
    return any(data["synthetic"] for data in [manifest["data"], *manifest["more_data"]])


def _table(estimates: pd.DataFrame, manifest: dict[str, Any]) -> Table:
    return regression_table(
        estimates, title=manifest["title"], main=manifest["treatment"], synthetic=_synthetic(manifest)
    )


def render_folder(folder: Path) -> Path:
    """Make tables and figures again from the Parquet files of every job below a folder, then the page."""
    for manifest, job in _finished(folder):
        frames = _frames(job)
        write_tables(frames["estimates"], manifest, job)
        write_figures(frames, manifest, job)
    return write_page(folder)


def write_page(folder: Path) -> Path:
    """``report.html``: one page of every finished job below a folder."""
    sections = [_section(manifest, job) for manifest, job in _finished(folder)]
    return write_text(folder / "report.html", report_page(sections, title="dyadid report"))


def _finished(folder: Path) -> list[tuple[dict[str, Any], Path]]:
    """Manifests of finished jobs, the folder itself or those in it, in the order they were run."""
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), remedy="name a folder that `dyadid run` wrote")
    found = []
    for path in [folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))]:
        if path.is_file():
            found.append((_read_manifest(path), path.parent))
    if not found:
        raise InputError(
            "no finished job here (no manifest.json)",
            where=str(folder),
            remedy="run `dyadid run JOB --out DIR` first",
        )
    return found


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        missing = {"title", "treatment", "data", "more_data", "cells", "confidence"} - set(manifest)
    except (ValueError, TypeError):
        missing = {"everything"}
    if missing:
        raise InputError(
            f"lacks {', '.join(sorted(missing))}: it was made by another version, or is damaged",
            where=str(path),
            remedy="run the job again",
        )
    return dict(manifest)


def _frames(job: Path) -> dict[str, pd.DataFrame]:
    paths = {name: job / f"{name}.parquet" for name in FRAMES}
    return {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}


def _section(manifest: dict[str, Any], job: Path) -> JobSection:
    frames = _frames(job)
    estimates = frames["estimates"]
    figures = json.loads((job / "figures.json").read_text(encoding="utf-8"))
    return JobSection(
        manifest=manifest,
        tables=[
            (manifest["title"], _table(estimates, manifest).to_html()),
            *([("Inference by draws", inference_html(frames["inference"]))] if "inference" in frames else []),
        ],
        figures=[(one["title"], one["text"], (job / f"{one['name']}.png").read_bytes()) for one in figures],
        reading=reading(estimates, main=manifest["treatment"]),
        validation=json.loads((job / "validation.json").read_text(encoding="utf-8")),
    )

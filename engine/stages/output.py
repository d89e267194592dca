"""Files of a job: frames, manifest, tables and figures, each written whole or not at all; one page for all jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import described
from engine.report.balance import balance_figure, balance_text
from engine.report.curve import curve_figure, curve_sentences, curve_table, curve_text
from engine.report.figures import (
    coefficient_figure,
    coefficient_text,
    drawable,
    event_study_figure,
    event_study_text,
    figure_bytes,
)
from engine.report.findings import finding_sentences, finding_tables
from engine.report.grid import Table
from engine.report.language.wording import ENGLISH, Words
from engine.report.placebo import influence_figure, influence_text, placebo_figure, placebo_text
from engine.report.reading import reading
from engine.report.tables import regression_table
from engine.runtime.files import write_bytes, write_text
from engine.runtime.tracebacks import keep_traceback
from engine.stages.finished_runs import STATE
from engine.stages.stored_frames import write_frames

MANIFEST = "manifest.json"
_Named = tuple[str, str, str, Any]
"""Name, title, text and figure."""


def write_results(
    frames: Mapping[str, pd.DataFrame],
    manifest: dict[str, Any],
    validation: dict[str, Any],
    folder: Path,
    words: Words = ENGLISH,
) -> tuple[str, ...]:
    """Write everything a job leaves behind; the manifest comes last and says that the rest is there.

    ``frames`` become ``<name>.parquet``; the manifest gets the sha256 of each. Returned are the figures that could
    not be drawn, as `write_figures` has them.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest["frames"] = write_frames(frames, folder)
    write_text(folder / "validation.json", json.dumps(validation, indent=1, ensure_ascii=False))
    write_tables(frames, manifest, folder, words)
    undrawn = write_figures(frames, manifest, folder, words)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    return undrawn


def write_tables(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], folder: Path, words: Words = ENGLISH
) -> None:
    """``table.txt``, ``.tex``, ``.html`` and ``.csv``; ``table_<name>`` for what only some jobs have."""
    written = set()
    for name, table in job_tables(frames, manifest, words):
        write_text(folder / f"{name}.txt", table.to_text())
        write_text(folder / f"{name}.tex", table.to_latex())
        write_text(folder / f"{name}.html", table.to_html(standalone=True))
        write_text(folder / f"{name}.csv", table.to_csv())
        written.add(name)
    if _curve_term(frames, manifest) is not None:  # its table is a summary
        write_text(folder / "table.csv", _table(frames["estimates"], manifest, words).to_csv())
    for path in folder.glob("table_*.*"):
        if path.stem not in written:  # of an earlier run
            path.unlink()


def write_figures(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], folder: Path, words: Words = ENGLISH
) -> tuple[str, ...]:
    """Each figure as PDF and PNG, and ``figures.json`` with title and text of each, in order.

    A figure that cannot be drawn (a broken font, a value that no axis can hold) loses no number and no other figure:
    returned are sentences on those, and ``errors.log`` in the job's state folder has the tracebacks.
    """
    written, undrawn = [], []

    def failed(error: Exception) -> None:
        log = keep_traceback(error, folder / STATE)
        undrawn.append(f"a figure could not be drawn ({described(error)}); the traceback is in {log}")

    for make in (_figures, _balance_figures, _draw_figures):
        for name, title, text, figure in _until_failure(make(frames, manifest, words), failed):
            try:
                drawn = figure_bytes(figure, "pdf"), figure_bytes(figure, "png")
            except Exception as error:
                failed(error)
                continue
            write_bytes(folder / f"{name}.pdf", drawn[0])
            write_bytes(folder / f"{name}.png", drawn[1])
            written.append({"name": name, "title": title, "text": text})
    write_text(folder / "figures.json", json.dumps(written, indent=1, ensure_ascii=False))
    return tuple(undrawn)


def _until_failure(figures: Iterator[_Named], failed: Callable[[Exception], None]) -> Iterator[_Named]:
    """Figures as they are made; the first that fails ends its kind, not the others."""
    while True:
        try:
            figure = next(figures)
        except StopIteration:
            return
        except Exception as error:
            failed(error)
            return
        yield figure


def _figures(frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], words: Words) -> Iterator[_Named]:
    """Name, title, text and figure: an event study a cell that has one, and the main term over the cells."""
    estimates, events = frames["estimates"], frames.get("event_study")
    subtitle = _subtitle(manifest, drawable(words))
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
            outcome=str(estimates.loc[estimates["cell"] == cell["cell"], "outcome"].iloc[0]),
            binned=setting["ends"] == "bin",
            confidence=manifest["confidence"],
            words=drawable(words),
        )
        name = f"event_study_{cell['number']}" if several else "event_study"
        yield name, title, event_study_text(rows, words), figure
    term, many = _main_term(estimates, manifest), _curve_term(frames, manifest)
    if many is not None:
        figure = curve_figure(
            estimates,
            many,
            manifest["choices"],
            title=manifest["title"],
            subtitle=subtitle,
            confidence=manifest["confidence"],
            words=drawable(words),
        )
        yield "curve", manifest["title"], curve_text(estimates, many, manifest["choices"], words), figure
    elif term is not None:
        figure = coefficient_figure(
            estimates,
            term,
            title=manifest["title"],
            subtitle=subtitle,
            confidence=manifest["confidence"],
            words=drawable(words),
        )
        yield "coefficients", f"{manifest['title']}: {term}", coefficient_text(estimates, term, words), figure


def _balance_figures(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], words: Words
) -> Iterator[_Named]:
    """Standardised differences before and after matching, a figure a matched cell."""
    if "balance" not in frames:
        return
    labels = {cell["cell"]: (cell["number"], cell["label"]) for cell in manifest["cells"]}
    groups = list(frames["balance"].groupby("cell", sort=False))
    for cell, rows in groups:
        place, label = labels[cell]
        title = f"{manifest['title']}: {label}" if len(groups) > 1 else manifest["title"]
        figure = balance_figure(
            rows, title=title, subtitle=_subtitle(manifest, drawable(words)), words=drawable(words)
        )
        yield f"balance_{place}" if len(groups) > 1 else "balance", title, balance_text(rows, words), figure


def _draw_figures(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], words: Words
) -> Iterator[_Named]:
    """Placebo densities and influences of the last cell that has them, for the treatment or its adoption year."""
    inside = drawable(words)
    subtitle = _subtitle(manifest, inside)
    if "draws" in frames and (frames["draws"]["method"] == "permutation").any():
        draws = frames["draws"]
        cell = draws.loc[draws["method"] == "permutation", "cell"].iloc[-1]
        own = draws[draws["cell"] == cell]
        term, name = _shown_term(own["term"]), _named(manifest, cell)
        own = own[own["term"] == term]
        city, pair = (
            own.loc[own["method"] == method, "estimate"].to_numpy()
            for method in ("permutation", "pair_shuffle")
        )
        rows = frames["inference"]
        rows = rows[(rows["cell"] == cell) & (rows["term"] == term)].set_index("method")
        estimate = float(rows.at["permutation_coefficient", "statistic"])
        p = float(rows.at["permutation", "p_value"])
        figure = placebo_figure(
            city,
            estimate,
            p,
            term=term,
            title=inside("{title}: placebo", title=name),
            subtitle=subtitle,
            pair_draws=pair if len(pair) else None,
            words=inside,
        )
        title = words("{title}: placebo", title=name)
        yield "placebo", title, placebo_text(city, estimate, p, term, words), figure
    if "influence" in frames:
        influence = frames["influence"]
        cell = influence["cell"].iloc[-1]
        last = influence[influence["cell"] == cell]
        term, name = _shown_term(last["term"]), _named(manifest, cell)
        last = last[last["term"] == term]
        title = inside("{title}: influence", title=name)
        figure = influence_figure(last, term=term, title=title, subtitle=subtitle, words=inside)
        yield "influence", words("{title}: influence", title=name), influence_text(last, term, words), figure


def _shown_term(terms: pd.Series) -> str:
    """The first term, but of an event study the year of adoption: the years before it have no effect to doubt."""
    names = list(dict.fromkeys(terms))
    return next((name for name in names if name.endswith("[+0]")), names[0])


def _named(manifest: dict[str, Any], cell: str) -> str:
    """The job's title, and which of its cells this is where there are several."""
    labels = {entry["cell"]: entry["label"] for entry in manifest["cells"]}
    return f"{manifest['title']}: {labels[cell]}" if len(labels) > 1 else str(manifest["title"])


def _main_term(estimates: pd.DataFrame, manifest: dict[str, Any]) -> str | None:
    """The term to compare over cells: the treatment, or what most cells have last; None for a single cell."""
    cells = [cell["cell"] for cell in manifest["cells"] if "event_study" not in cell]
    if len(cells) < 2:
        return None
    rows = estimates[estimates["cell"].isin(cells)]
    if manifest["treatment"] in set(rows["term"]):
        return str(manifest["treatment"])
    return str(rows.groupby("cell", sort=False)["term"].last().mode().iloc[0])


def _curve_term(frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any]) -> str | None:
    """The main term of a job whose cells make a specification curve: many of them, and all have it."""
    estimates = frames["estimates"]
    term = _main_term(estimates, manifest)
    if term is None or not manifest.get("choices"):
        return None
    having = estimates.loc[estimates["term"] == term, "cell"].nunique()
    return term if having == len(manifest["cells"]) else None


def _subtitle(manifest: dict[str, Any], words: Words) -> str:
    return words("Synthetic data") if _synthetic(manifest) else ""


def _synthetic(manifest: dict[str, Any]) -> bool:
    return any(data["synthetic"] for data in [manifest["data"], *manifest["more_data"]])


def job_tables(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], words: Words
) -> list[tuple[str, Table]]:
    """File name and table: the coefficients, or the summary of a curve, first; then what only some jobs have."""
    term = _curve_term(frames, manifest)
    if term is not None:
        table = curve_table(
            frames["estimates"],
            term,
            title=manifest["title"],
            tests=frames.get("curve"),
            synthetic=_synthetic(manifest),
            words=words,
        )
        return [("table", table)]
    found = finding_tables(frames, places=_places(manifest), main=manifest["treatment"], words=words)
    return [
        ("table", _table(frames["estimates"], manifest, words)),
        *((f"table_{name}", table) for name, table in found),
    ]


def _places(manifest: dict[str, Any]) -> dict[Hashable, int]:
    return {cell["cell"]: cell["number"] for cell in manifest["cells"]}


def _table(estimates: pd.DataFrame, manifest: dict[str, Any], words: Words) -> Table:
    return regression_table(
        estimates,
        title=manifest["title"],
        main=manifest["treatment"],
        synthetic=_synthetic(manifest),
        effects={cell["cell"]: cell.get("fixed_effects", []) for cell in manifest["cells"]},
        words=words,
    )


def reading_sentences(
    frames: Mapping[str, pd.DataFrame], manifest: dict[str, Any], words: Words
) -> list[str]:
    """The tables of a job in words."""
    term, main = _curve_term(frames, manifest), manifest["treatment"]
    if term is not None:
        return curve_sentences(frames["estimates"], term, tests=frames.get("curve"), words=words)
    return [
        *reading(frames["estimates"], main=main, words=words),
        *finding_sentences(frames, places=_places(manifest), main=main, words=words),
    ]

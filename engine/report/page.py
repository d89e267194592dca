"""The report: one HTML page for any number of jobs, whole in itself, readable on a phone and on paper.

A page is a table of contents and a section a job; a section goes from what was run on which data, over the
counts at every filter, to tables, their reading in words, figures, warnings and the technical record.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from engine.report.reading import columns_phrase
from engine.report.tables import number

# Told elsewhere in the section, or too long to be of use to a reader.
_TOLD = ("job", "title", "data", "more_data", "counts", "cells", "warnings", "confidence")


@dataclass(frozen=True)
class JobSection:
    """What the page says about one job.

    Attributes
    ----------
    manifest : mapping
        As in ``manifest.json``; absent keys are passed over.
    tables : sequence of (title, HTML)
        HTML is trusted and stands as it is: ``Table.to_html()``.
    figures : sequence of (title, text instead of the picture, PNG bytes)
    reading : sequence of str
        Sentences of ``engine.report.reading.reading``.
    validation : mapping, optional
        As in ``validation.json``.
    """

    manifest: Mapping[str, Any]
    tables: Sequence[tuple[str, str]] = ()
    figures: Sequence[tuple[str, str, bytes]] = ()
    reading: Sequence[str] = ()
    validation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return str(self.manifest.get("title") or self.manifest.get("job") or "Untitled job")


def report_page(sections: Sequence[JobSection], *, title: str = "Report") -> str:
    """One self-contained HTML page: no scripts, no requests, images and style inside."""
    templates = files("engine.report") / "templates"
    items = "\n".join(
        f'<li><a href="#job-{place}">{escape(section.title)}</a></li>'
        for place, section in enumerate(sections, start=1)
    )
    several = f'<nav aria-label="Jobs">\n<ol>\n{items}\n</ol>\n</nav>' if len(sections) > 1 else ""
    return Template((templates / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(templates / "page.css").read_text(encoding="utf-8"),
        contents=several,
        sections="\n".join(_section(section, place) for place, section in enumerate(sections, start=1)),
    )


def _section(section: JobSection, place: int) -> str:
    parts = [
        f'<section id="job-{place}" aria-labelledby="job-{place}-title">',
        f'<h2 id="job-{place}-title">{escape(section.title)}</h2>',
        *_origin(section.manifest),
        *_part("Sample", _counts(section.manifest)),
        *_part("Tables", "\n".join(html for _, html in section.tables)),
        *_part("Reading", _bullets(section.reading)),
        *_part("Figures", "\n".join(map(_figure, section.figures))),
        *_part("Warnings", _bullets(_warnings(section))),
        *_part("Record", "\n".join(_record(section))),
        "</section>",
    ]
    return "\n".join(parts)


def _part(title: str, body: str) -> list[str]:
    return [f"<h3>{title}</h3>", body] if body else []


def _bullets(sentences: Sequence[str]) -> str:
    items = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>\n{items}\n</ul>" if items else ""


def _origin(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Of every source of data: whether it is synthetic, in words, and what it is."""
    for data in (manifest.get("data") or {}, *(manifest.get("more_data") or ())):
        synthetic = data.get("synthetic")
        kind = {True: "synthetic", False: "real"}.get(synthetic, "")
        word = {True: "Synthetic data.", False: "Real data."}.get(
            synthetic, "Origin of the data not recorded."
        )
        said = ": ".join(str(data[key]) for key in ("source", "description") if data.get(key))
        yield f'<p class="origin {kind}"><strong>{word}</strong> {escape(said)}</p>'
    ran = " ".join(
        f"{word} {escape(str(manifest[key]))}"
        for key, word in (("job", "Job"), ("created", "run at"))
        if manifest.get(key)
    )
    if ran:
        yield f'<p class="quiet">{ran}.</p>'


def _figure(figure: tuple[str, str, bytes]) -> str:
    title, alternative, png = figure
    image = base64.b64encode(png).decode("ascii")
    source = f'<img src="data:image/png;base64,{image}" alt="{escape(alternative)}">'
    return f"<figure>\n{source}\n<figcaption>{escape(title)}</figcaption>\n</figure>"


def _counts(manifest: Mapping[str, Any]) -> str:
    """Pairs and rows left after every filter; cells with the same counts share a table."""
    groups: dict[str, list[int]] = {}
    entries = manifest.get("counts") or []
    numbers: dict[Hashable, int] = {
        cell.get("cell"): cell["number"] for cell in manifest.get("cells") or [] if "number" in cell
    }
    for place, entry in enumerate(entries, start=1):
        told = {key: value for key, value in entry.items() if key not in ("cell", "label")}
        key = json.dumps(told, ensure_ascii=False)
        groups.setdefault(key, []).append(numbers.get(entry.get("cell"), place))
    said = []
    for text, columns in groups.items():
        entry = json.loads(text)
        caption = "Pairs and rows after every filter"
        if len(entries) > 1:
            caption += f", {columns_phrase(columns)}"
        said.append(_table(entry.pop("steps", None) or [{"step": "not recorded"}], caption=caption))
        more = [f"{_words(key)}: {_shown(value)}" for key, value in entry.items() if value]
        said.append(f'<p class="notes">{escape("; ".join(more))}</p>' if more else "")
    return "\n".join(filter(None, said))


def _warnings(section: JobSection) -> list[str]:
    every = (*(section.manifest.get("warnings") or ()), *(section.validation.get("warnings") or ()))
    return list(dict.fromkeys(map(str, every)))


def _record(section: JobSection) -> Iterator[str]:
    """What a reader opens only to check: the validation of the data, and how the numbers were made."""
    for name, title in (("columns", "Columns of the data"), ("dropped", "Cities dropped, and why")):
        rows = section.validation.get(name) or []
        if rows:
            rows = [row if isinstance(row, Mapping) else {"": row} for row in rows]
            yield _details(f"{title} ({len(rows)})", _table(rows))
    if section.validation.get("notes"):
        yield _details("Notes on the data", _bullets(section.validation["notes"]))
    facts = [{"": key, "value": value} for key, value in _flat(section.manifest) if value not in (None, "")]
    if facts:
        yield _details("How the numbers were made", _table(facts))


def _details(title: str, body: str) -> str:
    return f"<details>\n<summary>{escape(title)}</summary>\n{body}\n</details>"


def _flat(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    data = manifest.get("data") or {}
    if data.get("sha256"):
        yield "data sha256", str(data["sha256"])
    for key, value in manifest.items():
        if key in _TOLD:
            continue
        if isinstance(value, Mapping):
            yield from (
                (f"{_words(key)}: {name}", _shown(inner, thousands="")) for name, inner in value.items()
            )
        else:
            yield _words(key), _shown(value, thousands="")


def _words(key: str) -> str:
    return key.replace("_", " ")


def _shown(value: Any, *, thousands: str = ",") -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:{thousands}}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(inner, thousands=thousands)}" for key, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_shown(inner, thousands=thousands) for inner in value)
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]], *, caption: str = "") -> str:
    """A plain table of records; the first key names the row."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    first, *others = keys
    head = "".join(f'<th scope="col">{escape(_words(key))}</th>' for key in keys)
    lines = []
    for row in rows:
        cells = "".join(_cell(row.get(key)) for key in others)
        lines.append(f'<tr><th scope="row">{escape(_shown(row.get(first)))}</th>{cells}</tr>')
    body = "\n".join(lines)
    title = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    label = escape(caption or "Table")
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">\n<table>\n{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(value: Any) -> str:
    words = ' class="words"' if isinstance(value, str) and not value.replace(".", "").isdigit() else ""
    return f"<td{words}>{escape(_shown(value))}</td>"

"""The report: one HTML page for any number of jobs, whole in itself, readable on a phone and on paper.

A page is a table of contents and a section a job; a section goes from what was run on which data, over the
counts at every filter, to tables, their reading in words, figures, warnings and the technical record.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from string import Template
from typing import Any

import yaml

from engine.notes import read_note
from engine.report.language.stored_notes import sentence, sentences
from engine.report.language.wording import ENGLISH, Words, columns_phrase, for_units_of
from engine.report.markup import escape
from engine.report.number_format import number
from engine.report.palette import css_colours
from engine.report.printed_table import PrintedTable

Facts = Mapping[str, Any]
"""Plain values by name, as JSON files have them."""
# Shown elsewhere in the section, or too long to be of use to a reader.
_NOTES = ("warnings", "warning_codes", "notes", "note_codes")
_ELSEWHERE = (
    "job",
    "title",
    "data",
    "more_data",
    "counts",
    "cells",
    "choices",
    "parameters",
    "confidence",
    "lang",
    "workers_code",
    *_NOTES,
)
_YEARS = range(1000, 3000)
_EXACT_WHOLE = 1e15
_ELSEWHERE_OF_DATA = ("columns", "dropped", *_NOTES)


@dataclass(frozen=True)
class JobSection:
    """One job on the page.

    Attributes
    ----------
    manifest : mapping
        As in ``manifest.json``; absent keys are passed over.
    headlines : sequence of str
        The result in few sentences, shown before all else.
    picture : str
        HTML of a figure below them.
    tables : sequence of PrintedTable
    figures : sequence of (title, text instead of the picture, PNG bytes)
    reading : sequence of str
        Sentences of the outputs.
    validation : mapping, optional
        As in ``validation.json``.
    """

    manifest: Facts
    headlines: Sequence[str] = ()
    picture: str = ""
    tables: Sequence[PrintedTable] = ()
    figures: Sequence[tuple[str, str, bytes]] = ()
    reading: Sequence[str] = ()
    validation: Facts = field(default_factory=dict)

    @property
    def title(self) -> str:
        return str(self.manifest.get("title") or self.manifest.get("job") or "")


def report_page(sections: Sequence[JobSection], *, title: str = "", words: Words = ENGLISH) -> str:
    """One self-contained HTML page: no scripts, no requests, images and style inside."""
    templates = files("engine.report") / "templates"
    title = title or words("Report")
    sections = _told_apart(sections)
    parts = [_section(section, place, words) for place, section in enumerate(sections, start=1)]
    return Template((templates / "page.html").read_text(encoding="utf-8")).substitute(
        lang=words.html,
        title=escape(title),
        style=css_colours() + (templates / "page.css").read_text(encoding="utf-8"),
        contents=_contents([(name, anchors) for name, anchors, _ in parts], words) if parts else "",
        overview=_overview(sections, words) if len(sections) > 1 else "",
        sections="\n".join(html for _, _, html in parts),
    )


def _told_apart(sections: Sequence[JobSection]) -> list[JobSection]:
    """The sections; those of one title have the name of their job in it."""
    titles = [section.title for section in sections]
    return [
        replace(
            section,
            manifest={**section.manifest, "title": f"{section.title} ({section.manifest.get('job')})"},
        )
        if titles.count(section.title) > 1 and section.title
        else section
        for section in sections
    ]


def _overview(sections: Sequence[JobSection], words: Words) -> str:
    """The result of every job, each with a link to its section."""
    entries = []
    for place, section in enumerate(sections, start=1):
        title = section.title or words("Untitled job")
        entries.append(f'<dt><a href="#job-{place}">{escape(title)}</a></dt>')
        entries += [f"<dd>{escape(sentence)}</dd>" for sentence in section.headlines]
    inner = "\n".join(entries)
    head = escape(words("Results"))
    return (
        f'<section aria-labelledby="results">\n<h2 id="results">{head}</h2>\n<dl>\n{inner}\n</dl>\n</section>'
    )


def _contents(sections: Sequence[tuple[str, Sequence[tuple[str, str]]]], words: Words) -> str:
    """Links to every job, and below each to its parts."""
    entries = []
    for place, (title, parts) in enumerate(sections, start=1):
        links = " ".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for name, anchor in parts)
        inner = f"\n<ul>{links}</ul>" if links else ""
        entries.append(f'<li><a href="#job-{place}">{escape(title)}</a>{inner}</li>')
    inner = "\n".join(entries)
    head = escape(words("Contents"))
    return f'<nav aria-labelledby="contents">\n<h2 id="contents">{head}</h2>\n<ol>\n{inner}\n</ol>\n</nav>'


def _section(section: JobSection, place: int, words: Words) -> tuple[str, list[tuple[str, str]], str]:
    """Title, parts (name, anchor) and HTML of a job."""
    words = for_units_of(section.manifest, words)
    title = section.title or words("Untitled job")
    reading = [sentence for sentence in section.reading if sentence not in section.headlines]
    bodies = (
        (
            "result",
            words("Result"),
            "\n".join((_bullets(section.headlines, "headlines"), section.picture)).strip(),
        ),
        ("warnings", words("Warnings"), _bullets(_warnings(section, words))),
        ("tables", words("Tables"), "\n".join(_printed(table, words) for table in section.tables)),
        ("figures", words("Figures"), "\n".join(map(_figure, section.figures))),
        ("reading", words("Interpretation"), _bullets(reading)),
        ("sample", words("Sample"), _counts(section.manifest, words)),
        ("record", words("Reproducibility"), "\n".join(_record(section, words))),
    )
    parts = [(name, f"job-{place}-{anchor}") for anchor, name, body in bodies if body]
    parts_html = [
        f'<h3 id="job-{place}-{anchor}">{escape(name)}</h3>\n{body}' for anchor, name, body in bodies if body
    ]
    html = [
        f'<section id="job-{place}" aria-labelledby="job-{place}-title">',
        f'<h2 id="job-{place}-title">{escape(title)}</h2>',
        *_origin(section.manifest, words),
        *parts_html,
        "</section>",
    ]
    return title, parts, "\n".join(html)


def _printed(table: PrintedTable, words: Words) -> str:
    """The table, and its source for a paper below it: nothing but a click is needed to copy it."""
    source = f'<pre tabindex="0"><code>{escape(table.to_latex())}</code></pre>'
    return f"{table.to_html()}\n{_details(words('LaTeX source'), source, 'source')}"


def _bullets(sentences: Sequence[str], of_class: str = "") -> str:
    bullets = "\n".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    opening = f'<ul class="{of_class}">' if of_class else "<ul>"
    return f"{opening}\n{bullets}\n</ul>" if bullets else ""


def _origin(manifest: Facts, words: Words) -> Iterator[str]:
    """A line a source of data; of those that come with the engine it says whether they are synthetic or real."""
    for source in (manifest.get("data") or {}, *(manifest.get("more_data") or ())):
        kind, origin, description = _source(source, words)
        yield f'<p class="origin {kind}"><strong>{origin}</strong> {escape(description)}</p>'
    if manifest.get("job"):
        form = "Job {job}, run at {created}." if manifest.get("created") else "Job {job}."
        ran = words(form, job=manifest["job"], created=manifest.get("created"))
        yield f'<p class="quiet">{escape(ran)}</p>'


def _source(source: Facts, words: Words) -> tuple[str, str, str]:
    """Class of the line, its first words and the description; only built-in data are known to be real."""
    described = words(": ").join(
        words.known(str(source[key])) for key in ("source", "description") if source.get(key)
    )
    if source.get("synthetic"):
        return "synthetic", words("Synthetic data."), described
    if source.get("synthetic") is None or not source.get("source"):
        return "", words("Origin of the data not recorded."), described
    if str(source["source"]).startswith("builtin:"):
        return "real", words("Real data."), described
    return "", words("Your data:"), str(source["source"])


def _figure(figure: tuple[str, str, bytes]) -> str:
    title, alternative, png = figure
    image = base64.b64encode(png).decode("ascii")
    source = f'<img src="data:image/png;base64,{image}" alt="{escape(alternative)}">'
    return f"<figure>\n{source}\n<figcaption>{escape(title)}</figcaption>\n</figure>"


def _counts(manifest: Facts, words: Words) -> str:
    """Pairs and rows left after every filter; cells with the same counts share a table."""
    groups: dict[str, list[int]] = {}
    entries = manifest.get("counts") or []
    numbers: dict[Hashable, int] = {
        cell.get("cell"): cell["number"] for cell in manifest.get("cells") or [] if "number" in cell
    }
    for place, entry in enumerate(entries, start=1):
        counts = {key: value for key, value in entry.items() if key not in ("cell", "label")}
        key = json.dumps(counts, ensure_ascii=False)
        groups.setdefault(key, []).append(numbers.get(entry.get("cell"), place))
    blocks = []
    for text, columns in groups.items():
        entry = json.loads(text)
        caption = words("Pairs and rows after every filter")
        if len(entries) > 1:
            caption = words("{title}, {columns}", title=caption, columns=columns_phrase(columns, words))
        steps = entry.pop("steps", None) or [{"step": words("not recorded")}]
        rows = [_worded(step, "step", words) for step in steps]
        blocks.append(_table(rows, words, caption=caption))
        totals = [
            words("{name}: {value}", name=_name(key, words), value=_value(value, words))
            for key, value in entry.items()
            if value
        ]
        blocks.append(f'<p class="notes">{escape(words("; ").join(totals))}</p>' if totals else "")
    return "\n".join(filter(None, blocks))


def _warnings(section: JobSection, words: Words) -> list[str]:
    records = (section.manifest, section.validation)
    return list(dict.fromkeys(text for record in records for text in sentences(record, "warning", words)))


def _worded(record: Facts, name: str, words: Words) -> Facts:
    """The record with the sentence of its note instead of code and values."""
    texts = {name: sentence(record, name, words)} if name in record else {}
    return {key: value for key, value in {**record, **texts}.items() if key != f"{name}_code"}


def _record(section: JobSection, words: Words) -> Iterator[str]:
    """Parts that a reader opens only to check: the validation of the data, and how the numbers were made."""
    for name, title in (
        ("columns", words("Columns of the data")),
        ("dropped", words("Cities dropped, and why")),
    ):
        rows = section.validation.get(name) or []
        if rows:
            rows = [dict(row) if isinstance(row, Mapping) else {"": row} for row in rows]
            rows = [_with_whole_ends(_worded(row, "reason", words)) for row in rows]
            yield _details(f"{title} ({len(rows)})", _table(rows, words))
    validated = _facts(_flat(section.validation, words, hidden=_ELSEWHERE_OF_DATA))
    if validated:
        yield _details(words("Validation of the data"), _table(validated, words))
    records = (section.manifest, section.validation)
    notes = [text for record in records for text in sentences(record, "note", words)]
    if notes:
        yield _details(words("Notes on the data"), _bullets(notes))
    if section.manifest.get("parameters"):
        text = yaml.safe_dump(section.manifest["parameters"], allow_unicode=True, sort_keys=False, width=100)
        yield _details(words("Parameters of the job"), f'<pre tabindex="0"><code>{escape(text)}</code></pre>')
    facts = _facts([*_hash(section.manifest, words), *_flat(section.manifest, words, hidden=_ELSEWHERE)])
    if facts:
        yield _details(words("How the numbers were made"), _table(facts, words))


def _with_whole_ends(column: Facts) -> Facts:
    """A column whose smallest and largest values are whole has them without decimals, years without separators."""
    ends = {name: column[name] for name in ("minimum", "maximum") if isinstance(column.get(name), float)}
    if not ends or not all(value.is_integer() and abs(value) < _EXACT_WHOLE for value in ends.values()):
        return column
    are_years = all(value in _YEARS for value in ends.values())
    return {
        **column,
        **{name: f"{value:.0f}" if are_years else f"{value:,.0f}" for name, value in ends.items()},
    }


def _facts(entries: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"": key, "value": value} for key, value in entries if value]


def _details(title: str, body: str, of_class: str = "") -> str:
    opening = f'<details class="{of_class}">' if of_class else "<details>"
    return f"{opening}\n<summary>{escape(title)}</summary>\n{body}\n</details>"


def _hash(manifest: Facts, words: Words) -> Iterator[tuple[str, str]]:
    sha256 = (manifest.get("data") or {}).get("sha256")
    if sha256:
        yield words("data sha256"), str(sha256)


def _flat(facts: Facts, words: Words, *, hidden: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and value in words; a mapping gives one for each of its keys."""
    for key, value in facts.items():
        if key in hidden:
            continue
        if isinstance(value, Mapping):
            for name, inner in value.items():
                worded = words.fixed.get(f"{key}:{name}", name)  # others are names of the job or of its data
                label = words("{name}: {value}", name=_name(key, words), value=worded)
                yield label, _value(inner, words, thousands="")
        else:
            code = facts.get(f"{key}_code")
            yield (
                _name(key, words),
                words.note(read_note(code)) if code else _value(value, words, thousands=""),
            )


def _name(key: str, words: Words) -> str:
    return words.known(str(key).replace("_", " "))


def _value(value: Any, words: Words, *, thousands: str = ",") -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return words("yes") if value else words("no")
    if isinstance(value, int):
        return f"{value:{thousands}}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        entries = (f"{key} {_value(inner, words, thousands=thousands)}" for key, inner in value.items())
        return words(", ").join(entries)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return words(", ").join(_value(inner, words, thousands=thousands) for inner in value)
    return str(value)


def _table(rows: Sequence[Facts], words: Words, *, caption: str = "") -> str:
    """A plain table of records; the first key names the row."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    label, *columns = keys
    head = "".join(
        f'<th scope="col">{escape(_name(key, words))}</th>' if key else "<td></td>" for key in keys
    )
    lines = []
    for row in rows:
        cells = "".join(_cell(row.get(key), words) for key in columns)
        lines.append(f'<tr><th scope="row">{escape(_value(row.get(label), words))}</th>{cells}</tr>')
    body = "\n".join(lines)
    title = f"<caption>{escape(caption)}</caption>\n" if caption else ""
    region = escape(caption or words("Table"))
    return (
        f'<div class="scroll" role="region" aria-label="{region}" tabindex="0">\n<table>\n{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(value: Any, words: Words) -> str:
    digits = re.sub(r"[-,.]", "", value) if isinstance(value, str) else "0"
    css_class = "" if digits.isdigit() else ' class="words"'
    return f"<td{css_class}>{escape(_value(value, words))}</td>"

"""Contrasts of coefficients between the classes of a split: do the classes differ?"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from engine.report.language.wording import Words
from engine.report.number_format import number
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.phrases import LEVEL
from engine.report.printed_table import Entry, PrintedTable, Row, number_entry
from engine.report.table_entries import estimate_entries

_FRAME = StoredFrame(
    "contrasts",
    text=("split", "term", "classes"),
    numbers=("difference", "std_error", "statistic", "dof", "p_value"),
)
_JOINT = "all equal"
"""In ``classes``: the joint test."""


def contrasts_table(report: JobReport) -> PrintedTable:
    """Differences of coefficients between every two classes, and the joint test."""
    words = report.words
    rows = []
    for record in _main_contrasts(report).to_dict("records"):
        difference, std_error = estimate_entries([record["difference"]], [record["std_error"]])
        entries = (
            *difference,
            *std_error,
            number_entry(record["statistic"]),
            Entry(f"{int(record['dof'])}", int(record["dof"])),
            number_entry(record["p_value"]),
        )
        label = f"{record['split']}: {record['term']}, {_classes(str(record['classes']), words)}"
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return PrintedTable(
        title=words("Do the classes differ?"),
        header=(
            words("Difference"),
            words("Std. error"),
            words("t or χ²"),
            words("Degrees of freedom"),
            words("p"),
        ),
        rows=tuple(rows),
        notes=(
            words(
                "Dyadic-robust errors of the difference, which know that the classes share cities. Two classes: t "
                "test; "
                "all equal: Wald χ² test."
            ),
        ),
        words=words,
    )


def contrasts_sentences(report: JobReport) -> Iterator[str]:
    """Whether each coefficient differs between the classes, and which classes apart from the joint test do."""
    for (split, term), rows in _main_contrasts(report).groupby(["split", "term"], sort=False):
        p_values = {
            str(classes): float(p) for classes, p in zip(rows["classes"], rows["p_value"], strict=True)
        }
        joint = p_values.pop(_JOINT, None)
        if joint is not None:
            yield _sentence(str(split), str(term), joint, p_values, report.words)


def _sentence(split: str, term: str, joint: float, p_values: dict[str, float], words: Words) -> str:
    form = (
        "The coefficient of {term} differs between the classes of {split} (joint p = {p})"
        if joint < LEVEL
        else "The coefficient of {term} does not differ at 5% between the classes of {split} (joint p = {p})"
    )
    verdict = words(form, term=term, split=split, p=number(joint))
    apart = words("; ").join(_classes(classes, words) for classes, p in p_values.items() if p < LEVEL)
    if not apart:
        return words("{sentence}.", sentence=verdict)
    if joint < LEVEL:
        return words("{said}; two by two at 5%: {apart}.", said=verdict, apart=apart)
    return words("{said}, though two by two these do: {apart}.", said=verdict, apart=apart)


def _main_contrasts(report: JobReport) -> pd.DataFrame:
    """Those of the treatment alone, where it is among the terms."""
    contrasts = report.frames[_FRAME.name]
    of_treatment = contrasts[contrasts["term"] == report.treatment]
    return contrasts if of_treatment.empty else of_treatment


def _classes(text: str, words: Words) -> str:
    return words(" less ").join(words.known(name) for name in text.split(" - "))


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table_contrasts", contrasts_table(report))


CLASS_CONTRASTS = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables, sentences=contrasts_sentences)

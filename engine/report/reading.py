"""What the estimates say in plain words, and above all where the kinds of error disagree."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from engine.report.tables import check_estimates, ordered_terms

LEVEL = 0.05
_UNDER = {
    "pair": "pair clustering",
    "city": "two-way city clustering",
    "dyadic": "dyadic-robust errors",
    "jackknife": "the jackknife",
}
_ADJECTIVE = {
    "dyadic": "dyadic-robust",
    "jackknife": "jackknife",
    "pair": "pair-clustered",
    "city": "two-way city",
}


def reading(estimates: pd.DataFrame, *, main: str | None = None) -> list[str]:
    """Sentences on how much wider the robust errors are, and on which conclusions hang on the kind of error.

    The main term comes first and is always described; other terms only where the kinds of error disagree
    at the 5% level. Event years are counted, before and after adoption. One kind of error says nothing.

    Parameters
    ----------
    estimates : DataFrame
        Rows of one job of ``estimates.parquet``.
    main : str, optional
        The treatment; default the first term.

    Raises
    ------
    InputError
        The frame is not the estimates of one job.
    """
    check_estimates(estimates)
    if estimates["errors"].nunique() < 2:
        return []
    places = {cell: place for place, cell in enumerate(dict.fromkeys(estimates["cell"]), start=1)}
    events = estimates["term"].str.extract(r"^(?P<base>.*)\[(?P<time>[+-]?\d+)\]$")
    timed = estimates.assign(base=events["base"], time=pd.to_numeric(events["time"])).dropna(subset="time")
    plain = estimates[events["time"].isna()]
    said: list[str] = []
    for (cell, base), rows in timed.groupby(["cell", "base"], sort=False):
        where = f" in column ({places[cell]})" if len(places) > 1 else ""
        said += _on_event_years(str(base), rows, where)
    terms = ordered_terms(plain["term"], main=main)
    leading = main or (terms[0] if terms and timed.empty else None)
    for term in terms:
        said += _on_term(term, plain[plain["term"] == term], places, always=term == leading)
    return said


def columns_phrase(numbers: Sequence[int]) -> str:
    """Numbers of columns in words, runs shortened.

    >>> columns_phrase([1, 2, 3, 6]), columns_phrase([4])
    ('columns (1) to (3) and (6)', 'column (4)')
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    names = []
    for run in runs:
        names += [f"({run[0]}) to ({run[-1]})"] if len(run) > 2 else [f"({number})" for number in run]
    return f"column{'s' if len(numbers) > 1 else ''} {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _on_term(term: str, rows: pd.DataFrame, places: Mapping[Hashable, int], *, always: bool) -> Iterator[str]:
    verdicts: dict[str, list[int]] = {}
    disputed = False
    for cell, own in rows.groupby("cell", sort=False):
        verdict, agreed = _verdict(own)
        if verdict:
            verdicts.setdefault(verdict, []).append(places[cell])
        disputed |= not agreed
    if not (always or disputed) or not verdicts:
        return
    several = len(places) > 1
    parts = [f"{verdict}{f' in {columns_phrase(at)}' if several else ''}" for verdict, at in verdicts.items()]
    ratio = _ratio(term, rows)
    yield f"{ratio}; {'; '.join(parts)}." if ratio else f"{term} is {'; '.join(parts)}."
    undefined = rows[~np.isfinite(rows["std_error"])]
    for kind, own in undefined.groupby("errors", sort=False):
        at = f" in {columns_phrase([places[cell] for cell in own['cell']])}" if several else ""
        yield f"The {_ADJECTIVE.get(str(kind), kind)} standard error of {term} is undefined{at}."


def _verdict(rows: pd.DataFrame) -> tuple[str, bool]:
    """What the kinds of error of one coefficient conclude, and whether they agree; empty below two kinds."""
    defined = rows[np.isfinite(rows["std_error"])]
    if len(defined) < 2:
        return "", True
    found = defined.loc[defined["p_value"] < LEVEL, "errors"]
    if found.empty:
        return "not significant at 5% under any kind of error", True
    if len(found) == len(defined):
        return "significant at 5% under every kind of error", True
    return f"significant at 5% under {_listed([_UNDER.get(kind, kind) for kind in found])} only", False


def _ratio(term: str, rows: pd.DataFrame) -> str:
    """How many times the robust standard error is the customary one, as a range over the rows."""
    errors = rows.pivot(index=["cell", "term"], columns="errors", values="std_error")
    wide = next((kind for kind in ("dyadic", "jackknife") if kind in errors), None)
    narrow = next((kind for kind in ("pair", "city") if kind in errors), None)
    if wide is None or narrow is None:
        return ""
    ratios = (errors[wide] / errors[narrow]).replace([np.inf, -np.inf], np.nan).dropna()
    if ratios.empty:
        return ""
    low, high = f"{ratios.min():.1f}", f"{ratios.max():.1f}"
    times = low if low == high else f"{low} to {high}"
    return f"The {_ADJECTIVE[wide]} standard error of {term} is {times} times the {_ADJECTIVE[narrow]} one"


def _on_event_years(base: str, rows: pd.DataFrame, where: str) -> Iterator[str]:
    ratio = _ratio(f"{base} by event year", rows)
    if ratio:
        yield f"{ratio}{where}."
    for name, own in (
        ("before adoption", rows[rows["time"] < 0]),
        ("from adoption on", rows[rows["time"] >= 0]),
    ):
        if own.empty:
            continue
        total = own["term"].nunique()
        counts = [
            f"{int((of_kind['p_value'] < LEVEL).sum())} under {_UNDER.get(str(kind), kind)}"
            for kind, of_kind in own.groupby("errors", sort=False)
        ]
        yield f"Of {total} event years {name}{where}, significant at 5%: {_listed(counts)}."

"""What only some jobs have, as tables and in words: instrument, matching, contrasts of classes, draws."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from engine.infer.errors import CONVENTIONAL, ROBUST
from engine.report.balance import balance_table
from engine.report.error_types import error_adjective, error_label
from engine.report.grid import Entry, Row, Table
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.reading import LEVEL, within
from engine.report.tables import number

# Staiger and Stock (1997): a first-stage F below ten makes 2SLS with one instrument unreliable.
STRONG = 10.0
_COUNTS = {
    "treated": "treated",
    "controls": "others",
    "matched": "treated with a partner",
    "off_support": "off the common support",
    "without_partner": "without a partner",
    "controls_used": "others used as partners",
}


def finding_tables(
    frames: Mapping[str, pd.DataFrame],
    *,
    places: Mapping[Hashable, int],
    main: str | None = None,
    words: Words = ENGLISH,
) -> list[tuple[str, Table]]:
    """Name and table of everything a job has beside its coefficients.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        ``instrument``, ``contrasts``, ``matching``, ``balance``, ``inference``, as in their Parquet files.
    places : mapping of cell to int
        The column of the coefficient table that a cell is.
    main : str, optional
        The treatment; contrasts are then told of this term alone, where it is among them.
    """
    made: list[tuple[str, Table]] = []
    if "instrument" in frames:
        made.append(("instrument", instrument_table(frames["instrument"], places, words)))
    if "contrasts" in frames:
        made.append(("contrasts", contrasts_table(_of_main(frames["contrasts"], main), words)))
    if "matching" in frames:
        made.append(("matching", matching_table(frames["matching"], places, words)))
    if "balance" in frames:
        made += [
            (
                "balance" if len(places) == 1 else f"balance_{places[cell]}",
                balance_table(
                    rows, title=within(words("Balance of the matched sample"), at, words), words=words
                ),
            )
            for cell, rows in frames["balance"].groupby("cell", sort=False)
            for at in [columns_phrase([places[cell]], words) if len(places) > 1 else ""]
        ]
    if "inference" in frames:
        made.append(("inference", inference_table(frames["inference"], places, words)))
    return made


def finding_sentences(
    frames: Mapping[str, pd.DataFrame],
    *,
    places: Mapping[Hashable, int],
    main: str | None = None,
    words: Words = ENGLISH,
) -> list[str]:
    """Sentences on the same frames."""
    said: list[str] = []
    for cell, rows in frames["instrument"].groupby("cell", sort=False) if "instrument" in frames else ():
        at = columns_phrase([places[cell]], words) if len(places) > 1 else ""
        said += _on_instrument(rows.set_index("errors"), at, words)
    if "contrasts" in frames:
        for (split, term), rows in _of_main(frames["contrasts"], main).groupby(["split", "term"], sort=False):
            said += _on_contrast(str(split), str(term), rows.set_index("classes"), words)
    if "matching" in frames and "balance" in frames:
        for cell, rows in frames["balance"].groupby("cell", sort=False):
            at = columns_phrase([places[cell]], words) if len(places) > 1 else ""
            counts = frames["matching"].query("cell == @cell").iloc[0]
            said.append(_on_matching(counts, rows, at, words))
    return said


def instrument_table(frame: pd.DataFrame, places: Mapping[Hashable, int], words: Words = ENGLISH) -> Table:
    """First-stage F and Anderson-Rubin interval, a row a kind of error."""
    rows = []
    for record in frame.to_dict("records"):
        label = error_label(record["errors"], words)
        interval = _interval(record["ar_shape"], record["ar_low"], record["ar_high"], words)
        entries = (_entry(record["f_statistic"]), _entry(record["ar_p_value"]), Entry(interval, interval))
        rows.append(Row("fit", f"({places[record['cell']]}) {label}", entries))
    first = frame.drop_duplicates("cell")
    notes = [
        words(
            "Column ({place}): instrument in the first stage {first}, in the reduced form {reduced}.",
            place=places[record["cell"]],
            first=number(record["first_stage"]),
            reduced=number(record["reduced_form"]),
        )
        for record in first.to_dict("records")
    ]
    return Table(
        title=words("Strength of the instrument"),
        header=(words("First-stage F"), words("Anderson-Rubin p"), words("Anderson-Rubin interval")),
        rows=tuple(rows),
        notes=(
            words(
                "F: Kleibergen-Paap statistic of one instrument. The Anderson-Rubin interval holds however weak it is."
            ),
            *notes,
        ),
        stub=words("Kind of error"),
        words=words,
    )


def contrasts_table(frame: pd.DataFrame, words: Words = ENGLISH) -> Table:
    """Differences of coefficients between the classes of a split."""
    rows = []
    for record in frame.to_dict("records"):
        error = _entry(record["std_error"])
        entries = (
            _entry(record["difference"]),
            Entry(f"({error.text})", error.value) if error.text else error,
            _entry(record["statistic"]),
            Entry(f"{int(record['dof'])}", int(record["dof"])),
            _entry(record["p_value"]),
        )
        label = f"{record['split']}: {record['term']}, {_classes(str(record['classes']), words)}"
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return Table(
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


def matching_table(frame: pd.DataFrame, places: Mapping[Hashable, int], words: Words = ENGLISH) -> Table:
    """Coefficients of the logit with their standard errors, and the counts of matching, a column a cell."""
    cells = list(dict.fromkeys(frame["cell"]))
    found: dict[Any, Any] = {
        (record["cell"], record["column"]): record for record in frame.to_dict("records")
    }
    heads = {record["cell"]: record for record in frame.drop_duplicates("cell").to_dict("records")}
    rows = []
    for name in dict.fromkeys(frame["column"]):
        own = [found.get((cell, name)) for cell in cells]
        label = words.known(name)
        rows.append(
            Row("coefficient", label, tuple(_entry(one and one["coefficient"]) for one in own), term=name)
        )
        errors = [_entry(one and one["std_error"]) for one in own]
        entries = tuple(Entry(f"({one.text})", one.value) if one.text else one for one in errors)
        rows.append(Row("error", words("std. error"), entries, term=name))
    for key, label in _COUNTS.items():
        values = [int(heads[cell][key]) for cell in cells]
        rows.append(Row("count", words.known(label), tuple(Entry(f"{value:,}", value) for value in values)))
    return Table(
        title=words("Matching: logit of being treated, and counts"),
        header=tuple(f"({places[cell]})" for cell in cells),
        rows=tuple(rows),
        notes=(
            words(
                "Counts are of pairs, or of pair-years where those are matched. The logit's errors take them as "
                "independent."
            ),
        ),
        words=words,
    )


def inference_table(frame: pd.DataFrame, places: Mapping[Hashable, int], words: Words = ENGLISH) -> Table:
    """Inference by draws: one row a cell, term and method."""
    rows = []
    for record in frame.to_dict("records"):
        low, high = record["conf_low"], record["conf_high"]
        interval = f"[{number(low)}, {number(high)}]" if np.isfinite(low) and np.isfinite(high) else ""
        entries = (
            Entry(f"{record['reps']:,}", record["reps"]),
            *(_entry(record[name]) for name in ("statistic", "p_value")),
            Entry(interval, interval),
            _entry(record["mc_error"]),
        )
        method = words.known(str(record["method"]).replace("_", " "))
        label = f"({places[record['cell']]}) {record['term']}: {method}"
        rows.append(Row("fit", label, entries, term=str(record["term"])))
    return Table(
        title=words("Inference by draws"),
        header=(
            words("Draws"),
            words("Statistic"),
            words("p"),
            words("Interval"),
            words("Monte Carlo error of p"),
        ),
        rows=tuple(rows),
        notes=(),
        stub=words("Column, term, method"),
        words=words,
    )


def _of_main(contrasts: pd.DataFrame, main: str | None) -> pd.DataFrame:
    return contrasts[contrasts["term"] == main] if main in set(contrasts["term"]) else contrasts


def _entry(value: float | None) -> Entry:
    return Entry() if value is None or not np.isfinite(value) else Entry(number(value), value)


def _interval(shape: str, low: float, high: float, words: Words) -> str:
    if shape == "interval":
        return f"[{_end(low)}, {_end(high)}]"
    if shape == "outside":
        return words("outside ({low}, {high})", low=number(low), high=number(high))
    return words("the whole line") if shape == "line" else words("empty")


def _end(value: float) -> str:
    return number(value) if np.isfinite(value) else f"{'-' if value < 0 else ''}∞"


def _classes(text: str, words: Words) -> str:
    return words(" less ").join(words.known(name) for name in text.split(" - "))


def _on_instrument(rows: pd.DataFrame, at: str, words: Words) -> Iterator[str]:
    """How strong the instrument is under the conventional and the robust errors, and what Anderson-Rubin leaves."""
    kinds = [kind for kind in (CONVENTIONAL[0], ROBUST[0]) if kind in rows.index] or list(rows.index[:1])
    f = rows.loc[kinds, "f_statistic"]
    listed = words.listed(
        [
            words("{value} with {kind} errors", value=f"{f[kind]:.1f}", kind=error_adjective(kind, words))
            for kind in kinds
        ]
    )
    if (f >= STRONG).all():
        verdict = words("strong by the rule of thumb of 10")
    elif (f < STRONG).all():
        verdict = words("weak by the rule of thumb of 10")
    elif f[kinds[0]] >= STRONG:
        verdict = words("strong only if pairs that share a city are independent")
    else:
        verdict = words("weak if pairs that share a city are independent, strong otherwise")
    said = words("The first-stage F is {values}", values=listed)
    yield words("{said}: the instrument is {verdict}.", said=within(said, at, words), verdict=verdict)
    last = rows.loc[kinds[-1]]
    kind = error_adjective(kinds[-1], words)
    if last["ar_shape"] == "line":
        yield words(
            "Its Anderson-Rubin interval with {kind} errors is the whole line: no effect is excluded.",
            kind=kind,
        )
        return
    ends: Any = (last["ar_low"], last["ar_high"])
    interval = _interval(str(last["ar_shape"]), float(ends[0]), float(ends[1]), words)
    yield words("Its Anderson-Rubin interval with {kind} errors: {interval}.", kind=kind, interval=interval)


def _on_contrast(split: str, term: str, rows: pd.DataFrame, words: Words) -> Iterator[str]:
    """Whether the coefficient differs between the classes, and which classes apart from the joint test do."""
    pairs = rows.drop(index="all equal", errors="ignore")
    apart = [_classes(str(name), words) for name in pairs.index[pairs["p_value"] < LEVEL]]
    if "all equal" not in rows.index:
        return
    p = float(rows["p_value"].to_dict()["all equal"])
    form = (
        "The coefficient of {term} differs between the classes of {split} (joint p = {p})"
        if p < LEVEL
        else "The coefficient of {term} does not differ at 5% between the classes of {split} (joint p = {p})"
    )
    said = words(form, term=term, split=split, p=number(p))
    if not apart:
        yield words("{sentence}.", sentence=said)
    elif p < LEVEL:
        yield words("{said}; two by two at 5%: {apart}.", said=said, apart=words("; ").join(apart))
    else:
        yield words("{said}, though two by two these do: {apart}.", said=said, apart=words("; ").join(apart))


def _on_matching(counts: pd.Series, rows: pd.DataFrame, at: str, words: Words) -> str:
    """Who found a partner, and how far matching brings treated and others together."""
    before, after = (
        rows[["column", f"smd_{when}"]].iloc[int(rows[f"smd_{when}"].abs().to_numpy().argmax())]
        for when in ("before", "after")
    )
    said = words(
        "Matching finds partners for {matched} of {treated} treated among {used} of {controls} others",
        matched=f"{counts['matched']:,}",
        treated=f"{counts['treated']:,}",
        used=f"{counts['controls_used']:,}",
        controls=f"{counts['controls']:,}",
    )
    return words(
        "{said}; the largest standardised difference of means falls from {before} ({column}) to {after} ({other}).",
        said=within(said, at, words),
        before=f"{abs(before.iloc[1]):.2f}",
        column=before["column"],
        after=f"{abs(after.iloc[1]):.2f}",
        other=after["column"],
    )

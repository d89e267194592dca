"""Regressions on a user's own table of pairs: a formula as fixest writes it, or keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.api.job_object import StatedJob
from engine.api.result import UNNAMED, Result
from engine.errors import InputError

_SIDES = re.compile(r"[^~]+~[^~]+")


def pair_table(
    data: object,
    *,
    units: tuple[str, str],
    year: str,
    outcome: str,
    regressors: Sequence[str],
    fixed_effects: Sequence[str] = ("pair", "year"),
    directed: bool = False,
    weight: str | None = None,
    name: str = UNNAMED,
    **options: object,
) -> StatedJob:
    """A job on a finished table of pairs by year.

    Parameters
    ----------
    data : data frame or path
        One row a pair and year.
    units : (str, str)
        Columns of the first and second unit.
    year : str
    outcome : str
        A column, or arithmetic on columns.
    regressors : sequence of str
        Columns, or arithmetic on columns.
    fixed_effects : sequence of str
        ``pair``, ``year``, ``exporter x year`` and others.
    directed : bool
        (i, j) and (j, i) are two pairs of one dyad.
    weight : str, optional
        Row weights: a column, or arithmetic on columns.
    name : str
        Of the job.
    options
        Keys of ``model``: ``errors``, ``lag``, ``confidence``.
    """
    first, second = units
    block: dict[str, object] = {"unit_i": first, "unit_j": second, "year": year, "directed": directed}
    if weight is not None:
        block["weight"] = weight
    frames: dict[str, object] = {}
    if isinstance(data, str | Path):
        block["source"] = str(data)
    else:
        frames["pair_table"] = data
    model = {"regressors": list(regressors), "fixed_effects": list(fixed_effects), **options}
    document: Mapping[str, object] = {
        "job": name,
        "pair_table": block,
        "outcome": {"column": outcome},
        "model": model,
    }
    return StatedJob(document, frames)


def feols(
    formula: str,
    data: object,
    *,
    units: tuple[str, str],
    year: str,
    directed: bool | None = None,
    errors: Sequence[str] | str | None = None,
    weight: str | None = None,
    **options: object,
) -> Result:
    """Ordinary least squares on a table of pairs, by a formula: ``ln_trade ~ rta | pair + exporter^year``.

    Parameters
    ----------
    formula : str
        Outcome ``~`` regressors joined by ``+``, then ``|`` and fixed effects joined by ``+``; ``a^b`` is a level for
        every two values. Without effects those of pair and year are meant, which are always there.
    data : data frame or path
    units : (str, str)
        Columns of the first and second unit.
    year : str
    directed : bool, optional
        (i, j) and (j, i) are two pairs of one dyad; default: where some pair stands in both orders in one year, or an
        effect names one of the units.
    errors : str or sequence of str, optional
        Standard-error types; default: all.
    weight, options
        As `pair_table` takes them.

    Raises
    ------
    InputError
        For a formula that cannot be read, and as `Job.run`.
    """
    outcome, regressors, effects = _parts(formula)
    fixed_effects = [_effect(text, year) for text in effects] or ["pair", "year"]
    if "pair" not in fixed_effects:
        fixed_effects = ["pair", *fixed_effects]
    if directed is None:
        directed = any(text.split(" ")[0] in units for text in fixed_effects) or _both_orders(
            data, units, year
        )
    if errors is not None:
        options["errors"] = [errors] if isinstance(errors, str) else list(errors)
    return pair_table(
        data,
        units=units,
        year=year,
        outcome=outcome,
        regressors=regressors,
        fixed_effects=fixed_effects,
        directed=directed,
        weight=weight,
        name=UNNAMED,
        **options,
    ).run()


def _parts(formula: str) -> tuple[str, list[str], list[str]]:
    """Outcome, regressors and fixed effects of a formula."""
    regression, *effects = formula.split("|")
    if len(effects) > 1 or not _SIDES.fullmatch(regression):
        raise InputError(
            f"'{formula}' is no formula of a regression",
            where="formula",
            remedy="write it like 'ln_trade ~ rta + border | pair + exporter^year'; instruments have no place in it",
        )
    outcome, terms = regression.split("~")
    listed_effects = [text.strip() for text in effects[0].split("+")] if effects else []
    return (
        outcome.strip(),
        [text.strip() for text in _split_terms(terms)],
        [text for text in listed_effects if text],
    )


def _split_terms(text: str) -> list[str]:
    """Terms joined by ``+`` outside brackets and backticks."""
    terms, depth, quoted = [""], 0, False
    for sign in text:
        quoted ^= sign == "`"
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "+" and depth == 0 and not quoted:
            terms.append("")
        else:
            terms[-1] += sign
    return terms


def _effect(text: str, year: str) -> str:
    """``exporter^year`` as a job file names it."""
    names = [name.strip() for name in text.split("^")]
    names = ["year" if name == year else name for name in names]
    if len(names) == 2 and names[0] == "year":
        names.reverse()
    if len(names) > 2 or (len(names) == 2 and names[1] != "year"):
        raise InputError(
            f"'{text}' is no fixed effect here",
            where="formula",
            remedy=f"possible are pair, {year}, a column, and a column^{year}",
        )
    return " x ".join(names)


def _both_orders(data: object, units: tuple[str, str], year: str) -> bool:
    """Some pair stands in both orders in one year; False where the data are a file or lack the columns."""
    from engine.tables.data_frame import frame_table

    if isinstance(data, str | Path):
        return False
    frame = frame_table(data, "data frame 'pair_table'").frame
    first, second = units
    if not {first, second, year} <= set(frame.columns):
        return False
    keys = set(zip(frame[first], frame[second], frame[year], strict=True))
    return any((j, i, t) in keys for i, j, t in keys if i != j)

"""Regressions on a user's own table of pairs: a formula as fixest writes it, or keys."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from engine.api.arguments import checked_arguments
from engine.api.job_object import StatedJob, as_list, taken
from engine.api.panel_job import ErrorTypes
from engine.api.result import UNNAMED, Result
from engine.errors import InputError
from engine.pairs.table_rows import in_both_orders
from engine.spec.block import NAME
from engine.spec.data_frames import plain
from engine.tables.read import FileTable

_OF_FORMULA = ("name", "outcome", "regressors", "fixed_effects")


@checked_arguments("data", "outcome", "regressors", "fixed_effects", "directed", "weight", "name")
def pair_table(
    data: object,
    *,
    units: tuple[str, str],
    year: str,
    outcome: str,
    regressors: Sequence[str] | str = (),
    fixed_effects: Sequence[str] | str = ("pair", "year"),
    directed: bool = False,
    weight: str | None = None,
    treatment: object = None,
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
    treatment : mapping, optional
        When pairs are treated, for event studies and the estimators of staggered adoption: ``{"adoption": column}``, a
        year of the pair; ``{"status": column}``, its 0 and 1; or ``{"unit_adoption": (column, column), "rule":
        "either"}``, years of its units, so that adoption can be permuted among them.
    name : str
        Of the job.
    options
        Keys of ``model``: ``estimator``, ``window``, ``errors``, ``lag``, ``confidence``.
    """
    first, second = units
    block: dict[str, object] = {"unit_i": first, "unit_j": second, "year": year, "directed": directed}
    if weight is not None:
        block["weight"] = weight
    frames: dict[str, FileTable] = {}
    if isinstance(data, str | PurePath):
        block["source"] = str(data)
    else:
        frames = taken({"pair_table": data})
    model: dict[str, object] = {"fixed_effects": as_list(fixed_effects), **options}
    if names := as_list(regressors):
        model["regressors"] = names
    document: dict[str, object] = {
        "job": name,
        "pair_table": block,
        "outcome": {"column": outcome},
        "model": model,
    }
    if treatment is not None:
        document["treatment"] = treatment
    return StatedJob(plain(document), frames)


@checked_arguments("data", "directed", "errors", "weight")
def feols(
    formula: str,
    data: object,
    *,
    units: tuple[str, str],
    year: str,
    directed: bool | None = None,
    errors: ErrorTypes = None,
    weight: str | None = None,
    **options: object,
) -> Result:
    """Ordinary least squares on a table of pairs, by a formula: ``ln_trade ~ rta | pair + exporter^year``.

    Parameters
    ----------
    formula : str
        Outcome ``~`` regressors joined by ``+``, then ``|`` and fixed effects joined by ``+``. A regressor is a
        column, a function of columns (``log(gdp)``) or arithmetic within ``I()``; ``column^year`` is a level for
        every value in every year. Without effects those of pair and year are meant.
    data : data frame or path
    units : (str, str)
        Columns of the first and second unit.
    year : str
    directed : bool, optional
        (i, j) and (j, i) are two pairs of one dyad; default: where an effect names one of the units, or some pair of a
        data frame stands in both orders in one year.
    errors : str or sequence of str, optional
        Standard-error types; default: all that there are.
    weight, options
        As `pair_table` takes them.

    Raises
    ------
    InputError
        For a formula that cannot be read, and as `Job.run`.
    """
    _refuse_parts(options, where="feols")
    first, second = units
    units = (first, second)
    outcome, regressors, effects = _parts(formula)
    named = [_effect(text, year) for text in effects]
    if not isinstance(data, str | PurePath):
        data = taken({"pair_table": data})["pair_table"]
    if directed is None:
        directed = any(names[0] in units for names in named) or _both_orders(data, units, year)
    if errors is not None:
        options["errors"] = as_list(errors)
    return pair_table(
        data,
        units=units,
        year=year,
        outcome=outcome,
        regressors=regressors,
        fixed_effects=[" x ".join(names) for names in named] or ["pair", "year"],
        directed=directed,
        weight=weight,
        name=UNNAMED,
        **options,
    ).run()


@checked_arguments("data", "directed", "errors", "weight")
def fepois(
    formula: str,
    data: object,
    *,
    units: tuple[str, str],
    year: str,
    directed: bool | None = None,
    errors: ErrorTypes = None,
    weight: str | None = None,
    **options: object,
) -> Result:
    """Poisson pseudo-maximum likelihood on a table of pairs: ``trade ~ rta | pair + exporter^year + importer^year``.

    Parameters
    ----------
    formula, data, units, year, directed, errors, weight
        As `feols` takes them; the outcome is in levels, from zero up.
    options
        As `pair_table` takes them, and ``offset``: a column, or arithmetic on columns, whose coefficient is one.

    Raises
    ------
    InputError
        As `feols`, and for negative outcomes or an iteration that does not converge.
    """
    _refuse_parts(options, where="fepois")
    return feols(
        formula,
        data,
        units=units,
        year=year,
        directed=directed,
        errors=errors,
        weight=weight,
        **{"estimator": "poisson", **options},
    )


def _refuse_parts(options: Mapping[str, object], *, where: str) -> None:
    """Raises InputError for arguments of `pair_table` that a formula stands for."""
    for name in _OF_FORMULA:
        if name in options:
            raise InputError(
                f"there is no argument '{name}'",
                where=where,
                remedy="the formula has outcome, regressors and fixed effects; further arguments are keys of `model`",
            )


def _parts(formula: str) -> tuple[str, list[str], list[str]]:
    """Outcome, regressors and names of fixed effects of a formula."""
    regression, *effects = _split(formula, "|")
    sides = _split(regression, "~")
    if len(effects) > 1 or len(sides) != 2 or not all(side.strip() for side in sides):
        raise InputError(
            f"'{formula}' is no formula of a regression",
            where="formula",
            remedy="write it like 'ln_trade ~ rta + border | pair + exporter^year'; instruments have no place in it",
        )
    regressors = [_regressor(text.strip()) for text in _split(sides[1], "+")]
    listed_effects = [text.strip() for text in _split(effects[0], "+")] if effects else []
    return sides[0].strip(), regressors, [text for text in listed_effects if text]


def _regressor(text: str) -> str:
    """A regressor as a job file has it; raises InputError for what a formula of fixest would expand."""
    if text.startswith("I(") and _closes_last(text):
        return text[1:]
    call = re.fullmatch(r"\w+\(.*\)", text, re.DOTALL) and _closes_last(text)
    if not (re.fullmatch(NAME, text) or re.fullmatch(r"`[^`]+`", text) or call):
        raise InputError(
            f"'{text}' is no regressor of a formula",
            where="formula",
            remedy="write a column, a function like log(x), or arithmetic as I(x * w); nothing is expanded here",
        )
    return text


def _closes_last(text: str) -> bool:
    """The first bracket of a text is closed by its last character."""
    depth = 0
    for place, sign in enumerate(text):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == ")" and depth == 0:
            return place == len(text) - 1
    return False


def _split(text: str, separator: str) -> list[str]:
    """Parts of a text at a sign, outside brackets and backticks."""
    parts, depth, quoted = [""], 0, False
    for sign in text:
        quoted ^= sign == "`"
        depth += 0 if quoted else {"(": 1, ")": -1}.get(sign, 0)
        if sign == separator and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _effect(text: str, year: str) -> list[str]:
    """Names of an effect as a job file has them: ``exporter^year`` is exporter, year."""
    names = ["year" if name.strip() == year else name.strip() for name in _split(text, "^")]
    if len(names) == 2 and names[0] == "year":
        names.reverse()
    plain_names = all(re.fullmatch(NAME, name) for name in names)
    if len(names) > 2 or (len(names) == 2 and names[1] != "year") or not plain_names:
        raise InputError(
            f"'{text}' is no fixed effect here",
            where="formula",
            remedy=f"possible are pair, {year}, a column, and a column^{year}; rename a column that is no plain name",
        )
    return names


def _both_orders(data: object, units: tuple[str, str], year: str) -> bool:
    """Some pair stands in both orders in one year; False where the data are a file or lack the columns."""
    if not isinstance(data, FileTable) or not {*units, year} <= set(data.frame.columns):
        return False
    return in_both_orders(*(data.frame[name] for name in (*units, year)))

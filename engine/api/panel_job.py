"""A job on a panel of cities by year, said in Python step by step."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any, Self

from engine.api.arguments import checked_arguments
from engine.api.job_object import StatedJob, as_list, taken
from engine.api.result import UNNAMED, Result
from engine.errors import InputError
from engine.estimate.estimators import ESTIMATORS
from engine.infer.errors import ERROR_TYPES
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.regressors import REGRESSORS
from engine.spec.block import NAME
from engine.spec.data_frames import plain
from engine.spec.effects import absorbed, parse_effects
from engine.stages.error_language import in_language
from engine.tables.read import FileTable

_NAMES = {
    "adoption": "year_of_adoption",
    "status": "adopted",
}  # where the header is no name that a job could use
_CALL = re.compile(r"\s*(\w+)\s*\((.*)\)\s*", re.DOTALL)


ErrorTypes = Sequence[str | Mapping[str, object]] | Mapping[str, object] | str | None


class UnknownStep(InputError, AttributeError):
    """A method that a job of panels does not have."""


class PanelJob(StatedJob):
    """A job on a city panel; each method gives a new job, and an estimator runs it.

    >>> import dyadid as dd
    >>> result = dd.panel("builtin:euro", adoption="euro_year", rule="both").synchronization("gdp_real").twfe()
    """

    def __getattr__(self, name: str) -> Callable[..., Self | Result]:
        """Outcomes and estimators by their names in the registries.

        An outcome takes the formula of its city series, and other keys of ``outcome``; an estimator takes ``errors``
        and other keys of ``model``, as `estimate` does.
        """
        if name in OUTCOMES:
            return partial(self._outcome, name)
        if name in ESTIMATORS:
            return partial(self.estimate, name)
        raise self._unknown(name)

    def _unknown(self, name: str) -> UnknownStep:
        """The error for a name that is no step, in the language of the job; that of Python's own names is English."""
        near = difflib.get_close_matches(name, dir(self), n=1)
        error = InputError(
            f"a job has no '{name}'",
            where="PanelJob",
            remedy=f"did you mean '{near[0]}'?"
            if near
            else f"outcomes are {', '.join(OUTCOMES)}; estimators are {', '.join(ESTIMATORS)}",
        )
        if "origin" in vars(self) and not name.startswith(
            "_"
        ):  # else copy or pickle asks, of a job half made
            worded = in_language(error, self.lang)
            error = worded if isinstance(worded, InputError) else error
        return UnknownStep(error.problem, where=error.where, remedy=error.remedy, labels=error.labels)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *OUTCOMES, *ESTIMATORS]

    @checked_arguments("formula", of_step=True)
    def _outcome(self, name: str, /, formula: str, **options: object) -> Self:
        return self._with("outcome", {name: formula, **options}, anew=True)

    @checked_arguments("name", "entropy", "negative")
    def index(self, name: str, entropy: Sequence[str], negative: Sequence[str] | str = ()) -> Self:
        """An entropy-weighted index of indicators, which then is a city column of that name."""
        return self._with("index", {name: {"entropy": as_list(entropy), "negative": as_list(negative)}})

    @checked_arguments("formulas")
    def controls(self, **formulas: str | Mapping[str, str]) -> Self:
        """Pair regressors by name, each a kind and a city column: ``edu="neg_abs_log_diff(education)"``."""
        return self._with("controls", {name: _control(name, text) for name, text in formulas.items()})

    @checked_arguments("formula")
    def instrument(self, formula: str) -> Self:
        """The pair regressor that instruments the treatment, as in `controls`; estimate with `iv`."""
        return self._with("instrument", _control("instrument", formula), anew=True)

    @checked_arguments("mass")
    def gravity(self, *mass: str, **options: object) -> Self:
        """Keep the pairs whose gravity force is above the median; latitude and longitude are columns of the panel."""
        return self._with("pairs", {"gravity": {"mass": list(mass), **options}})

    @checked_arguments()
    def exclude_both_treated(self) -> Self:
        """Leave out the pairs of two adopters."""
        return self._with("pairs", {"exclude": "both_treated"})

    @checked_arguments("effects")
    def fixed_effects(self, *effects: str) -> Self:
        """Effects beside ``pair`` and ``year``: ``city x year``, ``province-pair x year`` and others."""
        return self._with("model", {"fixed_effects": ["pair", *(name for name in effects if name != "pair")]})

    @checked_arguments("unit")
    def matching(self, unit: str = "pair", **options: object) -> Self:
        """Propensity-score matching before the regression, on the controls."""
        return self._with("matching", {"unit": unit, **options})

    @checked_arguments("estimator", "errors", of_step=True)
    def estimate(self, estimator: str, *, errors: ErrorTypes = None, **options: object) -> Result:
        """Run an estimator of the engine by its name; options are keys of ``model``.

        Without effects beyond pair and year every standard-error type is computed, so that `Result.errors` shows any
        of them at once; with such effects those of ``errors``, or all.
        """
        return self.specify(estimator, errors=errors, **options).run()

    @checked_arguments("estimator", "errors")
    def specify(self, estimator: str, *, errors: ErrorTypes = None, **options: object) -> Self:
        """The job that `estimate` runs, for a file or a cluster."""
        specified = self._with("model", {"estimator": estimator, **options})
        if errors is None:
            return specified
        shown = as_list(errors)
        named = [code for code in shown if isinstance(code, str)]
        effects = specified._document.get("model", {}).get("fixed_effects", ["pair", "year"])
        computed = (
            shown
            if absorbed(parse_effects(effects))
            else [*shown, *(c for c in ERROR_TYPES if c not in named)]
        )
        return specified._with("model", {"errors": computed})._with("table", {"errors": shown})

    @property
    def _document(self) -> dict[str, Any]:
        return dict(self.origin) if isinstance(self.origin, Mapping) else {}

    def _with(self, block: str, keys: object, *, anew: bool = False) -> Self:
        document = self._document
        merged = keys if anew or not isinstance(keys, Mapping) else {**document.get(block, {}), **keys}
        return replace(self, origin={**document, block: plain(merged)})


@checked_arguments("data", "rule", "years", "term", "name", "columns")
def panel(
    data: object,
    *,
    adoption: str | None = None,
    status: str | None = None,
    rule: str,
    city: str = "city",
    year: str = "year",
    years: tuple[int, int] | None = None,
    columns: Mapping[str, str] | None = None,
    term: str = "policy",
    name: str = UNNAMED,
    **options: object,
) -> PanelJob:
    """A job on a panel of cities by year.

    Parameters
    ----------
    data : data frame, path, or ``builtin:NAME``
        One row a city and year.
    adoption, status : str
        One of the two. Column with the year in which a city adopts, empty where it never does; or column with a 0 or 1
        for every city and year, 1 from adoption on.
    rule : str
        A pair is treated once ``exactly_one``, ``both`` or ``either`` of its cities has adopted; ``count``: 0, 1, 2.
    city, year : str
        Columns of the names and years.
    years : (int, int), optional
        First and last year of the sample.
    columns : mapping of str to str, optional
        Short names for columns or arithmetic on them: ``{"gdp": "GDP(亿元) / people"}`` without backticks is
        arithmetic, a header that is no name stands in backticks.
    term : str
        Name of the treatment in tables.
    name : str
        Of the job, and of its folder where files are written.
    options
        Further keys of the block ``panel``: ``fill``, ``deflate``, ``balance``, ``missing``, ``join`` and others.
    """
    mapped = dict(columns) if isinstance(columns, Mapping) else {}
    headers = {"city": city, "year": year}
    columns_of_timing = {"adoption": adoption, "status": status}
    timing = {key: header for key, header in columns_of_timing.items() if header is not None}
    if len(timing) != 1:
        raise InputError(
            "give exactly one of adoption and status",
            where="dd.panel",
            remedy="adoption is a column of years, status one of 0 before adoption and 1 from then on",
        )
    for key, header in timing.items():
        if not re.fullmatch(NAME, header):
            headers[_NAMES[key]], timing[key] = header, _NAMES[key]
    for canonical, header in headers.items():
        if canonical in mapped:
            raise InputError(
                f"'{canonical}' is a name of its own here, for the column '{header}'",
                where="columns",
                remedy="take it out, or choose another name",
            )
        if header != canonical:
            mapped[canonical] = _column(header)
    block: dict[str, object] = {**options}
    if columns is not None and not isinstance(columns, Mapping):
        block["columns"] = columns
    elif mapped:
        block["columns"] = mapped
    frames: dict[str, FileTable] = {}
    if isinstance(data, str | PurePath):
        block["source"] = str(data)
    else:
        frames = taken({"panel": data})
    document: dict[str, object] = {
        "job": name,
        "panel": block,
        "treatment": {**timing, "rule": rule, "name": term},
    }
    if years is not None:
        document["years"] = years
    return PanelJob(plain(document), frames)


def _column(header: str) -> str:
    """A header as a formula names it."""
    return header if re.fullmatch(NAME, header) or "`" in header else f"`{header}`"


def _control(name: str, text: object) -> object:
    """``neg_abs_diff(x)`` as a block of the job; what is no text is left to validation of the job."""
    if not isinstance(text, str):
        return plain(text)
    call = _CALL.fullmatch(text)
    if call is None or call[1] not in REGRESSORS:
        raise InputError(
            f"'{text}' is no kind of pair regressor",
            where=f"controls.{name}" if name != "instrument" else name,
            remedy=f"write a kind and a city column, like neg_abs_log_diff(gdp); kinds are {', '.join(REGRESSORS)}",
        )
    return {call[1]: call[2].strip()}

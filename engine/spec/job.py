"""What a job file may say: frozen models, unknown keys refused, one class per block of the file.

``Job`` is the file as written (with ``extends`` already merged); ``sweep.py`` turns it into cells, each a
``Job`` without ``sweep`` and ``cases``. Names of columns are canonical names of the panel, or arithmetic on
them (``engine.expression``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.expression import Expression, parse
from engine.spec.block import Block
from engine.spec.inference import Inference


def _parsable(text: str) -> str:
    parse(text)
    return text


_NAME, _JOB, _MEMORY = r"^[^\W\d][\w]*$", r"^[\w][\w.-]*$", r"^\d+(\.\d+)?\s*(MB|GB)$"
PATTERNS = {
    _NAME: "a name of letters, digits and _ that does not begin with a digit",
    _JOB: "a name of letters, digits and _ . - that begins with a letter, digit or _, for it names a folder",
    _MEMORY: "an amount like 500MB or 2GB",
}

Formula = Annotated[str, AfterValidator(_parsable)]
Name = Annotated[str, Field(pattern=_NAME, max_length=80)]
ErrorKind = Literal["pair", "city", "dyadic", "jackknife"]


class Deflate(Block):
    """Money columns to constant prices of ``base_year``: by a price index, or by the implied GDP deflator."""

    columns: list[Name] = Field(min_length=1, description="canonical columns to deflate")
    base_year: int
    price_index: Name | None = Field(None, description="price level column, any base")
    nominal: Name | None = Field(None, description="GDP at current prices")
    real: Name | None = Field(None, description="GDP at constant prices, any base")

    @model_validator(mode="after")
    def _one_way(self) -> Deflate:
        by_index = self.price_index is not None
        by_gdp = self.nominal is not None and self.real is not None
        if by_index == by_gdp or (self.nominal is None) != (self.real is None):
            raise ValueError("give either price_index, or both nominal and real")
        return self


class Fill(Block):
    """Interior gaps of at most ``max_gap`` years are filled; every filled cell is flagged and reported."""

    max_gap: int = Field(ge=1, le=10)
    method: Literal["linear", "log_linear"] = "linear"
    columns: list[Name] | None = Field(None, description="default: every column the job reads")


class Panel(Block):
    """Where the city-year data are and how their columns are called."""

    source: str = Field(description="builtin:china_demo, builtin:euro, or a Parquet, CSV or Excel file")
    columns: dict[Name, Formula] = Field(
        {}, description="canonical name: column of the file, or arithmetic on columns"
    )
    sheet: str | None = Field(None, description="Excel sheet; default the first")
    encoding: str | None = Field(None, description="CSV encoding; default: UTF-8, then GB18030")
    deflate: Deflate | None = None
    fill: Fill | None = None
    balance: Literal["drop", "keep"] = Field(
        "drop", description="cities with missing years: drop them, or keep them with missing pair-years"
    )
    options: dict[Name, int | float | bool] = Field(
        {}, description="options of a builtin source, e.g. effect, seed"
    )


class PairTable(Block):
    """A user's own dyadic table: one row a pair and year."""

    source: str
    unit_i: str
    unit_j: str
    year: str
    directed: bool = False
    sheet: str | None = None
    encoding: str | None = None


class Index(Block):
    """Entropy-weighted composite index, weights pooled over all city-years of the sample."""

    entropy: list[Formula] = Field(min_length=2, description="indicators")
    negative: list[Formula] = Field([], description="those of the indicators for which less is better")

    @model_validator(mode="after")
    def _negative_is_listed(self) -> Index:
        unlisted = [name for name in self.negative if name not in self.entropy]
        if unlisted:
            raise ValueError(f"negative names {unlisted[0]!r}, which is not among the entropy indicators")
        if len(set(self.entropy)) < len(self.entropy):
            raise ValueError("an indicator is listed twice")
        return self


class Outcome(Block):
    """What is explained: the synchronization of a city series, or a column of the pair table."""

    synchronization: Formula | None = Field(None, description="index name, column or arithmetic")
    window: Literal["full", "pre"] = Field(
        "full",
        description="years that standardise: all (paper), or those before the first adoption (no look-ahead)",
    )
    infinite: Literal["drop", "clip", "error"] = Field(
        "drop", description="pair-years with an infinite index: drop them, clip the distance, or stop"
    )
    clip: float = Field(1e-6, gt=0, lt=1, description="smallest |z_i - z_j| with infinite: clip")
    column: str | None = Field(None, description="outcome column of the pair table")

    @model_validator(mode="after")
    def _one_of(self) -> Outcome:
        if (self.synchronization is None) == (self.column is None):
            raise ValueError("give either synchronization (panel jobs) or column (pair_table jobs)")
        return self


class Gravity(Block):
    """Modified gravity screen: F_ij = (prod mass_i * prod mass_j)^(1/#mass) / distance_ij^2."""

    mass: list[Formula] = Field(min_length=1)
    year: Literal["mean", "first"] | int = Field(
        "mean", description="masses of which year: the mean over the sample, the first year, or a named year"
    )
    keep: Literal["above_median", "all"] = "above_median"


class Pairs(Block):
    """Which pairs are in the sample; exclusion comes first, the gravity screen second."""

    exclude: Literal["both_treated", "none"] = "none"
    gravity: Gravity | None = None


class Treatment(Block):
    """When a city adopts, and what makes a pair treated."""

    adoption: Name = Field(description="column with the adoption year of a city; empty means never")
    rule: Literal["exactly_one", "both", "either", "count"]
    name: Name = Field("policy", description="what the term is called in tables")


class Control(Block):
    """A pair control: minus the absolute difference of a city column, in logs or in levels."""

    neg_abs_log_diff: Formula | None = None
    neg_abs_diff: Formula | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Control:
        if (self.neg_abs_log_diff is None) == (self.neg_abs_diff is None):
            raise ValueError("give exactly one of neg_abs_log_diff, neg_abs_diff")
        return self

    @property
    def logged(self) -> bool:
        return self.neg_abs_log_diff is not None

    @property
    def formula(self) -> str:
        return self.neg_abs_log_diff or self.neg_abs_diff or ""


class Model(Block):
    """The regression: estimator, regressors, effects, kinds of standard error."""

    estimator: Literal["twfe", "event_study"] = "twfe"
    controls: list[Name] | None = Field(None, description="names of controls; default: all of them")
    regressors: list[str] | None = Field(None, description="regressor columns of a pair_table job")
    fixed_effects: list[Literal["pair", "year"]] = ["pair", "year"]
    errors: list[ErrorKind] = Field(["pair", "city", "dyadic", "jackknife"], min_length=1)
    base: int = Field(-1, description="event study: the omitted event year")
    window: tuple[int, int] = Field((-5, 3), description="event study: first and last event year shown")
    ends: Literal["bin", "drop"] = Field(
        "bin",
        description="event study: event years outside the window join its ends, or their rows are dropped",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        if sorted(self.fixed_effects) != ["pair", "year"]:
            raise ValueError("fixed_effects must be [pair, year]")
        low, high = self.window
        if self.estimator == "event_study" and not low <= self.base <= high:
            raise ValueError(f"base {self.base} lies outside the window [{low}, {high}]")
        if low >= high:
            raise ValueError(f"window [{low}, {high}] must ascend")
        for key in ("errors", "controls", "regressors"):
            names = getattr(self, key) or []
            if len(set(names)) < len(names):
                raise ValueError(f"{key} names '{next(n for n in names if names.count(n) > 1)}' twice")
        return self


class Runtime(Block):
    """How much of the machine a run may use."""

    memory: str = Field("2GB", pattern=_MEMORY, description="working memory of one process")
    tile: int | None = Field(
        None, ge=8, le=4096, description="cities along a tile's edge; default from memory"
    )


class Job(Block):
    """One job file, or one cell of its sweep."""

    job: Annotated[str, Field(pattern=_JOB, max_length=80)]
    title: str = ""
    panel: Panel | None = None
    pair_table: PairTable | None = None
    years: tuple[int, int] | None = Field(None, description="first and last year of the sample")
    index: dict[Name, Index] = {}
    outcome: Outcome
    pairs: Pairs = Pairs()
    treatment: Treatment | None = None
    controls: dict[Name, Control] = {}
    model: Model = Model()
    sweep: dict[str, list[Any]] = Field(
        {}, description="dotted key: list of values; all combinations are run"
    )
    cases: dict[str, dict[str, Any]] = Field({}, description="name: dotted keys and values; each is one cell")
    inference: Inference = Inference()
    runtime: Runtime = Runtime()

    @model_validator(mode="after")
    def _whole(self) -> Job:
        if (self.panel is None) == (self.pair_table is None):
            raise ValueError("give either panel or pair_table")
        if self.years and self.years[0] >= self.years[1]:
            raise ValueError(f"years [{self.years[0]}, {self.years[1]}] must ascend")
        self._check_pair_table() if self.pair_table else self._check_panel()
        return self

    def _check_pair_table(self) -> None:
        given = [key for key in ("index", "controls") if getattr(self, key)]
        given += ["treatment"] if self.treatment else []
        given += ["pairs"] if self.pairs != Pairs() else []
        if given:
            raise ValueError(
                f"{given[0]} has no meaning beside pair_table, whose columns are used as they are"
            )
        if self.outcome.column is None:
            raise ValueError("a pair_table job needs outcome.column")
        if not self.model.regressors:
            raise ValueError("a pair_table job needs model.regressors")
        if self.outcome.column in self.model.regressors:
            raise ValueError(f"model.regressors names '{self.outcome.column}', which is the outcome")
        if self.model.estimator != "twfe":
            raise ValueError("a pair_table job has no adoption years, so model.estimator must be twfe")
        if self.inference.permutation:
            raise ValueError(
                "a pair_table job has no adoption years that inference.permutation could deal anew"
            )
        if self.inference.jackknife and self.inference.jackknife.by != "city":
            raise ValueError("a pair_table job has no city columns, so inference.jackknife.by must be city")
        if self.inference.bootstrap and self.inference.bootstrap.kind == "pipeline":
            raise ValueError(
                "a pair_table job has no city panel that inference.bootstrap kind pipeline could resample"
            )

    def _check_panel(self) -> None:
        if self.outcome.synchronization is None:
            raise ValueError("a panel job needs outcome.synchronization")
        if self.treatment is None:
            raise ValueError("a panel job needs treatment")
        if self.model.regressors is not None:
            raise ValueError("model.regressors is for pair_table jobs; a panel job has controls")
        unknown = [name for name in self.model.controls or [] if name not in self.controls]
        if unknown:
            known = ", ".join(self.controls) or "which is empty"
            raise ValueError(
                f"model.controls names '{unknown[0]}', which is not defined under controls ({known})"
            )
        if self.treatment.name in self.controls:
            raise ValueError(f"a control is called '{self.treatment.name}' like the treatment term")
        rule, kept = self.treatment.rule, self.pairs.exclude == "none"
        if self.model.estimator == "event_study" and (rule == "count" or (rule == "exactly_one" and kept)):
            raise ValueError(
                f"an event study of rule {rule} has no single adoption year for pairs that adopt twice; "
                "use pairs.exclude: both_treated, or rule either or both"
            )
        if rule in ("both", "count") and not kept:
            raise ValueError(f"rule {rule} needs the pairs that pairs.exclude: both_treated removes")

    @property
    def used_controls(self) -> list[str]:
        """Names of the controls in the regression, in the order of the table."""
        return list(self.controls) if self.model.controls is None else list(self.model.controls)

    def formulas(self) -> Iterator[tuple[str, Expression]]:
        """Every formula on panel columns with the key it stands under."""
        for name, index in self.index.items():
            for number, text in enumerate(index.entropy):
                yield f"index.{name}.entropy[{number}]", parse(text)
        if self.outcome.synchronization:
            yield "outcome.synchronization", parse(self.outcome.synchronization)
        for number, text in enumerate(self.pairs.gravity.mass if self.pairs.gravity else []):
            yield f"pairs.gravity.mass[{number}]", parse(text)
        for name, control in self.controls.items():
            yield f"controls.{name}", parse(control.formula)

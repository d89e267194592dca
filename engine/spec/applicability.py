"""Which keys have a meaning in which jobs: the one table that validator, JSON schema and key reference share.

A key that a user sets (in the file, by ``extends``, ``sweep``, ``cases`` or ``--set``) is refused where no cell in
which it is set gives it a meaning: what is accepted changes something. So a sweep over estimators may share
``model.window`` with an event study among them, and a base file may not hand it to jobs that have none; such a job
writes ``model.window: null``. Null, and an empty mapping, set nothing.

A block under one condition stands here alone; a block whose keys differ has them all. Lists of blocks count as the
block, names that the user chooses are left out (``controls.edu.sum`` is ``controls.sum``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.estimate.estimators import COMPARISON_OPTIONS, ESTIMATORS, EVENT_OPTIONS, Estimator
from engine.infer.errors import ERROR_TYPES, network
from engine.pairs.outcomes import OUTCOMES
from engine.spec import design
from engine.spec.effects import absorbed
from engine.spec.job import Job
from engine.spec.keys import Keys, set_keys


@dataclass(frozen=True)
class Condition:
    """When a key has a meaning.

    Attributes
    ----------
    text : str
        As a message and the reference say it: "city panels", "estimator event_study".
    holds : function of a Job
    remedy : str
        Another key that does there what a user may have wanted; empty where there is none.
    """

    text: str
    holds: Callable[[Job], bool]
    remedy: str = ""


def _bootstrap(*kinds: str) -> Callable[[Job], bool]:
    return lambda job: job.inference.bootstrap is not None and job.inference.bootstrap.kind in kinds


def _estimators(chosen: Callable[[Estimator], bool]) -> Condition:
    """Jobs of the estimators that a registry line says."""
    *names, last = (name for name, estimator in ESTIMATORS.items() if chosen(estimator))
    text = f"estimators {', '.join(names)} and {last}" if names else f"estimator {last}"
    return Condition(text, lambda job: chosen(job.model.registered))


def _option(key: str) -> Condition:
    return _estimators(lambda estimator: key in estimator.options)


def _source(job: Job) -> str:
    block = job.panel or job.pair_table
    return block.source.lower() if block else ""


def _standardised(job: Job) -> bool:
    columns = [*job.controls.values(), *([job.instrument] if job.instrument else [])]
    return job.panel is not None and (
        job.outcome.standardised or any(column.standardised for column in columns)
    )


def _outcomes(names: Iterable[str]) -> str:
    return " or ".join(f"outcome.{name}" for name in names)


def _screened(job: Job) -> bool:
    return job.pairs.gravity is not None and job.pairs.gravity.keep == "above_median"


_COMPARES = frozenset(COMPARISON_OPTIONS)
_PANEL, _TABLE = "city panels (panel)", "pair tables (pair_table)"
ALWAYS = Condition("every job", lambda _: True)
PANEL = Condition(_PANEL, lambda job: job.panel is not None)
TABLE = Condition(_TABLE, lambda job: job.pair_table is not None)
CONTROLLED = Condition(_PANEL, PANEL.holds, "name columns of the pair table in model.regressors")
LISTED = Condition(_TABLE, TABLE.holds, "a panel job has controls")
WEIGHED = Condition(_outcomes(design.WEIGHTED), lambda job: job.outcome.kind in design.WEIGHTED)
STANDARDISED = Condition(f"a {' or '.join(design.STANDARDISED)}, as outcome or control", _standardised)
CLIPPED = Condition(
    f"{_outcomes(design.STANDARDISED)} with infinite: clip",
    lambda job: job.outcome.standardised and job.outcome.infinite == "clip",
)
TREATED = Condition(
    "jobs whose treatment is a regressor", lambda job: job.treatment is not None and job.model.treatment
)
RULED = Condition(
    "city panels, and pair tables with treatment.unit_adoption",
    lambda job: job.treatment is not None and (job.panel is not None or bool(job.treatment.unit_adoption)),
    "pairs that are treated themselves (treatment.adoption, treatment.status) have no rule",
)
REASSIGNED = Condition(
    "city panels, and pair tables with treatment.unit_adoption, whose treatment is a regressor",
    lambda job: RULED.holds(job) and job.model.treatment,
    "only what is a function of units can be permuted among them: give their adoption years as "
    "treatment.unit_adoption",
)
INSTRUMENTED = _estimators(lambda estimator: estimator.uses_instrument)
_ONE_STEP = [code for code, error in ERROR_TYPES.items() if error.leave_outs == "one_step"]
_REFITS = [code for code, error in ERROR_TYPES.items() if error.leave_outs == "refits"]


def _chooses_leave_outs(job: Job) -> bool:
    """One-step samples differ from refits: least squares holds its effects there, Poisson stops after a step."""
    choosing = _REFITS if job.model.registered.reweights else _ONE_STEP
    return job.model.by_rows and not set(choosing).isdisjoint(job.model.errors)


ABSORBED = Condition(
    f"effects beyond pair and year with errors {' or '.join(_ONE_STEP)}, and estimator "
    f"{' or '.join(name for name, estimator in ESTIMATORS.items() if estimator.reweights)} with errors "
    f"{' or '.join(_REFITS)}",
    _chooses_leave_outs,
)
DIAGNOSED = Condition(
    "estimator twfe with the effects [pair, year] of city panels whose treatment is a regressor",
    lambda job: (
        job.model.registered.diagnosed
        and not absorbed(job.model.effects)
        and PANEL.holds(job)
        and job.model.treatment
    ),
)
REFERRED = Condition(
    "event studies with a reference period",
    lambda job: (
        TREATED.holds(job) and job.model.registered.by_event_time and job.model.omitted_year is not None
    ),
)
BY_PAIR = Condition(
    "matching unit pair", lambda job: job.matching is not None and job.matching.unit == "pair"
)
ONCE = Condition(
    "matching with replacement: false",
    lambda job: job.matching is not None and not job.matching.replacement,
)
SCREENED = Condition("pairs.gravity with keep: above_median", _screened)
MULTIPLIED = Condition(
    "bootstrap kinds multiplier, wild and two_way_wild", _bootstrap("multiplier", "wild", "two_way_wild")
)
INTERVALS = Condition(
    "bootstrap kinds node, multiplier and pipeline", _bootstrap("node", "multiplier", "pipeline")
)
LINKED = Condition(
    f"city panels with errors {network.NAME}",
    lambda job: job.panel is not None and job.model.reads_links,
)
BUILTIN = Condition("builtin sources", lambda job: _source(job).startswith("builtin:"))
FILES = Condition(
    "files, not builtin sources or data frames",
    lambda job: not _source(job).startswith(("builtin:", "frame:")),
)
WRITTEN = Condition(
    "files and data frames, not builtin sources", lambda job: not _source(job).startswith("builtin:")
)

TABLE_OF_KEYS: Mapping[str, Condition] = {
    **dict.fromkeys(("job", "title", "years", "sweep", "cases", "table", "figures", "lang"), ALWAYS),
    # Data. Which file has sheets and which an encoding is the reader's to say.
    "panel": PANEL,
    **dict.fromkeys(("panel.source", "panel.columns", "panel.deflate", "panel.fill"), PANEL),
    **dict.fromkeys(("panel.balance", "panel.join", "panel.missing", "panel.merge_names"), PANEL),
    **dict.fromkeys(("panel.sheet", "panel.encoding", "panel.header", "panel.skip_rows"), FILES),
    "panel.decimal": WRITTEN,
    **dict.fromkeys(("panel.recode", "panel.fill_down"), PANEL),
    "panel.links": LINKED,
    "panel.options": BUILTIN,
    "pair_table": TABLE,
    "index": PANEL,
    # Outcome and pairs.
    **dict.fromkeys((f"outcome.{name}" for name in OUTCOMES), PANEL),
    "outcome.weight": WEIGHED,
    "outcome.window": STANDARDISED,
    "outcome.infinite": ALWAYS,
    "outcome.clip": CLIPPED,
    "outcome.column": TABLE,
    **dict.fromkeys(("pairs", "pairs.exclude"), RULED),
    **dict.fromkeys(("pairs.gravity", "pairs.split"), PANEL),
    # Treatment and pair columns.
    "treatment": ALWAYS,
    **dict.fromkeys(("treatment.adoption", "treatment.status"), ALWAYS),
    "treatment.unit_adoption": TABLE,
    "treatment.rule": RULED,
    **dict.fromkeys(("treatment.month", "treatment.cutoff"), PANEL),
    **dict.fromkeys(("treatment.shift", "treatment.drop_treated", "treatment.around"), ALWAYS),
    "treatment.name": TREATED,
    "controls": CONTROLLED,
    "instrument": INSTRUMENTED,
    "matching": PANEL,
    **dict.fromkeys(("matching.unit", "matching.covariates", "matching.caliper"), PANEL),
    **dict.fromkeys(("matching.replacement", "matching.common_support"), PANEL),
    "matching.year": BY_PAIR,
    "matching.seed": ONCE,
    # Model.
    **dict.fromkeys(("model.estimator", "model.lag", "model.fixed_effects"), ALWAYS),
    **dict.fromkeys(("model.errors", "model.confidence"), ALWAYS),
    "model.treatment": PANEL,
    "model.by_year": ALWAYS,
    "model.leave_outs": ABSORBED,
    "model.diagnostics": DIAGNOSED,
    "model.controls": CONTROLLED,
    "model.regressors": LISTED,
    **{f"model.{key}": _option(key) for key in EVENT_OPTIONS},
    "model.options": _estimators(lambda estimator: not _COMPARES.isdisjoint(estimator.options)),
    **{f"model.options.{key}": _option(key) for key in COMPARISON_OPTIONS},
    "model.offset": _option("offset"),
    # Draws.
    "inference.permutation": REASSIGNED,
    **dict.fromkeys((f"inference.permutation.{key}" for key in ("reps", "seed", "terms")), REASSIGNED),
    "inference.permutation.strata": Condition(
        "city panels whose treatment is a regressor", lambda job: PANEL.holds(job) and job.model.treatment
    ),
    "inference.permutation.screen": SCREENED,
    **dict.fromkeys((f"inference.bootstrap.{key}" for key in ("kind", "reps", "seed")), ALWAYS),
    "inference.bootstrap.weights": MULTIPLIED,
    "inference.bootstrap.interval": INTERVALS,
    "inference.jackknife": ALWAYS,
    "inference.score_correlations": PANEL,
    "inference.honest": REFERRED,
    # Machine.
    "runtime.memory": ALWAYS,
    "runtime.tile": PANEL,
}
"""Condition by key; a key that is not here has that of the nearest block above it."""


def condition_of(path: str) -> Condition | None:
    """The condition of a key, ``model.window``; None for a key that the table does not cover."""
    parts = path.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((TABLE_OF_KEYS[key] for key in prefixes if key in TABLE_OF_KEYS), None)


def without_meaning(job: Job, document: Mapping[str, object]) -> dict[Keys, str]:
    """Keys of plain data that have no meaning in a cell, the highest of each block, with their path in the table."""
    return _failed(job, set_keys(document))


def _failed(job: Job, keys_set: Iterable[tuple[Keys, str]]) -> dict[Keys, str]:
    failed: dict[Keys, str] = {}
    for keys, path in keys_set:
        condition = TABLE_OF_KEYS.get(path)
        if condition is not None and not condition.holds(job) and not _below(keys, failed):
            failed[keys] = path
    return failed


def _below(keys: Keys, failed: Iterable[Keys]) -> bool:
    return any(keys[: len(prefix)] == prefix for prefix in failed)


def with_meaning(job: Job, content: Mapping[str, object]) -> dict[str, object]:
    """A copy of a cell's content without what has no meaning in it: equal copies, equal regressions."""
    meaningless = [*without_meaning(job, content), *_meaningless_parts(job)]
    if not meaningless:
        return dict(content)
    copy: Any = dict(content)
    for keys in meaningless:
        block = copy
        for key in keys[:-1]:
            block[key] = block[key].copy()  # a key at a time: most of the content stays shared
            block = block[key]
        block.pop(keys[-1])
    return copy


def _meaningless_parts(job: Job) -> Iterator[Keys]:
    """Places in lists: the first year of the window, where no effect is that of a year before adoption."""
    estimator = job.model.registered
    if (
        {"window", "ends"}.issubset(estimator.options)
        and "base" not in estimator.options
        and job.model.ends == "bin"
    ):
        yield "model", "window", 0


class Meanings:
    """Collects, cell by cell, which of the keys that are set have a meaning anywhere."""

    def __init__(self) -> None:
        self._meant: set[str] = set()
        self._failed: dict[str, tuple[Keys, str]] = {}

    def read(self, job: Job, document: Mapping[str, object], label: str) -> None:
        """Take the keys that a cell sets."""
        keys_set = set_keys(document)
        failed = _failed(job, keys_set)
        self._meant.update(path for keys, path in keys_set if not (failed and _below(keys, failed)))
        for keys, path in failed.items():
            self._failed.setdefault(path, (keys, label))

    def problems(self) -> dict[Keys, tuple[str, str, str]]:
        """Problem, remedy and first cell of every key that has no meaning in any cell that sets it."""
        return {
            keys: (*_refusal(TABLE_OF_KEYS[path]), label)
            for path, (keys, label) in self._failed.items()
            if path not in self._meant
        }


def _refusal(condition: Condition) -> tuple[str, str]:
    remedy = "take it out; where a file of extends has it, set it to null"
    problem = f"has no meaning in this job: it is for {condition.text}"
    return problem, f"{condition.remedy}, and {remedy}" if condition.remedy else remedy

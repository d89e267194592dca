"""From a job file to its cells: what is run can be read and counted before it costs anything.

``sweep`` gives every combination of its values, the first key slowest; each of ``cases`` (named overrides)
is one cell; where a file has both, every case runs under every combination, cases slowest. Values lie upon
the job by the rule of ``keys``: mappings merge, anything else replaces, null gives the default.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from engine.errors import InputError
from engine.spec.applicability import Meanings, with_meaning
from engine.spec.cell_choice import CellName
from engine.spec.data_frames import refuse_unused
from engine.spec.job import Job
from engine.spec.keys import Parts, assign, check_key, flatten, split, without_null
from engine.spec.load import LoadedJob
from engine.spec.sizes import MOST_CELLS, refuse_too_many_draws
from engine.spec.validate import Problems, all_problems, validate

_FIXED = ("job", "title", "sweep", "cases", "table", "figures", "lang", "runtime")


@dataclass(frozen=True)
class Cell:
    """One regression of a job.

    Attributes
    ----------
    id : str
        10 hex digits of the content; the same on any machine and for any order of the sweep.
    number : int
        Place in the plan, from 1.
    label : str
        ``model.controls=edu+tech``, the name of the case, or of the job where it is the only cell.
    job : Job
        Resolved, without sweep and cases.
    keys : mapping of str to str
        Printable value by sweep key; with cases, the name under ``case`` comes first.
    """

    id: str
    number: int
    label: str
    job: Job
    keys: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """A loaded job and its cells, in the order of the tables."""

    loaded: LoadedJob
    cells: tuple[Cell, ...]
    contents: tuple[str, ...] = field(repr=False)


def expand(loaded: LoadedJob) -> Plan:
    """The cells of a job, each validated.

    Raises
    ------
    InputError
        For a key that cannot vary, more than 100,000 cells, a cell that is no valid job, and two cells of
        the same content, by label.
    """
    cells: list[Cell] = []
    meanings = Meanings()
    cases = _checked_cases(loaded)
    _check_sweep(loaded, cases)
    for number, (keys, document) in enumerate(_variants(loaded, cases), start=1):
        label = _label(keys) or loaded.job.job
        job = validate(
            Job, document, file=str(loaded.path), written_in=loaded.written_in, cell=f"cell '{label}'"
        )
        meanings.read(job, document, label)
        cells.append(Cell("", number, label, job, keys))
    _refuse_meaningless(meanings, loaded)
    _check_table(loaded, cells)
    refuse_unused(loaded.frames, (cell.job for cell in cells), where=str(loaded.path))
    refuse_too_many_draws((cell.job for cell in cells), where=str(loaded.path))
    return _told_apart(loaded, cells)


def _told_apart(loaded: LoadedJob, cells: list[Cell]) -> Plan:
    """The plan, each cell with its id; raises InputError for two cells of one content."""
    texts, named = [], []
    first_cells: dict[str, Cell] = {}
    ids: dict[str, Cell] = {}
    for cell in cells:
        content = _content(cell.job)
        # By the absolute source: two files of one relative name are two data sets.
        meaning = _canonical(with_meaning(cell.job, content))
        text = _canonical(_as_written(content, loaded.sources))
        cell = replace(cell, id=hashlib.sha256(text.encode()).hexdigest()[:10])
        if meaning in first_cells:
            _refuse_twins(first_cells[meaning], cell, where=str(loaded.path))
        if cell.id in ids:
            raise InputError(
                f"{_both(ids[cell.id], cell)} have the same id",
                where=str(loaded.path),
                remedy="split the job, or write sources in full",
            )
        first_cells[meaning] = ids[cell.id] = cell
        texts.append(text)
        named.append(cell)
    return Plan(loaded, tuple(named), tuple(texts))


def _check_table(loaded: LoadedJob, cells: list[Cell]) -> None:
    """Raises InputError where the printed table names errors or columns that no cell has."""
    table, where = loaded.job.table, f"{loaded.path}: table"
    present = list(dict.fromkeys(code for cell in cells for code in cell.job.model.errors))
    stars = [table.stars] if table.stars not in (None, "none") else []
    for key, codes in (("errors", table.errors or []), ("stars", stars)):
        for code in codes:
            if code not in present:
                raise InputError(
                    f"{code} is not among model.errors",
                    where=f"{where}.{key}",
                    remedy=f"add it there, or take one of {', '.join(present)}",
                )
    if table.columns and len(table.columns) != len(cells):
        raise InputError(
            f"{len(table.columns)} headings for {len(cells)} columns",
            where=f"{where}.columns",
            remedy="give one a column",
        )


def _refuse_meaningless(meanings: Meanings, loaded: LoadedJob) -> None:
    """Raise one InputError for all keys that no cell gives a meaning, by the file or cell that sets each."""
    problems = meanings.problems()
    if not problems:
        return
    told: Problems = {}
    cell = None
    for keys, (problem, remedy, label) in problems.items():
        dotted = ".".join(map(str, keys))
        swept = dotted in loaded.job.sweep
        told[("sweep", dotted) if swept else keys] = problem, remedy
        if not swept and keys not in loaded.written_in:
            cell = f"cell '{label}'"
    raise all_problems(told, file=str(loaded.path), written_in=loaded.written_in, cell=cell)


def cell_names(plan: Plan) -> list[CellName]:
    """Names by which a user may mean each cell."""
    return [CellName(cell.id, cell.number, cell.label) for cell in plan.cells]


def spec_hash(plan: Plan) -> str:
    """sha256 of the content of all cells in their order: equal hashes ask for the same numbers."""
    return hashlib.sha256("\n".join(plan.contents).encode()).hexdigest()


def choices(plan: Plan) -> dict[str, list[object]]:
    """Keys in which the cells differ: dotted key to one value a cell, of every key that sweep or cases set.

    Lists of names stay lists; every other value is as `Cell.keys` print it, a span of years ``2010 to 2019``.
    """
    job = plan.loaded.job
    keys = [key for case in job.cases.values() for key, _ in flatten(case, "")]
    choices_by_key = {}
    for key in dict.fromkeys([*keys, *job.sweep]):
        parts = split(key)
        values = [_shown(_value_at(cell.job, parts), plan.loaded.sources) for cell in plan.cells]
        if any(value != values[0] for value in values):
            choices_by_key[key] = values
    return choices_by_key


def _value_at(block: object, parts: Parts) -> object:
    """Value of a job's key, defaults filled in; None where a block above it is not there."""
    for part in parts:
        block = block.get(part) if isinstance(block, Mapping) else getattr(block, part, None)
    return block.model_dump(mode="json") if isinstance(block, BaseModel) else block


def _shown(value: object, sources: Mapping[str, str]) -> object:
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        return list(value)
    if isinstance(value, tuple):
        return " to ".join(_printable(entry, sources) for entry in value)
    return _printable(value, sources)


def _checked_cases(loaded: LoadedJob) -> dict[str, dict[str, object]]:
    """Cases with dotted keys throughout: nested mappings are flattened down to the model's plain values."""
    cases: dict[str, dict[str, object]] = {}
    for name, case in loaded.job.cases.items():
        location = f"{loaded.path}: cases.{name}"
        flat: dict[str, object] = {}
        for key, value in flatten(case, ""):
            if key in flat:
                raise InputError(f"'{key}' is given twice", where=location, remedy="keep one of the two")
            _check_varies(key, where=f"{location}.{key}")
            flat[key] = value
        cases[name] = flat
    return cases


def _check_sweep(loaded: LoadedJob, cases: Mapping[str, Mapping[str, object]]) -> None:
    sweep = loaded.job.sweep
    for key, values in sweep.items():
        location = f"{loaded.path}: sweep.{key}"
        _check_varies(key, where=location)
        if not values:
            raise InputError(
                "has no values", where=location, remedy="give at least one value, or take the key out"
            )
        for name, case in cases.items():
            if key in case:
                raise InputError(
                    f"is also set by the case '{name}'", where=location, remedy="set it in one place"
                )
    count = max(1, len(cases)) * math.prod(len(values) for values in sweep.values())
    if count > MOST_CELLS:
        raise InputError(
            f"{count:,} cells, the limit is {MOST_CELLS:,}",
            where=f"{loaded.path}: sweep",
            remedy="split the job",
        )


def _check_varies(key: str, *, where: str) -> None:
    parts = split(key)
    check_key(parts, where=where)
    if parts[0] in _FIXED:
        raise InputError(f"'{parts[0]}' is the same for all cells", where=where, remedy="set it outside")


def _variants(
    loaded: LoadedJob, cases: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[dict[str, str], dict[str, object]]]:
    """Printable keys and plain data of every cell."""
    sweep = loaded.job.sweep
    base = {key: value for key, value in loaded.data.items() if key not in ("sweep", "cases")}
    named_cases: list[tuple[dict[str, str], Mapping[str, object]]] = [
        ({"case": name}, case) for name, case in cases.items()
    ] or [({}, {})]
    for case_keys, case in named_cases:
        for values in itertools.product(*sweep.values()):
            document, keys = base, dict(case_keys)
            for key, value in case.items():
                document = assign(document, split(key), value)
            for key, value in zip(sweep, values, strict=True):
                document = assign(document, split(key), value)
                keys[key] = _class_of_split(value, sweep[key]) or _printable(value, loaded.sources)
            yield keys, without_null(document)


def _label(keys: Mapping[str, str]) -> str:
    return ", ".join(value if key == "case" else f"{key}={value}" for key, value in keys.items())


def _class_of_split(value: object, values: list[object]) -> str:
    """``coastal: high`` for a class of a split, where that tells it from the other values; else empty."""

    def short(entry: object) -> str:
        return (
            f"{entry['by']}: {entry['pairs']}"
            if isinstance(entry, dict) and {"by", "pairs"} <= set(entry)
            else ""
        )

    name = short(value)
    return name if name and sum(short(one) == name for one in values) == 1 else ""


def _printable(value: object, sources: Mapping[str, str]) -> str:
    """``edu+tech`` for lists, ``k=v,k=v`` for mappings, ``none`` for empty ones, ``default`` for null."""
    if value is None:
        return "default"
    if isinstance(value, list):
        return "+".join(_printable(entry, sources) for entry in value) or "none"
    if isinstance(value, dict):
        return ",".join(f"{key}={_printable(entry, sources)}" for key, entry in value.items()) or "none"
    return sources.get(value, value) if isinstance(value, str) else json.dumps(value)


def _content(job: Job) -> dict[str, object]:
    """Content of a cell that decides what is computed."""
    return job.model_dump(mode="json", exclude=set(_FIXED))


def _as_written(content: dict[str, Any], sources: Mapping[str, str]) -> dict[str, object]:
    """Content with its sources as written: no machine's paths."""
    for key in ("panel", "pair_table"):
        block = content[key]
        holders = [block, *block.get("join", ()), block.get("links")] if block else []
        for holder in filter(None, holders):
            holder["source"] = sources.get(holder["source"], holder["source"])
    return content


def _canonical(content: Mapping[str, object]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _both(first: Cell, second: Cell) -> str:
    return f"cells {first.number} '{first.label}' and {second.number} '{second.label}'"


def _refuse_twins(first: Cell, second: Cell, *, where: str) -> None:
    exclude = set(_FIXED)
    equal = first.job.model_dump(exclude=exclude) == second.job.model_dump(exclude=exclude)
    explanation = "" if equal else ": what they differ in has no meaning for them"
    raise InputError(
        f"{_both(first, second)} are the same regression{explanation}",
        where=where,
        remedy="take one of them out",
    )

"""A first job file for a data file: columns recognised by name and content, every guess said beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from engine.errors import InputError
from engine.pairs.table_rows import in_both_orders
from engine.report.language.error_words import worded_text
from engine.report.language.wording import ENGLISH, Words
from engine.runtime.files import check_file_place, write_text
from engine.spec.block import JOB
from engine.spec.consistency import NO_OUTCOME, NO_TREATMENT
from engine.spec.paths import real_path
from engine.stages.adoption_column import is_constant, is_name, named_column, number_column, timing_column
from engine.tables.cell_rules import NO_RULES
from engine.tables.fill_down import columns_to_fill, filled_down
from engine.tables.headers import FileLayout
from engine.tables.problems import FIRST_ROW
from engine.tables.read import FileTable, read_file
from engine.tables.unkeyed_rows import empty_cells
from engine.tables.years import read_years

_CITY = (
    "city",
    "城市",
    "城市名称",
    "城市名",
    "地级市",
    "地区",
    "市",
    "country",
    "国家",
    "iso3",
    "unit",
    "region",
    "name",
)
_YEAR = ("year", "年份", "年度", "年", "time", "date", "period")
_OUTCOME = (
    "gdp_real",
    "实际gdp",
    "gdp",
    "地区生产总值",
    "国内生产总值",
    "生产总值",
    "output",
    "outcome",
    "y",
)
_UNIT_PAIRS = (
    ("exporter", "importer"), ("origin", "destination"), ("reporter", "partner"), ("iso_o", "iso_d"),
    ("iso3_o", "iso3_d"), ("isoexp", "isoimp"), ("exp", "imp"), ("country_i", "country_j"), ("city_i", "city_j"),
    ("unit_i", "unit_j"), ("city1", "city2"), ("出口国", "进口国"), ("来源地", "目的地"), ("城市1", "城市2"),
    ("i", "j"),
)  # fmt: skip
_FLOW = ("trade", "flow", "exports", "出口额", "贸易额", "流量", "y")
_LAST_HEADER = 10  # row in which the headers are looked for
_SHOWN = 30  # further columns that are listed
_MOST_ROWS = 20  # totals and notes below a table


@dataclass(frozen=True)
class Proposal:
    """A job file as text, and what it says in one line each.

    Attributes
    ----------
    text : str
    guesses : tuple of str
    """

    text: str
    guesses: tuple[str, ...]


def job_path(data: Path, out: Path | None) -> Path:
    """Where the job on a data file goes: ``out``, or beside the data; raises InputError for what is no data file."""
    real_path(data, where="FILE")
    if data.is_dir():
        raise InputError("this is a folder, not a table", where=str(data), remedy="name the file")
    if not data.exists():
        remedy = "check the path; it is relative to the working folder"
        raise InputError("there is no such file", where=str(data), remedy=remedy)
    if data.suffix.lower() in (".yaml", ".yml"):
        remedy = f"name a file of data; `dyadid check {data}` looks at a job"
        raise InputError("this is no table but a job file, by its ending", where=str(data), remedy=remedy)
    return out or data.with_suffix(".yaml")


def write_proposal(data: Path, path: Path, words: Words = ENGLISH) -> tuple[str, ...]:
    """Write a first job file for a data file in a language, and say what was guessed.

    Raises InputError where a file is there already.
    """
    check_file_place(path, example="job.yaml")
    if path.exists():
        raise InputError("there is a file already", where=str(path), remedy="name another by --out")
    proposal = propose_job(data, path.parent, words)
    write_text(path, proposal.text)
    return proposal.guesses


def propose_job(source: Path, folder: Path, words: Words = ENGLISH) -> Proposal:
    """A job on a data file, to be written into a folder; a table of pairs where two columns name units.

    Its ``lang``, comments and guesses are in the language of the words.

    Raises
    ------
    InputError
        Where the file cannot be read, or has no column of units or years.
    """
    table, layout = _laid_out(source)
    name = re.sub(r"[^\w.-]", "_", source.stem).strip(".-")
    name = name if re.fullmatch(JOB, name) else "job"
    block: dict[str, object] = {"source": _relative(source, folder), **layout}
    columns = [str(column) for column in table.frame.columns]
    for first, second in _UNIT_PAIRS:
        units = [named_column(columns, [first]), named_column(columns, [second])]
        if None not in units:
            return _pair_job(table, name, block, [str(unit) for unit in units], words)
    return _panel_job(table, name, block, words)


def _laid_out(source: Path) -> tuple[FileTable, dict[str, object]]:
    """The table of a file, and the keys that say where it stands: below a title, above a row of units.

    The header is the first row that names years; a first row of data without a year is none.
    """
    for row in range(1, _LAST_HEADER + 1):
        header = None if row == 1 else row
        try:
            table = read_file(source, FileLayout(header=header))
        except InputError:
            if row == 1 and not _may_have_title(source):
                raise
            continue
        columns = [str(column) for column in table.frame.columns]
        year = named_column(columns, _YEAR)
        if year is not None:
            return _without_notes(source, table, header, year)
    return read_file(source), {}


def _without_notes(
    source: Path, table: FileTable, header: int | None, year: str
) -> tuple[FileTable, dict[str, object]]:
    """The table without a row of units below its header and rows below its last year: totals, notes and sources.

    Merged cells of units and years are of all their rows.
    """
    stated: dict[str, object] = {} if header is None else {"header": header}
    if table.storage == "typed":
        return table, stated
    layout = FileLayout(header=header)
    if table.storage == "sheet":
        names = [*_CITY, *(name for pair in _UNIT_PAIRS for name in pair)]
        of_units = [column for column in map(str, table.frame.columns) if named_column([column], names)]
        layout = replace(layout, names=frozenset(of_units), years=frozenset({year}))
        table = read_file(source, layout)
    skipped = _rows_without_data(table, year)
    if skipped:
        only_first = skipped == [layout.header_row + 1]
        stated["skip_rows"] = 1 if only_first else skipped
        table = read_file(source, replace(layout, skip_rows=1 if only_first else tuple(skipped)))
    return table, stated


def _rows_without_data(table: FileTable, year: str) -> list[int]:
    """Numbers of a first row whose year is none, and of the last rows without one where all others have theirs."""
    cells = table.frame[year]
    rows = [int(row) for row in table.frame.index + FIRST_ROW]
    first = rows[: len(rows) > 1 and not _is_year(cells.iloc[0])]
    has_year = ~empty_cells(cells)
    n_last = int(np.argmax(has_year[::-1]))  # 0 where no row has a year
    if n_last > _MOST_ROWS or not has_year[len(first) : len(rows) - n_last].all():
        n_last = 0
    return [*first, *rows[len(rows) - n_last :]]


def _may_have_title(source: Path) -> bool:
    return source.suffix.lower() not in (".dta", ".parquet")


def _is_year(cell: object) -> bool:
    try:
        read_years(pd.Series([cell], dtype=object), source="")
    except InputError:
        return False
    return True


def _panel_job(table: FileTable, name: str, block: dict[str, object], words: Words) -> Proposal:
    columns = [str(column) for column in table.frame.columns]
    city = _found(columns, _CITY, table, "cities", "city: 城市")
    year = _year_column(columns, table)
    table = _filled(table, [city, year], block)
    guesses = _layout_guesses(block, words)
    guesses += [words("cities are in column '{column}'", column=city), _of_years(year, words)]
    timing = timing_column(table, city, year)
    taken = {city, year, None if timing is None else timing.column}
    outcome = named_column(columns, _OUTCOME) or _first_number(table, taken, [city])
    mapped = {"city": city, "year": year}
    if timing is not None:
        guesses += timing.guesses(words)
        mapped[timing.name] = timing.column
    if outcome is not None:
        guesses.append(words("the outcome is of column '{column}'", column=outcome))
        mapped["outcome" if not is_name(outcome) else outcome] = outcome
    canonical = {header: key for key, header in mapped.items()}
    renamed = {key: _quoted(header) for key, header in mapped.items() if key != header}
    if renamed:
        block["columns"] = renamed
    if timing is not None and timing.never:
        block["missing"] = {timing.name: timing.never}
    job: dict[str, object] = {**_head(name, words), "panel": block}
    if outcome is not None:
        job["outcome"] = {"synchronization": canonical[outcome]}
    job["pairs"] = {"exclude": "both_treated"}
    if timing is not None:
        job["treatment"] = {timing.key: timing.name, "rule": "exactly_one"}
    lines = _guessed(guesses, words)
    lines += [
        *([_no_adoption(words)] if timing is None else []),
        *([_no_outcome(words)] if outcome is None else []),
        words(
            "# A trend is taken off by detrend(log(...)); prices are those of the file, see panel.deflate."
        ),
        *_further(columns, mapped.values(), words),
        words("# Controls are made of them: controls: {edu: {neg_abs_log_diff: COLUMN}}."),
    ]
    return Proposal(_text(lines, job), tuple(guesses))


def _filled(table: FileTable, keys: Sequence[str], block: dict[str, object]) -> FileTable:
    """The table with its key columns filled down where they seem to have lost merged cells; the block says so then."""
    columns = columns_to_fill(table.frame, keys)
    if not columns or any(name in table.broken for name in columns):
        return table
    try:
        frame, _ = filled_down(table.frame, columns, source=table.label, rules=NO_RULES)
    except InputError:  # a row without any key stands first
        return table
    block["fill_down"] = list(columns)
    return replace(table, frame=frame)


def _head(name: str, words: Words) -> dict[str, object]:
    """The first keys of a job; English is the default and is not said."""
    return {"job": name} if words.lang == ENGLISH.lang else {"job": name, "lang": words.lang}


def _guessed(guesses: Sequence[str], words: Words) -> list[str]:
    return [words("# Guessed: {guess}.", guess=guess) for guess in guesses]


def _of_years(column: str, words: Words) -> str:
    return words("years are in column '{column}'", column=column)


def _no_adoption(words: Words) -> str:
    remedy = worded_text(NO_TREATMENT, words.lang)
    return words("# No column looks like a year of adoption: {remedy}.", remedy=remedy)


def _no_outcome(words: Words) -> str:
    remedy = worded_text(NO_OUTCOME, words.lang)
    return words("# No column looks like an outcome: {remedy}.", remedy=remedy)


def _layout_guesses(block: dict[str, object], words: Words) -> list[str]:
    filled = block.get("fill_down", [])
    form = "an empty cell of column '{column}' repeats the one above"
    of_cells = [words(form, column=name) for name in filled]  # type: ignore[attr-defined]
    return [*_row_guesses(block, words), *of_cells]


def _row_guesses(block: dict[str, object], words: Words) -> list[str]:
    header, skipped = block.get("header"), block.get("skip_rows", [])
    guesses = [words("the headers stand in row {row}", row=header)] if header is not None else []
    if not isinstance(skipped, list):
        return [*guesses, words("the row below the headers is no data")]
    if len(skipped) == 1:
        guesses.append(words("row {row} is no data, but units, totals or notes", row=skipped[0]))
    elif skipped:
        rows = words.listed([str(row) for row in skipped])
        guesses.append(words("rows {rows} are no data, but units, totals or notes", rows=rows))
    return guesses


def _pair_job(
    table: FileTable, name: str, block: dict[str, object], units: Sequence[str], words: Words
) -> Proposal:
    columns = [str(column) for column in table.frame.columns]
    year = _year_column(columns, table)
    table = _filled(table, [*units, year], block)
    outcome = named_column(columns, _FLOW) or _first_number(table, {*units, year}, units)
    regressor = _first_number(table, {*units, year, outcome}, units)
    guesses = _layout_guesses(block, words)
    of_units = words("units are in columns '{first}' and '{second}'", first=units[0], second=units[1])
    guesses += [of_units, _of_years(year, words)]
    directed = in_both_orders(*(table.frame[name] for name in (*units, year)))
    if directed:
        guesses.append(words("some pairs stand in both orders, so the table is directed"))
    block |= {"unit_i": units[0], "unit_j": units[1], "year": year}
    block |= {"directed": True} if directed else {}
    job: dict[str, object] = {**_head(name, words), "pair_table": block}
    lines = []
    if outcome is not None:
        guesses.append(words("the outcome is column '{column}'", column=outcome))
        job["outcome"] = {"column": outcome}
    if regressor is not None:
        guesses.append(words("the regressor is column '{column}'", column=regressor))
        job["model"] = {"regressors": [regressor]}
    else:
        lines.append(words("# No column is left to be a regressor: say model: {regressors: [COLUMN]}."))
    lines = [*_guessed(guesses, words), *lines]
    lines += _further(columns, [*units, year, outcome, regressor], words)
    return Proposal(_text(lines, job), tuple(guesses))


# -- columns


def _found(columns: Sequence[str], names: Sequence[str], table: FileTable, kind: str, example: str) -> str:
    column = named_column(columns, names)
    if column is None:
        raise InputError(
            f"no column looks like {kind}; its columns are {', '.join(columns[:_SHOWN])}",
            where=table.label,
            remedy=f"write the job by hand: panel: {{columns: {{{example}}}}} names the column",
        )
    return column


def _year_column(columns: Sequence[str], table: FileTable) -> str:
    return _found(columns, _YEAR, table, "years", "year: 年份")


def _first_number(table: FileTable, taken: set[str | None], units: Sequence[str]) -> str | None:
    """The first column of numbers that vary within a unit, or a pair of units; codes of units do not."""
    for column in table.frame.columns:
        values = None if column in taken else number_column(table, column)
        if values is not None and not is_constant(table, values, units):
            return str(column)
    return None


def _quoted(header: str) -> str:
    return header if is_name(header) else f"`{header}`"


# -- text


def _further(columns: Sequence[str], used: Iterable[str | None], words: Words) -> list[str]:
    taken = set(used)
    further = [column for column in columns if column not in taken]
    listed = words(", ").join(further[:_SHOWN])
    if len(further) > _SHOWN:
        n_unlisted = len(further) - _SHOWN
        return [words("# Further columns: {columns} and {count} more.", columns=listed, count=n_unlisted)]
    return [words("# Further columns: {columns}.", columns=listed)] if further else []


def _text(lines: Sequence[str], job: dict[str, object]) -> str:
    """Comments, one line each whatever is in the names, and the job."""
    comments = [" ".join(line.split()) for line in lines]
    return "\n".join([*comments, yaml.safe_dump(job, allow_unicode=True, sort_keys=False, width=110)])


def _relative(source: Path, folder: Path) -> str:
    """The path of the data as the job file says it."""
    real, base = source.resolve(), folder.resolve()
    return real.relative_to(base).as_posix() if real.is_relative_to(base) else str(real)

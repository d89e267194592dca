"""PanelRequest: the columns that a job needs of a table of city-years, and how they are cleaned."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.cities.fill import Deflation, Filling
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.missing import Code
from engine.tables.near_duplicates import MergeRule


@dataclass(frozen=True)
class PanelRequest:
    """Columns and cleaning of a panel.

    Attributes
    ----------
    required : mapping of str to str
        Canonical columns to put into the panel, each with the job key that needs it.
    columns : mapping of str to str
        Canonical name to a column of the file or arithmetic; other names are taken from the file as they are.
    logged : mapping of str to str
        Formulas on canonical columns whose logarithm will be taken, each with its job key: they must be
        positive wherever they are observed.
    static : collection of str
        Columns constant in a city (coordinates, adoption year): spread over all its years, never filled, and
        no reason to drop a city. A city of the sample that lacks one is an error.
    optional : collection of str
        Those of the static columns that a city may lack: without an adoption year it never adopts.
    labels : mapping of str to str
        Text columns constant in a city to carry along, with the job key that needs each. A city of the sample
        without a label is an error.
    year_columns : collection of str
        Those of the static columns that hold years (adoption), which may be written as dates.
    status : mapping of str to str
        Those of the required columns that are 0 before adoption and 1 from then on, each with the name in the panel of
        its first year, which is static and optional; what else reads the column has it under its own name.
    merge_names : collection of str
        Rules by which names that are nearly alike are one (`engine.tables.near_duplicates.MergeRule`).
    missing : mapping of str to list of number or str
        By column: codes that mean "missing".
    rules : CellRules
        How the cells of the table are read.
    joined_rules : mapping of str to CellRules
        Those of the columns that other tables gave.
    years : tuple of int, optional
        First and last year of the sample; None means all years of the file.
    deflate : Deflation, optional
    fill : sequence of Filling
        Rules of interpolation; no column is in two of them.
    balance : {'drop', 'keep'}
        Drop cities with any missing value in the sample, or only those with no value at all.
    """

    required: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)
    logged: Mapping[str, str] = field(default_factory=dict)
    static: Collection[str] = ()
    optional: Collection[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    year_columns: Collection[str] = ()
    status: Mapping[str, str] = field(default_factory=dict)
    merge_names: Collection[MergeRule] = ()
    missing: Mapping[str, Sequence[Code]] = field(default_factory=dict)
    rules: CellRules = NO_RULES
    joined_rules: Mapping[str, CellRules] = field(default_factory=dict)
    years: tuple[int, int] | None = None
    deflate: Deflation | None = None
    fill: Sequence[Filling] = ()
    balance: Literal["drop", "keep"] = "drop"

"""Names of units (cities, countries, provinces) as a table writes them, read so that one unit stays one.

Names are always normalised (`normalize`): Unicode NFKC, so that full-width and half-width letters, and
accents composed or not, are the same; edges stripped; inner blanks of every kind one blank; characters
without width (byte-order mark, zero-width joiner, direction marks) dropped. Names that are still nearly the
same (case, leading zeros, blanks, accents, a missing 市) are never joined in silence: `Labels.warnings`
lists them, and ``merge`` joins those that the user names (`engine.tables.near_duplicates.MergeRule`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from numbers import Real

import numpy as np
import pandas as pd

from engine.arrays import LongIntegers
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.missing import Code, half_width, says_missing
from engine.tables.near_duplicates import MERGE_RULES, MergeRule, merge_names, near_duplicates
from engine.tables.problems import Problems, other_rows, row_place
from engine.tables.written_numbers import PLAIN_NUMBER

EXCEL_ERRORS = frozenset(
    {"#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#FIELD!"}
)

_BLANKS = "\t\n\r\v\f\x85"  # control characters that only part words
_NO_WIDTH = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0")
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
_SHOWN = 5


@dataclass(frozen=True)
class Labels:
    """Names of one kind of unit, from one column or from several that share them.

    Attributes
    ----------
    codes : tuple of int64 ``[n_rows]``
        By column: position of each row's name in ``names``, -1 where the cell is empty.
    names : tuple of str
        Normalised and merged, sorted.
    normalized : tuple of (str, str)
        Spellings that normalisation changed by more than blanks at the edges: as written, and as read.
    merged : tuple of (str, str)
        Names that ``merge`` joined to another: as read, and the name they go by.
    """

    codes: tuple[LongIntegers, ...]
    names: tuple[str, ...]
    normalized: tuple[tuple[str, str], ...] = ()
    merged: tuple[tuple[str, str], ...] = ()

    def notes(self, *, source: str, place: Note) -> list[Note]:
        """Spellings that were normalised or merged; ``place`` is the column, or the kind of unit."""
        notes = []
        if self.normalized:
            count, spellings = len(self.normalized), _spellings(self.normalized)
            notes.append(
                Note.of("spellings_normalised", source=source, place=place, count=count, spellings=spellings)
            )
        if self.merged:
            count, spellings = len(self.merged), _spellings(self.merged)
            notes.append(
                Note.of("spellings_merged", source=source, place=place, count=count, spellings=spellings)
            )
        return notes

    def warnings(self, *, source: str, names: Note, key: str) -> list[Note]:
        """Names nearly the same, like a missing value, or of odd signs; ``key`` is the job key that merges names."""
        return [*self._nearly_alike(source, names, key), *self.odd_names(source=source, names=names)]

    def odd_names(self, *, source: str, names: Note) -> list[Note]:
        """Names that read like a missing value, and those whose signs (footnote marks) are read as plain ones."""
        notes = []
        like_missing = [name for name in self.names if says_missing(name)]
        if like_missing:
            which = shortened([visible(name) for name in like_missing], _SHOWN)
            notes.append(Note.of("names_say_missing", source=source, names=names, which=which))
        signs = [(old, new) for old, new in self.normalized if _plain_letters(old) != new]
        if signs:
            spellings = _spellings(signs)
            notes.append(Note.of("characters_read_plainly", source=source, names=names, spellings=spellings))
        return notes

    def _nearly_alike(self, source: str, names: Note, key: str) -> list[Note]:
        groups = near_duplicates(self.names)
        if not groups:
            return []
        spelled = [f"{' = '.join(group.names[:_SHOWN])} ({', '.join(group.merge_rules)})" for group in groups]
        rules = [rule for rule in MERGE_RULES if any(rule in group.merge_rules for group in groups)]
        groups_shown = shortened(spelled, _SHOWN)
        return [
            Note.of(
                "names_nearly_alike", source=source, names=names, groups=groups_shown, key=key, rules=rules
            )
        ]


def _spellings(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return shortened([f"{visible(old)} = '{new}'" for old, new in pairs], _SHOWN)


def read_labels(
    columns: Sequence[pd.Series],
    *,
    source: str,
    merge: Collection[MergeRule] = (),
    missing: Collection[Code] = (),
) -> Labels:
    """Names of units out of the columns of a table that hold them.

    Parameters
    ----------
    columns : sequence of Series
        One column, or several that name the same units (both units of a pair). The index of each is the
        number of the row, from 0 below the header; its name goes into messages.
    source : str
        File, for messages.
    merge : collection of str
        Rules by which names that are nearly the same are joined. Of several names, the one that most rows
        write stands (the first in sorting order where several do).
    missing : collection of number or str
        Codes that mean "missing": no labels, so nothing is merged with them. Texts are compared as texts, numbers by
        their value: 0 is 00 too.

    Raises
    ------
    InputError
        For a name with a control character, an error value of Excel (``#REF!``), a value that is no name (a
        list) or a floating-point number too large to be exact; and where a name without suffix could be
        either of two with one. All in one error.
    """
    raw_codes, raw = _factorize(columns, source)
    texts = [cell_text(value) for value in raw]
    _refuse_unnameable(columns, raw_codes, texts, source)
    normal = [normalize(text) for text in texts]
    codes_of_missing = {normalize(cell_text(code)) for code in missing}
    numbers = {float(code) for code in missing if not isinstance(code, str)}
    if numbers:
        codes_of_missing |= {
            name for name in normal if PLAIN_NUMBER.fullmatch(name) and float(name) in numbers
        }
    clean = ["" if name in codes_of_missing else name for name in normal]
    if all(map(_WHOLE.fullmatch, filter(None, clean))) and _keep_apart(raw_codes, clean, columns):
        clean = [name.partition(".")[0] for name in clean]
    counts: dict[str, int] = {}
    for name, count in zip(clean, np.bincount(raw_codes[raw_codes >= 0], minlength=len(clean)), strict=True):
        counts[name] = counts.get(name, 0) + int(count)
    counts.pop("", None)
    stands_for = merge_names(counts, merge, source=source) if merge else {}
    final = [stands_for.get(name, name) for name in clean]
    names = tuple(sorted({name for name in final if name}))
    position = {name: code for code, name in enumerate(names)}
    of_raw = np.array([position.get(name, -1) for name in final] + [-1], dtype=np.int64)
    codes = of_raw[raw_codes]  # raw code -1 reads the last entry
    bounds = np.cumsum([len(part) for part in columns])[:-1]
    changed = {old: new for old, new in zip(texts, normal, strict=True) if old.strip() != new}
    changed = {old: new for old, new in changed.items() if new not in codes_of_missing}
    merged = {old: new for old, new in stands_for.items() if old != new}
    return Labels(
        tuple(np.split(codes, bounds)), names, tuple(sorted(changed.items())), tuple(sorted(merged.items()))
    )


def _keep_apart(codes: LongIntegers, names: Sequence[str], columns: Sequence[pd.Series]) -> bool:
    """Whether whole numbers with and without a point and zeros are never two names of one column.

    Programs write 110000.0 for 110000 in a column with gaps, so that another column may have it without them.
    """
    bounds = np.cumsum([len(part) for part in columns])[:-1]
    for of_column in np.split(codes, bounds):
        used = {names[code] for code in np.unique(of_column[of_column >= 0])}
        if len({name.partition(".")[0] for name in used}) < len(used):
            return False
    return True


@lru_cache(maxsize=1 << 16)
def normalize(text: str) -> str:
    """The text in Unicode NFKC, without characters of no width, with single inner blanks and bare edges."""
    if text.isascii():
        return " ".join(text.split())
    return _single_blanks(unicodedata.normalize("NFKC", text))


def _plain_letters(text: str) -> str:
    """The text normalised but for signs that Unicode takes for a kind of letter or digit: ``¹``, ``①``, ``ﬁ``."""
    return _single_blanks(unicodedata.normalize("NFC", half_width(text)))


def _single_blanks(text: str) -> str:
    """The text without characters of no width, with single inner blanks and bare edges."""
    return " ".join("".join(character for character in text if not _without_width(character)).split())


def visible(text: str) -> str:
    """The text in quotes, with characters that do not show as their code."""
    return "'" + "".join(c if c.isprintable() else f"<U+{ord(c):04X}>" for c in text) + "'"


def _one_column(columns: Sequence[pd.Series]) -> pd.Series:
    if len(columns) == 1:
        return columns[0]
    if len({column.dtype for column in columns}) > 1:  # a whole number must not become a float on the way
        columns = [column.astype(object) for column in columns]
    return pd.concat(list(columns))


def _locate(columns: Sequence[pd.Series], position: int) -> tuple[pd.Series, int]:
    """The column, and the place in it, of a position in all columns one after another."""
    for column in columns:
        if position < len(column):
            return column, position
        position -= len(column)
    raise IndexError(position)


def _factorize(columns: Sequence[pd.Series], source: str) -> tuple[LongIntegers, list[object]]:
    raw: Iterable[object]
    column = _one_column(columns)
    try:
        codes, raw = pd.factorize(column)
    except TypeError:
        codes, raw = np.arange(len(column)), column.to_numpy(dtype=object)
    values: list[object] = list(raw)
    for is_wrong, problem, remedy in (
        (
            lambda value: not _nameable(value),
            lambda value: f"{type(value).__name__} is no name",
            "write text or a whole number as the name",
        ),
        (
            _is_rounded,
            lambda value: (
                f"{value:.17g} stands for several whole numbers: its digits are more than the file keeps"
            ),
            "write such codes as text, or as whole numbers in a file that keeps them (CSV, Parquet)",
        ),
    ):
        wrong = [place for place, value in enumerate(values) if is_wrong(value)]
        if wrong:
            position = int(np.flatnonzero(codes == wrong[0])[0])
            raise InputError(
                problem(values[wrong[0]]),
                where=row_place(source, *_locate(columns, position)),
                remedy=remedy,
            )
    return np.asarray(codes, dtype=np.int64), values


def _nameable(value: object) -> bool:
    return value is None or isinstance(value, str | Real | Decimal | np.bool_) or hasattr(value, "isoformat")


def _is_rounded(value: object) -> bool:
    """A floating-point number so large that the next whole number is the same one."""
    if not isinstance(value, float | np.floating):
        return False
    return 2.0 ** (np.finfo(type(value)).nmant + 1) <= abs(float(value)) < np.inf


def cell_text(value: object) -> str:
    """Text of a name or value; 110000.0, a code beside an empty cell in the same column, is '110000'."""
    if isinstance(value, Real | Decimal) and not isinstance(value, bool) and np.isfinite(float(value)):
        whole = int(value)  # type: ignore[call-overload, arg-type]
        return str(whole) if whole == value else str(value)
    return str(value)


def _refuse_unnameable(
    columns: Sequence[pd.Series], codes: LongIntegers, texts: Sequence[str], source: str
) -> None:
    """Refuse control characters, halves of characters, and error values of Excel."""
    problems = Problems(source)
    for wrong, problem, remedy in (
        (
            lambda text: any(map(_control, text)),
            "the name {} holds a control character",
            "remove it; it does not show on a screen",
        ),
        (
            lambda text: text.strip() in EXCEL_ERRORS,
            "{} is an error of Excel, not a name",
            "mend the cell, or leave it empty",
        ),
    ):
        places = [place for place, text in enumerate(texts) if wrong(text)]
        if places:
            bad = np.flatnonzero(np.isin(codes, places)).tolist()
            column, first = _locate(columns, bad[0])
            positions = [position - bad[0] + first for position in bad]
            rows = other_rows(column, [position for position in positions if position < len(column)])
            text = problem.format(visible(texts[codes[bad[0]]])) + rows
            problems.add(InputError(text, where=row_place(source, column, first), remedy=remedy))
    problems.raise_any()


def _control(character: str) -> bool:
    if character in _BLANKS:
        return False
    code = ord(character)
    return unicodedata.category(character) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE


def _without_width(character: str) -> bool:
    return (
        unicodedata.category(character) == "Cf"
        or character in _NO_WIDTH
        or "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
    )

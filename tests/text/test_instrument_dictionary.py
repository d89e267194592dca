"""The dictionary of instruments: what it reads, what it refuses, and the one that is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.text.dictionary import DEFAULT, KINDS, Dictionary, Instrument, read_dictionary

REST = "environment,tax,减税\ndemand,pilots,试点\n"


def write(folder: Path, rows: str, *, header: str = "kind,instrument,terms", encoding: str = "utf-8") -> Path:
    path = folder / "own.csv"
    path.write_text(f"{header}\n{rows}", encoding=encoding)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_rows_become_instruments(tmp_path: Path, encoding: str) -> None:
    rows = "supply, 人才 , 人才培养；实训基地; Ｂ２Ｂ人才;\n\n" + REST
    dictionary = read_dictionary(write(tmp_path, rows, encoding=encoding))
    assert dictionary == Dictionary(
        (
            Instrument("supply", "人才", ("人才培养", "实训基地", "B2B人才")),
            Instrument("environment", "tax", ("减税",)),
            Instrument("demand", "pilots", ("试点",)),
        )
    )
    assert {term: owner.name for term, owner in dictionary.of_term.items()} == {
        "人才培养": "人才",
        "实训基地": "人才",
        "B2B人才": "人才",
        "减税": "tax",
        "试点": "pilots",
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "suply,talent,人才\n" + REST,
            "row 2: unknown kind 'suply'\n  hint: a kind is supply, environment, demand",
        ),
        (",talent,人才\n" + REST, "row 2: unknown kind ''"),
        ("supply,,人才\n" + REST, "row 2: the instrument has no name"),
        (REST + "supply,talent,\n", "row 4: instrument 'talent' has no terms"),
        (REST + "supply,talent,; ；\n", "row 4: instrument 'talent' has no terms"),
        (REST + "supply,talent,人才;才\n", "row 4: '才' cannot be a term of talent"),
        (REST + "supply,talent,人才、培训\n", "row 4: '人才、培训' cannot be a term of talent"),
        (REST + "supply,talent,人才\nsupply,talent,培训\n", "row 5: instrument 'talent' is given twice"),
        (REST + "supply,talent,试点\n", "row 4: the term '试点' is given twice, for pilots and for talent"),
        (
            REST + "supply,talent,人才;人才\n",
            "row 4: the term '人才' is given twice, for talent and for talent",
        ),
        (REST, "there is no instrument of kind 'supply'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, rows: str, message: str) -> None:
    path = write(tmp_path, rows)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}: {re.escape(message)}"):
        read_dictionary(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "supply,talent,人才\n", header="kind,instrument,words")
    with pytest.raises(InputError, match="there is no column 'terms'"):
        read_dictionary(path)


def test_the_shipped_dictionary_has_fifteen_instruments_of_five_to_ten_terms() -> None:
    dictionary = read_dictionary(DEFAULT)
    kinds = [instrument.kind for instrument in dictionary.instruments]
    assert {kind: kinds.count(kind) for kind in KINDS} == {"supply": 5, "environment": 5, "demand": 5}
    assert {len(instrument.terms) for instrument in dictionary.instruments} <= set(range(5, 11))

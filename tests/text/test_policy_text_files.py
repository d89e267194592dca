"""The whole road from a folder to files: what is written, and that nothing is where something is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import text_files
from policy_corpus import COUNTS, DICTIONARY, TEXTS, listed, write_dictionary
from sentences import english

from engine.cities import builtin
from engine.errors import InputError
from engine.stages.policy_text import DEMO_NAME, write_policy_text
from engine.tables.read import read_table
from engine.text.count import count_instruments
from engine.text.dictionary import read_dictionary
from engine.text.index import merge_into, policy_indices
from engine.text.read_documents import DEMO, read_documents

FILES = ("counts.csv", "passages.csv", "weights.csv", "indices.csv", "instruments.csv")


def corpus(folder: Path) -> tuple[str, Path]:
    texts = text_files.folder(folder / "texts", TEXTS, listed=listed())
    return str(texts), write_dictionary(folder / "own.csv")


def test_a_users_folder_with_a_dictionary_of_their_own(tmp_path: Path) -> None:
    folder, dictionary = corpus(tmp_path)
    out = tmp_path / "deep" / "out"
    written = write_policy_text(folder, out=out, dictionary=dictionary)
    assert written.files == tuple(out / name for name in FILES)
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    assert written.line == "3 documents, 14 passages of 7 instruments, 2 cities, 2015 to 2017"
    assert english(written.notes) == ("environment: no weight for finance: the same in 5 city-years",)
    found = count_instruments(read_documents(Path(folder))[0], DICTIONARY)
    indices = policy_indices(found.counts, cities=["Alpha", "Beta"], years=range(2015, 2018))
    for name, frame in {
        "counts": found.counts,
        "passages": found.passages,
        "weights": indices.weights,
        "indices": indices.indices,
    }.items():
        read = read_table(out / f"{name}.csv")
        pd.testing.assert_frame_equal(read, frame, check_dtype=False, check_exact=True)
    assert pd.read_csv(out / "counts.csv")["count"].sum() == sum(map(sum, COUNTS.values()))
    assert read_dictionary(out / "instruments.csv") == DICTIONARY


def test_a_panel_gives_cities_and_years_and_gets_the_indices(tmp_path: Path) -> None:
    written = write_policy_text(DEMO_NAME, out=tmp_path, panel="builtin:china_demo", pool="all")
    assert written.files[-1] == tmp_path / "panel.parquet"
    demo = builtin.load("china_demo")
    counts = count_instruments(read_documents(DEMO)[0], read_dictionary()).counts
    result = policy_indices(counts, cities=sorted(set(demo["city"])), years=range(2010, 2020), pool="all")
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "panel.parquet"), merge_into(demo, result.indices), check_dtype=False
    )
    assert len(pd.read_csv(tmp_path / "indices.csv")) == 2540
    assert list(pd.read_parquet(tmp_path / "panel.parquet").columns[-3:]) == [
        "policy_supply",
        "policy_environment",
        "policy_demand",
    ]


def test_demonstration_documents_are_of_pilots_and_count_from_their_adoption() -> None:
    demo = builtin.load("china_demo").drop_duplicates("city").set_index("city")["pilot_year"]
    documents, _ = read_documents(DEMO)
    first = {city: min(d.year for d in documents if d.city == city) for city in {d.city for d in documents}}
    assert first == {city: demo[city] for city in first}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pool": "some"}, "--weights-over: weights over 'some'\n  hint: say pilots or all"),
        ({"panel": "gone.csv"}, "gone.csv: there is no such file"),
        (
            {"panel": "builtin:euro"},
            "the documents have cities that are not in the cities of the sample: Alpha, Beta",
        ),
        ({"dictionary": Path("gone.csv")}, "gone.csv: there is no such file"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(tmp_path: Path, change: dict, message: str) -> None:
    folder, dictionary = corpus(tmp_path)
    with pytest.raises(InputError) as error:
        write_policy_text(folder, **{"out": tmp_path / "out", "dictionary": dictionary, **change})
    assert str(error.value).startswith(message) or f": {message}" in str(error.value)
    assert list((tmp_path / "out").glob("*")) == []


def test_no_cell_is_a_formula_and_the_dictionary_reads_back(tmp_path: Path) -> None:
    """Cities, files and terms that a spreadsheet would compute get an apostrophe; numbers and other text do not."""
    rows = "kind,instrument,terms\nsupply,=1+1,+加号\nenvironment,@sum,-减号\ndemand,采购,政府采购\n"
    (tmp_path / "own.csv").write_text(rows, encoding="utf-8")
    texts = {"=a.txt": "使用+加号。政府采购。", "b.txt": "用-减号。\x1b[31m政府采购。"}
    cities = "=a.txt,\"=cmd|' /C calc'!A0\",2015,t,s\nb.txt,-3,2016,t,s\n"
    folder = text_files.folder(tmp_path / "texts", texts, listed=cities)
    write_policy_text(str(folder), out=tmp_path / "out", dictionary=tmp_path / "own.csv")
    for name in FILES:
        table = pd.read_csv(tmp_path / "out" / name, dtype=str, keep_default_na=False)
        for cell in [*table.columns, *table.to_numpy().ravel()]:
            assert not re.match(r"[=+@\t\r]|-(?!\d+(\.\d+)?(e-?\d+)?$)", cell), cell
            assert "\x1b" not in cell
    counts = pd.read_csv(tmp_path / "out" / "counts.csv")
    assert set(counts["city"]) == {"'=cmd|' /C calc'!A0", "-3"}
    assert set(counts["instrument"]) == {"'=1+1", "'@sum", "采购"}
    assert read_dictionary(tmp_path / "out" / "instruments.csv") == read_dictionary(tmp_path / "own.csv")

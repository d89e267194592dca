"""Parquet: columns of single values, metadata that lie, limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sentences import english

from engine.errors import InputError
from engine.tables import limits
from engine.tables.headers import FileLayout
from engine.tables.read import read_file, read_table


def parquet(path: Path, metadata: dict[bytes, bytes] | None = None, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([[1.0], [2.0, 3.0]]), "list"),
        (pa.array([{"n": "A"}, {"n": "B"}]), "struct"),
        (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())), "map"),
        (pa.array([[1], [2]], pa.list_(pa.int64(), 1)), "list"),
    ],
)
@pytest.mark.parametrize("name", ["city", "gdp"])
def test_nested_columns_are_refused_by_name(tmp_path: Path, name: str, values: pa.Array, kind: str) -> None:
    columns = {"city": pa.array(["A", "B"]), "gdp": pa.array([1.0, 2.0]), name: values}
    with pytest.raises(InputError, match=rf"a\.parquet: column '{name}' holds values of type .*{kind}"):
        read_table(parquet(tmp_path / "a.parquet", **columns))


def test_text_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    raw = pa.Array.from_buffers(
        pa.string(),
        2,
        [None, pa.py_buffer(np.array([0, 1, 3], np.int32).tobytes()), pa.py_buffer(b"A\xff\xfe")],
    )
    path = parquet(tmp_path / "a.parquet", city=raw, x=pa.array([1, 2]))
    with pytest.raises(InputError, match=r"a\.parquet: column 'city' is damaged .*UTF8"):
        read_table(path)
    path = parquet(tmp_path / "a.parquet", city=raw.dictionary_encode(), x=pa.array([1, 2]))
    with pytest.raises(InputError, match=r"a\.parquet: "):
        read_table(path)


def test_bytes_are_text_where_they_can_be_and_else_left_out_aloud(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        city=pa.array(["杭州".encode(), b"B"]),
        geometry=pa.array([b"\x01\xff", b"\x02\xfe"]),
        x=pa.array([1, 2]),
    )
    table = read_file(path)
    assert table.frame.to_dict("list") == {"city": ["杭州", "B"], "x": [1, 2]}
    assert english(table.notes) == (
        "a.parquet: column 'geometry' holds bytes that are no text and is left out",
    )


@pytest.mark.parametrize("stated", ["nonsense", "datetime64[ns, Mars/Base]", "category", "int8", "object"])
def test_the_types_of_the_columns_hold_whatever_pandas_metadata_say(tmp_path: Path, stated: str) -> None:
    column = {"name": "x", "field_name": "x", "pandas_type": stated, "numpy_type": stated, "metadata": None}
    metadata = {"index_columns": ["x"], "column_indexes": [], "columns": [column], "pandas_version": "2.0"}
    for text in (
        json.dumps(metadata),
        "{",
        "[]",
        '{"index_columns": 3}',
        '{"index_columns": [{"kind": "range"}]}',
    ):
        path = parquet(tmp_path / "a.parquet", {b"pandas": text.encode()}, x=pa.array([1.5, 300.0]))
        assert read_table(path)["x"].tolist() == [1.5, 300.0]


def test_values_of_every_plain_type(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "a.parquet",
        city=pa.array(["A", None, "B"]).dictionary_encode(),
        year=pa.array([2010, None, 2011], pa.int16()),
        money=pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        flag=pa.array([True, None, False]),
        day=pa.array([0, None, 86_400_000], pa.timestamp("ms", tz="UTC")),
        none=pa.nulls(3),
    )
    read = read_table(path)
    assert read["city"].tolist() == ["A", "B"]  # the blank row is none
    assert read.index.tolist() == [0, 2]
    assert read["year"].tolist() == [2010, 2011]
    assert read["money"].astype(float).tolist() == [1.5, 2.25]
    assert read["flag"].tolist() == [True, False]
    assert read["none"].isna().all()


def test_many_equal_cells_in_few_bytes_are_bounded(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", **{f"c{n}": pa.nulls(500_000, pa.int64()) for n in range(60)})
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="500,000 rows of 60 columns are 30,000,000 cells"):
        read_table(path)


def test_what_only_text_and_excel_have(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "a.parquet")
    for layout in (FileLayout(header=1), FileLayout(skip_rows=1)):
        with pytest.raises(InputError, match="columns of Parquet have names"):
            read_file(tmp_path / "a.parquet", layout)


def test_checksums_of_pages_are_verified_where_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"x": pa.array(np.arange(100.0))})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    place = content.index(np.float64(50.0).tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: cannot be read"):
        read_table(path)


def test_a_long_text_in_many_rows_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", city=pa.array(["x" * 100_000] * 1000), x=pa.array([1] * 1000))
    assert path.stat().st_size < 50_000
    assert len(read_table(path)) == 1000
    monkeypatch.setattr(limits, "FILE_BYTES", 10**7)
    with pytest.raises(InputError, match="texts of column 'city' have 100,000,000 bytes; at most 10,000,000"):
        read_table(path)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted there")
def test_a_small_table_is_read_without_threads(tmp_path: Path) -> None:
    """A process that ends while threads still start, as after an error in the table, is aborted now and then."""
    pd.DataFrame({"city": ["a", "b"], "x": [[1], [2]]}).to_parquet(tmp_path / "t.parquet")
    program = (
        "import os, sys, pyarrow.parquet\n"
        "from pathlib import Path\n"
        "from engine.errors import InputError\n"
        "from engine.tables.read import read_file\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "try:\n    read_file(Path(sys.argv[1]))\n"
        "except InputError:\n    print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "t.parquet")],
        capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == ["0"]

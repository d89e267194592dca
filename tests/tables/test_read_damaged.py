"""Damaged files of every kind end in an InputError or a frame, never in another exception."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.tables.read import read_table

_TRIES = 200
FRAME = pd.DataFrame(
    {
        "城市": [f"城{number}" for number in range(12)],
        "year": range(2000, 2012),
        "gdp": np.linspace(1, 2, 12),
        "day": pd.date_range("2010-01-01", periods=12),
    }
)


def _excel() -> bytes:
    stream = io.BytesIO()
    FRAME.to_excel(stream, index=False)
    return stream.getvalue()


def _csv(encoding: str) -> bytes:
    return FRAME.to_csv(index=False).encode(encoding)


def _refusal(path: Path) -> str | None:
    """The message of an InputError; None where the file is read. Any other exception fails the test."""
    try:
        read_table(path)
    except InputError as error:
        return str(error)
    return None


KINDS: dict[str, Callable[[], bytes]] = {
    "a.xlsx": _excel,
    "a.parquet": FRAME.to_parquet,
    "a.csv": lambda: _csv("utf-8"),
    "b.csv": lambda: _csv("gb18030"),
    "a.csv.gz": lambda: gzip.compress(_csv("utf-8")),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("error")
def test_flips_cuts_and_repeats(tmp_path: Path, name: str) -> None:
    whole = KINDS[name]()
    path = tmp_path / name
    path.write_bytes(whole)
    assert read_table(path)["year"].tolist() == FRAME["year"].tolist()
    rng = np.random.default_rng(20)
    refused = 0
    for number in range(_TRIES):
        content = bytearray(whole)
        place = int(rng.integers(len(whole)))
        if number % 4 == 0:
            content = content[:place]
        elif number % 4 == 1:
            content[place] ^= 1 << int(rng.integers(8))
        elif number % 4 == 2:
            content[place : place + 8] = rng.bytes(8)
        else:
            content = content[:place] + content[max(0, place - 40) :]
        path.write_bytes(bytes(content))
        message = _refusal(path)
        refused += message is not None
        assert message is None or name in message
    assert refused > _TRIES // 10


@pytest.mark.parametrize("name", ["a.xlsx", "a.parquet", "a.csv.gz"])
def test_every_cut_of_a_file_with_an_end_of_its_own_is_refused(tmp_path: Path, name: str) -> None:
    whole, path = KINDS[name](), tmp_path / name
    for stop in np.linspace(0, len(whole) - 1, 60).astype(int):
        path.write_bytes(whole[:stop])
        with pytest.raises(InputError, match=name):
            read_table(path)


@pytest.mark.filterwarnings("error")
def test_damage_within_the_parts_of_a_workbook(tmp_path: Path) -> None:
    """A zip whose checksums fit, so that the damage reaches the reader of its XML."""
    with zipfile.ZipFile(io.BytesIO(_excel())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if not name.startswith("docProps")}
    rng, path = np.random.default_rng(21), tmp_path / "a.xlsx"
    refused = 0
    for number in range(_TRIES):
        name = str(rng.choice([*parts]))
        content, place = bytearray(parts[name]), int(rng.integers(len(parts[name])))
        if number % 3 == 0:
            content[place] ^= 1 << int(rng.integers(7))
        elif number % 3 == 1:
            content[place : place + 3] = rng.choice(list(b"0199<>/\"'= &;AZ#!"), 3).astype(np.uint8).tobytes()
        else:
            content = content[:place] + content[place + int(rng.integers(1, 30)) :]
        with zipfile.ZipFile(path, "w") as archive:
            for part, text in parts.items():
                archive.writestr(part, bytes(content) if part == name else text)
        message = _refusal(path)
        refused += message is not None
        assert message is None or "a.xlsx" in message
    assert refused > _TRIES // 10

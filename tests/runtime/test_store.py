"""Units in a store: found again whole, never where they are damaged or of another question."""

from __future__ import annotations

import errno
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from engine.errors import InputError, RunError
from engine.runtime import execute
from engine.runtime import store as stores
from engine.runtime.codec import decode, encode
from engine.runtime.execute import Machine
from engine.runtime.fingerprint import fingerprint
from engine.runtime.store import Store

CALLS: list[int] = []


@dataclass(frozen=True)
class Sums:
    """A result with everything that results hold."""

    total: np.ndarray[Any, Any]
    parts: tuple[np.ndarray[Any, Any], ...]
    rows: int
    share: float
    label: str
    more: np.ndarray[Any, Any] | None = None


def leaf(setting: float, task: int) -> Sums:
    CALLS.append(task)
    values = np.random.default_rng(task).normal(size=(3, 2)) * setting
    return Sums(values, (values[0], values[:, 1].astype(np.float32)), task, values[0, 0] / 3, f"{task}")


def merge(one: Sums, other: Sums) -> Sums:
    parts = tuple(a + b for a, b in zip(one.parts, other.parts, strict=True))
    return Sums(
        one.total + other.total,
        parts,
        one.rows + other.rows,
        one.share + other.share,
        f"({one.label}{other.label})",
    )


def bits(found: Sums) -> list[Any]:
    arrays = (found.total, *found.parts)
    return [
        *(a.tobytes() for a in arrays),
        *(a.dtype for a in arrays),
        found.rows,
        found.share.hex(),
        found.label,
    ]


def sums(store: Store | None, *, setting: float = 2.0, n: int = 11, units: int | None = None) -> list[Any]:
    CALLS.clear()
    return bits(
        Machine(threads=2, store=store).reduce(leaf, setting, range(n), merge, label="p", units=units)
    )


PLAIN = sums(None)


def units(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def test_units_are_found_again_to_the_bit(tmp_path: Path) -> None:
    assert sums(Store(str(tmp_path))) == PLAIN
    assert sorted(CALLS) == list(range(11))
    again = Store(str(tmp_path))
    assert sums(again) == PLAIN
    assert (CALLS, again.read, again.written, again.damaged) == ([], 11, 0, 0)


def test_only_what_is_missing_is_computed(tmp_path: Path) -> None:
    sums(Store(str(tmp_path)))
    for path in units(tmp_path)[:4]:
        path.unlink()
    assert sums(Store(str(tmp_path))) == PLAIN
    assert len(CALLS) == 4
    assert len(units(tmp_path)) == 11


@pytest.mark.parametrize("limit", [1, 3, 4])
def test_parts_are_units_of_several_tasks(tmp_path: Path, limit: int) -> None:
    assert sums(Store(str(tmp_path)), units=limit) == PLAIN
    assert 1 <= len(units(tmp_path)) <= limit
    assert sums(Store(str(tmp_path)), units=limit) == PLAIN
    assert CALLS == []


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (CALLS.append, (-1,))


def damage_pickle(path: Path) -> None:
    """A pickle under the right name, checksum and all."""
    content = pickle.dumps(Bomb())
    path.unlink()
    path.with_name(stores._named(path.name.partition("-")[0], content)).write_bytes(content)


@pytest.mark.parametrize("damage", [damage_cut, damage_empty, damage_flip, damage_pickle])
def test_damaged_units_are_made_again(tmp_path: Path, damage: Any) -> None:
    sums(Store(str(tmp_path)))
    damage(units(tmp_path)[5])
    again = Store(str(tmp_path))
    assert sums(again) == PLAIN
    assert len(CALLS) == 1
    assert CALLS[0] >= 0  # the pickle was not executed
    assert (again.damaged, again.written) == (1, 1)
    third = Store(str(tmp_path))
    assert sums(third) == PLAIN
    assert CALLS == []


def test_a_unit_that_cannot_be_read_stays_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that fails for a moment must not cost a unit that is whole."""
    sums(Store(str(tmp_path)))
    before, victim = units(tmp_path), units(tmp_path)[5].name
    store = Store(str(tmp_path))
    read = store._files.cat_file

    def unreachable(path: str) -> Any:
        if path.endswith(victim):
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with monkeypatch.context() as patched:
        patched.setattr(type(store._files), "cat_file", staticmethod(unreachable))
        patched.setattr(store, "put", lambda *_: False)
        assert sums(store) == PLAIN
    assert len(CALLS) == 1
    assert units(tmp_path) == before
    again = Store(str(tmp_path))
    assert sums(again) == PLAIN
    assert (CALLS, again.damaged) == ([], 0)


def test_reading_units_unpickles_nothing(tmp_path: Path) -> None:
    """Python's own audit, which hears every unpickler and every loader of code, by whatever library."""
    sums(Store(str(tmp_path)))
    seen: list[str] = []
    listening = [True]

    def hook(event: str, _: Any) -> None:
        if listening[0] and event.partition(".")[0] in ("pickle", "marshal", "import"):
            seen.append(event)

    again = Store(str(tmp_path))
    names = [path.name.partition("-")[0] for path in units(tmp_path)]
    again.get(names[0], Sums)  # whatever is imported on first use
    sys.addaudithook(hook)
    try:
        for name in names:
            assert again.get(name, Sums) is not None
        assert seen == []
        pickle.loads(pickle.dumps(Sums))
        assert seen != []  # the audit hears pickles
    finally:
        listening[0] = False


SECRETS = [
    ("s3://key:hush/hush@bucket/folder", "s3://***@bucket/folder", "hush/hush"),
    ("ftp://me:hush@host:21/units?token=hushhush", "ftp://***@host:21/units?***", "hush"),
    ("sftp://me:hu%73h@host/units", "sftp://***@host/units", "hush"),
    ("abfs://box@account/units?sig=hush", "abfs://***@account/units?***", "hush"),
    ("memory://units", "memory://units", None),
    ("/scratch/me@home/units?", "/scratch/me@home/units?", None),
]


@pytest.mark.parametrize(("address", "shown", "secret"), SECRETS)
def test_no_message_shows_what_a_store_is_opened_with(
    monkeypatch: pytest.MonkeyPatch, address: str, shown: str, secret: str | None
) -> None:
    assert stores.shown(address) == shown

    def refused(url: str) -> Any:
        raise OSError(errno.EACCES, f"login failed for {url} with password {secret}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refused)
    with pytest.raises(InputError, match="cannot be opened") as caught:
        Store(address)
    assert shown in str(caught.value)
    assert secret is None or secret not in str(caught.value)


def test_no_message_shows_what_a_store_is_written_with(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url: (memory, "/hidden"))
    store = Store("ftp://me:hush@host/units")

    def refused(path: str, _: bytes) -> None:
        raise OSError(errno.ENOSPC, "no room for ftp://me:hush@host/units")

    monkeypatch.setattr(memory, "pipe_file", refused)
    with pytest.raises(RunError, match="cannot be written") as caught:
        store.put("a" * 32, leaf(1.0, 1))
    assert "hush" not in str(caught.value) + repr(store)


def test_another_question_finds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sums(Store(str(tmp_path)))
    assert sums(Store(str(tmp_path)), setting=2.0 + 2**-51) != PLAIN
    assert len(CALLS) == 11
    monkeypatch.setattr(execute, "code_version", lambda: "another")
    assert sums(Store(str(tmp_path))) == PLAIN
    assert len(CALLS) == 11


def test_fresh_takes_nothing(tmp_path: Path) -> None:
    sums(Store(str(tmp_path)))
    assert sums(Store(str(tmp_path), fresh=True)) == PLAIN
    assert len(CALLS) == 11


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_store_that_cannot_be_written_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write, left = stores.write_bytes, [6]

    def limited(path: Path, content: bytes) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, "it is full")
        return write(path, content)

    monkeypatch.setattr(stores, "write_bytes", limited)
    with pytest.raises(RunError, match=r"cannot be written \(it is full\); 6 finished units are kept"):
        sums(Store(str(tmp_path)))
    monkeypatch.undo()
    assert len(units(tmp_path)) == 6
    assert sums(Store(str(tmp_path))) == PLAIN
    # A thread of the run that failed may still be at one of them, and be counted with the second run.
    assert len(set(CALLS)) == 5


def test_one_run_at_a_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (tmp_path / ".x.parquet.abc.part").write_bytes(b"half")
    with store.locked():
        assert not list(tmp_path.glob(".*.part"))
        with pytest.raises(RunError, match=r"another run .process .* works in"), store.locked():
            pass
    with store.locked():
        pass


def test_any_address(tmp_path: Path) -> None:
    address = f"memory://{tmp_path.name}"
    assert sums(Store(address)) == PLAIN
    assert sums(Store(address)) == PLAIN
    assert CALLS == []
    with Store(address).locked():
        pass
    with pytest.raises(InputError, match="cannot be opened"):
        Store("nowhere://x")


def test_large_results_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "LARGEST", 10)
    assert sums(Store(str(tmp_path))) == PLAIN
    assert units(tmp_path) == []


def test_values_that_differ_have_other_fingerprints() -> None:
    values: list[Any] = [
        None, True, False, 0, 1, 0.0, -0.0, 1.0, "1", b"1", (1,), (1, 1), ((1,), 1), (1, (1,)), [], {}, {"a": 1},
        {"a": 2}, {"b": 1}, {1}, {1, 2}, slice(1), range(1), np.zeros(2), np.zeros((1, 2)), np.zeros(2, np.float32),
        np.array(["a"], dtype=object), np.array(["b"], dtype=object), leaf, merge, Sums,
    ]  # fmt: skip
    found = [fingerprint(one) for one in values]
    assert len(set(found)) == len(values)
    assert found == [fingerprint(one) for one in values]
    assert fingerprint({"b": 1, "a": 2}["a"]) == fingerprint(2)
    with pytest.raises(TypeError):
        fingerprint(object.__new__(type("Slotted", (), {"__slots__": ()})))


def test_results_come_back_as_they_were() -> None:
    one = Sums(
        np.arange(6).reshape(2, 3), (np.array(1.5), np.zeros((0, 3))), 1, np.nan, "x", np.array([True])
    )
    back = decode(encode(one), Sums)
    for a, b in zip((one.total, *one.parts, one.more), (back.total, *back.parts, back.more), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert np.isnan(back.share)
    assert (back.rows, back.label) == (1, "x")
    with pytest.raises(TypeError):
        encode({"a": object()})

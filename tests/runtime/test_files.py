"""Files appear whole or not at all; an output folder is proved before any work."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError, RunError
from engine.runtime import files
from engine.runtime.files import locked, output_folder, write_bytes, write_text, write_with, writing


def test_contents(tmp_path: Path) -> None:
    assert write_text(tmp_path / "a.txt", "一 – ß").read_bytes() == "一 – ß".encode()
    assert write_bytes(tmp_path / "b.bin", b"\x00\xff").read_bytes() == b"\x00\xff"
    assert write_with(tmp_path / "c", lambda path: path.write_text("c")).read_text() == "c"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin", "c"]


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    assert write_text(tmp_path / "a.txt", "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("before", [None, "old"])
def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "table.csv"
    if before is not None:
        path.write_text(before)

    def writer(temporary: Path) -> None:
        temporary.write_text("half of")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="the disk is full"):
        write_with(path, writer)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == (
        {} if before is None else {"table.csv": before}
    )


def test_the_old_content_stands_until_the_new_is_whole(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    seen = []

    def writer(temporary: Path) -> None:
        assert temporary.parent == path.parent  # a rename within one file system
        temporary.write_text("half of")
        seen.append(path.read_text())
        temporary.write_text("new")
        seen.append(path.read_text())

    write_with(path, writer)
    assert [*seen, path.read_text()] == ["old", "old", "new"]


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    """A reader in another thread, over 200 rewrites of 200 kB, sees one of the two contents each time."""
    contents = ["a" * 200_000, "b" * 200_000]
    path = write_text(tmp_path / "a.txt", contents[0])
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(200):
        write_text(path, contents[n % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert seen


def test_output_folders_are_made_with_their_parents(tmp_path: Path) -> None:
    folder = output_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert output_folder(folder) == folder


def test_a_file_in_the_way_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    for path in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(InputError, match=r"^--out: cannot write to the output folder") as caught:
            output_folder(path)
        assert str(path) in caught.value.problem
        assert caught.value.remedy == "choose a folder you may write to"


def test_a_folder_that_exists_but_cannot_be_written_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system (permissions alone do not stop a test that runs as root)."""

    def refuse(**_: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot write to the output folder .*: Read-only file system"):
        output_folder(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_folder_that_can_no_longer_be_written_says_how_to_go_on(tmp_path: Path, code: int) -> None:
    with pytest.raises(RunError) as caught, writing(tmp_path):
        raise OSError(code, "as the library that writes puts it")
    text = f"cannot write to {tmp_path}: {os.strerror(code)}\n  hint: make room or give write access, then run again"
    assert str(caught.value).startswith(text)


def test_other_failures_are_told_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "absent").read_text()


def test_without_locks_of_the_file_system_runs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Lustre that is mounted without them; half-written files may then be another run's, and stay."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    (tmp_path / ".a.part").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / ".a.part").exists()


def test_whoever_looks_whether_a_run_is_there_stops_none(tmp_path: Path) -> None:
    """The look takes the lock for a moment; the run that starts in it waits."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "lock").touch()
    with open(tmp_path / "lock", "rb") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        with locked(tmp_path):
            pass

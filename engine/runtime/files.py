"""Files are written whole or not at all: to a temporary neighbour first, then renamed."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import InputError, RunError


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file atomically; a reader sees the old content or the new, never a part."""
    return write_with(path, lambda temporary: temporary.write_bytes(content) and None)


def write_text(path: Path, content: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_bytes(path, content.encode())


def write_with(path: Path, writer: Callable[[Path], object]) -> Path:
    """Let ``writer`` fill a temporary file beside ``path``, then put it in place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        writer(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def output_folder(path: Path, *, where: str = "--out") -> Path:
    """Create a folder and prove that it can be written, before any work is done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"cannot write to the output folder {path}: {error.strerror or error}",
            where=where,
            remedy="choose a folder you may write to",
        ) from None
    return path


@contextmanager
def locked(folder: Path, *, where: str = "--out") -> Iterator[None]:
    """A folder for one run alone, until it ends or dies; what a run that died left half-written goes.

    Raises
    ------
    InputError
        Where the folder cannot be written.
    RunError
        Where another run has it.
    """
    if os.name != "posix":
        yield
        return
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}",
            where=where,
            remedy="give write access, or name another folder",
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            raise RunError(
                f"another run ({owner}) works in {folder}\n"
                "  remedy: wait for it, or give this run another --out or --store"
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
            for path in folder.glob(".*.part"):
                path.unlink(missing_ok=True)
        except (
            OSError
        ):  # a full disk, or one that became read-only: the work will tell where it cannot be kept
            pass
        yield
    finally:
        os.close(handle)


def is_locked(folder: Path) -> bool:
    """Whether a run has a folder at this moment, see `locked`."""
    if os.name != "posix":
        return False
    import fcntl

    try:
        with open(folder / "lock", "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

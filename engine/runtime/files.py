"""Files are written whole or not at all: to a temporary neighbour first, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from engine.errors import InputError, RunError

STATE = ".dyadid"
"""Folder, beside a job's results, of its units, log and marks."""
_NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_LOCK_TRIES, _LOCK_SECONDS = 3, 0.1
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_ledgers: ContextVar[tuple[dict[Path, str], ...]] = ContextVar("_ledgers", default=())


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file atomically; a reader sees the old content or the new, never a part."""
    return write_with(path, lambda temporary: temporary.write_bytes(content) and None)


def write_text(path: Path, content: str) -> Path:
    """Write UTF-8 text atomically; half a surrogate pair, which UTF-8 has no bytes for, is written as its escape."""
    return write_bytes(path, content.encode(errors="backslashreplace"))


def write_with(path: Path, writer: Callable[[Path], object]) -> Path:
    """Let ``writer`` fill a temporary file beside ``path``, then put it in place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        writer(temporary)
        temporary.chmod(0o644)
        for ledger in _ledgers.get():
            ledger[path] = file_hash(temporary)  # before others can see it, and change it
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@contextmanager
def recorded() -> Iterator[dict[Path, str]]:
    """The sha256 of every file that this thread writes within, by its path: of what was written, not read again."""
    ledger: dict[Path, str] = {}
    token = _ledgers.set((*_ledgers.get(), ledger))
    try:
        yield ledger
    finally:
        _ledgers.reset(token)


def file_hash(path: Path) -> str:
    """sha256 of the bytes of a file, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove_parts(folder: Path) -> None:
    """Remove what a writer that was killed left half-written; for whoever is alone in the folder."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


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


def check_file_place(path: Path, *, example: str, argument: str = "--out") -> None:
    """Raises InputError where no file can be written at a path: it is a folder, or lies in none; nothing is made.

    ``argument`` is the option, or argument of a function, that names the path.
    """
    where = str(path)
    if path.is_dir():
        raise InputError(
            "this is a folder", where=where, remedy=f"name a file in it, like {example}, by {argument}"
        )
    if path.parent.exists() and not path.parent.is_dir():
        raise InputError(
            f"{path.parent} is a file, not a folder", where=where, remedy=f"name another by {argument}"
        )
    if not path.parent.is_dir():
        remedy = f"make it, or name another by {argument}"
        raise InputError(f"there is no folder {path.parent}", where=where, remedy=remedy)


def refuse_folders(path: Path, endings: Collection[str]) -> None:
    """Raises InputError where a folder is called like a file, by its ending, that is to be written there."""
    entries = path.iterdir() if path.is_dir() else ()
    for name in sorted(entry.name for entry in entries if entry.suffix in endings and entry.is_dir()):
        raise InputError(
            f"there is a folder called {name}", where=str(path), remedy="rename it: a file may go there"
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A full disk or a read-only folder within ends in a `RunError` that says where, and how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_WRITING:
            raise
        raise RunError(
            f"cannot write to {folder}: {os.strerror(error.errno)}\n"
            "  hint: make room or give write access, then run again; work that was finished is kept"
        ) from None


@contextmanager
def locked(folder: Path, *, where: str = "--out") -> Iterator[bool]:
    """A folder for one run alone, until it ends or dies; what a run that died left half-written goes.

    False where the file system has no locks: the folder is everybody's, and runs side by side do work twice.

    Raises
    ------
    InputError
        Where the folder cannot be written.
    RunError
        Where another run has it.
    """
    if os.name != "posix":
        yield False
        return
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
        acquired = _taken(handle, folder)
        if acquired:
            _sign(handle, folder)
        yield acquired
    finally:
        os.close(handle)


def is_locked(folder: Path) -> bool:
    """Whether a run has a folder at this moment, see `locked`."""
    if os.name != "posix" or not (folder / "lock").is_file():  # to open a pipe would take for ever
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


def _taken(handle: int, folder: Path) -> bool:
    """Lock a file that is open; False where the file system has no locks."""
    import fcntl

    for chance in range(_LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            if chance < _LOCK_TRIES - 1:  # `is_locked`, in another process, has it for a moment
                time.sleep(_LOCK_SECONDS)
    owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
    raise RunError(
        f"another run ({owner}) works in {folder}\n"
        "  hint: wait for it, or give this run another --out or --store"
    )


def _sign(handle: int, folder: Path) -> None:
    """Say who has the folder, and remove what another left half-written."""
    with suppress(OSError):  # a full disk, or a read-only one: the work will tell what it cannot keep
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        remove_parts(folder)

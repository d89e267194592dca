"""Finished units of work, each a Parquet file named by what it is and by its checksum.

    <address>/<id>-<checksum>.parquet

The id stands for code, setting and tasks, so a changed job or table never meets an old unit; the checksum is that
of id and file, so a unit that was cut short, changed or given the name of another is not taken. Units are written
once, whole or not at all; two runs that write the same unit write the same bytes. Nothing that is read is executed.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

from engine.errors import InputError, RunError
from engine.runtime.codec import decode, encode, nbytes
from engine.runtime.files import locked, write_bytes

LARGEST = 64 << 20  # bytes of a unit that is kept; a larger one takes longer to read than most take to make
_SUFFIX = ".parquet"
_HIDDEN = "***"


@dataclass
class Store:
    """A folder of units, local or at any address that fsspec knows.

    Attributes
    ----------
    address : str
    fresh : bool
        Take nothing that is there; write all again.
    read, written, damaged : int
        Units so far; damaged are those that could not be read as well.
    """

    address: str = field(repr=False)
    fresh: bool = False
    read: int = 0
    written: int = 0
    damaged: int = 0
    _names: dict[str, str] = field(default_factory=dict)
    _files: Any = None
    _folder: str = ""
    _counting: Any = field(default_factory=Lock)

    def __post_init__(self) -> None:
        import fsspec  # here and not above: a finished run is found without it

        try:
            self._files, self._folder = fsspec.core.url_to_fs(self.address)
            self._files.makedirs(self._folder, exist_ok=True)
            listing = self._files.ls(self._folder, detail=False)
        except (OSError, ValueError, ImportError) as error:
            raise InputError(
                f"the store {self.shown} cannot be opened ({self._without_secrets(str(error))})",
                where="--store",
                remedy="name a folder you may write to, or an address whose fsspec package is installed",
            ) from None
        names = (name.rstrip("/").rpartition("/")[2] for name in listing)
        self._names = {
            name.partition("-")[0]: name for name in names if name.endswith(_SUFFIX) and not self.fresh
        }

    @property
    def local(self) -> bool:
        from fsspec.implementations.local import LocalFileSystem

        return isinstance(self._files, LocalFileSystem)

    @property
    def shown(self) -> str:
        """The address without user, password and query, for messages and logs."""
        return shown(self.address)

    def _without_secrets(self, text: str) -> str:
        """A message of the file system, which may quote the address or what it holds."""
        for secret in sorted(_secrets(self.address), key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text

    def has(self, unit: str) -> bool:
        """Whether a unit of that id is there; whether it is whole turns out when it is read."""
        return unit in self._names

    def get(self, unit: str, kind: Any) -> tuple[Any] | None:
        """The unit's result in a tuple of one; None where it is absent or damaged."""
        name = self._names.get(unit)
        if name is None:
            return None
        try:
            content = self._files.cat_file(f"{self._folder}/{name}")
        except OSError:  # on the way there, maybe: the unit itself may be whole, and stays
            self._miss(unit)
            return None
        try:
            if name != _named(unit, content):
                raise ValueError("its checksum is another")
            content_value = decode(content, kind)
        except ValueError:
            with suppress(OSError):  # where it stays, it is damaged for the next run too
                self._files.rm_file(f"{self._folder}/{name}")
            self._miss(unit)
            return None
        with self._counting:
            self.read += 1
        return (content_value,)

    def _miss(self, unit: str) -> None:
        with self._counting:
            self.damaged += 1
        del self._names[unit]

    def put(self, unit: str, value: Any) -> bool:
        """Keep a result; False where it is too large to be worth it.

        Raises
        ------
        RunError
            Where the store cannot be written; units written before stay.
        """
        if nbytes(value) > LARGEST:
            return False
        content = encode(value)
        name = _named(unit, content)
        try:
            if self.local:
                write_bytes(Path(self._folder) / name, content)
            else:
                self._files.pipe_file(f"{self._folder}/{name}", content)
        except OSError as error:
            reason = self._without_secrets(str(error.strerror or error))
            raise RunError(
                f"the store {self.shown} cannot be written ({reason}); "
                f"{self.read + self.written} finished units are kept there\n"
                "  hint: make room or give write access, or name another store with --store; then run again"
            ) from None
        self._names[unit] = name
        with self._counting:
            self.written += 1
        return True

    def locked(self) -> AbstractContextManager[object]:
        """This store for one run alone, as `engine.runtime.files.locked`.

        Stores at remote addresses are not locked: two runs there do work twice, and write the same bytes.
        """
        return locked(Path(self._folder), where="--store") if self.local else nullcontext()


def shown(address: str) -> str:
    """An address of fsspec that can be shown: ``s3://***@host/path`` for one with user and password."""
    protocol, mark, location = address.partition("://")
    if not mark:
        return address
    _, separator, host = location.rpartition(
        "@"
    )  # a password may hold slashes; a path with an @ is hidden too
    path, query, values = host.partition("?")
    return (
        protocol
        + mark
        + (_HIDDEN + separator if separator else "")
        + path
        + (query + _HIDDEN if values else "")
    )


def _secrets(address: str) -> set[str]:
    """Password and query of an address, as they stand there and as they are meant."""
    location = address.partition("://")[2]
    credentials, _, host = location.rpartition("@")
    query = host.partition("?")[2]
    values = (part.partition("=")[2] for part in query.split("&"))
    secrets = {credentials.partition(":")[2], query, *(value for value in values if len(value) > 3)}
    return (secrets | {unquote(secret) for secret in secrets}) - {""}


def _named(unit: str, content: bytes) -> str:
    """File name of a unit; the checksum holds the id, else a whole unit could stand under that of another."""
    digest = hashlib.sha256(f"{unit}\n".encode() + content)
    return f"{unit}-{digest.hexdigest()[:32]}{_SUFFIX}"

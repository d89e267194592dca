"""Identity of the code that runs: what of this package lay on disk when the process began, and with which packages.

Modules are loaded at different moments of a run. The digest is therefore taken once, before any work, and whether
the files still are what they were can be asked at any time: what was computed meanwhile may come from a mixture of
old and new code, and no later run may take it for the work of either.
"""

from __future__ import annotations

import hashlib
import os
import platform
import threading
import tomllib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NUMERIC_PACKAGES = ("dyadid", "jax", "jaxlib", "numpy", "scipy", "pandas", "pyarrow")
"""Distributions whose version numbers may move a result."""
_ROOT = Path(__file__).parents[1]
_KINDS = (".py", ".csv", ".css", ".html", ".toml")  # code, built-in tables, page and languages


def package_version(name: str) -> str:
    """Version of a distribution; of this one, where it runs uninstalled, that of its checkout."""
    try:
        return version(name)
    except PackageNotFoundError:
        if name != "dyadid":
            raise
        with (_ROOT.parent / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])


class _Snapshot:
    """Files of a package as they were: a digest of their content, and a cheap way to see that nothing changed."""

    def __init__(self, root: Path) -> None:
        self.root, self._lock = root, threading.Lock()
        self._stats = self._looked_at()
        self.digest = self._content()

    def changed(self) -> bool:
        """Whether a file has another content now, is gone or is new."""
        with self._lock:
            stats = self._looked_at()
            if stats == self._stats:
                return False
            if self._content() != self.digest:
                return True
            self._stats = stats  # touched, or installed again as it was
            return False

    def _looked_at(self) -> dict[str, tuple[int, int, int]]:
        states: dict[str, tuple[int, int, int]] = {}
        folders, start = [str(self.root)], len(str(self.root)) + 1
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir():
                        folders.append(entry.path)
                    elif entry.name.endswith(_KINDS) and not entry.name.startswith("."):
                        stat = entry.stat()
                        states[entry.path[start:]] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return states

    def _content(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self._stats):
            try:
                content = (self.root / name).read_bytes()
            except OSError:  # gone between two looks: another content than any that was read
                content = b"\0gone"
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


_AT_START = _Snapshot(_ROOT)


def source_digest() -> str:
    """Digest of this package's files, code and data, as they were when the process loaded this module."""
    return _AT_START.digest


def source_changed() -> bool:
    """Whether the package on disk is no longer what this process began with."""
    return _AT_START.changed()


@lru_cache
def code_version() -> str:
    """Digest of this package's files and of the versions of Python and the packages that make its numbers."""
    versions = [f"{name} {package_version(name)}" for name in NUMERIC_PACKAGES]
    python = ".".join(platform.python_version_tuple()[:2])
    text = "\n".join([source_digest(), f"Python {python}", *versions])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

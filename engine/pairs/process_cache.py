"""Cache of values that a process makes once, from a pass input that was sent to it, for its next tasks.

One value of each kind at a time, so that what a process holds does not grow with the passes that it serves.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")

_ALL: list[ProcessCache[Any]] = []


class ProcessCache(Generic[Value]):
    """The last value that was asked for, by its key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: Any = None
        self._value: Value | None = None
        _ALL.append(self)

    def get(self, key: Any, make: Callable[[], Value]) -> Value:
        """The value of ``key``; threads that ask for it while one makes it wait."""
        with self._lock:
            if self._value is not None and self._key == key:
                return self._value
            self._key = self._value = None  # the old one goes before the new one comes
            self._key, self._value = key, (value := make())
            return value

    def forget(self) -> None:
        with self._lock:
            self._key = self._value = None


def forget_all() -> None:
    """Let go of everything that this process keeps."""
    for one in _ALL:
        one.forget()

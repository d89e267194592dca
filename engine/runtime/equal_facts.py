"""Facts that must be equal in driver and workers, such as versions of packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Facts = Callable[[], Mapping[str, str]]
"""Name and value of each fact, as the process that calls it has them."""


def differences(driver: Mapping[str, str], worker: Mapping[str, str]) -> str:
    """Facts of a worker that differ from the driver's, as text; empty where none does."""
    names = [name for name in driver if driver[name] != worker.get(name)]
    return ", ".join(f"{name} {worker.get(name, 'absent')} (here {driver[name]})" for name in names)

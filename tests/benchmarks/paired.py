"""Paired timing: A and B in turn, so that a machine whose speed drifts is fair to both."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

_PAUSE = 0.25
"""Seconds in which threads of the work before come to rest: those of LLVM's OpenMP spin for 200 ms after their work.

They took 65 ms of processor time from the 75 ms that followed a column of pyfixest after 10 ms.
"""


@dataclass(frozen=True)
class Pairing:
    """Seconds of every run of two works, in the order they ran."""

    ours: list[float]
    peer: list[float]

    @property
    def ratio(self) -> float:
        """Median over pairs of peer / ours: how many times longer the peer takes."""
        return statistics.median(b / a for a, b in zip(self.ours, self.peer, strict=True))

    def report(self, what: str, peer: str) -> str:
        ratios = sorted(b / a for a, b in zip(self.ours, self.peer, strict=True))
        return (
            f"{what}\n"
            f"  ours {statistics.median(self.ours):.4f} s (min {min(self.ours):.4f}), "
            f"{peer} {statistics.median(self.peer):.4f} s (min {min(self.peer):.4f}), {os.cpu_count()} cores\n"
            f"  ratio {self.ratio:.2f} (pairs from {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def pair(
    ours: Callable[[], object], peer: Callable[[], object], *, runs: int = 11, warm_ups: int = 2
) -> Pairing:
    """Run both in turn, each after a pause (`_PAUSE`); the first rounds are not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(runs + warm_ups):
        for work, seconds in zip((ours, peer), times, strict=True):
            time.sleep(_PAUSE)
            start = time.perf_counter()
            work()
            if number >= warm_ups:
                seconds.append(time.perf_counter() - start)
    return Pairing(*times)

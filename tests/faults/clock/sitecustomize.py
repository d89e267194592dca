"""A clock that can be set back while a process runs; Python imports this at start where its folder is on the path.

The file that ``FAULT_CLOCK`` names holds seconds and who believes them: ``driver``, ``workers`` or ``all``. What
asks `time.time` sees the shift, Dask above all; `datetime` and the machine do not.
"""

from __future__ import annotations

import os
import sys
import time

_real, _real_ns, _tick = time.time, time.time_ns, time.perf_counter
_self = "workers" if any("spawn_main" in word for word in sys.orig_argv) else "driver"
_known = [0.0, 0.0]  # when to look again, shift in seconds


def _shift() -> float:
    if _tick() >= _known[0]:
        _known[0] = _tick() + 0.05
        try:
            with open(os.environ["FAULT_CLOCK"], encoding="utf-8") as stream:
                seconds, who = stream.read().split()
            _known[1] = float(seconds) if who in ("all", _self) else 0.0
        except (KeyError, OSError, ValueError):
            pass
    return _known[1]


time.time = lambda: _real() + _shift()
time.time_ns = lambda: _real_ns() + int(_shift() * 1e9)

"""Messages between driver and workers go on when the clock is set back."""

from __future__ import annotations

import time

import pytest
from distributed import batched
from tornado.ioloop import IOLoop, PeriodicCallback

from engine.runtime import steady_clock


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "time", batched.time)  # put back at the end
    monkeypatch.setattr(IOLoop, "time", IOLoop.time)
    steady_clock.install()


def test_it_agrees_with_the_time_of_day(installed: None) -> None:
    assert abs(steady_clock.steady_time() - time.time()) < 1.0


def test_what_is_done_every_so_often_goes_on(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tornado itself would wait for an hour here."""
    real, done = time.time, []

    async def half_a_second() -> None:
        import asyncio

        beat = PeriodicCallback(lambda: done.append(steady_clock.steady_time()), 20)
        beat.start()
        await asyncio.sleep(0.2)
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        before = len(done)
        await asyncio.sleep(0.5)
        beat.stop()
        assert len(done) >= before + 5

    IOLoop.current().run_sync(half_a_second)
    assert done == sorted(done)


def test_dask_sends_by_it(installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert batched.time() > 1e9
    assert IOLoop.current().time() > 1e9

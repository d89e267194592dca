"""Workers of this machine that die before they have joined."""

from __future__ import annotations

from typing import Any

import distributed
import pytest

from engine.errors import RunError
from engine.runtime.clusters import place
from engine.spec.cluster import profile_of


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
    start, failures = distributed.LocalCluster, iter(range(deaths))

    def dying(**options: Any) -> Any:
        if next(failures, None) is not None:
            raise RuntimeError("Nanny failed to start.")
        return start(**options)

    monkeypatch.setattr(distributed, "LocalCluster", dying)
    with place(profile_of(workers=1)) as machine:
        assert machine().client.submit(sum, [1, 2]).result() == 3


def test_one_that_always_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(**_: Any) -> Any:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", dead)
    with (
        pytest.raises(RunError, match=r"do not start \(Nanny failed to start.\)\n  remedy: "),
        place(profile_of(workers=1)) as machine,
    ):
        machine()

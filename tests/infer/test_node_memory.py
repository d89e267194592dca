"""Node-bootstrap draws within little memory: statistics computed when they are read, short blocks, the same draws."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest

import engine
from engine.infer import weighted
from engine.stages.inference import pass_inputs

stage = import_module("engine.stages.inference.bootstrap")  # its package shows the function of that name


@pytest.mark.parametrize("holes", [False, True], ids=["balanced", "missing"])
def test_a_table_that_does_not_fit_is_computed_when_read(
    holes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = worlds.panel(holes=holes)
    inference = {"bootstrap": {"kind": "node", "reps": 40, "seed": 6}, "jackknife": {"by": "city"}}
    path = worlds.write(tmp_path, frame, worlds.job_of(frame, inference=inference))
    whole = engine.run(path)

    made, at_once = [], []
    monkeypatch.setattr(weighted, "_SLAB", 16)
    for module in (pass_inputs, stage):
        monkeypatch.setattr(module, "memory_of", lambda prepared: 1.0)  # bytes
    setting, size = stage.typed_pairs, stage.draws_at_once
    monkeypatch.setattr(stage, "typed_pairs", lambda *given: made.append(setting(*given)) or made[-1])
    monkeypatch.setattr(stage, "draws_at_once", lambda *given: at_once.append(size(*given)) or at_once[-1])
    small = engine.run(path)

    assert not made[0].pairs.in_memory
    assert len(made[0].sorted().slabs) > 1
    assert at_once == [8]
    for name in ("inference", "draws", "influence"):  # 1e-11: issue 3, line 6
        pd.testing.assert_frame_equal(getattr(small, name), getattr(whole, name), rtol=1e-11, atol=1e-11)
    assert np.isfinite(small.draws["statistic"]).sum() > 20


@pytest.mark.parametrize(("memory", "draws"), [(2e9, 256), (2e6, 16), (1.0, 8)])
def test_blocks_fit_the_memory(memory: float, draws: int) -> None:
    """City arrays and five times the sums by type a draw, in a 16th of the memory; a power of two."""
    done = worlds.first_pass(worlds.panel())
    setting, cell = (
        pass_inputs.typed_pairs(done.prepared),
        pass_inputs.tested_of(done.prepared, done.results[0], None),
    )
    node = stage.NodeInput(setting, (cell,), (np.zeros(1),), 0)
    assert stage.draws_at_once(node, memory) == draws
    if 8 < draws < 256:
        held = 8 * (6 * 16 + 5 * setting.n_types * setting.pairs.layout.size)
        assert draws * held <= memory / 16 < 2 * draws * held

"""The protocol of a job's data: a pair table has no city columns, and says so by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import InputError
from engine.notes import Note
from engine.spec import expand, load_job
from engine.stages.groups import labels_of
from engine.stages.job_data import JobData
from engine.stages.prepare_passes import Prepared, prepare_job

JOB = """
job: t
pair_table: {source: t.csv, unit_i: a, unit_j: b, year: year}
outcome: {column: y}
model: {regressors: [x]}
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    rng = np.random.default_rng(5)
    rows = [
        f"{a},{b},{year},{rng.normal()},{rng.normal()}"
        for a, b in ("uv", "uw", "vw")
        for year in range(2000, 2004)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,year,x,y", *rows]), "utf-8")
    (tmp_path / "job.yaml").write_text(JOB, "utf-8")
    return prepare_job(expand(load_job(tmp_path / "job.yaml")))[0]


def test_a_pair_table_has_one_class_that_never_adopts(prepared: Prepared) -> None:
    assert prepared.adoption.counts() == {"never": 3}
    assert prepared.terms[0].names == ()
    assert prepared.terms[0].table.shape == (1, 1, 4, 0)
    assert [(step.step, step.pairs, step.rows) for step in prepared.steps] == [(Note("table_pairs"), 3, 12)]


def test_a_pair_table_refuses_city_columns_by_name(prepared: Prepared) -> None:
    data: JobData = prepared.pass_cells.data
    assert (data.units, data.years, data.content_hash) == (("u", "v", "w"), (2000, 2001, 2002, 2003), None)
    with pytest.raises(InputError, match=r"t\.csv: a pair_table job has no city columns"):
        labels_of(data, "province", key="inference.jackknife.by")


def test_a_job_without_a_block_refuses_by_its_key(prepared: Prepared) -> None:
    for key in ("panel", "treatment", "matching"):
        with pytest.raises(InputError, match=f"{key}: this job has no {key}"):
            getattr(prepared.pass_cells.job, f"{key}_block")

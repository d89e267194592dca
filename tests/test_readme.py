"""What the READMEs show works: their job blocks are valid, and a panel block is all that the paper's jobs need."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

import engine
from engine import pipeline
from engine.cities import builtin
from engine.spec import find_jobs, load_job

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
WHOLE = yaml.safe_load((ROOT / "jobs" / "table1_baseline.yaml").read_text(encoding="utf-8"))


def blocks(path):
    return re.findall(r"```yaml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def paper_panel(path):
    return next(block for block in blocks(path) if "经度" in block)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_every_yaml_block_is_a_job_or_a_part_of_one(path, tmp_path):
    shutil.copy(ROOT / "jobs" / "table1_baseline.yaml", tmp_path)
    found = blocks(path)
    assert len(found) >= 3
    for number, text in enumerate(found):
        said = yaml.safe_load(text)
        whole = said if "extends" in said or "pair_table" in said else {**WHOLE, "sweep": {}, **said}
        job = tmp_path / f"block{number}.yaml"
        job.write_text(
            yaml.safe_dump({"job": f"block{number}", **whole}, allow_unicode=True), encoding="utf-8"
        )
        loaded = load_job(job).job
        assert set(said) - {"extends"} <= loaded.model_fields_set


def test_both_languages_show_the_same_panel():
    assert paper_panel(READMES[0]) == paper_panel(READMES[1])


def test_the_papers_data_need_a_panel_block_and_nothing_else(tmp_path):
    """The demo panel under Chinese headers, read by the block of the README, gives the demo's numbers."""
    jobs = tmp_path / "jobs"
    shutil.copytree(ROOT / "jobs", jobs)
    names = yaml.safe_load(paper_panel(READMES[0]))["panel"]["columns"]
    panel = builtin.load("china_demo", cities=60)
    panel.rename(columns=names).to_excel(jobs / "cities.xlsx", index=False)
    baseline = jobs / "table1_baseline.yaml"
    kept = re.sub(r"(?m)^panel:.*\n", lambda _: paper_panel(READMES[0]), baseline.read_text(encoding="utf-8"))
    baseline.write_text(kept, encoding="utf-8")
    for job in find_jobs([jobs / "paper"]):
        pipeline.check(job)
    ours = engine.run(jobs / "paper" / "column6.yaml").estimates
    known = engine.run(
        ROOT / "jobs" / "paper" / "column6.yaml", overrides=["panel.options.cities=60"]
    ).estimates
    # Cells are named by their content, which holds the source.
    pd.testing.assert_frame_equal(ours.drop(columns="cell"), known.drop(columns="cell"), rtol=1e-9)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.name)
def test_files_and_jobs_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
    named = re.findall(r"jobs/[\w/]+\.yaml", text)
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_job_of_the_paper_is_listed_in_chinese():
    text = READMES[1].read_text(encoding="utf-8")
    assert [job.name for job in find_jobs([ROOT / "jobs" / "paper"]) if f"`{job.name}`" not in text] == []


def test_size_is_quoted_as_simulated():
    """Rows of rejections, V1 to V4, in the README and on the page that a slow test makes again."""

    def rows(text):
        found = re.findall(r"^\| \*{0,2}(V\d)\b[^|]*\|(.*)\|$", text.replace("**", ""), re.MULTILINE)
        return [(name, [float(cell) for cell in cells.split("|")]) for name, cells in found[:4]]

    page = (ROOT / "tests" / "monte_carlo" / "size_table.md").read_text(encoding="utf-8")
    quoted = rows(READMES[0].read_text(encoding="utf-8"))
    assert [name for name, _ in quoted] == ["V1", "V2", "V3", "V4"]
    assert quoted == rows(page)

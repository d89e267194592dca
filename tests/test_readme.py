"""The pages a reader starts from are true: jobs and tables as printed, commands, figures, links, both languages."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

import engine
from engine import pipeline
from engine.cities import builtin
from engine.cli import app
from engine.spec import find_jobs, load_job

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
GUIDES = [ROOT / "jobs" / "README.md", ROOT / "jobs" / "README.zh-CN.md"]
PATTERNS = ("*.md", "jobs/**/*.md", "engine/**/*.md", "cluster/**/*.md", "tests/**/*.md")
PAGES = sorted(path for pattern in PATTERNS for path in ROOT.glob(pattern))
WHOLE = yaml.safe_load((ROOT / "jobs" / "table1_baseline.yaml").read_text(encoding="utf-8"))


def name_of(path):
    return str(path.relative_to(ROOT))


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(path, kind="yaml"):
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text_of(path), re.MULTILINE | re.DOTALL)
    return [text for language, text in fenced if language == kind]


def paper_panel(path):
    return next(block for block in blocks(path) if "经度" in block)


# -- jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_every_yaml_block_is_a_job_or_a_part_of_one(path, tmp_path):
    shutil.copy(ROOT / "jobs" / "table1_baseline.yaml", tmp_path)
    texts = blocks(path)
    assert len(texts) >= 6
    for number, text in enumerate(texts):
        content = yaml.safe_load(text)
        whole = (
            content if "extends" in content or "pair_table" in content else {**WHOLE, "sweep": {}, **content}
        )
        job = tmp_path / f"block{number}.yaml"
        job.write_text(
            yaml.safe_dump({"job": f"block{number}", **whole}, allow_unicode=True), encoding="utf-8"
        )
        loaded = load_job(job).job
        assert set(content) - {"extends"} <= loaded.model_fields_set


@pytest.mark.parametrize("path", READMES, ids=name_of)
def test_the_jobs_of_the_readme_run_as_printed(path, tmp_path):
    """On files that have the columns which the page names, and no others."""
    jobs = {yaml.safe_load(text)["job"]: text for text in blocks(path)}
    assert list(jobs) == ["my_pilots", "my_trade", "my_checks"]
    for name, text in jobs.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    names = yaml.safe_load(jobs["my_pilots"])["panel"].get("columns", {})
    panel = builtin.load("china_demo", cities=30)
    panel = panel.rename(columns={"gdp_real": "gdp", "education_spending": "education"})
    panel = panel[["city", "year", "gdp", "education", "pilot_year"]].rename(columns=names)
    panel.to_csv(tmp_path / "cities.csv", index=False)
    rows = [(f"c{i}", f"c{j}", year) for i in range(9) for j in range(i) for year in range(2000, 2006)]
    trade = pd.DataFrame(rows, columns=["exporter", "importer", "year"])
    random = np.random.default_rng(1)
    trade = trade.assign(trade=random.lognormal(size=len(trade)), rta=random.integers(0, 2, len(trade)))
    trade.to_parquet(tmp_path / "trade.parquet")
    cells = {name: engine.run(tmp_path / f"{name}.yaml").estimates["cell"].nunique() for name in jobs}
    assert cells == {"my_pilots": 1, "my_trade": 1, "my_checks": 6}


def test_both_languages_show_the_same_panel():
    assert paper_panel(GUIDES[0]) == paper_panel(GUIDES[1])


def test_the_papers_data_need_a_panel_block_and_nothing_else(tmp_path):
    """The demo panel under Chinese headers, read by the block of the guide, gives the demo's numbers."""
    jobs = tmp_path / "jobs"
    shutil.copytree(ROOT / "jobs", jobs)
    names = yaml.safe_load(paper_panel(GUIDES[0]))["panel"]["columns"]
    panel = builtin.load("china_demo", cities=60)
    panel.rename(columns=names).to_excel(jobs / "cities.xlsx", index=False)
    baseline = jobs / "table1_baseline.yaml"
    replaced = re.sub(r"(?m)^panel:.*\n", lambda _: paper_panel(GUIDES[0]), text_of(baseline))
    baseline.write_text(replaced, encoding="utf-8")
    for job in find_jobs([jobs / "paper"]):
        pipeline.check(job)
    ours = engine.run(jobs / "paper" / "column6.yaml").estimates
    known = engine.run(
        ROOT / "jobs" / "paper" / "column6.yaml", overrides=["panel.options.cities=60"]
    ).estimates
    # Cells are named by their content, which holds the source.
    pd.testing.assert_frame_equal(ours.drop(columns="cell"), known.drop(columns="cell"), rtol=1e-9)


@pytest.mark.parametrize("path", GUIDES, ids=name_of)
def test_every_job_of_the_paper_is_listed(path):
    listed = set(re.findall(r"`(?:paper/)?(\w+\.yaml)`", text_of(path)))
    assert [job.name for job in find_jobs([ROOT / "jobs" / "paper"]) if job.name not in listed] == []


# -- tables and figures --------------------------------------------------------------------------------------


def test_the_table_is_what_the_job_prints(tmp_path):
    pipeline.run(ROOT / "jobs" / "table1_baseline.yaml", out=tmp_path)
    for path, lang in zip(READMES, ("en", "zh"), strict=True):
        pipeline.report(tmp_path, lang=lang)
        printed = text_of(tmp_path / "table1_baseline" / "table.txt").splitlines()
        [table] = blocks(path, "")
        assert len(table.splitlines()) == 10
        assert [line for line in table.splitlines() if line not in printed] == []


@pytest.mark.parametrize("path", READMES, ids=name_of)
def test_size_is_quoted_as_simulated(path):
    """Rows of rejections, V1 to V4, in the README and on the page that a slow test makes again."""

    def rows(text):
        lines = re.findall(r"^\| \*{0,2}(V\d)\b[^|]*\|(.*)\|$", text.replace("**", ""), re.MULTILINE)
        return [(name, [float(cell) for cell in cells.split("|")]) for name, cells in lines[:4]]

    quoted = rows(text_of(path))
    assert [name for name, _ in quoted] == ["V1", "V2", "V3", "V4"]
    assert quoted == rows(text_of(ROOT / "tests" / "monte_carlo" / "size_table.md"))


def test_every_speed_figure_has_a_script_and_every_script_a_claim():
    """Each row of figures names its script, or continues the row above; each script says when it fails."""
    folder = ROOT / "tests" / "benchmarks"
    text = text_of(folder / "README.md")
    measured, claims = re.findall(r"^## (?:Measured|Claims).*?(?=^## )", text, re.MULTILINE | re.DOTALL)
    rows = [line.strip("| ").split(" | ") for line in measured.splitlines() if line.startswith("| ")][2:]
    scripts = {path.name for path in folder.glob("bench_*.py")}
    assert len(rows) >= 15
    assert set(re.findall(r"bench_\w+\.py", measured)) <= scripts
    assert "bench_" in rows[0][-1]
    assert set(re.findall(r"`(bench_\w+\.py)", claims)) == scripts


# -- commands, links, languages ------------------------------------------------------------------------------


def commands_of(text):
    """Name and options of every command that a page shows, in a line of code or within a sentence."""
    code = re.findall(r"^    (dyadid .*)$|`(dyadid [^`]*)`", text, re.MULTILINE)
    for line in (block or inline for block, inline in code):
        name, *_ = re.findall(r"^dyadid ([a-z-]+)", line) or [""]
        yield name, re.findall(r"(?<![\w-])--[a-z-]+", line.split("#")[0])


@pytest.mark.parametrize("path", [*READMES, *GUIDES, ROOT / "cluster" / "README.md"], ids=name_of)
def test_commands_exist_with_their_options(path):
    program = typer.main.get_command(app)
    known, of_program = program.commands, {option for entry in program.params for option in entry.opts}
    shown = list(commands_of(text_of(path)))
    assert len(shown) >= 6
    for name, options in shown:
        if name in of_program:
            continue
        assert name in known
        assert set(options) <= {option for parameter in known[name].params for option in parameter.opts}


def anchors(path):
    """Anchors of a page's headings, as forges make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text_of(path), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if "://" in link:
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", [*READMES, *GUIDES], ids=name_of)
def test_jobs_that_are_named_exist(path):
    named = re.findall(r"jobs/[\w/]+\.yaml", text_of(path))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def outline(path):
    """Levels of the headings, kinds of the blocks, and targets of the links, whatever their language."""
    text = text_of(path)
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    fences = re.findall(r"^```(\w*)$", text, re.MULTILINE)
    files = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    return levels, fences, [file.replace(".zh-CN", "") for file in files]


def test_both_languages_have_the_same_outline_and_links():
    assert outline(READMES[0]) == outline(READMES[1])


@pytest.mark.parametrize("path", READMES, ids=name_of)
def test_a_readme_has_at_most_200_lines(path):
    assert len(text_of(path).splitlines()) <= 200

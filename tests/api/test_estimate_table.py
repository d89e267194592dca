"""Results beside each other, and beside fits of pyfixest, in one table."""

from __future__ import annotations

import re
from pathlib import Path

import dyadid as dd
import maketables
import pyfixest as pf
import pytest
from strategies import city_panel, pair_table


@pytest.fixture(scope="module")
def fits() -> tuple[dd.Result, object]:
    frame = pair_table(0)
    ours = dd.feols("y ~ x + w | pair + year", frame, units=("one", "other"), year="year")
    frame["pair"] = frame["one"] + frame["other"]
    return ours, pf.feols("y ~ x + w | pair + year", frame, vcov={"CRV1": "pair"})


def test_side_by_side(fits: tuple[dd.Result, object]) -> None:
    ours, theirs = fits
    text = dd.etable(
        [ours.errors("pair"), theirs, ours.errors("jackknife")], labels={"x": "Trade"}, digits=3
    ).text()
    rows = {line.split("  ")[0].strip(): re.findall(r"-?\d[\d.,]*", line) for line in text.splitlines()}
    assert len(set(rows["Trade"])) == 1
    assert len(rows["Trade"]) == 3
    assert len(set(rows["Observations"])) == 1
    assert "Column (3): Significance levels based on jackknife CRV3 errors" in " ".join(text.split())
    assert re.search(r"Pair FE +Yes +Yes +Yes", text)


def test_columns_and_files(fits: tuple[dd.Result, object], tmp_path: Path) -> None:
    table = dd.etable(list(fits), columns=["Here", "There"], title="Both", notes="Seen.")
    assert "Here" in table.latex()
    assert table.save(tmp_path / "t.docx").exists()
    with pytest.raises(dd.InputError, match="1 headings for 2 columns"):
        dd.etable(list(fits), columns=["Here"])
    with pytest.raises(dd.InputError, match="str is no result that can stand in a table"):
        dd.etable(["x"])
    with pytest.raises(dd.InputError, match="there are no results"):
        dd.etable([])


def test_maketables_takes_both(fits: tuple[dd.Result, object]) -> None:
    ours, theirs = fits
    latex = maketables.ETable([ours.errors("pair"), theirs]).make(type="tex")
    (line,) = (line for line in latex.splitlines() if line.startswith("x "))
    cells = re.findall(r"makecell\{([^}]*)\}", line)
    assert len(cells) == 2
    assert cells[0].split()[0] == cells[1].split()[0]


def test_columns_keep_the_choices_of_their_jobs() -> None:
    job = dd.panel(city_panel(0), adoption="pilot_year", rule="exactly_one").synchronization("output")
    plain, edu = (
        job.twfe(errors=["dyadic"]),
        job.controls(edu="neg_abs_diff(density)").twfe(errors=["dyadic"]),
    )
    text = dd.etable(fit for fit in (plain, edu)).text()
    assert "dyadic-robust" in text
    assert "pair-clustered" not in text
    only = dd.etable([plain, edu], keep="edu", errors="pair").text()  # one of them has the term
    assert "edu" in only
    assert "policy" not in only
    assert "pair-clustered" in only


def test_jobs_of_different_units_share_their_rows() -> None:
    frame = pair_table(0)
    countries = frame.rename(columns={"one": "exporter", "other": "importer"})
    firms = frame.rename(columns={"one": "firm_i", "other": "firm_j"})
    fits = [
        dd.feols("y ~ x | pair + year", table, units=units, year="year", errors=["pair", "city"])
        for table, units in ((countries, ("exporter", "importer")), (firms, ("firm_i", "firm_j")))
    ]
    alone = dd.etable(fits[0], lang="zh").text()
    assert "国家双向聚类" in alone
    assert "国家对数" in alone
    text = dd.etable(fits, lang="zh").text()
    rows = {line.split("  ")[0].strip() or line.strip().split("  ")[0]: line for line in text.splitlines()}
    for label in ("单位数", "配对数"):
        assert len(re.findall(r"[\d,]+", rows[label])) == 2, label
    assert sum("双向聚类 " in line for line in text.splitlines()) == 1
    assert not re.search("国家|城市", text)

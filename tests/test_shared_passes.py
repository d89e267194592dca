"""Cells of one job must find what each finds alone: what a cell's rows depend on separates the passes."""

from __future__ import annotations

from pathlib import Path

import draw_worlds as worlds
import numpy as np
import pytest
from designs import JOBS, SMALL, cities

import engine
from engine.errors import InputError

COLUMN_6 = JOBS / "paper" / "column6.yaml"
EVENT_STUDY = "{estimator: event_study, base: -1, window: [-2, 2], ends: drop}"
MATCHED = "{unit: pair, caliper: 0.25}"


def job(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(f"extends: {COLUMN_6}\njob: shared\n{text}")
    return path


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        (f"model: {EVENT_STUDY}\n", "treatment.shift", ("0", "-1")),
        (f"matching: {MATCHED}\npairs: {{exclude: none}}\n", "treatment.rule", ("either", "both")),
        ("treatment: {around: 3}\n", "treatment.shift", ("0", "-1")),
        ("model: {estimator: sun_abraham, window: [-2, 2]}\n", "model.ends", ("bin", "drop")),
        ("model: {estimator: extended_twfe, window: [-2, 2]}\n", "model.ends", ("bin", "drop")),
        ("", "model.lag", ("0", "1")),
        ("", "treatment.shift", ("0", "-1")),
    ],
)
def test_together_as_alone(tmp_path: Path, text: str, key: str, values: tuple[str, str]) -> None:
    small = [f"panel.options.cities={SMALL * 2}"]
    path = job(tmp_path, f"{text}sweep: {{{key}: [{', '.join(values)}]}}\n")
    both = engine.run(path, overrides=small).estimates
    for cell, value in zip(both["cell"].unique(), values, strict=True):
        alone = engine.run(path, overrides=[*small, f"{key}={value}"]).estimates
        own = both[both["cell"] == cell]
        assert own["term"].tolist() == alone["term"].tolist()
        assert own["n_obs"].tolist() == alone["n_obs"].tolist()
        for column in ("estimate", "std_error"):  # a pass of more cells sums longer vectors, in another order
            np.testing.assert_allclose(own[column], alone[column], rtol=1e-12, err_msg=f"{key}={value}")


def test_controls_that_separate_treated_pairs_are_named(tmp_path: Path) -> None:
    """A control that is one where a pair has a pilot, and zero elsewhere: no propensity score is finite."""
    path = job(
        tmp_path,
        "panel: {join: [{source: tell.csv, missing: 0}]}\n"
        "controls: {told: {sum: tell}}\nmatching: {unit: pair, covariates: [told]}\n",
    )
    pilots = cities(SMALL).drop_duplicates("city")
    tell = pilots[["city"]].assign(tell=pilots["pilot_year"].notna().astype(float))
    tell.to_csv(tmp_path / "tell.csv", index=False)
    with pytest.raises(InputError, match="told") as raised:
        engine.run(path, overrides=[f"panel.options.cities={SMALL}"])
    assert "matching.covariates" in str(raised.value)


def test_variation_of_a_series_that_is_not_positive_is_refused(tmp_path: Path) -> None:
    path = job(tmp_path, "outcome: {synchronization: null, variation: gdp_growth - 8, weight: population}\n")
    with pytest.raises(InputError, match=r"outcome\.variation.*'gdp_growth - 8' is -"):
        engine.run(path, overrides=[f"panel.options.cities={SMALL}"])


def test_a_warning_of_a_cell_names_its_terms_as_the_table_does(tmp_path: Path) -> None:
    """Terms of cells that share a pass are numbered inside it; a lone adopter left out leaves no policy."""
    frame = worlds.panel()
    first = frame.loc[frame["pilot_year"].notna(), "city"].iloc[0]
    frame["pilot_year"] = np.where(frame["city"] == first, 2012.0, np.nan)
    path = worlds.write(tmp_path, frame, worlds.job_of(frame, sweep={"treatment.shift": [0, -1]}))
    said = [text for text in engine.run(path).manifest["warnings"] if "jackknife" in text]
    ending = ": jackknife: 1 leave-one-city-out sample does not identify policy"
    assert said == [f"treatment.shift={shift}{ending}" for shift in (0, -1)]

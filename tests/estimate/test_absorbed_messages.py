"""What a reader is told of cells with absorbed effects: the job's own term names, refits that did not converge."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from adopter_panels import BLOCKS, panel
from strategies import city_panel, run_panel

from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate import absorbed_fit

ABSORBED = {"fixed_effects": ["pair", "year", "province x year"], "errors": ["pair", "dyadic", "jackknife"]}


def everything(found: Any) -> str:
    """All text that a user may meet in the results."""
    return json.dumps(found.manifest) + "".join(frame.to_csv() for frame in found.frames.values())


def test_notes_name_terms_as_the_job_does() -> None:
    """One adopter: its refit does not identify the treatment, and the warning says so by the treatment's name."""
    blocks = {**BLOCKS, "model": ABSORBED, "treatment": {**BLOCKS["treatment"], "name": "pilot"}}
    found = run_panel(panel({0: 2013}), **blocks)
    warned = [text for text in found.manifest["warnings"] if "does not identify" in text]
    assert [text.rpartition(" identify ")[2] for text in warned] == ["pilot"]
    assert set(found.estimates["term"]) == {"edu", "pilot"}
    text = everything(found)
    assert "\x1f" not in text
    assert "\\u001f" not in text
    assert "0|" not in text


def test_event_years_and_errors_too() -> None:
    model = {**ABSORBED, "estimator": "event_study", "window": [-2, 2], "errors": ["pair", "dyadic"]}
    found = run_panel(panel({0: 2013, 1: 2014, 2: 2015}), **{**BLOCKS, "model": model})
    assert {"policy[-2]", "policy[+0]"} & set(found.estimates["term"])
    assert "\x1f" not in everything(found)
    effects = {**ABSORBED, "fixed_effects": ["pair", "year", "city x year"]}
    with pytest.raises(InputError) as caught:
        run_panel(panel({0: 2013, 1: 2014}), **{**BLOCKS, "model": effects})
    assert "'policy'" in str(caught.value)
    assert "\x1f" not in str(caught.value)


def test_refits_that_do_not_converge_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refit that stops before the tolerance is counted, and the jackknife error says so in the manifest."""
    absorb, calls = absorbed_fit._absorbed, []

    def impatient(problem: Any, singletons: str, threads: int | None = None) -> Any:
        done = absorb(problem, singletons, threads)
        calls.append(singletons)
        if singletons == "keep" and calls.count("keep") % 4 == 0:  # every fourth refit
            return dataclasses.replace(done, converged=False)
        return done

    monkeypatch.setattr(absorbed_fit, "_absorbed", impatient)
    found = run_panel(panel({0: 2013, 1: 2014, 2: 2015, 3: 2014}), **{**BLOCKS, "model": ABSORBED})
    assert calls.count("keep") == 12
    warned = [text for text in found.manifest["warnings"] if "did not converge" in text]
    assert warned == ["small: jackknife: 3 leave-one-city-out samples did not converge to the tolerance"]


def test_converged_refits_say_nothing() -> None:
    found = run_panel(panel({0: 2013, 1: 2014, 2: 2015, 3: 2014}), **{**BLOCKS, "model": ABSORBED})
    assert not any("converge" in text for text in found.manifest["warnings"])


# -- groups of cities by a label ---------------------------------------------------------------------------


GROUPED = {
    "jackknife": {"jackknife": {"by": "province"}},
    "strata": {"permutation": {"reps": 10, "strata": ["province"]}},
    "strata by size": {"permutation": {"reps": 10, "strata": ["province:2"]}},
}


@pytest.mark.parametrize("missing", ["", "  ", None])
@pytest.mark.parametrize("name", GROUPED)
def test_a_city_without_a_label_is_in_no_group_but_named(name: str, missing: str | None) -> None:
    frame = city_panel(1)
    number = frame["city"].str[-2:].astype(int)
    frame["province"] = np.where(name == "strata by size", number.astype(str), "p" + (number % 3).astype(str))
    frame.loc[number.isin([3, 5]), "province"] = missing
    with pytest.raises(InputError, match="province"):
        run_panel(frame, inference=GROUPED[name])


@pytest.mark.parametrize("labels", [("a", "", "b"), ("a", " ", "b")])
def test_labels_that_reach_the_groups_are_checked_again(labels: tuple[str, ...]) -> None:
    from engine.stages.groups import group_codes, labels_of
    from engine.stages.inference_checks import strata_codes

    panel_of = CityPanel(("x", "y", "z"), (2010,), {}, labels={"province": labels})
    data: Any = SimpleNamespace(panel=panel_of, source=SimpleNamespace(name="p.csv"))
    for ask in (
        lambda: labels_of(data, "province", key="k"),
        lambda: group_codes(data, "province", key="k"),
        lambda: strata_codes(data, ["province"]),
    ):
        with pytest.raises(InputError, match=r"1 of 3 cities have no 'province', which .* needs: y"):
            ask()


def test_size_classes_of_numbers_that_are_none_are_refused() -> None:
    """`nan` is a number to Python, and would be the largest of all."""
    from engine.stages.inference_checks import strata_codes

    panel_of = CityPanel(("x", "y"), (2010,), {}, labels={"size": ("1", "nan")})
    data: Any = SimpleNamespace(panel=panel_of, source=SimpleNamespace(name="p.csv"))
    with pytest.raises(InputError, match="needs a number column"):
        strata_codes(data, ["size:2"])

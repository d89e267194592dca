"""Every key of the schema has a condition; where that fails the key is refused by name, where it holds it is taken."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from engine.errors import InputError
from engine.spec import expand, load_job, schema
from engine.spec.applicability import ALWAYS, TABLE_OF_KEYS, condition_of
from engine.spec.keys import every_path

PATHS = sorted(every_path())

BASE: dict[str, Any] = {
    "job": "small",
    "outcome": {"synchronization": "gdp"},
    "panel": {"source": "cities.csv"},
    "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
    "pairs": {"exclude": "both_treated"},
    "controls": {"edu": {"neg_abs_diff": "education"}},
}
TABLE: dict[str, Any] = {
    "job": "small",
    "pair_table": {"source": "trade.csv", "unit_i": "a", "unit_j": "b", "year": "t"},
    "outcome": {"column": "y"},
    "model": {"regressors": ["x"]},
}
GRAVITY = {"exclude": "both_treated", "gravity": {"mass": ["gdp"]}}
IV = {"instrument": {"neg_abs_diff": "roads"}, "model": {"estimator": "iv"}}

# Jobs of every kind; a key is added to each.
JOBS: dict[str, dict[str, Any]] = {
    "panel": BASE,
    "builtin": BASE | {"panel": {"source": "builtin:china_demo"}},
    "variation": BASE | {"outcome": {"variation": "gdp", "weight": "people"}},
    "event study": BASE | {"model": {"estimator": "event_study"}},
    "cohorts": BASE | {"controls": {}, "model": {"estimator": "callaway_santanna"}},
    "local projections": BASE | {"controls": {}, "model": {"estimator": "local_projection"}},
    "instrument": BASE | IV,
    "finer effects": BASE | {"model": {"fixed_effects": ["pair", "year", "province x year"]}},
    "no treatment": BASE | {"model": {"treatment": False}},
    "screen": BASE | {"pairs": GRAVITY},
    "clip": BASE | {"outcome": {"synchronization": "gdp", "infinite": "clip"}},
    "matched": BASE | {"matching": {"unit": "pair"}},
    "matched once": BASE | {"matching": {"unit": "pooled", "replacement": False}},
    "permuted": BASE | {"pairs": GRAVITY, "inference": {"permutation": {"reps": 9}}},
    "node": BASE | {"inference": {"bootstrap": {"kind": "node"}}},
    "wild": BASE | {"inference": {"bootstrap": {"kind": "wild"}}},
    "pair table": TABLE,
    "pair table, poisson": TABLE | {"model": {"regressors": ["x"], "estimator": "poisson"}},
    "pair table, poisson, pair errors": TABLE
    | {"model": {"regressors": ["x"], "estimator": "poisson", "errors": ["pair"]}},
    "pair table, no pair effects": TABLE | {"model": {"regressors": ["x"], "fixed_effects": ["year"]}},
    "pair table, treated": TABLE | {"treatment": {"adoption": "signed"}},
    "pair table, treated, wild": TABLE
    | {"treatment": {"adoption": "signed"}, "inference": {"bootstrap": {"kind": "wild"}}},
    "pair table, units": TABLE
    | {
        "treatment": {"unit_adoption": ["joined_a", "joined_b"], "rule": "either"},
        "inference": {"permutation": {"reps": 9}},
    },
    "pair table, event study": TABLE
    | {"treatment": {"status": "rta"}, "model": {"estimator": "event_study"}},
    "pair table, wild": TABLE | {"inference": {"bootstrap": {"kind": "wild"}}},
}

# A value for every key that is no block, with what must stand beside it.
VALUES: dict[str, tuple[Any, dict[str, Any]]] = {
    "title": ("T", {}),
    "panel.sheet": ("one", {}),
    "panel.encoding": ("gb18030", {}),
    "panel.header": (2, {}),
    "panel.skip_rows": ([3], {}),
    "panel.missing": ({"gdp": [-999]}, {}),
    "panel.merge_names": (["case"], {}),
    "panel.decimal": ("comma", {}),
    "panel.fill_down": (["city"], {}),
    "panel.recode": ({"tier": {"省会": 3}}, {}),
    "panel.options": ({"seed": 3}, {}),
    "panel.balance": ("keep", {}),
    "panel.columns": ({"gdp": "GDP"}, {}),
    "panel.deflate": ({"columns": ["gdp"], "base_year": 2010, "price_index": "p"}, {}),
    "panel.fill": ({"max_gap": 2}, {}),
    "panel.join": ([{"source": "more.csv"}], {}),
    "panel.links": ({"source": "links.csv"}, {"model": {"errors": ["network:1:uniform"]}}),
    "years": ([2010, 2014], {}),
    "index": ({"wealth": {"entropy": ["a", "b"]}}, {}),
    "outcome.window": ("pre", {}),
    "outcome.infinite": ("error", {}),
    "outcome.clip": (0.001, {}),
    "pairs": ({"exclude": "both_treated"}, {}),
    "treatment": ({"adoption": "pilot_year", "rule": "exactly_one"}, {}),
    "treatment.status": ("did", {"treatment": {"adoption": None, "unit_adoption": None}}),
    "treatment.unit_adoption": (["a1", "b1"], {"treatment": {"adoption": None, "status": None, "rule": "either"}}),
    "treatment.month": ("m", {"treatment": {"cutoff": 6}}),
    "treatment.shift": (-3, {}),
    "treatment.drop_treated": (True, {"treatment": {"shift": -3}}),
    "treatment.around": (3, {}),
    "treatment.name": ("pilot", {}),
    "controls": ({"edu": {"neg_abs_diff": "education"}}, {}),
    "instrument": ({"neg_abs_diff": "roads"}, {}),
    "matching": ({"unit": "pair"}, {}),
    "matching.covariates": (["edu"], {"matching": {"unit": "pair"}}),
    "matching.year": ("first", {}),
    "matching.caliper": (0.2, {"matching": {"unit": "pair"}}),
    "matching.common_support": (False, {"matching": {"unit": "pair"}}),
    "matching.seed": (3, {}),
    "model.lag": (1, {}),
    "model.treatment": (True, {}),
    "model.controls": (["edu"], {}),
    "model.regressors": (["x", "z"], {}),
    "model.by_year": ([], {}),
    "model.errors": (["pair"], {}),
    "model.leave_outs": ("refits", {}),
    "model.base": (-2, {}),
    "model.window": ([-4, 2], {}),
    "model.offset": ("log(people)", {}),
    "model.ends": ("drop", {}),
    "model.options": ({"control": "not_yet"}, {}),
    "model.options.control": ("not_yet", {}),
    "model.options.base_period": ("universal", {}),
    "model.options.anticipation": (1, {}),
    "model.options.weights": ("equal", {}),
    "model.options.cohorts": ("cities", {}),
    "model.diagnostics": (["effect_weights"], {}),
    "model.confidence": (0.9, {}),
    "inference.permutation": ({"reps": 9}, {}),
    "inference.permutation.seed": (3, {}),
    "inference.permutation.strata": (["province"], {}),
    "inference.permutation.terms": (["policy"], {}),
    "inference.permutation.screen": ("fixed", {}),
    "inference.bootstrap.seed": (3, {}),
    "inference.bootstrap.weights": ("webb", {}),
    "inference.bootstrap.interval": ("basic", {}),
    "inference.jackknife": ({"by": "city"}, {}),
    "inference.score_correlations": ({"bins": 5}, {}),
    "inference.honest": ({"sizes": [1]}, {}),
    "table": ({"digits": 3}, {}),
    "table.labels": ({"policy": "Pilot"}, {}),
    "table.keep": (["policy"], {}),
    "table.drop": (["^edu"], {}),
    "table.order": (["edu"], {}),
    "table.digits": (2, {}),
    "table.stars": ("none", {}),
    "table.errors": (["pair"], {}),
    "table.notes": (["A note."], {}),
    "table.columns": (["Main"], {}),
    "figures": ({"title": False}, {}),
    "figures.format": (["svg"], {}),
    "figures.width": (12, {}),
    "figures.font": ("DejaVu Sans", {}),
    "figures.title": (False, {}),
    "lang": ("zh", {}),
    "runtime.memory": ("1GB", {}),
    "runtime.tile": (16, {}),
}  # fmt: skip


REFUSED_OF_MEANS = ("controls", "model.controls", "model.lag", "matching")
REFUSED = {
    "cohorts": REFUSED_OF_MEANS,
    "local projections": (*REFUSED_OF_MEANS, "treatment.around", "treatment.drop_treated"),
}
"""Keys that estimators of means refuse, see `test_callaway_jobs` and `test_clean_comparisons`."""


BESIDE_ANOTHER = {
    ("pair table, units", "treatment.status"),
    ("pair table, event study", "treatment.month"),
}
"""Keys that another of their block contradicts, whatever the job."""


def _tried(path: str, kind: str) -> bool:
    """Whether the key can stand in the job: its block is there, and its kind of data."""
    job, parts = JOBS[kind], path.split(".")
    if parts[0] == "inference" and len(parts) == 3:
        return parts[1] in job.get("inference", {})
    if path.startswith(REFUSED.get(kind, ())):
        return False
    if parts[0] == "matching" and len(parts) == 2 and not VALUES[path][1]:
        return "matching" in job
    if path.startswith("model.options."):
        return kind in REFUSED
    if "pair_table" not in job:
        return True
    if parts[0] == "treatment":  # what stands beside a rule, and under it, is of a panel
        return "treatment" in job and len(parts) == 2 and (kind, path) not in BESIDE_ANOTHER
    return (parts[0] not in ("panel", "matching") or len(parts) == 1) and not (
        path == "model.lag" and "treatment" in job
    )


CASES = [(path, kind) for path in VALUES for kind in JOBS if _tried(path, kind)]


def test_every_key_has_a_condition() -> None:
    blocks = {path.rpartition(".")[0] for path in PATHS}
    assert [path for path in PATHS if condition_of(path) is None and path not in blocks] == []


def test_the_table_has_no_other_keys() -> None:
    assert [path for path in TABLE_OF_KEYS if path not in PATHS] == []


def test_a_block_whose_keys_differ_has_them_all() -> None:
    """A new key of such a block must be given its own condition."""
    parents = {path.rpartition(".")[0] for path in TABLE_OF_KEYS if "." in path}
    siblings = [path for path in PATHS if path.rpartition(".")[0] in parents and "." in path]
    within = [path for path in siblings if not any(path.startswith(f"{key}.") for key in ("panel.deflate",))]
    blocks = {path.rpartition(".")[0] for path in PATHS}
    assert [path for path in within if path not in TABLE_OF_KEYS and path not in blocks] == []


def merged(job: dict[str, Any], path: str, value: Any, beside: dict[str, Any]) -> dict[str, Any]:
    """The job with a key set, blocks merged one level deep."""
    out = {key: dict(block) if isinstance(block, dict) else block for key, block in job.items()}
    for key, block in beside.items():
        out[key] = {**out.get(key, {}), **block}
    *above, last = path.split(".")
    block = out
    for part in above:
        block[part] = dict(block.get(part) or {})
        block = block[part]
    block[last] = value
    return out


@pytest.mark.parametrize(("path", "kind"), CASES)
def test_a_key_is_taken_or_refused_by_name(path: str, kind: str, write: Any) -> None:
    value, beside = VALUES[path]
    job = merged(JOBS[kind], path, value, beside)
    condition = condition_of(path)
    assert condition is not None
    loaded = load_job(write(yaml.safe_dump(job)))
    if condition.holds(loaded.job):
        [cell] = expand(loaded).cells
        read: Any = cell.job
        for part in path.split("."):
            read = getattr(read, part)
        assert read is not None
    else:
        with pytest.raises(InputError, match="has no meaning in this job: it is for ") as caught:
            expand(loaded)
        assert path in str(caught.value)
        assert caught.value.remedy


def test_every_plain_key_is_tried() -> None:
    """Required keys, and those below a block that is refused or taken whole, are not."""
    required = {"job", "sweep", "cases", "panel", "pair_table", "outcome", "model", "inference", "runtime"}
    required |= {
        "panel.source",
        "matching.unit",
        "matching.replacement",
        "model.estimator",
        "model.fixed_effects",
        "model.options",
    }
    required |= {f"outcome.{key}" for key in ("synchronization", "variation", "weight", "column")}
    required |= {f"treatment.{key}" for key in ("adoption", "rule", "cutoff")}
    required |= {f"inference.bootstrap{key}" for key in ("", ".kind", ".reps")} | {
        "inference.permutation.reps"
    }
    below = (
        "panel.deflate.",
        "panel.fill.",
        "panel.join.",
        "panel.links.",
        "pair_table.",
        "index.",
        "pairs.",
        "controls.",
    )
    below += ("instrument.", "inference.jackknife.", "inference.score_correlations.", "inference.honest.")
    left = [path for path in PATHS if path not in VALUES and path not in required]
    assert [path for path in left if not path.startswith(below)] == []


def test_all_are_told_at_once(write: Any, pair_table: str) -> None:
    text = pair_table.replace("[rta]", "[rta], controls: [x], treatment: false, window: [-4, 2]")
    path = write(f"{text}treatment: {{adoption: y, rule: both}}\n")
    with pytest.raises(InputError) as caught:
        expand(load_job(path))
    assert str(caught.value).splitlines()[:5] == [
        f"{path}: 4 problems",
        f"  {path}: model.controls: has no meaning in this job: it is for city panels (panel)",
        f"  {path}: model.treatment: has no meaning in this job: it is for city panels (panel)",
        f"  {path}: model.window: has no meaning in this job: it is for estimators event_study, sun_abraham, "
        "extended_twfe, imputation, stacked, local_projection and de_chaisemartin",
        f"  {path}: treatment.rule: has no meaning in this job: it is for city panels, and pair tables with "
        "treatment.unit_adoption",
    ]
    assert "model.regressors" in str(caught.value.remedy)


def test_a_key_needs_a_meaning_in_one_cell_that_sets_it(write: Any, minimal: str) -> None:
    text = minimal + "pairs: {exclude: both_treated}\nmodel: {window: [-3, 2]}\n"
    swept = "sweep: {model.estimator: [twfe, event_study]}"
    assert len(expand(load_job(write(text + swept))).cells) == 2
    with pytest.raises(InputError, match=r"model\.window: has no meaning"):
        expand(load_job(write(text)))
    two = "cases: {a: {model.estimator: event_study}, b: {outcome: {synchronization: null, variation: gdp, weight: p}}}"
    with pytest.raises(InputError, match=r"cell 'b': outcome\.clip: has no meaning"):
        expand(load_job(write(text + two.replace("weight: p", "weight: p, clip: 0.1"))))


def test_inherited_keys_are_named_with_their_file_and_null_takes_them_out(write: Any, minimal: str) -> None:
    events = "pairs: {exclude: both_treated}\nmodel: {estimator: event_study, window: [-3, 2]}"
    base = write(minimal + events, "base.yaml")
    child = "{job: c, extends: base.yaml, model: {estimator: twfe}}"
    with pytest.raises(InputError, match="set it to null") as caught:
        expand(load_job(write(child, "child.yaml")))
    assert str(caught.value).startswith(f"{base}: model.window: ")
    expand(load_job(write(child.replace("twfe", "twfe, window: null"), "child.yaml")))
    with pytest.raises(InputError, match=r"base\.yaml: model\.window"):
        expand(load_job(base, overrides=["model.estimator=twfe"]))
    expand(load_job(base, overrides=["model.estimator=twfe", "model.window=null"]))


def test_a_swept_key_without_meaning(write: Any, minimal: str) -> None:
    with pytest.raises(InputError, match=r"job\.yaml: sweep\.model\.base: has no meaning"):
        expand(load_job(write(minimal + "sweep: {model.base: [-1, -2]}")))
    both = minimal + "pairs: {exclude: both_treated}\n"
    both += "sweep: {model.estimator: [twfe, event_study], model.base: [-1, -2]}"
    with pytest.raises(InputError, match="are the same regression: what they differ in has no meaning"):
        expand(load_job(write(both)))


def test_the_schema_says_for_which_jobs() -> None:
    model = schema()["$defs"]["Model"]["properties"]
    comparing = "estimators callaway_santanna, stacked, local_projection and de_chaisemartin"
    assert model["options"]["x-applies-to"] == comparing
    assert model["window"]["x-applies-to"] == (
        "estimators event_study, sun_abraham, extended_twfe, imputation, stacked, local_projection and de_chaisemartin"
    )
    assert model["window"]["description"].endswith(
        "; for estimators event_study, sun_abraham, extended_twfe, imputation, stacked, local_projection and "
        "de_chaisemartin"
    )
    assert "x-applies-to" not in model["errors"]
    found = yaml.safe_dump(schema(), width=10_000)
    texts = {condition.text for condition in TABLE_OF_KEYS.values() if condition is not ALWAYS}
    assert [text for text in texts if text not in found] == []


@pytest.mark.parametrize("key", ["score_correlations", "honest", "permutation"])
def test_a_block_of_defaults_is_a_block(write: Any, pair_table: str, key: str) -> None:
    """``{}`` makes one, which a table of pairs cannot use; null makes none."""
    with pytest.raises(InputError, match=rf"inference\.{key}"):
        expand(load_job(write(f"{pair_table}inference: {{{key}: {{}}}}\n")))
    expand(load_job(write(f"{pair_table}inference: {{{key}: null}}\n")))

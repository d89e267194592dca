"""Effects by cohort and year, behind the averages of an estimator that compares cohorts: a file, no table."""

from __future__ import annotations

from engine.report.outputs.output import Output, StoredFrame

_FRAME = StoredFrame(
    "group_time",
    text=("job", "cell", "errors"),
    numbers=("cohort", "year", "estimate", "std_error", "dof", "conf_low", "conf_high", "n_pairs"),
)
GROUP_TIME_COLUMNS = (*_FRAME.text, *_FRAME.numbers)

GROUP_TIME_EFFECTS = Output(reads=(_FRAME.name,), stores=_FRAME)

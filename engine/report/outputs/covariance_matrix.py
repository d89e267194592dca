"""Covariances of the coefficients, for whoever tests combinations of them: a file, no table."""

from __future__ import annotations

from engine.report.outputs.output import Output, StoredFrame

_FRAME = StoredFrame("covariance", text=("job", "cell", "errors", "term", "other"), numbers=("covariance",))
COVARIANCE_COLUMNS = (*_FRAME.text, *_FRAME.numbers)

COVARIANCE_MATRIX = Output(reads=(_FRAME.name,), stores=_FRAME)

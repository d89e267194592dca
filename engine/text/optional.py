"""Libraries that only policy texts need, imported when they are needed."""

from __future__ import annotations

import warnings
from importlib import import_module
from types import ModuleType

from engine.errors import InputError


def library(name: str) -> ModuleType:
    """The module of an optional library; raises InputError, saying how to install it, where it is absent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # jieba uses pkg_resources and old escapes, which no user can mend
            return import_module(name)
    except ImportError:
        raise InputError(
            f"policy texts need {name}, which is not installed",
            where="policy-text",
            remedy="pip install 'dyadid[text]'",
        ) from None

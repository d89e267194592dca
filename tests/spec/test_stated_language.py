"""The language of the messages about a job, whatever else of the job is wrong."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from engine.errors import InputError
from engine.spec import load_job
from engine.spec.load import stated_lang
from engine.spec.strict_yaml import MAX_BYTES


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("job: a\n", "en"),
        ("job: a\nlang: zh\n", "zh"),
        ("job: a\nlang: 'zh'\njob: b\n", "zh"),
        ("lang: zh\njob: [\n", "zh"),
        ("lang\uff1azh\njob: a\n", "zh"),
        ("- job: a\n  lang: zh\n", "zh"),
        ("# jobs\n\n- lang: zh\n- job: a\n", "zh"),
        ("job: a\ntitle: 'the\n  lang: zh\n", "en"),
        ("job: a\nlang: en # lang: zh\nyears: [\n", "en"),
        # no language, but one that was meant
        ("job: a\nlang: ch\n", "zh"),
        ("job: a\nlang: zh-CN\n", "zh"),
        ("job: a\nlang: Chinese\n", "zh"),
        ("job: a\nlang: \u4e2d\u6587\n", "zh"),
        ("job: a\nlang: fr\n", "fr"),
        ("job: a\nlang:\n", "en"),
    ],
)
def test_lang_of_a_file(text: str, lang: str, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(text, encoding="utf-8")
    assert stated_lang(job) == lang


@pytest.mark.parametrize(
    ("override", "lang"),
    [
        ("lang=zh", "zh"),
        (" lang = zh ", "zh"),
        ("lang='zh'", "zh"),
        ('lang="zh"', "zh"),  # as `job.set` writes it
        ("lang=", "en"),
        ("model.lag=1", "en"),
    ],
)
def test_an_override_goes_before_the_file(override: str, lang: str, tmp_path: Path) -> None:
    assert stated_lang(tmp_path / "nothing.yaml", [override]) == lang
    assert stated_lang({"job": "a"}, [override, "years=5"]) == lang


def test_a_pipe_is_refused_and_never_read(tmp_path: Path) -> None:
    pipe = tmp_path / "job.yaml"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="a pipe or a device, not a job file"):
        load_job(pipe)
    assert stated_lang(pipe) == "en"


def test_of_a_large_file_no_more_is_read_than_a_job_may_have(tmp_path: Path) -> None:
    large = tmp_path / "job.yaml"
    large.write_bytes(b"lang: zh\n" + b"# 1,2,3\n" * 4_000_000)
    tracemalloc.start()
    try:
        assert stated_lang(large) == "zh"
        assert tracemalloc.get_traced_memory()[1] < 10 * MAX_BYTES
    finally:
        tracemalloc.stop()

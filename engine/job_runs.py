"""Runs of several jobs by the command: one after the other, each with its progress and results, then their page."""

from __future__ import annotations

import inspect
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from engine import interrupts, terminal
from engine.errors import InputError
from engine.outcomes import Outcomes
from engine.runtime.schedule import Schedule

if TYPE_CHECKING:
    from engine.pipeline import Results
    from engine.spec.cluster import Profile

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class RunOptions:
    """Jobs of one call of `run`, and the options that decide what it writes.

    ``expected`` are the seconds that each job will take, as `checked` finds them; none before.
    """

    paths: list[Path]
    out: Path
    store: str | None
    fresh: bool
    overrides: list[str]
    lang: str | None
    cluster: Path | None
    profile: Path | None
    expected: Sequence[float] = ()

    def checked(self) -> RunOptions:
        """The same with the seconds of each job; raises InputError for anything wrong, before the first has run.

        A job that the folder holds finished takes none.
        """
        from engine import pipeline
        from engine.stages.finished_runs import is_finished, request_key
        from engine.stages.run_time import stage_seconds

        expected = []
        overrides = with_lang(self.overrides, self.lang)
        for path in self.paths:
            plan, prepared = pipeline.check(path, overrides=overrides)
            folder = self.out / plan.loaded.job.job
            is_reused = not self.fresh and is_finished(folder, request_key(plan, prepared))
            expected.append(0.0 if is_reused else stage_seconds(prepared))
        return replace(self, expected=expected)

    def arguments(self) -> list[str]:
        """Arguments of the same call for the driver's job, which starts in this folder."""
        named = {
            "--out": self.out,
            "--cluster": self.cluster,
            "--store": self.store,
            "--profile": self.profile,
            "--lang": self.lang,
        }
        options = [text for name, value in named.items() if value is not None for text in (name, str(value))]
        sets = [text for override in self.overrides for text in ("--set", override)]
        return [
            *options,
            *(["--fresh"] if self.fresh else []),
            *sets,
            "--",
            *map(str, self.paths),
        ]  # of any name


def of_jobs(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Decorates a command on jobs: it sets no key twice, and its errors come in the language of the jobs.

    The arguments are ``jobs`` or ``job``, ``overrides``, and ``lang``, which goes before what the jobs say.
    """

    @wraps(command)
    def worded(*args: Arguments.args, **keywords: Arguments.kwargs) -> None:
        from engine.stages.error_language import lang_of_jobs

        options = inspect.signature(command).bind(*args, **keywords).arguments
        paths = options["jobs"] if "jobs" in options else [options["job"]]
        overrides = options.get("overrides") or []
        with spoken_in(lambda: options.get("lang") or lang_of_jobs(paths, overrides)):
            each_once(overrides)
            command(*args, **keywords)

    return worded


@contextmanager
def spoken_in(lang: Callable[[], str]) -> Iterator[None]:
    """A boundary around a command: its errors, and the message after Ctrl-C, are in the language of a function."""
    from engine.report.language.wording import known_words
    from engine.stages.error_language import errors_in

    try:
        with errors_in(lang):
            yield
    except KeyboardInterrupt:
        interrupts.answer_in(known_words(lang()))
        raise


def each_once(overrides: Sequence[str]) -> None:
    """Raises InputError for a key that the command line sets twice."""
    keys = [text.partition("=")[0].strip() for text in overrides]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError("is given twice", where=f"--set {key}", remedy="keep one of the two")


def with_lang(overrides: Sequence[str] | None, lang: str | None) -> list[str]:
    """The keys that the command line sets, with the language of ``--lang``, which goes before the job's own.

    Raises InputError for a language that is not there.
    """
    if lang is None:
        return [*(overrides or [])]
    from engine.report.language.wording import words_of

    return [*(overrides or []), f"lang={words_of(lang).lang}"]


def run_jobs(options: RunOptions, workplace: Profile | None) -> None:
    """Run each job, show its results, then write the page of all."""
    from engine import pipeline
    from engine.report.language.wording import known_words, lang_of, shared_words, words_of
    from engine.stages.error_language import lang_of_jobs, words_of_job

    outcomes, langs, schedule = Outcomes(options.out), [], Schedule()
    with pipeline.opened(workplace, out=options.out, performance=options.profile) as opened:
        of_all = known_words(options.lang or lang_of_jobs(options.paths, options.overrides))
        opener = terminal.announced(opened, of_all)
        for number, path in enumerate(options.paths, start=1):
            start, later = time.perf_counter(), sum(options.expected[number:])
            with outcomes.of(path):
                words = words_of_job(path, options.overrides, options.lang)
                with terminal.progress_shown(later, schedule, words) as progress:
                    results = pipeline.run(
                        path,
                        out=options.out,
                        store=options.store,
                        fresh=options.fresh,
                        overrides=options.overrides,
                        progress=progress,
                        lang=options.lang,
                        opener=opener,
                    )
                langs.append(lang_of(results.manifest))
                show(results, time.perf_counter() - start)
                outcomes.undrawn(results)
    if outcomes.any_done:
        with outcomes.of(options.out / "report.html"):
            page = pipeline.report(options.out, draw=False, lang=options.lang, notice=outcomes.page_notice)
            words = words_of(options.lang) if options.lang else shared_words(langs)
            terminal.out.print(words("report: {page}", page=page))
    outcomes.end()


def submit_jobs(options: RunOptions, workplace: Profile | None) -> None:
    """Send the run itself to the queue of a cluster, and say how to follow it."""
    from engine.report.language.wording import known_words
    from engine.stages.error_language import lang_of_jobs
    from engine.stages.submit import submit_run

    words = known_words(options.lang or lang_of_jobs(options.paths, options.overrides))
    sent = submit_run(workplace, options.arguments(), options.out, words.lang)
    form = "submitted as {kind} job {id}: `dyadid status {out}` and `dyadid logs {out}` follow it"
    terminal.out.print(words(form, kind=sent.kind, id=sent.job_id, out=options.out), markup=False)


def show(results: Results, seconds: float) -> None:
    """Warnings, table, the result in few sentences and a line on what a job did; equal warnings are counted."""
    from engine.notes import Note
    from engine.report.language.stored_notes import sentences
    from engine.report.language.wording import job_words
    from engine.report.outputs.output import JobReport
    from engine.report.outputs.registry import report_headlines

    words = job_words(results.manifest)
    by_note: dict[str, list[str]] = {}
    texts = sentences(results.manifest, "warning", words)
    for code, text in zip(results.manifest["warning_codes"], texts, strict=True):
        note = code["values"]["note"] if code["code"] == "of_cell" else code
        by_note.setdefault(repr(note), []).append(text)
    for same_texts in by_note.values():
        text, n_further = same_texts[0], len(same_texts) - 1
        of_cells = Note.of("warning_of_cells", text=text, count=n_further)
        terminal.err.print(words.note(Note.of("warning_line", text=of_cells if n_further else text)))
    table = results.folder / "table.txt" if results.folder else None
    if table:
        terminal.out.print(table.read_text(encoding="utf-8"))
    for sentence in report_headlines(JobReport(results.frames, results.manifest, words)):
        terminal.out.print(sentence)
    place = str(results.folder)
    ended = (
        Note.of("run_reused", job=results.job, seconds=seconds, folder=place)
        if results.reused
        else Note.of("run_written", job=results.job, seconds=seconds, folder=place)
    )
    terminal.out.print(words.note(ended))


def found_jobs(jobs: list[Path], overrides: list[str] | None, lang: str | None = None) -> list[Path]:
    """Job files of the arguments; two of one name would write into one folder."""
    from engine.spec import find_jobs, load_job
    from engine.stages.error_language import worded_errors

    names: dict[str, Path] = {}
    paths = find_jobs(jobs)
    for path in paths if len(paths) > 1 else []:
        with worded_errors(path, overrides or [], lang):
            name = load_job(path, overrides=overrides or []).job.job
        folder = unicodedata.normalize("NFKC", name).casefold()  # what macOS and Windows take for one name
        if folder in names:
            raise InputError(
                f"{names[folder]} and {path} are both called '{name}', so they would write into one folder",
                where="job",
                remedy="give each job its own name",
            )
        names[folder] = path
    return paths

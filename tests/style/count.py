"""Count the figures of style that the renovation is held to.

``python tests/style/count.py`` prints a line a figure: today's value and the goal. ``--list vague`` prints the
places that a figure counts, ``--json figures.json`` writes all values to a file. The source is read by `ast`, never
imported; where a figure is a proxy, its counter says how it counts.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import bindings
import closed_sets
import formulas
import import_circles
import sizes
from engine_source import Module, Place, read_engine

Modules = Sequence[Module]


@dataclass(frozen=True)
class Count:
    """A figure's value and the places behind it."""

    value: float
    places: list[Place]


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    title : str
    goal : float or None
        The most that the renovation allows; None for information.
    count : callable
    """

    title: str
    goal: float | None
    count: Callable[[Modules], Count]


def _places(counter: Callable[[Modules], list[Place]]) -> Callable[[Modules], Count]:
    def count(modules: Modules) -> Count:
        places = counter(modules)
        return Count(len(places), places)

    return count


def _share(counter: Callable[[Modules], list[Place]]) -> Callable[[Modules], Count]:
    def count(modules: Modules) -> Count:
        places = counter(modules)
        return Count(round(bindings.share_of_bindings(places, modules), 2), places)

    return count


def _names(counter: Callable[[Modules], dict[str, list[Place]]]) -> Callable[[Modules], Count]:
    def count(modules: Modules) -> Count:
        names = counter(modules)
        return Count(len(names), [place for places in names.values() for place in places])

    return count


def _largest(modules: Modules) -> Count:
    files = sizes.largest_files(modules)
    return Count(files[0].line, files[:20])


def _circles(modules: Modules) -> Count:
    circles = import_circles.import_circles(modules)
    return Count(len(circles), [Place(circle[0], 1, " <-> ".join(circle)) for circle in circles])


def _document(name: str) -> Callable[[Modules], Count]:
    def count(modules: Modules) -> Count:
        return Count(sizes.document_lines(name), [])

    return count


def _known(*words: str) -> Callable[[Modules], Count]:
    return _places(lambda modules: closed_sets.files_that_know(modules, *words))


def _outputs(modules: Modules) -> Count:
    """The output that most files know."""
    counts = [_known(word)(modules) for word in ("contrasts", "curve")]
    return max(counts, key=lambda count: count.value)


FIGURES = {
    "vague": Figure("vague bindings, percent", 4.0, _share(bindings.vague_bindings)),
    "one_letter": Figure("one-letter bindings, percent", None, _share(bindings.one_letter_bindings)),
    "class_names": Figure("class names used twice", 0, _names(sizes.class_names_twice)),
    "file_names": Figure("file names used twice", 4, _names(sizes.file_names_twice)),
    "long_functions": Figure("functions over 40 lines", 8, _places(sizes.long_functions)),
    "parameters": Figure("functions over 7 parameters", 6, _places(sizes.many_parameters)),
    "largest_file": Figure("lines of the largest file", 400, _largest),
    "circles": Figure("import circles", 0, _circles),
    "aliases": Figure("array aliases outside engine/arrays.py", 0, _places(sizes.alias_definitions)),
    "any": Figure("uses of Any", 249, _places(sizes.uses_of_any)),
    "design_checks": Figure("isinstance of panel or table", 5, _places(closed_sets.design_checks)),
    "asserts": Figure("asserts", 10, _places(sizes.asserts)),
    "estimator_tests": Figure(
        "lines that test estimator names outside estimators/", 0, _places(closed_sets.estimator_tests)
    ),
    "what": Figure('docstrings that open with "What"', 0, _places(sizes.docstrings_with_what)),
    "new_estimator": Figure("files that know an estimator (event_study)", 2, _known("event_study")),
    "new_error": Figure("files that know a standard-error type (dyadic)", 2, _known("dyadic")),
    "new_outcome": Figure("files that know an outcome (variation)", 3, _known("variation")),
    "new_output": Figure("files that know an output (contrasts, curve)", 2, _outputs),
    "dyadic": Figure("files with the dyadic formula", 1, _places(formulas.dyadic_formulas)),
    "leave_out": Figure("files with the leave-out covariance", 1, _places(formulas.leave_out_covariances)),
    "factor": Figure("files with the small-sample factor", 1, _places(formulas.small_sample_factors)),
    "palette": Figure("files with a palette", 1, _places(closed_sets.palettes)),
    "error_names": Figure("tables of error names", 1, _places(closed_sets.error_name_tables)),
    "readme": Figure("lines of README.md", 200, _document("README.md")),
    "readme_zh": Figure("lines of README.zh-CN.md", 200, _document("README.zh-CN.md")),
    "untested": Figure(
        "modules without a test file of their name", None, _places(sizes.modules_without_tests)
    ),
}


def show_table(counts: dict[str, Count]) -> str:
    """A line a figure: key, title, value, goal."""
    lines = [f"{'figure':<16}{'counted':<54}{'today':>8}{'goal':>8}"]
    for key, figure in FIGURES.items():
        goal = "-" if figure.goal is None else f"{figure.goal:g}"
        lines.append(f"{key:<16}{figure.title:<54}{counts[key].value:>8g}{goal:>8}")
    return "\n".join(lines)


def show_places(count: Count) -> str:
    """The places of a figure, then the words that are counted most often, where words repeat."""
    lines = [str(place) for place in count.places]
    words = Counter(place.word for place in count.places)
    frequent = ", ".join(f"{word} {n}" for word, n in words.most_common(40) if n > 1)
    return "\n".join([*lines, *([f"most often: {frequent}"] if frequent else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the values to FILE")
    parser.add_argument(
        "--list", choices=FIGURES, metavar="FIGURE", help="print the places that FIGURE counts"
    )
    options = parser.parse_args()
    modules = read_engine()
    if options.list:
        print(show_places(FIGURES[options.list].count(modules)))
        return
    counts = {key: figure.count(modules) for key, figure in FIGURES.items()}
    print(show_table(counts))
    if options.json:
        values = {key: {"value": counts[key].value, "goal": FIGURES[key].goal} for key in FIGURES}
        options.json.write_text(json.dumps(values, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

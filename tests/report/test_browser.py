"""The page in a browser: nothing asked for, nothing complained of, readable on a phone, enough contrast."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import CHROMIUM, browser

import engine
from engine import pipeline

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
PAPER = Path(__file__).parents[2] / "jobs" / "paper"
SMALL = ["panel.options.cities=60", "inference={}"]

# Relative luminance and contrast as WCAG 2 defines them, of every text that is seen, on what is behind it.
CONTRAST = """(() => {
  const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).map(part); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor, a = parse(c)[3]; if (a === undefined || a > 0) return c; }
    return 'rgb(255,255,255)'; };
  document.querySelectorAll('details').forEach(d => d.open = true);
  let worst = 99, seen = 0;
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)); seen++;
  }
  return [worst, seen];
})()"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    for job in ("matching", "table2", "figure1"):
        engine.run(PAPER / f"{job}.yaml", out=out, overrides=SMALL)
    for lang in ("zh", "en"):
        pipeline.report(out, lang=lang).rename(out / f"{lang}.html")
    return out


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(params=["en", "zh"])
def page(request, folder, tab):
    tab.width(1400)
    tab.scheme("light")
    tab.open(folder / f"{request.param}.html")
    return request.param


def test_nothing_is_asked_for_and_nothing_complained_of(page, tab, folder):
    assert tab.requests() == [(folder / f"{page}.html").as_uri()]
    assert tab.complaints() == []
    assert tab.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[page]


def test_a_page_that_asks_would_be_caught(tab, tmp_path):
    """The same two measures on a page that does what ours must not."""
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>')
    tab.open(bad)
    assert "http://127.0.0.1:9/x.png" in tab.requests()
    assert any("no" in text for text in tab.complaints())


def test_figures_headings_and_tables_are_real(page, tab):
    figures = tab.evaluate("[...document.images].map(i => [i.alt.length, i.complete && i.naturalWidth])")
    assert len(figures) == 1 + 2 + 3  # event study, coefficients of two jobs, balance of three samples
    assert min(alternative for alternative, _ in figures) > 40
    assert min(width for _, width in figures) > 500
    levels = tab.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert levels.count(2) == 2 + 3  # contents, results, three jobs
    every = tab.evaluate(
        "[...document.querySelectorAll('table')].map(t => [t.tHead.rows.length, "
        "t.querySelectorAll('th[scope=col]').length, t.querySelectorAll('th[scope=row]').length])"
    )
    assert len(every) > 10
    assert all(head == 1 and columns and rows for head, columns, rows in every)
    broken = tab.evaluate(
        "[...document.querySelectorAll('nav a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert broken == 0


@pytest.mark.parametrize("pixels", [400, 1400])
def test_only_tables_scroll_sideways(page, tab, pixels):
    tab.width(pixels)
    tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= pixels
    wide = (
        "[...document.querySelectorAll('img, p, li, h1, h2, h3')].map(e => e.getBoundingClientRect().right)"
    )
    assert max(tab.evaluate(wide)) <= pixels


def test_the_contents_stay_in_view_on_a_desk(page, tab):
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    top, bottom = tab.evaluate(
        "(r => [r.top, r.bottom])(document.querySelector('nav').getBoundingClientRect())"
    )
    assert top == 0
    assert bottom <= 900  # the height of the window; a longer list scrolls in itself
    tab.width(400)
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).position") == "static"


def test_results_come_first_with_the_intervals_of_every_kind_of_error(page, tab):
    order = tab.evaluate("[...document.querySelectorAll('main h2')].map(h => h.id)")
    assert order == ["results", "job-1-title", "job-2-title", "job-3-title"]
    first = tab.evaluate(
        "[...document.querySelectorAll('main > section[aria-labelledby^=job]')].map(s => "
        "s.querySelector('h3').id)"
    )
    assert first == [f"job-{place}-result" for place in (1, 2, 3)]
    assert tab.evaluate("document.querySelectorAll('dd').length") >= 3
    pictures = tab.evaluate(
        "[...document.querySelectorAll('svg')].map(s => [s.getAttribute('role'), "
        "s.getAttribute('aria-label').length, s.querySelectorAll('circle').length])"
    )
    assert len(pictures) == 3
    assert all(role == "img" and spoken > 100 and types == 5 for role, spoken, types in pictures)
    beyond = tab.evaluate(
        "[...document.querySelectorAll('svg')].flatMap(s => [...s.children].map(e => "
        "e.getBoundingClientRect().right - s.getBoundingClientRect().right))"
    )
    assert max(beyond) <= 0  # no label is cut


def test_on_paper_nothing_is_folded_and_no_heading_is_alone(page, tab):
    tab.media("print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    folded = tab.evaluate(
        "[...document.querySelectorAll('details:not(.source) > :not(summary)')].map(e => "
        "e.getBoundingClientRect().height)"
    )
    assert len(folded) > 5
    assert min(folded) > 0
    alone = tab.evaluate(
        "[...document.querySelectorAll('main h3')].filter(h => { const n = h.nextElementSibling; "
        "return !n || n.getBoundingClientRect().height === 0; }).map(h => h.id)"
    )
    assert alone == []
    tab.media("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(page, tab, scheme):
    tab.scheme(scheme)
    worst, seen = tab.evaluate(CONTRAST)
    assert seen > 500
    assert worst >= 4.5


def test_latex_stands_below_every_printed_table(page, tab):
    sources = tab.evaluate("[...document.querySelectorAll('pre code')].map(c => c.textContent)")
    printed = tab.evaluate("document.querySelectorAll('table.regression').length")
    assert sum(source.count("\\begin{tabular}") for source in sources) == printed
    assert all(source.count("\\begin{table}") == source.count("\\end{table}") for source in sources)

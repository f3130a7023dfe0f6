"""What a comparison says: in words, in a table, as JSON and as a page."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser

import pytest
from PIL import Image
from rich.console import Console

from musegen.evaluate.features import HISTOGRAMS, SCALARS
from musegen.evaluate.page import COLOURS, html_page, pictures
from musegen.evaluate.report import HEADINGS, rows, summary, table, to_dict
from tests.evaluate.sets import alike, apart, scores

VOID = {"meta", "img", "line", "rect"}


class Page(HTMLParser):
    """The tags and the text of a page; every tag must be closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.images: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    pieces = scores(0, 40, 1)
    made = (("Command", "musegen evaluate compare a & b"), ("Versions", "1.2.3"))
    return html_page(
        alike(),
        title="<script>alert('x')</script> & more",
        pictures=pictures(alike(), pieces.__getitem__),
        made=made,
    )


def test_the_summary_says_how_often_they_are_told_apart() -> None:
    lines = summary(apart())
    assert lines[0] == "24 pieces held against 44 real ones, the first 8 bars of each."
    assert "in 100 of 100 pairs (AUC 1.00" in lines[1]
    assert "22 pieces a side" in lines[3]
    assert lines[4].startswith("The classifier leans most on ")


def test_the_table_has_a_row_a_feature() -> None:
    console = Console(width=200, file=io.StringIO())
    console.print(table(apart()))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + len(SCALARS) + len(HISTOGRAMS)
    assert all(heading in lines[0] for heading in HEADINGS)
    density = next(line for line in lines if line.startswith("note_density"))
    assert re.search(r"0\.\d\d \(0\.\d\d\)", density)
    fifths = next(line for line in lines if line.startswith("parallel_fifths"))
    assert "too few" in fifths


def test_what_differs_most_comes_first() -> None:
    leaning = [float(row[-1]) for row in rows(apart())]
    assert leaning == sorted(leaning, reverse=True)
    assert leaning[0] > 0


def test_json_holds_everything_and_no_nan() -> None:
    record = json.loads(json.dumps(to_dict(apart()), allow_nan=False))
    assert record["auc"]["value"] == 1
    assert set(record["auc"]) == {"value", "real", "real_low", "real_high", "low", "high"}
    assert record["generated"] == {"pieces": 24, "skipped": {}}
    assert set(record["features"]) == {*SCALARS, *HISTOGRAMS}
    assert record["features"]["parallel_fifths"]["overlap"]["value"] is None
    assert record["features"]["note_density"]["auc"] == 0
    assert len(record["ranking"]) == 24
    assert record["chosen"]["best"] == record["ranking"][0]["file"]


def test_the_page_is_well_formed_and_needs_nothing_else(page: str) -> None:
    parsed = Page(page)
    assert "http" not in page
    assert not {"script", "link", "iframe", "object"} & set(parsed.tags)
    assert page.count("<img") == 3
    assert "prefers-color-scheme: dark" in page
    assert "url(" not in page


def test_the_page_shows_three_piano_rolls(page: str) -> None:
    for source in Page(page).images:
        head, _, data = source.partition(",")
        assert head == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).width == 1200


def test_what_the_caller_says_is_escaped(page: str) -> None:
    assert "<script>" not in page
    parsed = Page(page)
    assert parsed.text.count("<script>alert('x')</script> & more") == 2  # title and heading
    assert "musegen evaluate compare a & b" in parsed.text


def test_the_page_draws_every_feature_that_both_sets_have(page: str) -> None:
    drawn = sum(
        len(alike().generated.values(name)) > 0 and len(alike().reference.values(name)) > 0
        for name in (*SCALARS, *HISTOGRAMS)
    )
    assert Page(page).tags.count("svg") == drawn > 30
    assert "Of the generated pieces, none." in page


def test_the_charts_tell_the_sets_apart_where_the_style_is_not_read(page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for kind in ("generated", "real"):
        assert all(chart.count(f'<g class="{kind}" fill="{COLOURS[kind]}" fill-opacity=') == 1 for chart in charts)
        assert COLOURS[kind] in page.partition("</style>")[0]
    assert all(re.match(r'<svg viewBox="0 0 (\d+) (\d+)" width="\1" height="\2"', chart) for chart in charts)
    position = next(chart for chart in charts if "position, generated" in chart)
    assert re.findall(r">(\d+)</text>", position)[-2:] == ["20", "23"]  # 22 would run into 23

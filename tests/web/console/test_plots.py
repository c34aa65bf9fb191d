"""Plots and their tables: what is drawn where, and what it is called."""

import re
from xml.etree import ElementTree

import pytest

from was_daemon.health.history.series import SPANS, Chart, Series
from was_daemon.web.console.plots import Plot
from was_daemon.web.console.units import UNITS, axis, in_unit

HOUR = SPANS["hour"]
END = 1_800_000_000


def plot(*series: Series, unit: str = "per second", limit: float | None = None) -> str:
    return Plot(1, Chart("Requests & more", unit, series, limit), HOUR, END).html()


def values(*known: float | None) -> list[float | None]:
    """The values of an hour, of which the last ones are known."""
    return [*[None] * (HOUR.count - len(known)), *known]


def points(html: str, number: int = 1) -> list[list[tuple[float, float]]]:
    """The points of each run of the line with that number."""
    (path,) = re.findall(f'class="line series-{number}" d="(M[^"]*L[^"]*)"', html)[:1]
    return [[tuple(map(float, point.split())) for point in run.split("L")] for run in path[1:].split("M")]  # type: ignore[misc]


def test_a_line_has_a_point_for_each_value_and_a_gap_where_nothing_is_known() -> None:
    runs = points(plot(Series("a", values(10, 5, None, 0, 10))))
    assert [len(run) for run in runs] == [2, 2]
    (first, second), (third, last) = runs
    # 10 is the top, and 0 the bottom; between two intervals there is the same distance.
    assert first[1] == last[1] < second[1] < third[1]
    assert second[1] == pytest.approx((first[1] + third[1]) / 2, abs=0.2)
    assert last[0] - third[0] == pytest.approx(second[0] - first[0], abs=0.2)
    assert third[0] - second[0] == pytest.approx(2 * (second[0] - first[0]), abs=0.2)


def test_the_last_time_below_a_plot_is_not_cut_off() -> None:
    html = plot(Series("a", values(10)))
    width = float(re.findall(r'<svg viewBox="0 0 (\d+) ', html)[0])
    times = re.findall(r'<text x="([\d.]+)" y="\d+" text-anchor="(middle|end)">(\d\d:\d\d)</text>', html)
    assert times
    # Five characters of this size are 30 wide.
    assert all(float(x) + (15 if anchor == "middle" else 0) <= width for x, anchor, _text in times)


def test_a_single_value_is_a_dot() -> None:
    ((begin, end),) = points(plot(Series("a", values(None, 3, None))))
    assert begin == end


@pytest.mark.parametrize("unit", UNITS)
def test_a_plot_without_values_says_so_and_has_an_axis(unit: str) -> None:
    html = plot(Series("a", values()), unit=unit)
    assert "<desc" in html and "Nothing is known yet." in html
    assert 'class="line series-1" d="M0 4H24"' in html
    assert "NaN" not in html and "inf" not in html


def test_it_has_a_title_and_a_description_and_the_same_numbers_as_a_table() -> None:
    html = plot(Series("received", values(1, 2, 3)), Series("sent", values(7, 8.5)))
    figure = ElementTree.fromstring(html.replace("&nbsp;", " "))
    svg = figure.find("svg")
    assert svg is not None and svg.attrib["role"] == "img"
    told = {each.attrib["id"]: each.text for each in svg if "id" in each.attrib}
    assert [*told] == svg.attrib["aria-labelledby"].split()
    assert told["plot-1-title"] == "Requests & more, last hour"
    assert told["plot-1-text"] == "received: 3/s now, 3/s at most; sent: 8.5/s now, 8.5/s at most"
    rows = [[cell.text for cell in row][1:] for row in figure.findall(".//table[@class='summary']/tbody/tr")]
    assert rows == [["3/s", "1/s", "2/s", "3/s"], ["8.5/s", "7/s", "7.75/s", "8.5/s"]]
    (table,) = figure.findall("details//table")
    assert len(table.findall("tbody/tr")) == 12
    assert [cell.text for cell in table.findall("tbody/tr")[-1]][1:] == ["2/s", "7.75/s"]


def test_names_are_text_and_colours_come_from_the_style_sheet() -> None:
    html = plot(Series("<b>&\"'", values(1)))
    assert "<b>" not in html and "&lt;b&gt;" in html
    assert "style=" not in html and "fill=" not in html and "stroke=" not in html
    ElementTree.fromstring(html)


def test_of_many_lines_the_highest_are_shown() -> None:
    series = [Series(f"collection {number}", values(number)) for number in range(20)]
    html = plot(*series, unit="percent", limit=100.0)
    assert "And 12 more" in html
    assert "collection 19<" in html and "collection 12<" in html and "collection 11<" not in html
    # 19 percent are a fifth of the height, since there could be 100.
    ((begin, _),) = points(html, 8)
    assert 95 < begin[1] < 110


@pytest.mark.parametrize(
    ("highest", "unit", "marks"),
    [
        (10, "per second", [0, 2.5, 5, 7.5, 10]),
        (0.0034, "seconds", [0, 0.001, 0.002, 0.003, 0.004]),
        (1, "jobs", [0, 1]),
        (3, "number", [0, 1, 2, 3]),
        (3 << 30, "bytes", [0, 1 << 30, 2 << 30, 3 << 30]),
        (0, "bytes", [0, 1]),
        (100, "percent", [0, 25, 50, 75, 100]),
        (1e12, "per second", [0, 2.5e11, 5e11, 7.5e11, 1e12]),
    ],
)
def test_marks_of_an_axis_are_round(highest: float, unit: str, marks: list[float]) -> None:
    assert axis(highest, unit) == pytest.approx(marks)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "seconds", "–"),
        (0.0042, "seconds", "4.2 ms"),
        (12.5, "seconds", "12.5 s"),
        (1536, "bytes", "1.5 KiB"),
        (0.25, "per second", "0.25/s"),
        (123456, "number", "123,456"),
        (99.44, "percent", "99.4 %"),
    ],
)
def test_numbers_are_written_with_their_unit(value: float | None, unit: str, text: str) -> None:
    assert in_unit(value, unit) == text

"""Plots as SVG, made by the server: lines over time, with a title and a description, and the same numbers as a table.

Colours and dashes come from the style sheet, by the classes `series-1` to `series-8`.
"""

import time
from collections.abc import Iterator, Sequence
from html import escape

import attrs

from was_daemon.health.history.series import Chart, Series, Span
from was_daemon.web.console.units import axis, in_unit

_WIDTH, _HEIGHT = 420, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 8, 24
_MOST_SERIES = 8
_ROWS = 12
"""Rows of the table of values: each has the mean of several intervals."""

_TICKS = {"hour": (600, "%H:%M"), "day": (4 * 3600, "%H:%M"), "week": (24 * 3600, "%a %-d")}
"""Seconds between the marks of the axis of time, and how these are written."""

_COLUMNS = {"Now": "", "Lowest": " lowest", "Mean": "", "Highest": ""}
"""The columns of a summary, with further CSS classes: a phone has no room for all."""

_INTERVALS = {"hour": "minute", "day": "10 minutes", "week": "hour"}


@attrs.frozen
class Plot:
    """A chart over a span that ends at `end`, in Unix seconds."""

    number: int
    chart: Chart
    span: Span
    end: int

    @property
    def begin(self) -> int:
        """The time at which the span begins."""
        return self.end - self.span.seconds

    def html(self) -> str:
        """Return a figure with the plot and its tables."""
        shown, hidden = self._shown()
        title = escape(self.chart.title)
        more = f'<p class="soft">And {hidden} more, whose values are lower.</p>' if hidden else ""
        return f"""<figure class="plot">
<figcaption>{title}{self._per()}</figcaption>
{self._svg(shown)}
{self._summary(shown)}
{more}
<details><summary>Values of {title[0].lower()}{title[1:]} as a table</summary>
<div class="scroll" role="region" aria-label="{title}, values" tabindex="0">
{self._table(shown)}
</div>
</details>
</figure>"""

    def _per(self) -> str:
        return f" <small>per {_INTERVALS[self.span.name]}</small>" if self.chart.unit == "number" else ""

    def _shown(self) -> tuple[Sequence[Series], int]:
        """Return the series with the highest values, in their order, and how many others there are."""
        series = self.chart.series
        if len(series) <= _MOST_SERIES:
            return series, 0
        highest = sorted(series, key=lambda each: max(known(each), default=0.0), reverse=True)[:_MOST_SERIES]
        return [each for each in series if each in highest], len(series) - _MOST_SERIES

    # -- the picture ---------------------------------------------------------------------------------------------------

    def _svg(self, shown: Sequence[Series]) -> str:
        highest = max([self.chart.limit or 0.0, *(value for series in shown for value in known(series))])
        marks = axis(highest, self.chart.unit)
        parts = [*self._rows_of(marks), *self._columns(), *self._lines(shown, marks[-1])]
        name = f"plot-{self.number}"
        return f"""<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{name}-title {name}-text">
<title id="{name}-title">{escape(self.chart.title)}, {self.span.title.lower()}</title>
<desc id="{name}-text">{escape(self._description(shown))}</desc>
{"".join(parts)}
</svg>"""

    def _description(self, shown: Sequence[Series]) -> str:
        if not any(True for series in shown for _ in known(series)):
            return "Nothing is known yet."
        return "; ".join(
            f"{series.name}: {in_unit(newest(series), self.chart.unit)} now, "
            f"{in_unit(max(known(series), default=None), self.chart.unit)} at most"
            for series in shown
        )

    def _rows_of(self, marks: Sequence[float]) -> Iterator[str]:
        for mark in marks:
            y = self._y(mark, marks[-1])
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            label = escape(in_unit(mark, self.chart.unit))
            yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'

    def _columns(self) -> Iterator[str]:
        every, form = _TICKS[self.span.name]
        # Whole hours and days of the server's own time.
        offset = time.localtime(self.end).tm_gmtoff
        first = -(-(self.begin + offset) // every) * every - offset
        for moment in range(first, self.end + 1, every):
            x = self._x((moment - self.begin) / self.span.step)
            yield f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
            text = time.strftime(form, time.localtime(moment))
            # One at the very end would be cut off.
            place, anchor = (x, "middle") if x < _WIDTH - 2 * _RIGHT else (_WIDTH, "end")
            yield f'<text x="{place:.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{text}</text>'

    def _lines(self, shown: Sequence[Series], top: float) -> Iterator[str]:
        for number, series in enumerate(shown, start=1):
            path = []
            for run in runs(series.values):
                points = [f"{self._x(index + 0.5):.1f} {self._y(value, top):.1f}" for index, value in run]
                # A line of no length is drawn as a dot by its round ends.
                path.append(f"M{'L'.join(points if len(points) > 1 else points * 2)}")
            if path:
                yield f'<path class="line series-{number}" d="{"".join(path)}"/>'

    def _x(self, index: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * index / self.span.count

    def _y(self, value: float, top: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top

    # -- the tables ----------------------------------------------------------------------------------------------------

    def _summary(self, shown: Sequence[Series]) -> str:
        heads = "".join(f'<th scope="col" class="number{kind}">{name}</th>' for name, kind in _COLUMNS.items())
        rows = "\n".join(self._summary_row(number, series) for number, series in enumerate(shown, start=1))
        return f"""<div class="scroll">
<table class="summary">
<thead><tr><th scope="col">Line</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>"""

    def _summary_row(self, number: int, series: Series) -> str:
        values = known(series)
        numbers = (newest(series), min(values, default=None), mean(values), max(values, default=None))
        cells = "".join(
            f'<td class="number{kind}">{escape(in_unit(each, self.chart.unit))}</td>'
            for each, kind in zip(numbers, _COLUMNS.values(), strict=True)
        )
        line = f'<path class="line series-{number}" d="M0 4H24"/>'
        swatch = f'<svg class="swatch" viewBox="0 0 24 8" aria-hidden="true">{line}</svg>'
        return f'<tr><th scope="row">{swatch}{escape(series.name)}</th>{cells}</tr>'

    def _table(self, shown: Sequence[Series]) -> str:
        heads = "".join(f'<th scope="col" class="number">{escape(series.name)}</th>' for series in shown)
        size = self.span.count // _ROWS
        rows = "\n".join(self._table_row(shown, start, size) for start in range(0, self.span.count, size))
        return f"""<table>
<thead><tr><th scope="col">From</th>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>"""

    def _table_row(self, shown: Sequence[Series], start: int, size: int) -> str:
        moment = time.strftime("%a %H:%M", time.localtime(self.begin + start * self.span.step))
        means = [
            mean([value for value in series.values[start : start + size] if value is not None]) for series in shown
        ]
        cells = "".join(f'<td class="number">{escape(in_unit(each, self.chart.unit))}</td>' for each in means)
        return f'<tr><th scope="row">{moment}</th>{cells}</tr>'


def known(series: Series) -> list[float]:
    """Return the values of a series that are known."""
    return [value for value in series.values if value is not None]


def newest(series: Series) -> float | None:
    """Return the last value of a series that is known."""
    return next((value for value in reversed(series.values) if value is not None), None)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of values, None of none."""
    return sum(values) / len(values) if values else None


def runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    """Yield the runs of known values, each with its index: a line has a gap where nothing is known."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate(values):
        if value is not None:
            run.append((index, value))
        elif run:
            yield run
            run = []
    if run:
        yield run

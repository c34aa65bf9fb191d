"""The first page of the console: how the server does at a glance, now and over time."""

import time
from collections.abc import Sequence
from html import escape

from was_daemon.health.history.series import SPANS, Chart, Span
from was_daemon.health.overview import Overview
from was_daemon.health.report import Report
from was_daemon.model.durations import counted, in_words
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.frame import OVERVIEW, Page
from was_daemon.web.console.plots import Plot
from was_daemon.web.contract.status_page import Card, cards

_REFRESH_SECONDS = 60

_NO_CHARTS = "<p>Nothing was counted yet: a sample is taken each minute.</p>"


def overview_page(
    overview: Overview, report: Report, examination: Examination, charts: Sequence[Chart], span: Span
) -> Page:
    """Return the page, with plots over a span that ends now."""
    end = (int(time.time()) // span.step + 1) * span.step
    plots = "\n".join(Plot(number, chart, span, end).html() for number, chart in enumerate(charts, start=1))
    shown = "\n".join(map(_card, cards(overview).items()))
    process = overview.process
    one = f" Cards are those of {process} of {process.count}, plots those of all." if process.count > 1 else ""
    zone = time.strftime("%Z", time.localtime(end))
    content = f"""{_state(report, examination)}
{examination_note(examination)}
<dl class="cards">
{shown}
</dl>
<h2 id="plots">Over time</h2>
<ul class="tabs">
{"".join(_tab(each, span) for each in SPANS.values())}
</ul>
<div class="plots">
{plots or _NO_CHARTS}
</div>
<p class="soft">Times are those of the server ({escape(zone)}). Cards count from the daemon's start on;
plots have what was before it, too.{one}</p>"""
    return Page(OVERVIEW.title, content, refresh=_REFRESH_SECONDS)


def span_of(name: str) -> Span:
    """Return the span of that name, the hour for another."""
    return SPANS.get(name, SPANS["hour"])


def _state(report: Report, examination: Examination) -> str:
    well = "The daemon itself sees no problem" if examination.failures else "All is well"
    problems, warnings = len(report.problems), len(report.warnings)
    if problems:
        text = f"{problems} {'problem' if problems == 1 else 'problems'}: {escape(report.problems[0])}"
        return f'<p class="problem">{text}. <a href="findings/">What to do about it</a></p>'
    if warnings:
        return f'<p class="note">{well}, but there is advice. <a href="findings/">Read it</a></p>'
    return f'<p class="good">{well}.</p>'


def examination_note(examination: Examination) -> str:
    """Return when the last examination was made, and whether it has found something that the daemon cannot see."""
    if examination.is_under_way:
        return '<p class="soft">An examination is under way. <a href="findings/">See it</a></p>'
    if examination.failure:
        ago = in_words(time.time() - examination.failed)
        return f'<p class="note">The examination of {ago} ago failed. <a href="findings/">Why</a></p>'
    if examination.findings is None:
        return (
            '<p class="soft">Not looked at since the daemon was started: certificates, disks, clock, nginx and the '
            'service. <a href="findings/">Examine them</a></p>'
        )
    made = f"The examination of {in_words(time.time() - examination.ended)} ago"
    failures = examination.failures
    warned = f" and {counted(len(examination.warnings), 'warning')}" if examination.warnings else ""
    if not failures and warned:
        return f'<p class="note">{made} found no failure{warned}. <a href="findings/">What to do about it</a></p>'
    if not failures:
        return f'<p class="soft">{made} found no failure. <a href="findings/">What it found</a></p>'
    first = escape(f"{failures[0].check}: {failures[0].message}")
    found = f"{made} found {counted(len(failures), 'failure')}{warned}: {first}"
    return f'<p class="problem">{found}. <a href="findings/">What to do about it</a></p>'


def _tab(span: Span, current: Span) -> str:
    is_current = ' aria-current="true"' if span is current else ""
    return f'<li><a href="./?span={span.name}#plots"{is_current}>{span.title}</a></li>'


def _card(card: tuple[str, Card]) -> str:
    title, (value, meaning, kind) = card
    return f'<div><dt>{title}</dt><dd class="{kind}">{value}<small>{meaning}</small></dd></div>'

"""The page with what checks have found: health, fixity, and comparisons with Specify."""

from collections.abc import Iterable
from html import escape
from typing import ClassVar

from twisted.web.http import Request

from was_daemon.health.report import CheckOutcome, Report
from was_daemon.model.sizes import readable
from was_daemon.web.console.frame import Page
from was_daemon.web.console.guard import Visit, administrator, guarded
from was_daemon.web.console.pages import console_app
from was_daemon.web.console.remedies import remedy
from was_daemon.web.console.sources import SourcePages

_REFRESH_SECONDS = 60


class FindingPages(SourcePages):
    """The problems, the advice, and the outcome of every check."""

    name: ClassVar[str] = "findings"
    title: ClassVar[str] = "Findings"
    app = console_app()

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def index(self, request: Request, visit: Visit) -> bytes:
        """Show the page."""
        content = findings_content(await self.sources.report())
        return self.frame.answer(visit, Page(self.title, content, refresh=_REFRESH_SECONDS))


def findings_content(report: Report) -> str:
    """Return the content of the page."""
    outcomes = [*report.subjects.items(), ("workers", CheckOutcome(report.workers))]
    rows = "\n".join(_outcome(subject, outcome) for subject, outcome in outcomes)
    return f"""<h2 id="problems">Problems</h2>
{_list(report.problems, "bad") or '<p class="good">There are none.</p>'}
<h2 id="advice">Advice</h2>
{_list(report.warnings, "warn") or "<p>There is none.</p>"}
<h2 id="checks">Checks</h2>
<div class="scroll" role="region" aria-labelledby="checks" tabindex="0">
<table>
<thead><tr><th scope="col">What</th><th scope="col">Outcome</th><th scope="col" class="number">Free</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>"""


def _list(sentences: Iterable[str], kind: str) -> str:
    items = "\n".join(
        f'<li><span class="{kind}">{escape(each)}</span><br>{escape(remedy(each))}</li>' for each in sentences
    )
    return f'<ul class="found">\n{items}\n</ul>' if items else ""


def _outcome(subject: str, outcome: CheckOutcome) -> str:
    problem = outcome.located_problem
    text = f'<span class="bad">{escape(problem)}</span>' if problem else '<span class="good">ok</span>'
    free = "" if outcome.free is None else readable(outcome.free)
    return f'<tr><th scope="row">{escape(subject)}</th><td>{text}</td><td class="number">{free}</td></tr>'

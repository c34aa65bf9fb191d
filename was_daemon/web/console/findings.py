"""The page with what checks have found: of health, of fixity, and by `doctor`."""

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import ClassVar

from twisted.web.http import Request

from was_daemon.doctor.findings import Finding, State
from was_daemon.health.report import CheckOutcome, Report
from was_daemon.jobs.reconcile.summary import Summary
from was_daemon.model.durations import in_words
from was_daemon.model.sizes import readable
from was_daemon.web.console.examination import Examination
from was_daemon.web.console.frame import Frame, Page, token_field
from was_daemon.web.console.guard import Guard, Visit, administrator, form, guarded
from was_daemon.web.console.pages import console_app, see_other
from was_daemon.web.console.remedies import remedy
from was_daemon.web.console.sources import SourcePages, Sources

_REFRESH_SECONDS = 60
_BUSY_SECONDS = 2

_WORDS = {State.FAILED: "failed", State.WARNING: "warning", State.SKIPPED: "not looked at", State.OK: "ok"}
_KINDS = {State.FAILED: "bad", State.WARNING: "warn", State.SKIPPED: "soft", State.OK: "good"}
"""What a state is called, and its CSS class; the most urgent first."""


class FindingPages(SourcePages):
    """The problems, the advice, the outcome of every check, and the last examination."""

    name: ClassVar[str] = "findings"
    title: ClassVar[str] = "Findings"
    app = console_app()

    def __init__(self, guard: Guard, frame: Frame, sources: Sources) -> None:
        super().__init__(guard, frame, sources)
        self._examination = sources.examination

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def index(self, request: Request, visit: Visit) -> bytes:
        """Show the page."""
        is_busy = self._examination.is_under_way
        if is_busy:
            # Also for who runs no scripts.
            request.setHeader("Refresh", str(_BUSY_SECONDS))
        content = findings_content(
            await self.sources.report(),
            examination_content(self._examination, visit),
            await self.sources.reconciled(),
        )
        return self.frame.answer(visit, Page(self.title, content, refresh=None if is_busy else _REFRESH_SECONDS))

    @app.route("/examine", methods=["POST"])
    @guarded(form)
    async def examine(self, request: Request, visit: Visit) -> bytes:
        """Begin an examination."""
        self._examination.start()
        # No fragment: with one, browsers do not load the page again when they are told to.
        return see_other(request, "./")


def findings_content(report: Report, examination: str, reconciled: Summary | None) -> str:
    """Return the content of the page."""
    outcomes = [*report.subjects.items(), ("workers", CheckOutcome(report.workers))]
    rows = "\n".join(_outcome(subject, outcome) for subject, outcome in outcomes)
    return f"""<h2 id="problems">Problems</h2>
{_list(report.problems, "bad") or '<p class="good">There are none.</p>'}
<h2 id="advice">Advice</h2>
{_list(report.warnings, "warn") or "<p>There is none.</p>"}
{examination}
<h2 id="checks">Checks of the running daemon</h2>
<div class="scroll" role="region" aria-labelledby="checks" tabindex="0">
<table>
<thead><tr><th scope="col">What</th><th scope="col">Outcome</th><th scope="col" class="number">Free</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<h2 id="reconcile">Comparison with Specify</h2>
{_reconciled(reconciled)}"""


def _reconciled(summary: Summary | None) -> str:
    command = "<code>was-daemon reconcile</code>"
    if not summary:
        return f"<p>{command} compares what is stored with Specify's records; no result is kept here yet.</p>"
    ago = in_words(time.time() - summary.at)
    return f"<p>{ago} ago: {escape(str(summary))}. {command} lists what it finds.</p>"


def examination_content(examination: Examination, visit: Visit) -> str:
    """Return the part of the page with what `doctor` has found, and the form that has it look."""
    return f"""<h2 id="examination">Examination</h2>
<p>What <code>was-daemon doctor</code> finds: permissions, disks, key, clock, ports, TLS, nginx, the service and its
limits. Run as root on the server, it can look at more.</p>
{_found(examination)}
<form method="post" action="{visit.root}findings/examine">
{token_field(visit)}
<button type="submit"{" disabled" if examination.is_under_way else ""}>Examine now</button>
</form>"""


def _found(examination: Examination) -> str:
    if examination.is_under_way:
        return '<p role="status">The examination is under way; it takes some seconds.</p>'
    failure = _failure(examination) if examination.failure else ""
    if examination.findings is None:
        return failure or "<p>There was none since the daemon was started.</p>"
    return f"{failure}<p>Made {in_words(time.time() - examination.ended)} ago.</p>\n{_findings(examination.findings)}"


def _failure(examination: Examination) -> str:
    ago = in_words(time.time() - examination.failed)
    return (
        f'<p class="bad">The examination of {ago} ago failed: {escape(examination.failure)}.</p>\n'
        "<p>The log has the details: <code>journalctl --unit was-daemon</code>; "
        "<code>sudo was-daemon doctor</code> makes another one.</p>\n"
    )


def _findings(findings: Sequence[Finding]) -> str:
    urgent = sorted(
        (each for each in findings if each.state is not State.OK), key=lambda each: [*_WORDS].index(each.state)
    )
    well = [each for each in findings if each.state is State.OK]
    items = "\n".join(map(_finding, urgent))
    shown = f'<ul class="found">\n{items}\n</ul>' if urgent else '<p class="good">All is well.</p>'
    rest = "\n".join(map(_finding, well))
    return f"""{shown}
<details><summary>What is well: {len(well)}</summary>
<ul class="found">
{rest}
</ul>
</details>"""


def _finding(finding: Finding) -> str:
    mend = f"<br><code>{escape(finding.remedy)}</code>" if finding.remedy else ""
    state = f'<span class="{_KINDS[finding.state]}">{_WORDS[finding.state]}</span>'
    return f"<li><strong>{escape(finding.check)}</strong> {state}: {escape(finding.message)}{mend}</li>"


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

"""The page with the last failures, each with what can be done about it."""

import time
from html import escape
from typing import ClassVar

from twisted.web.http import Request

from was_daemon.health.history.failures import Failures
from was_daemon.model.durations import in_words
from was_daemon.telemetry.recent_errors import FailedRequest, LogLine, Occurrences
from was_daemon.web.console.frame import Page
from was_daemon.web.console.guard import Visit, administrator, guarded
from was_daemon.web.console.pages import console_app
from was_daemon.web.console.remedies import remedy
from was_daemon.web.console.sources import SourcePages

_REFRESH_SECONDS = 30


class FailurePages(SourcePages):
    """The failures of requests, and the errors in the log."""

    name: ClassVar[str] = "failures"
    title: ClassVar[str] = "Failures"
    app = console_app()

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def index(self, request: Request, visit: Visit) -> bytes:
        """Show the page."""
        content = failures_content(await self.sources.failures(), time.time())
        return self.frame.answer(visit, Page(self.title, content, refresh=_REFRESH_SECONDS))


def failures_content(failures: Failures, now: float) -> str:
    """Return the content of the page, the last failures first."""
    requests = "\n".join(_request(kind, times, now) for kind, times in failures.requests)
    lines = "\n".join(_line(line, times, now) for line, times in failures.lines)
    return f"""<h2 id="requests">Requests</h2>
{_table("requests", "Request", requests) if requests else "<p>No request has failed.</p>"}
<h2 id="log">Warnings and errors in the log</h2>
{_table("log", "Level", lines) if lines else "<p>There are none.</p>"}
<p class="soft">A hundred kinds of each are kept, also when the daemon is started anew. <code>was-daemon check</code>
and <code>was-daemon doctor</code> send on purpose what has to be refused, so their requests are among them.</p>"""


def _table(heading: str, first: str, rows: str) -> str:
    return f"""<div class="scroll" role="region" aria-labelledby="{heading}" tabindex="0">
<table class="stacked">
<thead><tr><th scope="col">{first}</th><th scope="col">What was wrong</th><th scope="col">What to do</th>\
<th scope="col" class="number">Times</th><th scope="col">Last</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>"""


def _request(kind: FailedRequest, times: Occurrences, now: float) -> str:
    text = times.text or "no reason was told"
    return _row(f"{kind.endpoint} <small>{kind.status}</small>", text, remedy(text, kind.status), times, now)


def _line(line: LogLine, times: Occurrences, now: float) -> str:
    return _row(escape(line.level), times.text or line.form, remedy(times.text), times, now)


def _row(head: str, text: str, what_to_do: str, times: Occurrences, now: float) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(times.last))
    last = f'<time datetime="{_iso(times.last)}" title="{moment}">{_ago(now - times.last)}</time>'
    return (
        f'<tr><th scope="row">{head}</th><td>{escape(text)}</td><td>{escape(what_to_do)}</td>'
        f'<td class="number" data-label="Times">{times.number:,}</td>'
        f'<td data-label="Last">{last}</td></tr>'
    )


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _ago(seconds: float) -> str:
    return f"{in_words(max(0.0, seconds))} ago"

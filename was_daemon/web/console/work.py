"""The page with the work that the daemon does by itself, and its progress."""

from html import escape
from typing import ClassVar

from twisted.web.http import Request

from was_daemon.health.work import Task
from was_daemon.web.console.frame import Page
from was_daemon.web.console.guard import Visit, administrator, guarded
from was_daemon.web.console.pages import console_app
from was_daemon.web.console.sources import SourcePages

_REFRESH_SECONDS = 10


class WorkPages(SourcePages):
    """The tasks, each with a progress bar where the end is known."""

    name: ClassVar[str] = "work"
    title: ClassVar[str] = "Work"
    app = console_app()

    @app.route("/", methods=["GET"])
    @guarded(administrator)
    async def index(self, request: Request, visit: Visit) -> bytes:
        """Show the page."""
        tasks = "\n".join(_task(number, task) for number, task in enumerate(await self.sources.work(), start=1))
        return self.frame.answer(visit, Page(self.title, _FRAME.format(tasks=tasks), refresh=_REFRESH_SECONDS))


_FRAME = """<div class="tasks">
{tasks}
</div>"""


def _task(number: int, task: Task) -> str:
    problem = f'<p class="bad">{escape(task.problem)}</p>' if task.problem else ""
    return f"""<section class="card" aria-labelledby="task-{number}">
<h2 id="task-{number}">{escape(task.title)}</h2>
<p>{escape(task.state)}</p>
{_progress(number, task)}{problem}
</section>"""


def _progress(number: int, task: Task) -> str:
    if task.done is None or not task.total:
        return ""
    percent = 100 * task.done / task.total
    return (
        f'<progress aria-labelledby="task-{number}" value="{task.done:g}" max="{task.total:g}">'
        f"{percent:.0f} %</progress>"
        f'<p class="soft">{percent:.1f} % done</p>'
    )

"""The last examination by `doctor`, which is made when the administrator asks for it."""

import time
from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.doctor.findings import Finding, State
from was_daemon.telemetry.redaction import without_secrets


class Examination:
    """The last examination, its findings, and whether one is under way; `examine` makes one, in some seconds.

    `failure` is why the last one could not be made, "" if it was, and `failed` when.
    """

    _log = Logger()

    def __init__(self, examine: Callable[[], Awaitable[Sequence[Finding]]]) -> None:
        self._examine = examine
        self.is_under_way = False
        self.findings: Sequence[Finding] | None = None
        self.ended = 0.0
        self.failure = ""
        self.failed = 0.0

    @property
    def failures(self) -> Sequence[Finding]:
        """The findings that something does not work."""
        return [each for each in self.findings or () if each.state is State.FAILED]

    @property
    def warnings(self) -> Sequence[Finding]:
        """The findings of what works, and should be mended."""
        return [each for each in self.findings or () if each.state is State.WARNING]

    def start(self) -> None:
        """Begin an examination, unless one is under way."""
        if not self.is_under_way:
            self.is_under_way = True
            Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        try:
            self.findings = await self._examine()
            self.ended = time.time()
            self.failure = ""
        except Exception as error:
            self.failure = without_secrets(f"{type(error).__name__}: {error}")
            self.failed = time.time()
            self._log.failure("The examination for the console could not be made")
        finally:
            self.is_under_way = False

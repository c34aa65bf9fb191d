"""The last examination by `doctor`, which is made when the administrator asks for it."""

import time
from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from was_daemon.doctor.findings import Finding


class Examination:
    """The last examination, its findings, and whether one is under way; `examine` makes one, in some seconds."""

    _log = Logger()

    def __init__(self, examine: Callable[[], Awaitable[Sequence[Finding]]]) -> None:
        self._examine = examine
        self.is_under_way = False
        self.findings: Sequence[Finding] | None = None
        self.ended = 0.0

    def start(self) -> None:
        """Begin an examination, unless one is under way."""
        if not self.is_under_way:
            self.is_under_way = True
            Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        try:
            self.findings = await self._examine()
            self.ended = time.time()
        except Exception:
            self._log.failure("The examination for the console could not be made")
        finally:
            self.is_under_way = False

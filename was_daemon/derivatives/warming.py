"""Making of derivatives right after an upload, before anybody asks for them."""

from collections.abc import Sequence

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from was_daemon.concurrency.background import BackgroundTasks
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.kinds import Recipe
from was_daemon.library.collections import Original
from was_daemon.model.errors import AssetError


class Warmer:
    """Making of `recipes` in the background; each list has those of one kind, the most urgent kind first."""

    _log = Logger()

    def __init__(self, derivatives: Derivatives, recipes: Sequence[Sequence[Recipe]]) -> None:
        self._derivatives = derivatives
        self._recipes = [each for each in recipes if each]
        self._tasks = BackgroundTasks()

    def start(self, original: Original) -> None:
        """Begin to make the derivatives of an original."""
        if self._recipes:
            self._tasks.start(self._make(original))

    async def _make(self, original: Original) -> None:
        try:
            for recipes in self._recipes:
                try:
                    await self._derivatives.make_missing(original, recipes)
                except AssetError as error:
                    self._log.info("Could not warm {key}: {error}", key=original.key, error=error)
        except CancelledError:
            raise
        except Exception:
            self._log.failure("Could not warm {key}", key=original.key)

    @property
    def waiting(self) -> int:
        """The number of originals whose derivatives are being made, or wait for that."""
        return self._tasks.number

    async def settled(self) -> None:
        """Wait until all work is done."""
        await self._tasks.settled()

    def cancel(self) -> None:
        """Cancel the work; a job that a worker has begun is finished."""
        self._tasks.cancel()

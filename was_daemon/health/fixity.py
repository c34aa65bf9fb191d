"""Check of whether originals are as recorded."""

from collections.abc import Awaitable, Callable, Sequence

import attrs


@attrs.frozen
class FixityCheck:
    """Check of the originals of all stores: `run` raises an `AssetError` when some are not as recorded.

    `warnings` returns what is no problem yet, a sentence each.
    """

    run: Callable[[], Awaitable[None]]
    warnings: Callable[[], Sequence[str]]

    async def look(self) -> int | None:
        """Do as `run`; fire with None, as there are no free bytes to tell."""
        await self.run()
        return None

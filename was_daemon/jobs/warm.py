"""Creation of missing derivatives."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs

from was_daemon.concurrency.rate_limit import RateLimit
from was_daemon.derivatives.cache import Derivatives
from was_daemon.derivatives.kinds import Recipe
from was_daemon.jobs.report import JobReport
from was_daemon.library.collections import Collections
from was_daemon.model.errors import AssetError, AssetNotFound, BrokenImage, NoThumbnail
from was_daemon.model.keys import AssetKey, Kind, Layout


@attrs.frozen
class Warmer:
    """Creation of the derivatives of `recipes`, all of one kind, that are missing, as the daemon creates them."""

    collections: Collections
    derivatives: Derivatives
    directories: Sequence[str]
    recipes: Sequence[Recipe]
    rate_limit: RateLimit
    report: JobReport

    async def originals(self) -> AsyncGenerator[AssetKey, None]:
        """Yield the originals, except those in stores that make their thumbnails themselves."""
        for directory in self.directories:
            place = self.collections.place_in(directory)
            if place.makes_thumbnails:
                continue
            async with aclosing(place.store.list(directory, Kind.ORIGINAL)) as keys:
                async for key in keys:
                    yield key

    async def warm(self, key: AssetKey) -> None:
        """Make the missing derivatives of one original."""
        try:
            original = await self.collections.find(key)
            made = await self.derivatives.make_missing(original, self.recipes)
        except AssetNotFound:
            # The original was deleted meanwhile.
            return
        except NoThumbnail:
            self.report.count("refused")
        except BrokenImage as error:
            self.report.describe("refused", Layout.FLAT.path(key), str(error))
        except AssetError as error:
            self.report.describe("failed", Layout.FLAT.path(key), str(error))
            return
        else:
            self.report.count("made", made)
            self.report.count("there", len(self.recipes) - made)
            if not made:
                return
        await self.rate_limit.wait()

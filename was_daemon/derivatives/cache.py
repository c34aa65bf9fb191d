"""Derivatives of originals: found, made once, published whole, and removed with their originals."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from io import FileIO
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from was_daemon.concurrency.locks import KeyLocks
from was_daemon.derivatives.kinds import CommandInput, DerivativeKind, Recipe
from was_daemon.derivatives.making import Made, Making
from was_daemon.derivatives.refusals import REFUSALS, Refusals
from was_daemon.derivatives.stored import content_of, read_all
from was_daemon.library.changes import Change
from was_daemon.library.collections import Collections, Original
from was_daemon.library.spool import Spool
from was_daemon.library.store_steps import open_staging_file, store_staged
from was_daemon.model.errors import AssetError, DamagedDerivative
from was_daemon.model.interfaces import AssetStat, IAssetReader, ILocalFiles, IStagingFile
from was_daemon.model.keys import AssetKey
from was_daemon.model.marks import mark_of
from was_daemon.stores.memory_reader import MemoryReader
from was_daemon.workers.fair_queue import OpenFile
from was_daemon.workers.memory_files import in_memory
from was_daemon.workers.pool import WorkerPool


class Derivatives:
    """The derivatives of all collections, of several kinds."""

    _log = Logger()

    def __init__(
        self,
        collections: Collections,
        locks: KeyLocks[AssetKey],
        spool: Spool,
        pool: WorkerPool,
        kinds: Sequence[DerivativeKind[Any]],
    ) -> None:
        self._collections = collections
        self._locks = locks
        self._spool = spool
        self._pool = pool
        self._kinds = {kind.recipe: kind for kind in kinds}
        self._making: dict[tuple[AssetKey, Recipe, str], Making[Made]] = {}
        self._refusals = Refusals()
        self._damaged = Refusals()

    async def start(self, before: "Derivatives | None" = None) -> None:
        """Look through the stored derivatives, and evict what is too much; `before` is of the last configuration."""
        for recipe, kind in self._kinds.items():
            known = before._kinds.get(recipe) if before else None
            await kind.start(self._collections, known)
            if kind.evictor and not (known and known.evictor is kind.evictor):
                await kind.evictor.start()

    async def settled(self) -> None:
        """Wait until all derivatives that are being made are made."""
        for making in set(self._making.values()):
            with suppress(AssetError, CancelledError):
                await making.join()

    async def find(self, original: Original, recipe: Recipe, fetch: bool = True) -> IAssetReader | None:
        """Open the stored derivative of this version, if there is one; see `DerivativeKind.find`."""
        return await self._kinds[type(recipe)].find(original, recipe, fetch)

    async def make(self, original: Original, recipe: Recipe, client: str) -> IAssetReader | None:
        """Make a derivative of this version; requests for the same one share the work. The caller closes it.

        Fires with None when it was published but has to be looked up, and when the original has changed meanwhile.
        Raises `NoThumbnail`, `BrokenImage`, `Overloaded`, and what the stores raise.
        """
        self._refusals.check(original, self._scope(recipe))
        making = self._making.get(_shared(original, recipe))
        if making is None:
            making = self._start(Making(client, background=False), original, [recipe])
        elif making.background:
            making.client, making.background = client, False
            if making.job:
                self._pool.promote(making.job, client)
        return (await making.join()).get(recipe)

    async def remove_damaged(self, original: Original, recipe: Recipe, damaged: AssetStat) -> None:
        """Remove a stored derivative that has turned out to be damaged, unless it has been replaced already.

        Raises `DamagedDerivative` when another one was removed not long ago: something else is wrong then.
        """
        await self._locks.run(original.key, lambda: self._remove_damaged(original, recipe, damaged))

    async def _remove_damaged(self, original: Original, recipe: Recipe, damaged: AssetStat) -> None:
        reader = await self.find(original, recipe, fetch=False)
        if not reader:
            return
        await reader.close()
        if reader.stat.etag != damaged.etag:
            return
        self._damaged.check(original, recipe)
        self._damaged.add(original, DamagedDerivative("the picture's tiles are damaged"), recipe)
        derivative = recipe.key(original.key)
        self._log.warn("{key} is damaged, and is made again", key=derivative)
        await self._kinds[type(recipe)].remove(original.place.thumbnails, derivative, original.key)

    async def make_missing(self, original: Original, recipes: Sequence[Recipe]) -> int:
        """Make the missing ones of some derivatives of one kind by one job, when no request waits for a worker.

        Fires with their number. Raises what `make` raises.
        """
        missing = []
        for recipe in recipes:
            reader = await self.find(original, recipe)
            if reader:
                await reader.close()
            else:
                missing.append(recipe)
        # A request may have begun to make one meanwhile.
        missing = [recipe for recipe in missing if _shared(original, recipe) not in self._making]
        if missing:
            await self._start(Making("", background=True), original, missing).join()
        return len(missing)

    def _start(self, making: Making[Made], original: Original, recipes: Sequence[Recipe]) -> Making[Made]:
        shared = [_shared(original, recipe) for recipe in recipes]
        self._making.update(dict.fromkeys(shared, making))

        def forget() -> None:
            for each in shared:
                del self._making[each]

        making.start(self._make(making, original, recipes), forget)
        return making

    async def _make(self, making: Making[Made], original: Original, recipes: Sequence[Recipe]) -> Made:
        kind = self._kinds[type(recipes[0])]
        staged: dict[Recipe, IStagingFile] = {}
        try:
            source, chosen = await self._open_source(original, kind, recipes)
            with source:
                for recipe in recipes:
                    key = recipe.key(original.key)
                    staged[recipe] = await open_staging_file(original.place.thumbnails, key, self._spool)
                files: list[OpenFile] = [source, *staged.values()]
                making.job = self._pool.submit(
                    kind.command, making.client, files, making.background, **chosen.arguments
                )
                answer = await making.job.done
            kind.made(original, recipes, chosen, answer)
            return await self._locks.run(original.key, lambda: self._publish(original, kind, staged))
        except REFUSALS as refusal:
            # Of an original that was replaced or deleted meanwhile this says nothing.
            if await original.is_replaced():
                return {}
            self._refusals.add(original, refusal, self._scope(recipes[0]))
            raise
        finally:
            for file in staged.values():
                file.discard()

    def _scope(self, recipe: Recipe) -> Any:
        return self._kinds[type(recipe)].refusal_scope(recipe)

    async def _open_source(
        self, original: Original, kind: DerivativeKind[Any], recipes: Sequence[Recipe]
    ) -> tuple[FileIO, CommandInput[Any]]:
        """Open the file to make derivatives of, with the first input whose source is stored."""
        for chosen in kind.inputs(original, recipes):
            if chosen.source is None:
                break
            reader = await self.find(original, chosen.source)
            if reader:
                try:
                    return in_memory(await read_all(reader)), chosen
                finally:
                    await reader.close()
        return await self._spool.open(original), chosen

    async def _publish(self, original: Original, kind: DerivativeKind[Any], staged: dict[Recipe, IStagingFile]) -> Made:
        """Store derivatives, if this version of the original is still the current one."""
        made: Made = {}
        if not await original.is_current():
            return made
        store = original.place.thumbnails
        for recipe, file in staged.items():
            await file.write([mark_of(original.stat)])
            content = await content_of(file) if kind.is_kept_in_memory else None
            stored = await store_staged(store, recipe.key(original.key), file)
            if kind.evictor and ILocalFiles.providedBy(store):
                kind.evictor.added(ILocalFiles(store), stored.size)
            if content is not None:
                made[recipe] = MemoryReader(content, stored)
        if await original.is_current():
            return made
        # Another daemon has replaced or deleted it meanwhile. Nobody would serve these, but they would stay.
        for recipe in staged:
            await kind.remove(store, recipe.key(original.key), original.key)
        return {}

    @asynccontextmanager
    async def changing(self, change: Change) -> AsyncIterator[None]:
        """Remove the derivatives of an original before it changes; a `Participant`."""
        place = change.place
        if not place.makes_thumbnails:
            exists = await change.previous() is not None
            for kind in self._kinds.values():
                if exists or change.staged is None:
                    await kind.forget(place.thumbnails, change.key, exists)
                else:
                    await kind.forget_remains(place.thumbnails, change.key)
        yield


def _shared(original: Original, recipe: Recipe) -> tuple[AssetKey, Recipe, str]:
    """Return what is equal for requests that share the work on a derivative."""
    return original.key, recipe, original.stat.etag

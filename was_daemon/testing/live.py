"""Checks of a store in use that leave its assets alone: `was-daemon check-store`."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import attrs
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore, IQuirks, IReadOnly, ISizes, IUnlisted
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.testing.live_creation import create_twice
from was_daemon.testing.live_trash import TrashTrial
from was_daemon.testing.promises import NotTried, PromiseBroken, PromiseResult, expect, try_promise
from was_daemon.testing.streams import chunked, collect, deferred, payload, read_asset, read_reader

_LARGE = (6 << 20) + 1
"""Bytes: more than what stores send in one piece."""

_LOCK_SECONDS = 10.0
"""Time after which a read during an upload is given up: some stores let readers wait."""


class _Interrupted(Exception):
    """The upload breaks off on purpose."""


def new_stem() -> str:
    """Return the beginning of names that no other asset has; with the sharded layout all are in one directory."""
    return f"was-check-{secrets.token_hex(16)}"


async def _nothing() -> None:
    """Check nothing."""


async def check_live(
    store: IAssetStore, collection: str, also: Callable[[], Awaitable[None]] = _nothing
) -> AsyncGenerator[PromiseResult, None]:
    """Try the store's promises on a few assets with new, unguessable names in `collection`; yield a result for each.

    No other asset is read, written or deleted. These are deleted at the end, also when the caller closes the generator
    early; the last result names those that cannot be. When the store cannot be used at all, or is read-only, only the
    first promise is tried; it is broken, too, if `also` raises an `AssetError`.
    """
    trial = _Trial(store, collection, new_stem(), also)
    (first, reachable), *others = trial.promises()
    is_read_only = IReadOnly.providedBy(store)
    result = await try_promise("the store is reachable and readable" if is_read_only else first, reachable)
    yield result
    if result.problem is not None or is_read_only:
        why = "the store is only read" if is_read_only else "the store cannot be used"
        for sentence, _attempt in others:
            yield PromiseResult(sentence, None, tried=False, remark=why)
        return
    try:
        for sentence, attempt in others:
            yield await try_promise(sentence, attempt)
    finally:
        left = await trial.clean()
    if left:
        yield PromiseResult("the check leaves nothing behind", f"to be deleted at the server: {', '.join(left)}")


@attrs.define
class _Trial:
    """Promises on assets whose names begin with `stem`, tried in order: each step relies on what the last one left."""

    store: IAssetStore
    collection: str
    stem: str
    also: Callable[[], Awaitable[None]]
    old: bytes = attrs.field(factory=lambda: payload(300_001, seed=1), repr=False)
    new: bytes = attrs.field(factory=lambda: payload(300_001, seed=2), repr=False)
    large: bytes = attrs.field(factory=lambda: payload(_LARGE, seed=3), repr=False)
    used: list[AssetKey] = attrs.field(factory=list)

    def promises(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        trash = TrashTrial(self.store, self.key, self.stem, self.used)
        return [
            ("the store is reachable, readable and writable", self._check),
            ("the server can do all that the store needs of it", self._quirks),
            ("an asset that is not there is reported as not found", self._missing),
            ("what was written is read back", self._round_trip),
            ("a large asset is read back", self._large),
            ("a range is read", self._range),
            ("size and version are told alike by stat and open", self._stat),
            ("the time of the last change is told", self._time),
            ("an upload that breaks off changes nothing", self._interrupted),
            ("readers see the old version until the new one is complete", self._atomic),
            ("a replaced asset has a new version, and an open reader is not mixed up", self._replace),
            ("the asset is listed", self._list),
            ("the listing tells sizes", self._sizes),
            ("names that differ in case are two assets", self._case),
            ("names that differ in the composition of letters are two assets", self._composition),
            ("names with spaces and signs are kept", self._signs),
            ("files can be kept in the trash", trash.keep),
            ("of two uploads of a new name one is refused", self._create),
            ("the store moves files to the trash and back by itself", trash.move),
            ("a deleted asset is gone", self._delete),
        ]

    @property
    def key(self) -> AssetKey:
        return self._key(".bin")

    def _key(self, ending: str) -> AssetKey:
        key = AssetKey(self.collection, Kind.ORIGINAL, self.stem + ending)
        if key not in self.used:
            self.used.append(key)
        return key

    async def clean(self) -> list[str]:
        """Delete what is left; fire with what may still be there, as collection, kind and name."""
        left = [key for key in self.used if not await self._delete_if_there(key)]
        return [f"{key.collection}/{key.kind.value}/{key.name}".lstrip("/") for key in left]

    async def _delete_if_there(self, key: AssetKey) -> bool:
        # An error of deletion was already reported by the last promise.
        with suppress(Exception):
            await self.store.delete(key)
        with suppress(Exception):
            return not await self._is_there(key)
        return False

    async def _check(self) -> None:
        await self.store.check()
        await self.also()

    async def _quirks(self) -> None:
        if IQuirks.providedBy(self.store):
            quirks = await IQuirks(self.store).quirks()
            expect(not quirks, "; ".join(quirks))

    async def _missing(self) -> None:
        expect(not await self._is_there(self.key), "a name that was never used is there")
        try:
            await self.store.delete(self.key)
        except AssetNotFound:
            return
        raise PromiseBroken("the deletion of what is not there is said to be done: mistakes in names go unnoticed")

    async def _is_there(self, key: AssetKey) -> bool:
        try:
            await self.store.stat(key)
        except AssetNotFound:
            return False
        return True

    async def _round_trip(self) -> None:
        await self.store.write(self.key, chunked(self.old, 10_007), len(self.old))
        await self._expect_content(self.key, self.old)

    async def _large(self) -> None:
        key = self._key("-large.bin")
        await self.store.write(key, chunked(self.large), len(self.large))
        await self._expect_content(key, self.large)
        await self.store.delete(key)

    async def _expect_content(self, key: AssetKey, content: bytes) -> None:
        size = (await self.store.stat(key)).size
        cost = "downloads would be cut short, or fail"
        expect(size == len(content), f"the store tells a size of {size} bytes instead of {len(content)}: {cost}")
        got = await read_asset(self.store, key)
        expect(len(got) == len(content), f"{len(got)} bytes are read of {len(content)}: downloads would be cut short")
        expect(got == content, "the bytes read are not the bytes written: files would be damaged")

    async def _range(self) -> None:
        part = await read_asset(self.store, self.key, 99_999, 200_001)
        expect(part == self.old[99_999:200_001], "the bytes of a range are wrong: videos and resumed downloads break")

    async def _stat(self) -> None:
        stat = await self.store.stat(self.key)
        reader = await self.store.open(self.key)
        await reader.close()
        expect(stat.size == len(self.old), f"stat says {stat.size} bytes instead of {len(self.old)}")
        expect(stat == reader.stat, f"stat says {stat}, open says {reader.stat}: thumbnails are made again each time")

    async def _time(self) -> None:
        stat = await self.store.stat(self.key)
        cost = "old thumbnails cannot be told from new ones, and browsers fetch everything again"
        expect(stat.modified > 0, f"the server tells no times of modification: {cost}")

    async def _interrupted(self) -> None:
        async def breaks_off() -> AsyncIterator[bytes]:
            yield self.large[:-1000]
            raise _Interrupted

        with suppress(_Interrupted):
            # The daemon always says how long an asset is.
            await self.store.write(self.key, breaks_off(), len(self.large))
            raise PromiseBroken("the broken upload was accepted: half a file would pass for a whole one")
        kept = await read_asset(self.store, self.key) == self.old
        expect(kept, "the broken upload changed the asset: the old version would be lost")

    async def _atomic(self) -> None:
        from twisted.internet import reactor

        seen: list[bytes] = []

        async def watched() -> AsyncGenerator[bytes, None]:
            half = len(self.large) // 2
            yield self.large[:half]
            with suppress(DeferredTimeout):
                reading = deferred(read_asset(self.store, self.key))
                seen.append(await reading.addTimeout(_LOCK_SECONDS, IReactorTime(reactor)))
            yield self.large[half:]

        async with aclosing(watched()) as chunks:
            await self.store.write(self.key, chunks, len(self.large))
        cost = "who looks at an asset while it is replaced gets half a file"
        expect(not seen or seen == [self.old], f"an upload is visible before it is complete: {cost}")
        await self.store.write(self.key, chunked(self.old), len(self.old))
        if not seen:
            raise NotTried

    async def _replace(self) -> None:
        reader = await self.store.open(self.key)
        try:
            stat = await self.store.write(self.key, chunked(self.new), len(self.new))
            cost = "browsers and thumbnails would go on showing the old one"
            expect(stat.etag != reader.stat.etag, f"the version's etag did not change: {cost}")
            expect(await read_asset(self.store, self.key) == self.new, "the new bytes are not there")
            with suppress(AssetError):
                expect(await read_reader(reader) == self.old, "an open reader got bytes of another version")
        finally:
            await reader.close()

    async def _list(self) -> None:
        if IUnlisted.providedBy(self.store):
            raise NotTried("the server lists nothing: names come from the catalogue, from Specify or from a file")
        await self._expect_listed(self.key)

    async def _expect_listed(self, *keys: AssetKey) -> None:
        if IUnlisted.providedBy(self.store):
            return
        found = [key.name for key in await collect(self.store.list(self.collection, Kind.ORIGINAL, self.stem))]
        wanted = [key.name for key in keys]
        cost = "`copy` and `verify` would pass over files, and thumbnails outlive their originals"
        expect(bool(found), f"the listing does not show the asset, which is there: {cost}")
        expect(set(wanted) <= set(found), f"the server alters names, and lists {found} instead of {wanted}: {cost}")
        expect(sorted(found) == sorted(wanted), f"the listing shows {found} instead of {wanted}: {cost}")

    async def _sizes(self) -> None:
        if IUnlisted.providedBy(self.store):
            raise NotTried("the server lists nothing")
        if not ISizes.providedBy(self.store):
            raise NotTried("the plugin cannot, each file is asked for its size")
        try:
            # One will do: a collection may have a million.
            async with aclosing(ISizes(self.store).sizes(self.collection)) as sizes:
                await anext(sizes, None)
        except AssetError as error:
            raise PromiseBroken(f"{error}: quotas cannot be kept") from error

    async def _case(self) -> None:
        what = "names that differ in case are one file to the server"
        await self._expect_apart(self._key("-case.txt"), self._key("-CASE.txt"), what)

    async def _composition(self) -> None:
        what = "names that differ in the composition of letters (\u00e9 as one sign or two) are one file to the server"
        await self._expect_apart(self._key("-\u00e9.txt"), self._key("-e\u0301.txt"), what)

    async def _expect_apart(self, first: AssetKey, second: AssetKey, what: str) -> None:
        await self.store.write(first, chunked(b"first"), 5)
        expect(not await self._is_there(second), f"{what}: an upload would overwrite another asset")
        await self.store.write(second, chunked(b"second"), 6)
        expect(await read_asset(self.store, first) == b"first", f"{what}: an upload would overwrite another asset")
        await self._expect_listed(self.key, first, second)
        for key in (first, second):
            await self.store.delete(key)

    async def _signs(self) -> None:
        key = self._key(" \u00e9 \u6a19%41+#?;&=~'.txt")
        await self.store.write(key, chunked(b"signs"), 5)
        await self._expect_content(key, b"signs")
        await self._expect_listed(self.key, key)
        await self.store.delete(key)

    async def _create(self) -> None:
        await create_twice(self.store, self._key("-new.bin"))

    async def _delete(self) -> None:
        await self.store.delete(self.key)
        expect(not await self._is_there(self.key), "it is still there: what is deleted in Specify would stay")

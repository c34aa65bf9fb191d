"""Checks of a store in use that leave its assets alone: `was-daemon check-store`."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress

import attrs

from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.telemetry.redaction import without_secrets
from was_daemon.testing.streams import chunked, collect, payload, read_asset, read_reader


class _PromiseBroken(Exception):
    """The store broke a promise; the message says how."""


class _Interrupted(Exception):
    """The upload breaks off on purpose."""


@attrs.frozen
class PromiseResult:
    """Result of trying one promise, which is a sentence; `problem` is None when it was kept, or not tried."""

    promise: str
    problem: str | None
    tried: bool = True


async def check_live(store: IAssetStore, collection: str) -> AsyncGenerator[PromiseResult, None]:
    """Try the store's promises on one asset with a new, unguessable name in `collection`; yield a result for each.

    No other asset is read, written or deleted. The asset is deleted at the end, also when the caller closes the
    generator early. When the store cannot be used at all, only the first promise is tried.
    """
    name = f"was-check-{secrets.token_hex(16)} é%+#.bin"
    trial = _Trial(store, AssetKey(collection, Kind.ORIGINAL, name))
    (first, reachable), *others = trial.promises()
    problem = await _problem(reachable)
    yield PromiseResult(first, problem)
    if problem is not None:
        for sentence, _attempt in others:
            yield PromiseResult(sentence, None, tried=False)
        return
    try:
        for sentence, attempt in others:
            yield PromiseResult(sentence, await _problem(attempt))
    finally:
        # An error of deletion was already reported by the last promise.
        with suppress(Exception):
            await store.delete(trial.key)


async def _problem(attempt: Callable[[], Awaitable[None]]) -> str | None:
    try:
        await attempt()
    except (AssetError, _PromiseBroken) as error:
        return f"{type(error).__name__}: {error}" if isinstance(error, AssetError) else str(error)
    except Exception as error:
        # A store that raises anything else breaks its contract; the operator is told instead of shown a traceback.
        return without_secrets(f"unexpected {type(error).__name__}: {error}")
    return None


@attrs.define
class _Trial:
    """Promises on one asset, tried in order: each step relies on the state that the previous one left."""

    store: IAssetStore
    key: AssetKey
    old: bytes = attrs.field(factory=lambda: payload(300_001, seed=1), repr=False)
    new: bytes = attrs.field(factory=lambda: payload(300_001, seed=2), repr=False)

    def promises(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        return [
            ("the store is reachable, readable and writable", self._check),
            ("an asset that is not there is reported as not found", self._missing),
            ("what was written is read back", self._round_trip),
            ("a range is read", self._range),
            ("size and version are told alike by stat and open", self._stat),
            ("an upload that breaks off changes nothing", self._interrupted),
            ("a replaced asset has a new version, and an open reader is not mixed up", self._replace),
            ("the asset is listed", self._list),
            ("a deleted asset is gone", self._delete),
        ]

    async def _check(self) -> None:
        await self.store.check()

    async def _missing(self) -> None:
        try:
            await self.store.stat(self.key)
        except AssetNotFound:
            return
        raise _PromiseBroken("a name that was never used is there")

    async def _round_trip(self) -> None:
        await self.store.write(self.key, chunked(self.old, 10_007), len(self.old))
        _expect(await read_asset(self.store, self.key) == self.old, "the bytes read are not the bytes written")

    async def _range(self) -> None:
        part = await read_asset(self.store, self.key, 99_999, 200_001)
        _expect(part == self.old[99_999:200_001], "the bytes of a range are wrong")

    async def _stat(self) -> None:
        stat = await self.store.stat(self.key)
        reader = await self.store.open(self.key)
        await reader.close()
        _expect(stat.size == len(self.old), f"stat says {stat.size} bytes instead of {len(self.old)}")
        _expect(stat == reader.stat, f"stat says {stat}, open says {reader.stat}")

    async def _interrupted(self) -> None:
        async def breaks_off() -> AsyncIterator[bytes]:
            yield self.new[:100_000]
            raise _Interrupted

        with suppress(_Interrupted):
            await self.store.write(self.key, breaks_off())
            raise _PromiseBroken("the broken upload was accepted")
        _expect(await read_asset(self.store, self.key) == self.old, "the broken upload changed the asset")

    async def _replace(self) -> None:
        reader = await self.store.open(self.key)
        try:
            stat = await self.store.write(self.key, chunked(self.new))
            _expect(stat.etag != reader.stat.etag, "the version's etag did not change")
            _expect(await read_asset(self.store, self.key) == self.new, "the new bytes are not there")
            with suppress(AssetError):
                _expect(await read_reader(reader) == self.old, "an open reader got bytes of another version")
        finally:
            await reader.close()

    async def _list(self) -> None:
        found = await collect(self.store.list(self.key.collection, self.key.kind, self.key.name[:30]))
        _expect(found == [self.key], f"found {[key.name for key in found]}")

    async def _delete(self) -> None:
        await self.store.delete(self.key)
        await self._missing()


def _expect(kept: bool, problem: str) -> None:
    if not kept:
        raise _PromiseBroken(problem)

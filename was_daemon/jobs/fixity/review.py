"""Review of the originals at fault by an operator: what to restore, and what to accept."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress

import attrs

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.fixity import Fault, Record
from was_daemon.jobs.examine import Finding, examine, record_as_it_is, utc
from was_daemon.jobs.report import JobReport
from was_daemon.jobs.traverse import is_empty
from was_daemon.model.digests import Digest, digest_of
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import IAssetStore
from was_daemon.model.keys import Kind, Layout
from was_daemon.model.mirror import IMirror

_NOT_MOUNTED = "there is no original of its collection at all: is a disk not mounted?"


@attrs.frozen
class Review:
    """Review of the originals at fault in `stores`, and in the collections in `directories` unless that is None."""

    catalogue: Catalogue
    stores: Mapping[str, IAssetStore]
    report: JobReport
    directories: Collection[str] | None = None
    _seen: set[str] = attrs.field(init=False, factory=set)

    async def faulty(self, names: Collection[str] = ()) -> AsyncGenerator[Record, None]:
        """Yield the records of originals at fault, those of these names, or all without names."""
        async with aclosing(self.catalogue.fixity.faulty(list(self.stores), names)) as records:
            async for record in records:
                if self.directories is None or record.key.collection in self.directories:
                    yield record

    async def look(self, record: Record) -> None:
        """Read an original again, and report whether it is still at fault, and where its content is to be had."""
        store, records = self.stores[record.store], self.catalogue.fixity
        finding = (
            await examine(store, record, records) if record.digest else Finding(record, record.fault, record.detail)
        )
        if finding is None or not finding.fault:
            await records.note([finding.outcome] if finding else [])
            self.report.count("ok")
            return
        fault, detail = finding.fault, finding.detail
        hindrance = await self._hindrance(record, finding) if record.fault and fault is not record.fault else None
        if hindrance and record.fault:
            # It is as it was found when it could be read.
            fault, detail = record.fault, "; ".join(filter(None, [record.detail, hindrance]))
        elif fault is not record.fault or detail != record.detail:
            await records.note([finding.outcome])
        self.report.describe(fault.value, _path(record), ". ".join(filter(None, [detail, await self._remedy(record)])))

    async def _hindrance(self, record: Record, finding: Finding) -> str | None:
        """Return why a finding need not be the original's fault, None if it is."""
        if finding.fault is Fault.UNREADABLE:
            return f"it cannot be read now: {finding.detail}"
        is_bare = finding.fault is Fault.MISSING and await self._is_bare(record)
        return f"now {_NOT_MOUNTED}" if is_bare else None

    async def _is_bare(self, record: Record) -> bool:
        return await is_empty(self.stores[record.store], record.key.collection, Kind.ORIGINAL)

    async def _remedy(self, record: Record) -> str:
        """Return what to restore, and from where."""
        if not record.digest:
            return f"In the store {record.store}. Nothing is recorded of its content"
        since = utc(record.checked) if record.checked is not None else "an unknown time"
        sentences = [f"In the store {record.store}. As recorded until {since}, {record.digest.size} bytes"]
        copy, twin = await self._whole_copy(record, record.digest), await self.catalogue.fixity.same_content(record)
        if copy:
            sentences.append(f"The copy {copy} has it: mirror repair --deep --prefer copy restores it")
        elif twin:
            sentences.append(f"{Layout.FLAT.path(twin)} has the same content: copy it")
        else:
            sentences.append("Restore it from a backup of that time")
        return ". ".join([*sentences, f"SHA-256 {record.digest.sha256}"])

    async def _whole_copy(self, record: Record, digest: Digest) -> str | None:
        """Return the name of a mirror's copy that has the content as it is recorded; None without one."""
        store = self.stores[record.store]
        for name, copy in IMirror(store).copies.items() if IMirror.providedBy(store) else ():
            with suppress(AssetError):
                _, found = await digest_of(copy, record.key)
                if found.sha256 == digest.sha256:
                    return name
        return None

    async def accept(self, record: Record, is_named: bool) -> None:
        """Record an original at fault as it is now, or as lost, and report that.

        One that is not named is not taken for lost if its whole collection is gone.
        """
        store, key = self.stores[record.store], record.key
        self._seen.add(key.name)
        try:
            digest = await record_as_it_is(self.catalogue, record.store, store, key, origin=record.origin)
        except AssetNotFound:
            if record.fault is not Fault.MISSING:
                self.report.describe("failed", _path(record), "it is gone by now; see fixity report")
                return
            if not is_named and await self._is_bare(record):
                self.report.describe("failed", _path(record), _NOT_MOUNTED)
                return
            await self.catalogue.add(Event.new(EventKind.LOST, record.store, key, origin=record.origin))
            self.report.describe("accepted", _path(record), "as lost")
        except AssetError as error:
            self.report.describe("failed", _path(record), str(error))
        else:
            if digest == record.digest:
                self.report.count("ok")
            else:
                detail = f"as it is now: {digest.size} bytes, SHA-256 {digest.sha256}"
                self.report.describe("accepted", _path(record), detail)

    def describe_unknown(self, names: Collection[str]) -> None:
        """Report the names of which no original at fault was accepted."""
        for name in names:
            if name not in self._seen:
                self.report.describe("unknown", name, "no original of this name is at fault; see fixity report")


def _path(record: Record) -> str:
    return Layout.FLAT.path(record.key)

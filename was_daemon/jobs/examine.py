"""Comparison of one stored original with its record, and recording of one, for `verify` and for fixity."""

import time
from datetime import UTC, datetime

import attrs

from was_daemon.catalogue.catalogue import Catalogue
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.fixity import Fault, FixityRecords, Outcome, Record
from was_daemon.model.digests import Digest, Pace, digest_of
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.keys import AssetKey
from was_daemon.model.origins import UNKNOWN_ORIGIN, Origin


@attrs.frozen
class Finding:
    """Comparison of an original with its record: `fault` is None if it is as recorded; `detail` tells people more."""

    record: Record
    fault: Fault | None = None
    detail: str = ""

    @property
    def outcome(self) -> Outcome:
        """The finding as the catalogue notes it, made now."""
        return Outcome(self.record, time.time(), self.fault, self.detail)


async def examine(
    store: IAssetStore, record: Record, records: FixityRecords, pace: Pace | None = None
) -> Finding | None:
    """Read an original, and compare it with its record, which has a digest; `pace` limits how fast it is read.

    Fires with None if the daemon has replaced or deleted the original since the record was read. Any error of the store
    makes it unreadable; a store that is down has other causes than the original.
    """
    try:
        stat, digest = await digest_of(store, record.key, pace=pace)
    except AssetNotFound:
        fault, stat, digest = Fault.MISSING, None, None
    except AssetError as error:
        return Finding(record, Fault.UNREADABLE, str(error))
    else:
        if digest == record.digest:
            return Finding(record)
        fault = Fault.CHANGED
    current = await records.find(record.store, record.key)
    if current is None or current.digest != record.digest:
        return None
    return Finding(record, fault, _difference(current, stat, digest) if stat and digest else "")


def _difference(record: Record, stat: AssetStat, found: Digest) -> str:
    wanted = record.digest
    if wanted and wanted.size != found.size:
        difference = f"{found.size} bytes instead of {wanted.size}"
    else:
        difference = f"SHA-256 {found.sha256} instead of {wanted.sha256 if wanted else None}"
    return f"{difference}; {_cause(record, stat)}"


def _cause(record: Record, stat: AssetStat) -> str:
    """Return what the time of a file tells of who changed it, in words for an operator."""
    if not stat.modified:
        return "the store tells no time of the change"
    if stat.modified > record.changed:
        return f"written on {utc(stat.modified)}, not by the daemon"
    return f"damaged, as its time is still {utc(stat.modified)}"


def utc(seconds: float) -> str:
    """Return a Unix time as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def record_as_it_is(
    catalogue: Catalogue,
    name: str,
    store: IAssetStore,
    key: AssetKey,
    pace: Pace | None = None,
    origin: Origin = UNKNOWN_ORIGIN,
) -> Digest:
    """Record an original as the store called `name` has it now, and fire with its digest; raises `AssetNotFound`.

    `origin` is what is known from before of where it came from.
    """
    # What the daemon changes from now on counts more.
    began = time.time()
    _, digest = await digest_of(store, key, with_md5=True, pace=pace)
    await catalogue.add(Event.new(EventKind.FOUND, name, key, digest, origin, began))
    return digest

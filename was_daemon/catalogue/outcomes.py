"""What has come of changes whose end was not recorded: their daemon was killed, or their store did not confirm them."""

import time

import attrs

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.events import Event, EventKind
from was_daemon.catalogue.records import find_digest
from was_daemon.model.digests import digest_of
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetStore
from was_daemon.model.origins import UNKNOWN_ORIGIN


async def outcome(
    database: CatalogueDatabase, expected: Event, store: IAssetStore, previous: AssetStat | None
) -> Event | None:
    """Fire with the event by which a change has ended, None if it has changed nothing; it found `previous`.

    The event has the source of the expected one: if several daemons find out the same, it is recorded once.
    """
    name, key = expected.store, expected.key
    seen = attrs.evolve(expected, at=time.time(), origin=UNKNOWN_ORIGIN)
    try:
        if previous and (await store.stat(key)).etag == previous.etag:
            return None
        _, digest = await digest_of(store, key, with_md5=True)
    except AssetNotFound:
        if not await database.read(find_digest, name, key):
            return None
        return attrs.evolve(seen, kind=EventKind.DELETED, digest=None) if expected.kind.has_content else expected
    if digest == expected.digest:
        return expected
    known = await database.read(find_digest, name, key)
    if known and known.sha256 == digest.sha256:
        # The version before, of which is known who has sent it.
        return None
    return attrs.evolve(seen, kind=EventKind.FOUND, digest=digest)

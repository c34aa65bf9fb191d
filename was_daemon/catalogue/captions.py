"""Captions of originals from the catalogue, for answers that are better with them and can do without."""

from collections import OrderedDict

import attrs
from sqlalchemy import Connection, and_, select
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import assets, records
from was_daemon.concurrency.waiting import shield
from was_daemon.model.captions import NO_CAPTION, Caption
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey

_PATIENCE_SECONDS = 0.25
"""Seconds that an answer waits for a caption."""

_REST_SECONDS = 30.0
"""Seconds for which a database that did not answer is not asked."""

_FRESH_SECONDS = 60.0
_KEPT = 1000


class Captions:
    """Source of captions that never fails, and takes no longer than a moment: then there is none."""

    def __init__(self, database: CatalogueDatabase) -> None:
        from twisted.internet import reactor

        self._database = database
        self._clock = IReactorTime(reactor)
        self._known: OrderedDict[tuple[str, AssetKey], tuple[float, Caption]] = OrderedDict()
        self._rests_until = 0.0

    async def find(self, store: str, key: AssetKey) -> Caption:
        """Fire with the caption of an original in the store of that name, up to a minute old."""
        now = self._clock.seconds()
        fresh_until, known = self._known.get((store, key), (0.0, NO_CAPTION))
        if now < fresh_until or now < self._rests_until:
            return known
        try:
            caption = await shield(self._database.read(_caption, store, key)).addTimeout(_PATIENCE_SECONDS, self._clock)
        except (StoreUnavailable, DeferredTimeout):
            self._rests_until = self._clock.seconds() + _REST_SECONDS
            return known
        self._known[store, key] = now + _FRESH_SECONDS, caption
        self._known.move_to_end((store, key))
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return caption


def _caption(connection: Connection, store: str, key: AssetKey) -> Caption:
    """Return the caption of an original: of several records, the one that changed last counts."""
    columns = [getattr(records.c, field.name) for field in attrs.fields(Caption)]
    is_it = and_(records.c.store == store, records.c.collection == key.collection, records.c.name == key.name)
    query = select(*columns).where(is_it, records.c.is_removed.is_(False))
    row = connection.execute(query.order_by(records.c.changed.desc(), records.c.id.desc()).limit(1)).first()
    caption = Caption(*((text or "").strip() or None for text in row)) if row else NO_CAPTION
    if caption.name:
        return caption
    is_it = and_(assets.c.store == store, assets.c.collection == key.collection, assets.c.name == key.name)
    return attrs.evolve(caption, file_name=connection.scalar(select(assets.c.file_name).where(is_it)))

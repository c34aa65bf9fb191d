"""Advice for the console on a catalogue that knows nothing of what the stores have."""

from contextlib import aclosing

from sqlalchemy import Connection, select
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.catalogue.schema import assets
from was_daemon.daemon.components import Components
from was_daemon.library.collections import Place
from was_daemon.model.errors import AssetError
from was_daemon.model.interfaces import IUnlisted
from was_daemon.model.keys import Kind

_SECONDS = 3.0

_log = Logger()


async def advice_on_catalogue(components: Components) -> list[str]:
    """Fire with a sentence if the catalogue is empty, as one that was lost and made anew, and a store is not."""
    from twisted.internet import reactor

    try:
        is_lost = await Deferred.fromCoroutine(_is_lost(components)).addTimeout(_SECONDS, IReactorTime(reactor))
    except (AssetError, DeferredTimeout):
        # Checks of health tell.
        return []
    except Exception:
        # A fault of a plugin is not to take the pages of the console with it.
        _log.failure("It could not be found out whether the catalogue was lost")
        return []
    return ["The catalogue is empty, and the stores are not: it was lost, or never filled"] if is_lost else []


async def _is_lost(components: Components) -> bool:
    catalogue = components.catalogue
    if not catalogue or not await catalogue.read(_is_empty):
        return False
    for place in components.collections.places():
        if await _has_original(place):
            return True
    return False


def _is_empty(connection: Connection) -> bool:
    return connection.execute(select(assets.c.id).limit(1)).first() is None


async def _has_original(place: Place) -> bool:
    if IUnlisted.providedBy(place.store):
        return False
    async with aclosing(place.store.list(place.directory, Kind.ORIGINAL)) as keys:
        async for _ in keys:
            return True
    return False

"""Advice for the console on a catalogue that lacks most of what the stores have."""

from collections.abc import Collection, Sequence
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

_ADVICE = "The catalogue lacks most originals that the stores have: it was lost, or is an old one, or was never filled"
_MOST_LOOKED_AT = 100
_SECONDS = 3.0

_log = Logger()


async def advice_on_catalogue(components: Components) -> list[str]:
    """Fire with a sentence if the catalogue lacks most originals of a store, as one that was lost and made anew."""
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
    return [_ADVICE] if is_lost else []


async def _is_lost(components: Components) -> bool:
    """Fire with whether the catalogue lacks most originals of a store, as the doctor judges it, too."""
    catalogue = components.catalogue
    if not catalogue:
        return False
    places = components.collections.places()
    for store in dict.fromkeys(place.name for place in places):
        keys = await _some_originals([place for place in places if place.name == store])
        if keys and 2 * await catalogue.read(_count_of_recorded, store, keys) < len(keys):
            return True
    return False


def _count_of_recorded(connection: Connection, store: str, keys: Collection[tuple[str, str]]) -> int:
    names = [name for _, name in keys]
    query = select(assets.c.collection, assets.c.name).where(assets.c.store == store, assets.c.name.in_(names))
    return len({(collection, name) for collection, name in connection.execute(query)} & {*keys})


async def _some_originals(places: Sequence[Place]) -> Collection[tuple[str, str]]:
    """Fire with collections and names of the first originals in places of one store."""
    found: set[tuple[str, str]] = set()
    for place in places:
        if IUnlisted.providedBy(place.store):
            continue
        async with aclosing(place.store.list(place.directory, Kind.ORIGINAL)) as keys:
            async for key in keys:
                found.add((key.collection, key.name))
                if len(found) >= _MOST_LOOKED_AT:
                    return found
    return found

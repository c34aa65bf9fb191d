"""Advice for the console on a catalogue that lacks most of what the stores have."""

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.catalogue.records import listed
from was_daemon.catalogue.sample import is_lost, sample_of
from was_daemon.daemon.components import Components
from was_daemon.model.errors import AssetError

_ADVICE = "The catalogue lacks most originals that the stores have: it was lost, or is an old one, or was never filled"
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
    places = components.collections.places() if catalogue else []
    stores = {place.name: place.store for place in places}
    for name, store in stores.items():
        sample = await sample_of(store, [place.directory for place in places if place.name == name])
        if catalogue and sample:
            known = await catalogue.read(listed, name, sample) | await catalogue.journal.mentioned(name)
            if is_lost([key for key in sample if key not in known], sample):
                return True
    return False

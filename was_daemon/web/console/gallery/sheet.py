"""Everything that is known of one original, each part by itself: what cannot be found out hides no other."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from was_daemon.concurrency.waiting import shield
from was_daemon.model.errors import AssetError, AssetNotFound
from was_daemon.model.interfaces import AssetStat
from was_daemon.model.search_texts import BadSearch
from was_daemon.model.trash import TrashedVersion
from was_daemon.web.admin.assets import cursor_text, parse_cursor
from was_daemon.web.console.gallery.holdings import Exhibit, Holdings
from was_daemon.web.console.gallery.looking import CLIENT

if TYPE_CHECKING:
    from was_daemon.catalogue.details import Details

T = TypeVar("T")

_EVENTS = 100
"""Events of the history on one page."""

_METADATA_SECONDS = 4.0
"""Seconds that the page waits for metadata, for which a worker reads the file, after it was fetched from its store."""


@attrs.frozen
class Unknown:
    """A part of what is known that cannot be found out now; `why` is a sentence."""

    why: str


@attrs.frozen
class History:
    """Events in the life of an original, the oldest first; `following` is the cursor of those after them, or ""."""

    events: Sequence[Mapping[str, Any]]
    following: str = ""


@attrs.frozen
class Sheet:
    """Facts about an original, for its page: `stat` is None if it is not stored.

    `download_name` is the one that the file had before it was stored, if that is known. `details` and `history` are
    None without a catalogue; `metadata` are those that `getmetadata` tells, None without a stored original; `versions`
    are in the trash.
    """

    exhibit: Exhibit
    download_name: str
    stat: AssetStat | Unknown | None
    details: "Details | Unknown | None"
    history: History | Unknown | None
    metadata: Sequence[Mapping[str, Any]] | Unknown | None
    versions: Sequence[TrashedVersion] | Unknown

    @property
    def is_known(self) -> bool:
        """Whether there is, or was, such an original, or whether that cannot be said."""
        if isinstance(self.stat, Unknown) or isinstance(self.details, Unknown) or self.stat or self.versions:
            return True
        events = self.history.events if isinstance(self.history, History) else ()
        return bool(events or (self.details and (self.details.asset or self.details.records or self.details.decision)))


async def sheet_of(holdings: Holdings, exhibit: Exhibit, cursor: str) -> Sheet:
    """Fire with what is known of an original; `cursor` says after which event its history goes on."""
    stat = await _found(_stat(holdings, exhibit))
    return Sheet(
        exhibit,
        (await holdings.assets.caption(exhibit.key)).name or exhibit.name,
        stat,
        await _found(_details(holdings, exhibit)),
        await _found(_history(holdings, exhibit, cursor)),
        await _found(_metadata(holdings, exhibit)) if isinstance(stat, AssetStat) else None,
        await _found(_versions(holdings, exhibit)),
    )


async def is_known(holdings: Holdings, exhibit: Exhibit) -> bool:
    """Fire with whether there is, or was, such an original, or whether that cannot be said."""
    # The metadata of what is stored would take long.
    return bool(await _found(_stat(holdings, exhibit))) or (await sheet_of(holdings, exhibit, "")).is_known


async def _found(part: Awaitable[T]) -> T | Unknown:
    try:
        return await part
    except (AssetError, BadSearch) as error:
        return Unknown(str(error))


async def _stat(holdings: Holdings, exhibit: Exhibit) -> AssetStat | None:
    try:
        return await holdings.assets.stat(exhibit.key)
    except AssetNotFound:
        return None


async def _details(holdings: Holdings, exhibit: Exhibit) -> "Details | None":
    if not holdings.catalogue:
        return None
    from was_daemon.catalogue.details import details_of

    return await holdings.catalogue.read(details_of, exhibit.identity)


async def _history(holdings: Holdings, exhibit: Exhibit, cursor: str) -> History | None:
    if not holdings.finder:
        return None
    directories = (exhibit.key.collection,)
    page = await holdings.finder.history(exhibit.name, directories, parse_cursor(cursor), _EVENTS)
    return History(page.rows, cursor_text(page.cursor) if page.cursor else "")


async def _metadata(holdings: Holdings, exhibit: Exhibit) -> Sequence[Mapping[str, Any]] | Unknown:
    from twisted.internet import reactor

    reading = Deferred.fromCoroutine(holdings.assets.metadata(exhibit.key, CLIENT))
    try:
        return await shield(reading).addTimeout(_METADATA_SECONDS, IReactorTime(reactor))
    except DeferredTimeout:
        return Unknown("the file is still being read: load the page again in a moment")


async def _versions(holdings: Holdings, exhibit: Exhibit) -> Sequence[TrashedVersion]:
    versions = await (await holdings.trash(exhibit.key.collection)).find(exhibit.name)
    return sorted(versions, key=lambda version: version.id.at, reverse=True)

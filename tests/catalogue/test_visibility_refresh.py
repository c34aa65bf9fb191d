"""What daemons know of the visibility of originals, after changes and without the database."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, insert, update
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from tests.support.databases import lose_sqlite
from was_daemon.catalogue import visibility_refresh
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.schema import records
from was_daemon.catalogue.visibility import Decision, decide
from was_daemon.catalogue.visibility_refresh import VisibilityRefresh
from was_daemon.library.visibility import KEY_BYTES, Visibility
from was_daemon.model.errors import StoreUnavailable
from was_daemon.model.keys import AssetKey, Kind
from was_daemon.specify.attachments import Attachment, Page
from was_daemon.specify.records import Source, keep

async_test = pytest_twisted.ensureDeferred

NAMES = ("a", "b", "c")


def say(connection: Connection, name: str, is_public: bool | None, at: float) -> None:
    """Have a record of Specify's say this from now on."""
    values = {"is_public": is_public, "changed": at, "is_removed": False}
    if not connection.execute(update(records).where(records.c.name == name).values(values)).rowcount:
        number = ord(name[0])
        connection.execute(
            insert(records).values(source="fish", number=number, store="main", collection="", name=name, **values)
        )


class QuickClock(Clock):
    """A clock that stands still, and on which nobody waits, but for the database."""

    def callLater(self, delay: float, function: Callable[..., object], *args: object, **kwargs: object) -> IDelayedCall:
        if delay == visibility_refresh._PATIENCE_SECONDS:
            return super().callLater(delay, function, *args, **kwargs)
        return reactor.callLater(0, function, *args, **kwargs)


@attrs.define
class Museum:
    """A catalogue, and the daemons that use it."""

    directory: Path
    database: CatalogueDatabase
    clock: Clock = attrs.field(factory=QuickClock)
    daemons: list[VisibilityRefresh] = attrs.field(factory=list)

    def daemon(self, hides_unknown: bool = True, saves: bool = True, key: int = 0) -> VisibilityRefresh:
        """A daemon that has just started, and not yet refreshed what it knows."""
        visibility = Visibility(bytes([key] * KEY_BYTES), hides_unknown)
        url = URL.create("sqlite", database=str(self.directory / "catalogue.sqlite"))
        refresh = VisibilityRefresh(
            visibility, CatalogueDatabase(url), self.directory / "was.visibility", saves, self.clock
        )
        refresh.start()
        self.daemons.append(refresh)
        return refresh

    async def say(self, name: str, is_public: bool | None, at: float) -> None:
        await self.database.run(say, name, is_public, at)

    async def decide(self, name: str, is_private: bool | None) -> None:
        await self.database.run(decide, [Decision("main", "", name, is_private, "because", 1.0)])


def private(daemon: VisibilityRefresh) -> str:
    """The originals that are private."""
    return "".join(name for name in NAMES if daemon.visibility.is_private("main", "", name))


@pytest_twisted.async_yield_fixture
async def museum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Museum]:
    # Refreshed when a test says so.
    monkeypatch.setattr(VisibilityRefresh, "_run", lambda _: _nothing())
    database = CatalogueDatabase(URL.create("sqlite", database=str(tmp_path / "catalogue.sqlite")))
    museum = Museum(tmp_path, database)
    yield museum
    for daemon in museum.daemons:
        await daemon.close()
        await daemon._database.close()
    await database.close()


async def _nothing() -> None:
    return


@async_test
async def test_what_changes_counts_after_the_next_refresh_on_each_daemon(museum: Museum) -> None:
    await museum.say("a", True, at=100)
    await museum.say("b", False, at=100)
    daemons = [museum.daemon(), museum.daemon(saves=False, key=1)]

    async def refreshed() -> list[str]:
        for daemon in daemons:
            await daemon.refresh()
        return [private(daemon) for daemon in daemons]

    assert await refreshed() == ["bc", "bc"]
    await museum.say("a", False, at=101)
    assert await refreshed() == ["abc", "abc"]
    await museum.decide("b", False)
    await museum.say("c", True, at=101)
    assert await refreshed() == ["a", "a"]
    await museum.decide("b", None)
    await museum.say("c", None, at=102)
    assert await refreshed() == ["abc", "abc"]


@async_test
async def test_a_change_that_comes_late_counts_within_a_minute(museum: Museum) -> None:
    await museum.say("a", True, at=1000)
    daemon = museum.daemon()
    await daemon.refresh()
    # The transaction of another daemon took five minutes.
    await museum.say("b", True, at=700)
    museum.clock.advance(61)
    await daemon.refresh()
    assert private(daemon) == "c"


@async_test
async def test_without_the_database_the_last_known_state_counts(museum: Museum) -> None:
    await museum.say("a", True, at=100)
    daemon = museum.daemon(hides_unknown=False)
    await daemon.refresh()
    await museum.decide("b", True)
    await daemon.refresh()
    lose_sqlite(museum.directory / "catalogue.sqlite")
    with pytest.raises(StoreUnavailable):
        await daemon.refresh()
    assert private(daemon) == "b"
    # Also after a restart, and for another process, which has a key of its own.
    later = museum.daemon(hides_unknown=False, saves=False, key=1)
    with pytest.raises(StoreUnavailable):
        await later.refresh()
    assert private(later) == "b"


@async_test
async def test_without_the_database_and_without_anything_saved_everything_is_private(museum: Museum) -> None:
    lose_sqlite(museum.directory / "catalogue.sqlite")
    daemon = museum.daemon(hides_unknown=False)
    with pytest.raises(StoreUnavailable):
        await daemon.refresh()
    assert private(daemon) == "abc"


@async_test
async def test_what_an_upload_hides_is_private_at_once_here(museum: Museum) -> None:
    daemon = museum.daemon(hides_unknown=False)
    await daemon.refresh()
    await daemon.hide("main", AssetKey("", Kind.ORIGINAL, "b"), "upload")
    assert private(daemon) == "b"
    lose_sqlite(museum.directory / "catalogue.sqlite")
    with pytest.raises(StoreUnavailable):
        await daemon.hide("main", AssetKey("", Kind.ORIGINAL, "c"), "upload")


@async_test
async def test_a_database_that_does_not_answer_is_a_problem(museum: Museum, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = museum.daemon(hides_unknown=False)
    await daemon.refresh()
    monkeypatch.setattr(daemon._database, "run", lambda *_: Deferred())
    monkeypatch.setattr(daemon._database, "read", lambda *_: Deferred())
    refreshing = Deferred.fromCoroutine(daemon.refresh())
    refreshing.addErrback(lambda _: None)
    hiding = Deferred.fromCoroutine(daemon.hide("main", AssetKey("", Kind.ORIGINAL, "b"), "upload"))
    museum.clock.advance(31)
    assert hiding.called
    with pytest.raises(StoreUnavailable):
        await hiding
    museum.clock.advance(88)
    await daemon.check()
    museum.clock.advance(2)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await daemon.check()
    refreshing.cancel()


@async_test
async def test_an_upload_that_hides_what_was_public_waits_for_the_other_daemons(
    museum: Museum, monkeypatch: pytest.MonkeyPatch
) -> None:
    await museum.say("a", True, at=100)
    daemon, other = museum.daemon(), museum.daemon(saves=False, key=1)
    await daemon.refresh()
    await other.refresh()
    waits: list[float] = []

    async def wait(_clock: Clock, seconds: float) -> None:
        waits.append(seconds)
        await other.refresh()

    monkeypatch.setattr(visibility_refresh, "deferLater", wait)
    await daemon.hide("main", AssetKey("", Kind.ORIGINAL, "a"), "upload")
    await daemon.hide("main", AssetKey("", Kind.ORIGINAL, "b"), "upload")
    # What is unknown was private, and needs no time.
    (seconds,) = waits
    assert seconds > visibility_refresh._PAUSE_SECONDS
    assert private(other) == "abc"


@async_test
async def test_a_record_that_was_renamed_counts_for_its_old_name_no_more(museum: Museum) -> None:
    async def have(name: str, is_public: bool, collection: str = "") -> None:
        page = Page(0, None, [Attachment(1, name, is_public=is_public)])
        await museum.database.run(keep, Source("fish", "main", collection), page)

    daemon = museum.daemon()
    await have("a", True)
    await daemon.refresh()
    assert private(daemon) == "bc"
    await have("b", True)
    await daemon.refresh()
    assert private(daemon) == "ac"
    await have("a", True)
    await daemon.refresh()
    assert private(daemon) == "bc"
    await have("a", True, collection="Fish")
    await daemon.refresh()
    assert private(daemon) == "abc"


@async_test
async def test_what_changes_while_everything_is_read_counts(museum: Museum, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visibility_refresh, "_ROWS_OF_PAGE", 1)
    for name in NAMES:
        await museum.say(name, True, at=100)
    daemon = museum.daemon()
    await daemon.refresh()
    changed: list[str] = []
    gather: Callable[..., int | None] = daemon._gather

    def change_then_gather(connection: Connection, *arguments: object) -> int | None:
        last = gather(connection, *arguments)
        if not changed:
            changed.append("a")
        return last

    monkeypatch.setattr(daemon, "_gather", change_then_gather)
    follow = daemon._follow

    async def change_then_follow() -> None:
        if changed == ["a"]:
            changed.append("done")
            await museum.say("a", False, at=101)
        await follow()

    monkeypatch.setattr(daemon, "_follow", change_then_follow)
    museum.clock.advance(3601)
    await daemon.refresh()
    assert changed == ["a", "done"]
    assert private(daemon) == "a"
    assert private(museum.daemon(saves=False)) == "a"


@async_test
async def test_a_snapshot_that_cannot_be_written_is_tried_again(museum: Museum, logged: Callable[[], str]) -> None:
    await museum.say("a", True, at=100)
    (museum.directory / "was.visibility.new").mkdir()
    daemon = museum.daemon()
    await daemon.refresh()
    await daemon.refresh()
    assert private(daemon) == "bc"
    assert logged().count("cannot be saved for the next start") == 1
    shutil.rmtree(museum.directory / "was.visibility.new")
    await daemon.refresh()
    assert private(museum.daemon(saves=False)) == "bc"


@async_test
async def test_many_changes_at_once_count_after_everything_was_read_again(
    museum: Museum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility_refresh, "_MAX_FOLLOWED", 1)
    await museum.say("a", True, at=100)
    daemon = museum.daemon()
    await daemon.refresh()
    for name, is_public in (("a", False), ("b", True), ("c", True)):
        await museum.say(name, is_public, at=101)
    await daemon.refresh()
    await daemon.refresh()
    assert private(daemon) == "a"
    await museum.say("b", False, at=200)
    await daemon.refresh()
    await daemon.refresh()
    assert private(daemon) == "ab"


@async_test
async def test_an_empty_database_in_place_of_the_old_one_publishes_nothing(museum: Museum) -> None:
    await museum.say("a", False, at=100)
    await museum.decide("b", True)
    await museum.decide("b", None)
    daemon = museum.daemon(hides_unknown=False)
    await daemon.refresh()
    assert private(daemon) == "a"
    for file in museum.directory.glob("catalogue.sqlite*"):
        file.unlink()
    later = museum.daemon(hides_unknown=False)
    with pytest.raises(StoreUnavailable):
        await later.refresh()
    museum.clock.advance(3601)
    with pytest.raises(StoreUnavailable):
        await daemon.refresh()
    assert (private(daemon), private(later)) == ("a", "a")
    # An administrator who knows better says so.
    (museum.directory / "was.visibility").unlink()
    new = museum.daemon(hides_unknown=False)
    await new.refresh()
    assert private(new) == ""

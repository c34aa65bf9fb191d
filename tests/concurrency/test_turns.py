"""Many look, one replaces."""

from twisted.internet.defer import Deferred

from was_daemon.concurrency.turns import Turns


def enter(
    turns: Turns[str], way: str, key: str, journal: list[str], name: str
) -> tuple[Deferred[None], Deferred[None]]:
    """Somebody who is in as long as the first Deferred has not fired; the second is what the whole comes to."""
    leave: Deferred[None] = Deferred()

    async def be() -> None:
        async with getattr(turns, way)(key):
            journal.append(f"{name} in")
            await leave
            journal.append(f"{name} out")

    return leave, Deferred.fromCoroutine(be())


def test_lookers_share_and_a_replacer_waits_for_them_and_goes_before_the_next() -> None:
    turns, journal = Turns[str](), list[str]()
    first, _ = enter(turns, "look", "a", journal, "first")
    second, _ = enter(turns, "look", "a", journal, "second")
    replacer, _ = enter(turns, "replace", "a", journal, "replacer")
    third, _ = enter(turns, "look", "a", journal, "third")
    enter(turns, "replace", "b", journal, "other")
    for leave in (first, second, replacer, third):
        leave.callback(None)
    assert journal == [
        "first in",
        "second in",
        "other in",
        "first out",
        "second out",
        "replacer in",
        "replacer out",
        "third in",
        "third out",
    ]


def test_whoever_gives_up_waiting_holds_up_nobody() -> None:
    turns, journal = Turns[str](), list[str]()
    looking, _ = enter(turns, "look", "a", journal, "looker")
    _leave, waiting = enter(turns, "replace", "a", journal, "replacer")
    _leave, behind = enter(turns, "look", "a", journal, "behind")
    for gone in (behind, waiting):
        gone.addErrback(lambda _failure: None)
        gone.cancel()
    enter(turns, "look", "a", journal, "next")
    looking.callback(None)
    assert journal == ["looker in", "next in", "looker out"]

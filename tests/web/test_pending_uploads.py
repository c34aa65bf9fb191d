"""Uploads without a token share some places; who takes one without using it loses it first."""

import pytest

from was_daemon.model.errors import Overloaded
from was_daemon.web.contract import pending_uploads
from was_daemon.web.contract.pending_uploads import PendingUpload, PendingUploads, UploadLimits


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pending_uploads, "time", clock)
    return clock


class Uploads:
    """Four places, and who was told to give one up."""

    def __init__(self) -> None:
        self.pending = PendingUploads(UploadLimits(max_size=1000, pending=4, pending_size=1000, min_free=0))
        self.given_up: list[str] = []

    def enter(self, client: str, name: str = "") -> PendingUpload:
        return self.pending.add(client, lambda: self.given_up.append(name))


def test_nobody_gives_way_at_once(clock: Clock) -> None:
    uploads = Uploads()
    for client in ("a", "a", "b", "b"):
        uploads.enter(client)
    clock.now = 5
    for client in ("a", "c"):
        with pytest.raises(Overloaded):
            uploads.enter(client)
    assert uploads.given_up == []


def test_the_slowest_gives_way_to_whoever_comes(clock: Clock) -> None:
    uploads = Uploads()
    places = {name: uploads.enter(name[0], name) for name in ("a1", "a2", "b1", "b2")}
    for size, place in enumerate(places.values(), start=1):
        place.grow(size * 100 if place.client == "a" else 50 * size)
    clock.now = 11
    uploads.enter("c", "c1")
    assert uploads.given_up == ["a1"]
    with pytest.raises(Overloaded):
        places["a1"].grow(1)


def test_a_client_with_half_of_the_places_makes_room_among_its_own(clock: Clock) -> None:
    uploads = Uploads()
    uploads.enter("b", "b1")
    fast = uploads.enter("a", "a1")
    uploads.enter("a", "a2")
    fast.grow(100)
    clock.now = 11
    uploads.enter("a", "a3")
    assert uploads.given_up == ["a2"]


def test_what_is_over_counts_no_more(clock: Clock) -> None:
    uploads = Uploads()
    first = uploads.enter("a")
    first.grow(1000)
    with pytest.raises(Overloaded):
        uploads.enter("b").grow(1)
    first.release()
    first.release()
    uploads.enter("b").grow(1000)

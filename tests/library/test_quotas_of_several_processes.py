"""Quotas with several processes: they hold as with one, whoever does what."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_twisted

from tests.daemon.test_reload import reload
from tests.daemon.test_several_processes import TWO, conversing, of_each, together
from tests.library.test_quotas import QUOTA, QUOTED, Hosting, check_full
from tests.support.client import Answer, Connection
from tests.support.daemon import eventually
from tests.support.http_contract import gather, new_name

SIZE = 100 << 10
MOST = QUOTA // SIZE


class HostingTwo(Hosting):
    """A daemon of two processes."""

    def config(self, collections: dict[str, dict[str, str]]) -> dict[str, dict[str, object]]:
        """See `Hosting`."""
        return together(super().config(collections), TWO)

    def start(self) -> "HostingTwo":
        """See `Hosting`."""
        self.daemon.start()
        self.daemon.await_processes()
        self.await_count()
        return self

    def upload(self, connection: Connection, name: str, coll: str = "Fish") -> Answer:
        """Upload `SIZE` bytes."""
        form = self.client.specify6_form(name, coll=coll)
        connection.send(form.head(SIZE) + form.around(bytes(SIZE)))
        return connection.answer()

    def delete(self, connection: Connection, name: str) -> Answer:
        """Delete what `upload` stored."""
        form = urlencode({"filename": name, "coll": "Fish", "token": self.client.token(name)})
        connection.send(
            "POST /filedelete HTTP/1.1\r\nHost: was\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}".encode()
        )
        return connection.answer()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostingTwo]:
    """One for the tests that each use collections of their own."""
    hosting = HostingTwo(tmp_path_factory.mktemp("two")).start()
    yield hosting
    hosting.daemon.stop()


def test_what_one_process_stores_another_may_delete(two: HostingTwo) -> None:
    with conversing(two.daemon, 1) as connections:
        first, second = of_each(two.daemon, connections)
        for stores, deletes in ((first, second), (second, first)):
            for _ in range(MOST + 1):
                assert two.upload(stores, "a.bin").status == 200
                assert two.delete(deletes, "a.bin").status == 200
                assert two.used() == 0
        assert two.upload(second, "b.bin").status == 200
    with two.reading("/metrics") as answer:
        told = [line for line in answer.read().decode().splitlines() if "_used_bytes{" in line and "Fish" in line]
    # In the words of both.
    assert told == [f'was_collection_used_bytes{{collection="Fish",process="{each}"}} {SIZE:.1f}' for each in (1, 2)]


@pytest_twisted.ensureDeferred
async def test_uploads_to_all_processes_at_the_same_time_do_not_exceed_it_together(two: HostingTwo) -> None:
    client = two.client
    answers = await gather(*(client.upload_like_specify7(new_name(), bytes(SIZE), coll="Plants") for _ in range(24)))
    assert sorted(answer.status for answer in answers) == [200] * MOST + [507] * (24 - MOST)
    assert (two.used("Plants"), two.stored("Plants")) == (MOST * SIZE, MOST * SIZE)
    # Of one name one is there in the end, whichever process stored the others.
    await gather(*(client.upload_like_specify6("a.bin", bytes(SIZE - each), coll="Shells") for each in range(8)))
    assert two.used("Shells") == two.stored("Shells")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[HostingTwo]:
    """One that nobody has used."""
    hosting = HostingTwo(tmp_path).start()
    yield hosting
    hosting.daemon.stop()


def test_what_a_killed_process_was_about_to_store_takes_no_room(fresh: HostingTwo) -> None:
    two, daemon, form = fresh, fresh.daemon, fresh.client.specify6_form("a.bin", coll="Fish")
    with conversing(daemon, 1) as connections:
        first, second = of_each(daemon, connections)
        second.send(form.head(QUOTA) + form.before)
        # There is a place for its bytes as soon as room is kept for them.
        eventually(lambda: list(daemon.store.rglob(".staging/*")), "for the room to be kept")
        assert two.upload(first, "b.bin").status == 507
        stored = two.stored("Fish")
        os.kill(daemon.processes()[2], signal.SIGKILL)
        eventually(lambda: "Process 2 ended" in daemon.log(), "for the process to be dead")
        for number in range(MOST - stored // SIZE):
            assert two.upload(first, f"{number}.bin").status == 200
        check_full(two.upload(first, "c.bin"))


@pytest.mark.slow
def test_a_reload_keeps_what_is_known_and_counts_what_is_new(fresh: HostingTwo) -> None:
    two = fresh
    (two.daemon.store / "Birds/originals").mkdir(parents=True)
    (two.daemon.store / "Birds/originals/a.bin").write_bytes(bytes(QUOTA - SIZE))
    with conversing(two.daemon, 1) as connections:
        first, second = of_each(two.daemon, connections)
        for number in range(MOST):
            assert two.upload(connections[number % 2], f"{number}.bin").status == 200
        reload(two.daemon, two.config({**QUOTED, "Birds": {"directory": "Birds", "quota": "1 MiB"}}))
        eventually(lambda: two.used("Birds"), "for the count")
        # The others follow a moment later.
        eventually(lambda: two.upload(second, "b.bin", "Birds").status == 200, "for the other process to know of it")
        assert two.used("Birds") == QUOTA
        for connection in (first, second):
            check_full(two.upload(connection, "c.bin", "Birds"))
            check_full(two.upload(connection, "c.bin"))

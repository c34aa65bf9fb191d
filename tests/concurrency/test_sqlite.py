"""A SQLite file of several processes: transactions in a thread, and errors that clients may read."""

import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from was_daemon.concurrency import sqlite
from was_daemon.concurrency.sqlite import Database, Together, consecutive
from was_daemon.model.errors import QuotaExceeded, StoreUnavailable

SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS others (name TEXT);
"""


def increase(connection: sqlite3.Connection, name: str, limit: int = 1000) -> int:
    """Add 1 in two statements, between which another process could come."""
    number = count(connection, name) + 1
    connection.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", (name, number))
    if number > limit:
        raise QuotaExceeded("too many")
    return number


def count(connection: sqlite3.Connection, name: str) -> int:
    found = connection.execute("SELECT number FROM counts WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/counts.sqlite"


@pytest_twisted.async_yield_fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(path, SCHEMA, "the counts")
    yield database
    await database.close()


@contextmanager
def a_writer(path: Path) -> Iterator[None]:
    """Another process' transaction."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest_twisted.ensureDeferred
async def test_a_step_is_kept_and_fires_with_its_result(database: Database, path: Path) -> None:
    assert await database.run(increase, "fish", limit=7) == 1
    with closing(sqlite3.connect(path)) as other:
        assert count(other, "fish") == 1


@pytest_twisted.ensureDeferred
async def test_a_step_that_raises_leaves_nothing_written_and_its_error_is_passed_on(database: Database) -> None:
    await database.run(increase, "fish", limit=1)
    with pytest.raises(QuotaExceeded, match="too many"):
        await database.run(increase, "fish", limit=1)
    assert await database.read(count, "fish") == 1


@pytest_twisted.ensureDeferred
async def test_no_other_process_comes_between_the_statements_of_a_step(database: Database, path: Path) -> None:
    other = Database(path, SCHEMA, "the counts")
    other_is_done = Event()

    other_increases: Deferred[None] = Deferred()
    other_increases.addCallback(lambda _: other.run(increase, "fish")).addCallback(lambda _: other_is_done.set())

    def increase_while_the_other_tries_to(connection: sqlite3.Connection) -> None:
        number = count(connection, "fish")
        reactor.callFromThread(other_increases.callback, None)
        # The other cannot be done before this step; if it can, it is quick.
        other_is_done.wait(0.5)
        connection.execute("INSERT OR REPLACE INTO counts VALUES (?, ?)", ("fish", number + 1))

    await database.run(increase_while_the_other_tries_to)
    await other_increases
    assert await database.read(count, "fish") == 2
    await other.close()


@pytest_twisted.ensureDeferred
async def test_only_writing_waits_for_another_writer_and_not_for_ever(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.1)
    await database.run(increase, "fish")
    with a_writer(path):
        assert await database.read(count, "fish") == 1
        with pytest.raises(StoreUnavailable, match="the counts cannot be used: database is locked"):
            await database.run(increase, "fish")
    assert await database.run(increase, "fish") == 2


@pytest_twisted.ensureDeferred
async def test_the_first_step_waits_for_another_process_that_makes_the_file_at_the_same_time(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    with ExitStack() as other:
        other.enter_context(a_writer(path))
        # The other has ended when this step comes back from its first pause.
        monkeypatch.setattr(sqlite.time, "sleep", lambda _seconds: other.close())
        assert await database.run(increase, "fish") == 1


@pytest_twisted.ensureDeferred
async def test_the_file_and_its_directory_are_for_their_owner_only(database: Database, path: Path) -> None:
    await database.open()
    assert [mode_of(each) for each in (path, path.parent)] == [0o600, 0o700]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda path: path.parent.write_bytes(b""), "the counts cannot be used: file exists"),
        (lambda path: path.mkdir(parents=True), "the counts cannot be used: is a directory"),
        (
            lambda path: (path.parent.mkdir(), path.write_bytes(b"no database" * 100)),
            "the counts cannot be used: file is not a database",
        ),
    ],
    ids=["no directory", "a directory", "another file"],
)
@pytest_twisted.ensureDeferred
async def test_a_file_that_cannot_be_used_is_told_without_its_path(
    fault: object, message: str, database: Database, path: Path
) -> None:
    assert callable(fault)
    fault(path)
    with pytest.raises(StoreUnavailable) as caught:
        await database.run(increase, "fish")
    assert str(caught.value) == message


@pytest_twisted.ensureDeferred
async def test_a_file_that_was_removed_or_replaced_is_opened_again(database: Database, path: Path) -> None:
    for replace in (Path.unlink, lambda path: path.rename(path.with_name("moved"))):
        await database.run(increase, "felis")
        replace(path)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        assert await database.run(increase, "felis") == 1
        with closing(sqlite3.connect(path)) as other:
            assert count(other, "felis") == 1


@pytest_twisted.ensureDeferred
async def test_a_check_finds_that_nothing_can_be_written(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.01)
    await database.check()
    with a_writer(path), pytest.raises(StoreUnavailable, match="the counts cannot be used"):
        await database.check()
    await database.check()


@pytest_twisted.ensureDeferred
async def test_a_check_writes_and_changes_nothing(database: Database, path: Path) -> None:
    await database.run(increase, "fish")
    with closing(sqlite3.connect(path)) as other:

        def seen() -> int:
            """A number that changes whenever somebody else has written."""
            return int(other.execute("PRAGMA data_version").fetchone()[0])

        before, content = seen(), list(other.iterdump())
        await database.check()
        # A check that writes nothing does not find a full disk.
        assert seen() != before
        assert list(other.iterdump()) == content


@pytest_twisted.ensureDeferred
async def test_closing_waits_for_the_steps_before_and_refuses_those_after(database: Database, path: Path) -> None:
    steps = [database.run(increase, "fish") for _ in range(3)]
    await database.close()
    assert await gatherResults(steps) == [1, 2, 3]
    assert [each.name for each in path.parent.iterdir()] == ["counts.sqlite"]
    with pytest.raises(StoreUnavailable):
        await database.run(increase, "fish")


@pytest_twisted.ensureDeferred
async def test_without_a_path_it_is_a_temporary_database() -> None:
    database = Database(None, SCHEMA, "the counts")
    assert [await database.run(increase, "fish"), await database.read(count, "fish")] == [1, 1]
    await database.close()


def add_all(connection: sqlite3.Connection, names: Sequence[str]) -> Sequence[int]:
    rows = ", ".join(["(?)"] * len(names))
    return consecutive(connection.execute(f"INSERT INTO others VALUES {rows}", names), len(names))


@pytest_twisted.ensureDeferred
async def test_rows_that_come_together_are_written_by_one_statement(database: Database) -> None:
    statements: list[str] = []
    go_on = Event()

    def wait(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)
        go_on.wait()

    first = database.read(wait)
    together = Together(database, add_all)
    numbers = [together.add(f"fish {number}") for number in range(6)]
    # Whoever no longer wants to know the result has no part in what the others get.
    numbers[3].addErrback(lambda _: 0)
    numbers[3].cancel()
    go_on.set()
    await first
    found = await gatherResults(numbers)
    assert len(statements) == 2, "the first one, and those that came meanwhile"
    assert found[3] == 0
    rows = await database.read(lambda connection: connection.execute("SELECT rowid, name FROM others").fetchall())
    assert [dict(rows)[number] for number in found if number] == [f"fish {number}" for number in (0, 1, 2, 4, 5)]
    assert len(rows) == 6


@pytest_twisted.ensureDeferred
async def test_many_rows_come_in_statements_that_are_not_too_long(database: Database) -> None:
    together = Together(database, add_all)
    numbers = await gatherResults([together.add(f"fish {number}") for number in range(3 * sqlite._TOGETHER)])
    assert len(set(numbers)) == 3 * sqlite._TOGETHER


@pytest_twisted.ensureDeferred
async def test_rows_that_come_together_fail_together_and_later_ones_do_not(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", 0.01)
    await database.open()
    together = Together(database, add_all)
    with a_writer(path):
        for added in [together.add(f"fish {number}") for number in range(3)]:
            with pytest.raises(StoreUnavailable):
                await added
    assert await together.add("fish")


@pytest_twisted.ensureDeferred
async def test_a_step_that_comes_at_the_end_does_not_run_beside_another_one(database: Database) -> None:
    begun, go_on = Event(), Event()

    def wait(connection: sqlite3.Connection) -> int:
        begun.set()
        go_on.wait()
        return increase(connection, "a")

    under_way = database.run(wait)
    begun.wait()
    ending = Deferred.fromCoroutine(database.close())
    with pytest.raises(StoreUnavailable, match="being closed"):
        await database.run(increase, "a")
    go_on.set()
    assert await under_way == 1
    await ending

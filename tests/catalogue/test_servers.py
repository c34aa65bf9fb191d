"""Database servers that do not answer: whoever waits for them gives up, and says what to look at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from sqlalchemy import URL, Connection, text

from tests.support.cli import run, write_config
from tests.support.databases import new_database
from tests.support.silent import Relay, relay, silent
from was_daemon.catalogue import database as catalogue_database
from was_daemon.catalogue import servers
from was_daemon.catalogue.database import CatalogueDatabase
from was_daemon.catalogue.mysql_table import rows_of_table
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable

async_test = pytest_twisted.ensureDeferred

DRIVERS = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second has to be enough for an answer."""
    monkeypatch.setattr(servers, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(servers, "CONNECT_SECONDS", 1)


def number(connection: Connection) -> Any:
    return connection.scalar(text("SELECT 7"))


@pytest.mark.parametrize("kind", DRIVERS)
@async_test
async def test_a_server_that_accepts_and_says_nothing_is_given_up(kind: str, impatient: None) -> None:
    with silent() as port:
        database = CatalogueDatabase(URL.create(DRIVERS[kind], "was", "secret", "127.0.0.1", port, "catalogue"))
        for step in (lambda: database.read(number), database.check):
            with pytest.raises(StoreUnavailable) as raised:
                await step()
            assert str(raised.value) == "the catalogue cannot be used"
            reason = raised.value.reason
            assert reason.startswith(f"{kind}://was:***@127.0.0.1:{port}/catalogue: ")
            assert reason.endswith(
                "see whether the server hangs or is overloaded, and whether a firewall is in between"
            )
            assert "secret" not in reason
        await database.close()


def falls_silent(between: Relay) -> None:
    between.hold()


def answers_byte_by_byte(between: Relay) -> None:
    """No piece is late, and the whole would take minutes."""
    between.pause = 0.05


@pytest.mark.parametrize("trouble", [falls_silent, answers_byte_by_byte])
@async_test
async def test_a_server_in_trouble_is_given_up_and_used_again_later(
    server: URL | None, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[Relay], None]
) -> None:
    if server is None:
        # SQLite has none.
        return
    address = new_database(server)
    assert address.port
    with relay(address.port) as between:
        database = CatalogueDatabase(address.set(port=between.port))
        await database.run(number)
        await database.close()
        monkeypatch.setattr(servers, "ANSWER_SECONDS", 0.5)
        monkeypatch.setattr(servers, "CONNECT_SECONDS", 1)
        database = CatalogueDatabase(address.set(port=between.port))
        assert await database.read(number) == 7
        trouble(between)
        with pytest.raises(StoreUnavailable, match="cannot be used") as raised:
            await database.read(lambda connection: connection.scalar(text("SELECT REPEAT('x', 10000)")))
        assert "see whether the server hangs" in raised.value.reason
        between.let_go()
        assert await database.read(number) == 7
        await database.close()


@async_test
async def test_another_daemon_that_migrates_is_not_waited_for_without_end(
    server: URL | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server is None:
        # Its transactions are enough.
        return
    monkeypatch.setattr(catalogue_database, "_LOCK_SECONDS", 0.1)
    address = new_database(server)
    with catalogue_database._migration_lock(catalogue_database._engine(address)):
        waiting = CatalogueDatabase(address)
        with pytest.raises(StoreUnavailable) as raised:
            await waiting.read(number)
        assert raised.value.reason.startswith("another daemon changes its tables")
        await waiting.close()
    later = CatalogueDatabase(address)
    assert await later.read(number) == 7
    await later.close()


@async_test
async def test_a_new_password_counts_at_once(server: URL | None, tmp_path: Path) -> None:
    if server is None:
        # SQLite has none.
        return
    address = new_database(server)
    secret = SecretFile(tmp_path / "password")
    database = CatalogueDatabase(address.set(password=None), secret)
    with pytest.raises(StoreUnavailable) as raised:
        await database.read(number)
    assert raised.value.reason.endswith(f"{secret} cannot be read: no such file or directory")
    secret.write_text("wrong")
    with pytest.raises(StoreUnavailable):
        await database.read(number)
    secret.write_text(f"{address.password}\n")
    assert await database.read(number) == 7
    await database.close()


def test_a_database_to_import_from_that_says_nothing_is_given_up(impatient: None) -> None:
    with silent() as port, pytest.raises(StoreUnavailable, match="see whether the server hangs"):
        list(rows_of_table(f"mysql://was@127.0.0.1:{port}/images", "secret", "images"))


@pytest.mark.slow
def test_a_command_ends_with_a_line_when_the_server_says_nothing(tmp_path: Path) -> None:
    with silent() as port:
        catalogue = {"url": f"mariadb://was@127.0.0.1:{port}/catalogue", "journal": tmp_path / "journal.sqlite"}
        config = write_config(
            tmp_path,
            {"main": {"plugin": "filesystem", "path": tmp_path / "store"}},
            server={"require_token_for_get": "private"},
            catalogue=catalogue,
        )
        (tmp_path / "store").mkdir()
        ran = run("visibility", "--config", config)
    (line,) = ran.err.splitlines()
    assert (ran.code, ran.out) == (1, "")
    assert line.startswith(f"Error: the catalogue cannot be used (mariadb://was@127.0.0.1:{port}/catalogue: ")
    assert "see whether the server hangs" in line

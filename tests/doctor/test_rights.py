"""Rights of the accounts in database servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import URL, create_engine, text

from tests.support.cli import write_config
from tests.support.databases import mariadb, new_database, postgresql
from tests.support.examined import patient
from tests.support.specify import new_specify
from was_daemon.doctor import databases
from was_daemon.doctor.findings import Finding, State

pytestmark = pytest.mark.slow

_PASSWORD = "a password of a reader"


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, URL]]:
    with mariadb() as maria, postgresql() as postgres:
        yield {"mariadb": maria, "postgresql": postgres}


def execute(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


async def found_in(directory: Path, url: str, **sections: dict[str, object]) -> list[Finding]:
    path = directory / "password"
    path.write_text(_PASSWORD)
    path.chmod(0o600)
    catalogue = {"url": url, "password_file": path, "journal": directory / "journal.sqlite"}
    config = write_config(
        directory, {"main": {"plugin": "filesystem", "path": directory}}, catalogue=catalogue, **sections
    )
    return list(await databases.look(patient(config)))


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
@pytest_twisted.ensureDeferred
async def test_an_account_that_may_not_write_the_catalogue_is_told(
    servers: dict[str, URL], tmp_path: Path, kind: str
) -> None:
    url = new_database(servers[kind])
    if kind == "mariadb":
        execute(
            url,
            f"CREATE USER limited@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}'",
            f"GRANT SELECT ON {url.database}.* TO limited@'127.0.0.1'",
        )
        wanted = "has no right to INSERT"
    else:
        execute(url, f"CREATE USER limited PASSWORD '{_PASSWORD}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        wanted = "has no right to CREATE in the schema"
    found = await found_in(tmp_path, f"{kind}://limited@127.0.0.1:{url.port}/{url.database}")
    assert (found[0].state, wanted in found[0].message) == (State.FAILED, True), found
    assert _PASSWORD not in str(found)
    if kind == "mariadb":
        execute(url, f"GRANT ALL ON {url.database}.* TO limited@'127.0.0.1'")
    else:
        execute(url, "GRANT CREATE ON SCHEMA public TO limited")
    found = await found_in(tmp_path, f"{kind}://limited@127.0.0.1:{url.port}/{url.database}")
    assert [each.state for each in found] == [State.OK, State.OK], found


@pytest_twisted.ensureDeferred
async def test_an_account_that_may_change_specifys_records_is_told(servers: dict[str, URL], tmp_path: Path) -> None:
    specify = new_specify(servers["mariadb"])
    settings = {**specify.settings(tmp_path), "min_rows": 0}
    catalogue = {"path": tmp_path / "catalogue.sqlite"}
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": tmp_path}},
        catalogue=catalogue,
        **{"specify.fish": settings},
    )
    found = list(await databases.look(patient(config)))
    assert [each.state for each in found] == [State.OK] * 3, found
    user = str(settings["url"]).partition("//")[2].partition("@")[0]
    execute(servers["mariadb"], f"GRANT UPDATE ON {specify.reader.rpartition('/')[2]}.* TO {user}@'127.0.0.1'")
    finding = list(await databases.look(patient(config)))[-1]
    assert (finding.state, "may do more than read: UPDATE" in finding.message) == (State.WARNING, True), finding

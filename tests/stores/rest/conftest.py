"""Stores on DAMs whose answers the tests say."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.web.server import Site

from storage_plugins.rest import RestStore, rest
from tests.support.scripted import Listen
from tests.support.scripted_dam import SECRET, SETTINGS, ScriptedDAM
from was_daemon.config.paths import PathResolver
from was_daemon.config.structure import Mistakes, structure

Connect = Callable[..., RestStore]


@pytest.fixture
def dam() -> ScriptedDAM:
    """A DAM that has nothing yet."""
    return ScriptedDAM()


@pytest_twisted.async_yield_fixture
async def connect(tmp_path: Path, listen: Listen, dam: ScriptedDAM) -> AsyncIterator[Connect]:
    """Makes stores on `dam`; settings that are None are left out."""
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "key").chmod(0o600)
    stores: list[RestStore] = []

    def make(**changes: Any) -> RestStore:
        url = listen(Site(dam, timeout=None)).rstrip("/")
        table = {name: value for name, value in ({"url": url} | SETTINGS | changes).items() if value is not None}
        mistakes = Mistakes()
        options = structure(table, rest.options, "stores.main", PathResolver(tmp_path, {}), mistakes)
        assert options is not None and not mistakes.lines, mistakes.lines
        stores.append(RestStore(options))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()

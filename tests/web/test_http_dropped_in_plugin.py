"""A store dropped into a directory outside of the package and named in a configuration: all of the contract holds.

Whoever writes a plugin writes no more than this.
"""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon
from tests.support.http_contract import HTTPContract, check_allowed_everywhere, check_refused

_MEMORY = """
import itertools, time, attrs
from zope.interface import implementer
from was_daemon.model.errors import AssetNotFound
from was_daemon.model.interfaces import AssetStat, IAssetReader, IAssetStore, IAssetStorePlugin

@implementer(IAssetReader)
@attrs.frozen
class Reader:
    content: bytes
    stat: AssetStat
    async def read(self, start=0, stop=None):
        for at in range(start, len(self.content) if stop is None else stop, 65536):
            yield self.content[at : min(at + 65536, len(self.content) if stop is None else stop)]
    async def close(self): pass

@implementer(IAssetStore)
class Store:
    def __init__(self): self.assets, self.versions = {}, itertools.count()
    async def stat(self, key): return (await self.open(key)).stat
    async def open(self, key):
        if key not in self.assets: raise AssetNotFound("no such asset")
        return self.assets[key]
    async def write(self, key, chunks, size=None):
        content = b"".join([chunk async for chunk in chunks])
        self.assets[key] = Reader(content, AssetStat(len(content), time.time(), str(next(self.versions))))
        return self.assets[key].stat
    async def delete(self, key): del self.assets[(await self.open(key)) and key]
    async def list(self, collection, kind, prefix=""):
        for key in list(self.assets):
            if (key.collection, key.kind) == (collection, kind) and key.name.startswith(prefix): yield key
    async def check(self): pass
    async def close(self): pass

@attrs.frozen
class Options: pass

@implementer(IAssetStorePlugin)
class Plugin:
    name, options = "memory", Options
    def create(self, options): return Store()

plugin = Plugin()
"""

_FAILING = """
import attrs
from zope.interface import implementer
from was_daemon.model import errors
from was_daemon.model.interfaces import IAssetStore, IAssetStorePlugin

@implementer(IAssetStore)
class Store:
    def __init__(self, error): self.error = error
    async def fail(self, *_): raise self.error("the store says no", "it is on fire")
    stat = open = write = delete = check = fail
    async def list(self, collection, kind, prefix=""):
        await self.fail()
        yield
    async def close(self): pass

@attrs.frozen
class Options:
    error: str

@implementer(IAssetStorePlugin)
class Plugin:
    name, options = "failing", Options
    def create(self, options): return Store(getattr(errors, options.error, RuntimeError))

plugin = Plugin()
"""

_STATUS = {"StoreUnavailable": 503, "StoreFailed": 502, "StoreTimeout": 504, "NoSpace": 507, "RuntimeError": 500}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with a store in memory, and a collection for each way in which a store can fail."""
    directory = tmp_path_factory.mktemp("dropped-in")
    plugins = directory / "plugins" / "storage_plugins"
    plugins.mkdir(parents=True)
    (plugins / "memory_plugin.py").write_text(_MEMORY)
    (plugins / "failing_plugin.py").write_text(_FAILING)
    config = {
        "server": {"max_upload": "8 MiB"},
        "plugins": {"path": [directory / "plugins"]},
        "stores": {"main": {"plugin": "memory"}},
    }
    daemon = Daemon(directory / "daemon", config).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def failing_daemon(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon with a collection for each way in which a store can fail."""
    config = {
        "plugins": {"path": [daemon.directory.parent / "plugins"]},
        "stores": {error: {"plugin": "failing", "error": error} for error in _STATUS},
        "collections": {"mode": "map", "map": {error: {"directory": error, "store": error} for error in _STATUS}},
    }
    failing = Daemon(daemon.directory.parent / "failing", config).start()
    yield failing
    failing.stop()


@pytest.mark.slow
class TestMemory(HTTPContract):
    @pytest.fixture
    def client(self, daemon: Daemon) -> Client:
        return Client(daemon.url, KEY)


class TestFailures:
    @pytest.fixture
    def client(self, failing_daemon: Daemon) -> Client:
        return Client(failing_daemon.url, KEY)

    @pytest.mark.parametrize(("error", "status"), _STATUS.items())
    @pytest_twisted.ensureDeferred
    async def test_a_store_that_fails_is_told_in_the_status(self, client: Client, error: str, status: int) -> None:
        for answer in (
            await client.upload_like_specify7("a.jpg", b"a", coll=error),
            await client.upload_like_specify6("a.jpg", b"a", coll=error),
            await client.original("a.jpg", coll=error),
            await client.thumbnail("a.jpg", 50, coll=error),
            await client.reference("a.jpg", coll=error),
        ):
            check_refused(answer, status, client.key)
            check_allowed_everywhere(answer)
            assert ("Retry-After" in answer.headers) == (status == 503)
        check_refused(await client.metadata("a.jpg", coll=error), status, client.key)
        check_refused(await client.delete("a.jpg", coll=error), status, client.key)

    @pytest.mark.parametrize(("error", "status"), [each for each in _STATUS.items() if each[0] != "RuntimeError"])
    @pytest_twisted.ensureDeferred
    async def test_the_line_of_the_log_has_the_reason_and_the_answer_has_not(
        self, failing_daemon: Daemon, client: Client, error: str, status: int
    ) -> None:
        answer = await client.original("reason.jpg", coll=error)
        assert "fire" not in answer.text
        (line,) = (
            line for line in failing_daemon.log().splitlines() if "reason.jpg" in line and f"coll={error}" in line
        )
        assert f'" {status} ' in line
        # Of a disk that is full, the reason is the whole sentence.
        reason = "it is on fire" if error == "NoSpace" else "the store says no (it is on fire)"
        assert line.endswith(f'"{reason}"')

    @pytest_twisted.ensureDeferred
    async def test_what_went_wrong_inside_stays_inside(self, client: Client) -> None:
        answer = await client.original("a.jpg", coll="RuntimeError")
        assert "the store says no" not in answer.text


class TestMistakes:
    """Files in the plugin directory that are no use."""

    BROKEN = """
        import attrs

        def options():
            import the_dams_own_library

        options()
        """

    NAMELESS = """
        from zope.interface import implementer

        from was_daemon.model.interfaces import IAssetStorePlugin

        @implementer(IAssetStorePlugin)
        class Plugin: pass

        plugin = Plugin()
        """

    @pytest.fixture
    def plugins(self, tmp_path: Path) -> Path:
        plugins = tmp_path / "plugins" / "storage_plugins"
        plugins.mkdir(parents=True)
        (plugins / "missing_library.py").write_text(dedent(self.BROKEN))
        (plugins / "misspelt.py").write_text("import attrs\n\ndef create(:\n")
        (plugins / "webdav.py").write_text(_MEMORY)
        (plugins / "leaving.py").write_text("import sys\n\nsys.exit(3)\n")
        (plugins / "nameless.py").write_text(dedent(self.NAMELESS))
        for name in ("memory", "memory_copy"):
            (plugins / f"{name}.py").write_text(_MEMORY)
        return plugins

    @pytest.mark.parametrize("debug", [False, True])
    @pytest_twisted.ensureDeferred
    async def test_each_is_named_in_a_line_and_the_daemon_runs_without_it(
        self, tmp_path: Path, plugins: Path, debug: bool
    ) -> None:
        environ = {"DEBUG_MODE": "true"} if debug else {}
        daemon = Daemon(tmp_path / "daemon", {"plugins": {"path": [plugins.parent]}}, environ)
        daemon.start()
        try:
            await Client(daemon.url, KEY).store("a.jpg", b"bytes")
        finally:
            daemon.stop()
        for name, reason in {
            "missing_library": "ModuleNotFoundError: No module named 'the_dams_own_library' (line 5)",
            "misspelt": "SyntaxError: invalid syntax (line 3)",
            "webdav": "has the same name",
            "leaving": "SystemExit: 3 (line 3)",
            "memory_copy": 'another file has a plugin called "memory", too',
        }.items():
            lines = [line for line in daemon.log().splitlines() if f"{name}.py is left out" in line]
            assert lines, name
            assert all(line.endswith(reason) for line in lines), lines
        assert "nameless.py: a plugin without a name is left out" in daemon.log()
        assert ("Traceback" in daemon.log()) == debug

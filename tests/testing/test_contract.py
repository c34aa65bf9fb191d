"""What the contract of stores finds in plugins that break it."""

import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import RunDaemon
from tests.support.daemon import clean_environment, eventually
from was_daemon.testing.contract.measure import blocking_calls

BLOCKING_STORE = """
import time
import pytest_twisted
from {module} import StoreContract
from was_daemon.testing.memory import MemoryStore

class BlockingStore(MemoryStore):
    async def stat(self, key):
        time.sleep(0.001)
        return await super().stat(key)

class TestBlockingStore(StoreContract):
    @pytest_twisted.async_yield_fixture
    async def store(self):
        store = BlockingStore()
        yield store
        await store.close()
"""

BLOCKING_PLUGIN = """
import time
import attrs
from was_daemon.plugins import StorePlugin
from was_daemon.testing.memory import MemoryStore

@attrs.frozen
class Options:
    pass

class SlowStore(MemoryStore):
    async def open(self, key):
        self._ask()
        return await super().open(key)

    def _ask(self):
        time.sleep(3)  # the line

slow = StorePlugin("slow", Options, lambda options: SlowStore())
"""


def test_blocking_calls_are_recorded_in_this_thread_only() -> None:
    with blocking_calls() as found:
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join()
        assert found == []
        time.sleep(0)
    time.sleep(0)
    assert set(found) == {"time.sleep"}
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        client.setblocking(False)
        with blocking_calls() as found:
            client.connect_ex(server.getsockname())
        assert found == []
        with blocking_calls() as found:
            socket.create_connection(server.getsockname()).close()
        assert found == ["socket.getaddrinfo", "socket.connect"]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["was_daemon.testing", "was_daemon.testing.contract"])
def test_a_store_that_blocks_the_reactor_breaks_the_contract_and_the_values_are_told(
    tmp_path: Path, module: str
) -> None:
    (tmp_path / "test_blocking.py").write_text(BLOCKING_STORE.format(module=module), "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "blocks_the_reactor", "."]
    ran = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False, timeout=120
    )
    assert "1 failed" in ran.stdout, ran
    # Only rewritten assertions show what was compared.
    assert "assert ['time.sleep'" in ran.stdout


def test_a_plugin_that_blocks_the_reactor_is_named_in_the_log(run_daemon: RunDaemon, tmp_path: Path) -> None:
    file = tmp_path / "plugins/storage_plugins/slow_dam.py"
    file.parent.mkdir(parents=True)
    file.write_text(BLOCKING_PLUGIN, "utf-8")
    daemon = run_daemon({"stores": {"main": {"plugin": "slow"}}, "plugins": {"path": [str(file.parent.parent)]}})
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(f"{daemon.url}/fileget?filename=a.jpg")
    line = 1 + BLOCKING_PLUGIN.splitlines().index("        time.sleep(3)  # the line")
    told = f"The plugin {file} has blocked all clients for over 0.5 s, in SlowStore._ask (line {line})"
    eventually(lambda: told in daemon.log(), "for the warning")

"""A plugin for tests: files on a disk that answers when the test opens a gate."""

import os
from pathlib import Path
from typing import Any

_MODULE = """
from pathlib import Path

import attrs
from twisted.logger import Logger

from storage_plugins.filesystem import FilesystemStore
from was_daemon.model.keys import Layout
from was_daemon.plugins import StorePlugin


class GatedStore(FilesystemStore):
    def _open(self, *args):
        return self.wait("opening", super()._open, *args)

    def _publish(self, *args):
        return self.wait("publishing", super()._publish, *args)

    async def move(self, *args):
        await self.in_thread(None, self.wait, "moving", tuple)
        await super().move(*args)
        await self.in_thread(None, self.wait, "after moving", tuple)

    def wait(self, step, function, *args):
        if step == self.step:
            Logger().info("The gate is closed")
            self.gate.read_bytes()
        return function(*args)


@attrs.frozen
class Options:
    path: Path
    gate: Path
    step: str


def create(options):
    store = GatedStore(options.path, Layout.FLAT)
    store.gate, store.step = options.gate, options.step
    return store


gated = StorePlugin("gated", Options, create)
"""


class Gate:
    """The gate before one step of a store, "opening", "publishing" or "moving" a file, or "after moving" it.

    What it needs is below `directory`.
    """

    def __init__(self, directory: Path, step: str) -> None:
        self._pipe = directory / "gate"
        os.mkfifo(self._pipe)
        self._step = step
        self._plugins = directory / "plugins"
        module = self._plugins / "storage_plugins" / "gated.py"
        module.parent.mkdir(parents=True)
        module.write_text(_MODULE)

    def config(self, store: Path) -> dict[str, dict[str, Any]]:
        """The configuration of a daemon with this store at that path."""
        main = {"plugin": "gated", "path": str(store), "gate": str(self._pipe), "step": self._step}
        return {"stores": {"main": main}, "plugins": {"path": [str(self._plugins)]}}

    def open(self) -> None:
        """Let one who waits pass; waits for one."""
        self._pipe.write_bytes(b"")


CLOSED = "The gate is closed"
"""What the log says when somebody waits at the gate."""

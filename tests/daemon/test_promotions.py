"""Promotions of a daemon with stores in layers, as an operator sees them."""

import json
import re
import urllib.request
from pathlib import Path

from tests.support.blocking import BlockingClient, finished
from tests.support.cli import run
from tests.support.console import ConsoleServer
from tests.support.daemon import KEY, eventually


def test_an_operator_sees_how_far_promotions_have_come(tmp_path: Path) -> None:
    old = tmp_path / "old" / "originals"
    old.mkdir(parents=True)
    (old / "a.bin").write_bytes(b"bytes")
    stores = {
        "main": {"plugin": "layered", "layers": ["new", "old"], "promote": True, "promote_after": 0.0},
        "new": {"plugin": "filesystem", "path": tmp_path / "new"},
        "old": {"plugin": "filesystem", "path": tmp_path / "old"},
    }
    console = ConsoleServer(tmp_path / "daemon", {"stores": stores, "collections": {"store": "main"}}).start()
    try:
        assert finished(BlockingClient(console.daemon.url, KEY).original("a.bin")).status == 200

        def seen() -> dict[str, dict[str, object]]:
            with urllib.request.urlopen(f"http://127.0.0.1:{console.port}/healthz") as answer:
                return json.load(answer)["promotions"]  # type: ignore[no-any-return]

        done = {"main": {"waiting": 0, "promoted": 1, "failed": 0, "problem": ""}}
        eventually(lambda: seen() == done, "for the promotion")
        told = run("status", "--config", console.daemon.config_file).out
        assert "promotions in store main: 0 wait, 1 promoted, 0 failed" in told
        page = console.visitor().get("work/").text
        assert re.search(
            "Promotion in store main</h2>.*0 originals to be promoted; 1 were, and 0 attempts failed", page, re.DOTALL
        )
    finally:
        console.daemon.stop()

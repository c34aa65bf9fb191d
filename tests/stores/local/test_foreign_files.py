"""What is not the daemon's is not gone, changed or read, whatever lies around a store and is called."""

import os
import signal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support.blocking import BlockingClient, finished
from tests.support.cli import run
from tests.support.daemon import KEY, Daemon
from tests.support.foreign import surround
from tests.support.images import photograph
from tests.support.slow import slow_but

DAYS = 7

COLLECTIONS: dict[str, dict[str, Any]] = {
    "single": {},
    "map": {"collections": {"mode": "map", "recount": 1, "map": {"Site": {"directory": "Site", "quota": "1 GiB"}}}},
    "auto": {"collections": {"mode": "auto"}},
}


class Museum:
    """A daemon among other people's files, and one collection of it."""

    def __init__(self, directory: Path, mode: str, layout: str, seed: str) -> None:
        self.coll = "Site"
        store = {"plugin": "filesystem", "path": directory / "store", "layout": layout}
        copy = {"plugin": "filesystem", "path": directory / "copy", "layout": layout}
        self.daemon = Daemon(
            directory,
            {
                "stores": {"main": store, "copy": copy},
                # So little that there is something to evict each day.
                "thumbnails": {"max_size": "8 KiB", "nginx_marker": directory / "victim" / "named by mistake"},
                "collections": {**COLLECTIONS[mode].get("collections", {}), "store": "main"},
                "catalogue": {"path": directory / "catalogue.sqlite"},
            },
        )
        self.foreign = surround(self.daemon.store, directory / "spool", seed)
        self._client = BlockingClient(self.daemon.url, KEY)
        self._names = [f"sp6{number}.att.jpg" for number in range(5)]

    def live_a_day(self) -> None:
        """Start, be used and reloaded, and be killed in the middle of an upload."""
        self.daemon.start()
        for name in self._names:
            self._client_does(self._client.upload_like_specify6(name, photograph(), coll=self.coll))
            for scale in (50, 60, 300):
                self._client_does(self._client.thumbnail(name, scale, coll=self.coll))
        self._client_does(self._client.delete(self._names[0], coll=self.coll))
        os.kill(self.daemon.pid, signal.SIGHUP)
        self._client_does(self._client.upload_like_specify7(self._names[1], photograph(), coll=self.coll))
        for path in ("thumbnails/holiday_2019.jpg", "thumbnails/0.jpg", "originals/away/0.jpg", "site/originals/0.jpg"):
            assert finished(self._client.get(f"/static/{path}")).status in (404, 400)
        form = self._client.specify7_form("half.jpg", coll=self.coll)
        with self._client.connect() as connection:
            connection.send(form.head(2 << 20) + form.before + bytes(1 << 20))
            self.daemon.kill()

    def _client_does(self, request: Any) -> None:
        # A link of somebody's may be in the way of an upload; what matters here is what becomes of that.
        assert finished(request).status in (200, 404, 503)

    def run_every_command(self) -> None:
        """Run each command that looks into stores or changes them."""
        chosen = ("--config", self.daemon.config_file)
        for command in (
            ("config", "check"),
            ("status", "--count"),
            ("verify", "--store", "main"),
            ("thumbnails", "warm", "--scale", "50", "--scale", "70"),
            ("thumbnails", "prune", "--keep-scale", "50"),
            ("copy", "--from", "main", "--to", "copy", "--thumbnails"),
            ("check-store", "main"),
        ):
            ran = run(*command, *chosen)
            assert ran.code in (0, 1, 2), ran
            assert "Traceback" not in ran.err

    def close(self) -> None:
        self.foreign.close()


@pytest.mark.parametrize(
    "site", slow_but([("map", "sharded")], product(COLLECTIONS, ["flat", "sharded"])), ids="-".join
)
@pytest.mark.slow
def test_a_week_and_every_command_leave_other_peoples_files_alone(tmp_path: Path, site: tuple[str, str]) -> None:
    mode, layout = site
    museum = Museum(tmp_path, mode, layout, f"{mode} {layout}")
    museum.foreign.watch()
    try:
        for _ in range(DAYS):
            museum.live_a_day()
        museum.run_every_command()
        museum.daemon.start()
        museum.daemon.stop()
        museum.foreign.check()
    finally:
        museum.close()

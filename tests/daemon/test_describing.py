"""A daemon describes the originals in its catalogue, whatever came between."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support import images, recordings
from tests.support.cli import run
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.ports import free_port
from tests.support.slow import slow_after
from tests.web.test_admin import fetch

async_test = pytest_twisted.ensureDeferred


class Museum:
    """A daemon with a catalogue."""

    def __init__(self, run_daemon: RunDaemon, directory: Path, **sections: dict[str, Any]) -> None:
        self.admin = free_port()
        server = {"admin_listen": [f"tcp:{self.admin}:interface=127.0.0.1"], **sections.pop("server", {})}
        self._database = directory / "state" / "catalogue.sqlite"
        catalogue = {"path": self._database}
        self.daemon: Daemon = run_daemon({"server": server, "catalogue": catalogue, **sections})
        self.client = Client(self.daemon.url, KEY)

    def rows(self, query: str = "") -> dict[str, dict[str, Any]]:
        status, text = fetch(f"http://127.0.0.1:{self.admin}/assets?{query}")
        assert status == 200, text
        return {row["name"]: row for row in json.loads(text)["assets"]}

    def described(self, *names: str) -> dict[str, dict[str, Any]]:
        return eventually(lambda: self._described(names), f"{names} are described")

    def is_looked_at(self, name: str) -> bool:
        """Whether the catalogue has it that an original was looked into, with or without success."""
        with closing(sqlite3.connect(self._database)) as database:
            return database.execute("SELECT description FROM assets WHERE name = ?", (name,)).fetchone()[0] > 0

    def _described(self, names: tuple[str, ...]) -> dict[str, dict[str, Any]] | None:
        rows = self.rows()
        return rows if all(name in rows and rows[name]["media_type"] for name in names) else None


@pytest.fixture
def museum(run_daemon: RunDaemon, tmp_path: Path) -> Museum:
    return Museum(run_daemon, tmp_path)


@async_test
async def test_uploads_are_described_soon(museum: Museum) -> None:
    await museum.client.store("a.jpg", images.photograph((600, 400), orientation=6))
    await museum.client.store("b.mp4", recordings.film("mp4"))
    await museum.client.store("c.bin", b"a text")
    rows = museum.described("a.jpg", "b.mp4", "c.bin")
    assert (rows["a.jpg"]["width"], rows["a.jpg"]["height"]) == (600, 400)
    assert rows["a.jpg"]["captured"] == "2012-02-02 13:48:41"
    assert rows["b.mp4"]["media_type"] == "video/mp4"
    assert rows["c.bin"]["media_type"] == "text/plain"


@pytest.mark.slow
@async_test
async def test_a_replaced_original_is_described_anew(museum: Museum) -> None:
    await museum.client.store("a.jpg", images.jpeg((60, 40)))
    museum.described("a.jpg")
    await museum.client.store("a.jpg", images.encode(images.chart((30, 20)), "PNG"))
    found = eventually(lambda: museum.rows("type=image/png"), "the new one is described")
    assert (found["a.jpg"]["width"], found["a.jpg"]["height"]) == (30, 20)


@async_test
async def test_what_a_killed_daemon_has_not_described_is_described_by_the_next(museum: Museum) -> None:
    names = [f"{number}.png" for number in range(8)]
    for name in names:
        await museum.client.store(name, images.encode(images.chart(), "PNG"))
    museum.daemon.kill()
    museum.daemon.start()
    assert {row["width"] for row in museum.described(*names).values()} == {images.CHART_SIZE[0]}


@pytest.mark.slow
@async_test
async def test_files_that_came_without_the_daemon_are_described_when_they_are_recorded(museum: Museum) -> None:
    await museum.client.store("a.jpg", images.jpeg())
    (museum.daemon.store / "originals" / "b.png").write_bytes(images.encode(images.chart(), "PNG"))
    ran = run("catalogue", "rebuild", "--no-describe", "--config", museum.daemon.config_file)
    assert ran.code == 0, ran.err
    museum.described("a.jpg", "b.png")


@async_test
async def test_a_file_that_takes_a_worker_too_long_is_not_tried_for_ever(run_daemon: RunDaemon, tmp_path: Path) -> None:
    museum = Museum(run_daemon, tmp_path, thumbnails={"timeout": 0.001})
    await museum.client.store("a.jpg", images.photograph())

    def tried() -> int:
        _, text = fetch(f"http://127.0.0.1:{museum.admin}/metrics")
        lines = [line for line in text.decode().splitlines() if '"description"' in line and "_count" in line]
        return sum(int(float(line.split()[1])) for line in lines)

    eventually(tried, "it is tried")
    eventually(lambda: museum.is_looked_at("a.jpg"), "that it is tried is recorded")
    first = tried()
    museum.daemon.restart()
    await museum.client.store("b.jpg", images.photograph())
    eventually(tried, "the next one is tried")
    assert museum.rows()["a.jpg"]["media_type"] is None
    assert tried() == first


@async_test
async def test_a_search_tells_all_in_pages(museum: Museum) -> None:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        await museum.client.store(name, images.jpeg())
    eventually(lambda: len(museum.rows()) == 3, "all are recorded")
    url = f"http://127.0.0.1:{museum.admin}/assets?name=*.jpg&limit=2"
    first = json.loads(fetch(url)[1])
    second = json.loads(fetch(f"{url}&cursor={first['next']}")[1])
    assert [row["name"] for row in first["assets"] + second["assets"]] == ["a.jpg", "b.jpg", "c.jpg"]
    assert second["next"] is None
    events = json.loads(fetch(f"http://127.0.0.1:{museum.admin}/history?name=a.jpg")[1])["events"]
    assert [(event["kind"], event["address"]) for event in events] == [("stored", "127.0.0.1")]


@async_test
@pytest.mark.parametrize(
    "query",
    slow_after(
        3,
        [
            "assets?colour=red",
            "assets?limit=9999",
            "assets?cursor=W251bGwsMV0=",
            "assets?limit=0",
            "assets?cursor=%00",
            "assets?cursor=WzEsMl0x",
            "assets?name=a&name=b",
            "assets?collection=Fish",
            "history",
            "history?name=a&size=5",
        ],
    ),
)
async def test_a_wrong_search_is_refused_in_words(museum: Museum, query: str) -> None:
    status, text = fetch(f"http://127.0.0.1:{museum.admin}/{query}")
    assert (status, list(json.loads(text))) == (400, ["error"])


@async_test
async def test_without_a_catalogue_there_is_nothing_to_search(run_daemon: RunDaemon) -> None:
    port = free_port()
    run_daemon({"server": {"admin_listen": [f"tcp:{port}:interface=127.0.0.1"]}})
    assert fetch(f"http://127.0.0.1:{port}/assets")[0] == 404


@pytest.mark.slow
@async_test
async def test_any_of_several_processes_answers_a_search(run_daemon: RunDaemon, tmp_path: Path) -> None:
    museum = Museum(run_daemon, tmp_path, server={"workers": 2})
    await museum.client.store("a.jpg", images.jpeg())
    museum.described("a.jpg")
    museum.daemon.await_processes()

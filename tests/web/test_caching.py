"""Galleries that were seen before, and the caches between here and there (contract, section 3)."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.support.browser import screenshot
from tests.support.client import Client
from tests.support.daemon import KEY, Daemon
from tests.support.http_cache import BrowserCache
from tests.support.http_contract import BLUE, RED, plain_picture
from was_daemon.web.caching import CacheRules

NAMES = [f"{number}.jpg" for number in range(40)]
SCALE = 123
MINUTE, WEEK = 60, 604_800
PUBLIC = f"public, s-maxage=75, max-age=300, stale-while-revalidate={WEEK}"
PRIVATE = f"private, max-age=300, stale-while-revalidate={WEEK}"


def gallery_daemon(run_daemon: RunDaemon, **server: Any) -> Daemon:
    """A daemon with forty pictures."""
    daemon = run_daemon({"server": server})
    directory = daemon.store / "originals"
    directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (directory / name).write_bytes(plain_picture(RED))
    return daemon


async def look(cache: BrowserCache) -> tuple[int, int]:
    """How many pictures of the gallery had to be waited for, and how many were asked for behind the scenes."""
    before = cache.waited, cache.behind
    for name in NAMES:
        assert await cache.show(name, SCALE)
    return cache.waited - before[0], cache.behind - before[1]


@pytest_twisted.ensureDeferred
async def test_a_gallery_seen_before_costs_no_round_trip(run_daemon: RunDaemon) -> None:
    cache = BrowserCache(Client(gallery_daemon(run_daemon).url, KEY))
    assert [await look(cache) for _ in range(3)] == [(40, 0), (0, 0), (0, 0)]
    cache.now += 5 * MINUTE
    # Nobody waits: the pictures are there, and the forty requests are behind the scenes.
    assert [await look(cache) for _ in range(2)] == [(0, 40), (0, 0)]
    cache.now += 5 * MINUTE + WEEK
    assert await look(cache) == (40, 0)


@pytest_twisted.ensureDeferred
async def test_without_a_max_age_every_picture_is_asked_for(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon, max_age=0).url, KEY)
    cache = BrowserCache(client)
    assert [await look(cache) for _ in range(3)] == [(40, 0)] * 3
    assert (await client.thumbnail(NAMES[0], SCALE)).headers["Cache-Control"] == "no-cache"


@pytest_twisted.ensureDeferred
async def test_without_stale_answers_a_gallery_is_asked_for_when_it_is_too_old(run_daemon: RunDaemon) -> None:
    cache = BrowserCache(Client(gallery_daemon(run_daemon, max_age=60, stale_while_revalidate=0).url, KEY))
    assert [await look(cache) for _ in range(2)] == [(40, 0), (0, 0)]
    cache.now += MINUTE
    assert [await look(cache) for _ in range(2)] == [(40, 0), (0, 0)]


@pytest_twisted.ensureDeferred
async def test_a_replaced_picture_is_shown_once_more_when_it_is_too_old(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon).url, KEY)
    cache = BrowserCache(client)
    old = await cache.show("0.jpg", SCALE)
    await client.store("0.jpg", plain_picture(BLUE))
    new = (await client.thumbnail("0.jpg", SCALE)).body
    assert new != old
    assert await cache.show("0.jpg", SCALE) == old
    cache.now += 5 * MINUTE
    assert [await cache.show("0.jpg", SCALE) for _ in range(2)] == [old, new]


@contextmanager
def page_of(urls: list[str]) -> Iterator[str]:
    """The address of a page that shows these pictures."""
    html = "".join(f'<img src="{url}">' for url in urls).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(html)))
            self.end_headers()
            self.wfile.write(html)

        def log_message(self, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/"
        finally:
            httpd.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(("max_age", "requests"), [(300, [40, 0, 0]), (0, [40, 40, 40])])
def test_a_browser_asks_for_forty_thumbnails_once(
    run_daemon: RunDaemon, tmp_path: Path, max_age: int, requests: list[int]
) -> None:
    daemon = gallery_daemon(run_daemon, max_age=max_age)
    urls = [f"{daemon.url}/fileget?filename={name}&type=T&scale={SCALE}" for name in NAMES]
    counts = [0]
    with page_of(urls) as page:
        for _ in range(3):
            # Each time a browser starts, with the cache on the disk that the one before left.
            assert screenshot(page, tmp_path, (1000, 1000)).getpixel((50, 50))[0] > 150  # type: ignore[index]
            counts.append(len(re.findall("GET /fileget", daemon.log())))
    assert [after - before for before, after in pairwise(counts)] == requests


# -- who may keep what -------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_what_needs_a_token_is_for_the_browser_alone(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon, require_token_for_get=True).url, KEY)
    token = client.token("0.jpg")
    answers = [
        await client.original("0.jpg", token=token),
        await client.thumbnail("0.jpg", SCALE, token=token),
        await client.get("/static/originals/0.jpg"),
        await client.get(f"/static/thumbnails/0_{SCALE}.jpg"),
    ]
    tag = answers[1].headers["ETag"]
    answers.append(await client.thumbnail("0.jpg", SCALE, token=token, headers={"If-None-Match": tag}))
    assert [answer.status for answer in answers] == [200] * 4 + [304]
    assert {answer.headers["Cache-Control"] for answer in answers} == {PRIVATE}
    refused = await client.original("0.jpg")
    assert (refused.status, refused.headers["Cache-Control"]) == (403, "no-store")


@pytest_twisted.ensureDeferred
async def test_an_address_with_a_token_in_it_is_for_the_browser_alone(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon).url, KEY)
    assert (await client.original("0.jpg", token=client.token("0.jpg"))).headers["Cache-Control"] == PRIVATE
    assert (await client.original("0.jpg")).headers["Cache-Control"] == PUBLIC


@pytest_twisted.ensureDeferred
async def test_without_max_age_an_address_with_a_token_is_still_for_the_browser_alone(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon, max_age=0).url, KEY)
    for answer in (
        await client.original("0.jpg", token=client.token("0.jpg")),
        await client.thumbnail("0.jpg", SCALE, token=client.token("0.jpg")),
        await client.get("/getmetadata", filename="0.jpg", token=client.token("0.jpg")),
    ):
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "private, no-cache")


@pytest_twisted.ensureDeferred
async def test_metadata_are_kept_as_pictures_are(run_daemon: RunDaemon) -> None:
    client = Client(gallery_daemon(run_daemon).url, KEY)
    for token, expected in ({}, PUBLIC), ({"token": client.token("0.jpg")}, PRIVATE):
        assert (await client.get("/getmetadata", filename="0.jpg", **token)).headers["Cache-Control"] == expected
    without_date = await client.get("/getmetadata", filename="0.jpg", dt="date")
    assert (without_date.status, without_date.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        (CacheRules(300, WEEK, 150, is_private=False), PUBLIC),
        (CacheRules(300, WEEK, 150, is_private=True), PRIVATE),
        (
            CacheRules(60, WEEK, 150, is_private=False),
            f"public, s-maxage=60, max-age=60, stale-while-revalidate={WEEK}",
        ),
        (CacheRules(300, WEEK, 0, is_private=False), f"public, max-age=300, stale-while-revalidate={WEEK}"),
        (CacheRules(300, 0, 1, is_private=False), "public, s-maxage=0, max-age=300"),
        (CacheRules(0, WEEK, 150, is_private=False), "no-cache"),
        (CacheRules(0, WEEK, 150, is_private=True), "private, no-cache"),
    ],
)
def test_a_shared_cache_repeats_no_time_by_which_tokens_would_be_refused(rules: CacheRules, value: str) -> None:
    assert rules.cache_control() == value

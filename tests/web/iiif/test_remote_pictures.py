"""Pictures in remote stores: pyramids are kept there, and a tile costs few bytes of them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_twisted

from tests.support.client import Client
from tests.support.daemon import KEY, Daemon
from tests.support.images import detailed_photograph
from tests.support.remotes import KINDS, FarEnd, make_far_end

pytestmark = pytest.mark.slow

TILE = "0,0,512,512/512,512/0/default.jpg"


@pytest.fixture(params=KINDS)
def far_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FarEnd]:
    far_end = make_far_end(request.param, tmp_path / "far")
    far_end.start()
    yield far_end
    far_end.remove()


@pytest.fixture
def daemon(far_end: FarEnd, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "daemon", {"stores": {"main": far_end.table()}}).start()
    yield daemon
    daemon.stop()


@pytest_twisted.ensureDeferred
async def test_a_tile_of_a_remote_pyramid_costs_little_more_than_its_bytes(far_end: FarEnd, daemon: Daemon) -> None:
    client = Client(daemon.url, KEY)
    await client.store("a.jpg", detailed_photograph((2000, 1500)))
    pyramid = far_end.root / ".pyramids" / "a.jpg_1.zip"
    first = await client.get(f"/iiif/3/a.jpg/{TILE}")
    assert (first.status, pyramid.stat().st_size > 300_000) == (200, True)
    far_end.relay.count_anew()
    for _ in range(5):
        assert (await client.get(f"/iiif/3/a.jpg/{TILE}")).body == first.body
    assert far_end.relay.received < 5 * (len(first.body) + 10_000)
    region = await client.get("/iiif/3/a.jpg/300,300,1000,800/max/0/default.png")
    assert region.image().size == (1000, 800)


@pytest_twisted.ensureDeferred
async def test_a_remote_pyramid_goes_with_its_original(far_end: FarEnd, daemon: Daemon) -> None:
    client = Client(daemon.url, KEY)
    pyramid = far_end.root / ".pyramids" / "a.jpg_1.zip"
    await client.store("a.jpg", detailed_photograph((600, 400)))
    assert (await client.get("/iiif/3/a.jpg/info.json")).json["width"] == 600
    await client.store("a.jpg", detailed_photograph((500, 400)))
    assert not pyramid.exists()
    assert (await client.get("/iiif/3/a.jpg/info.json")).json["width"] == 500
    far_end.put("a.jpg", detailed_photograph((400, 300)), later=5)
    assert (await client.get("/iiif/3/a.jpg/info.json")).json["width"] == 400
    form = f"filename=a.jpg&token={quote(client.token('a.jpg'))}".encode()
    assert (await client.post("/filedelete", form, "application/x-www-form-urlencoded")).status == 200
    assert not pyramid.exists()
    assert (await client.get("/iiif/3/a.jpg/info.json")).status == 404


@pytest_twisted.ensureDeferred
async def test_a_remote_pyramid_that_another_daemon_removes_costs_no_viewer_a_tile(
    far_end: FarEnd, daemon: Daemon
) -> None:
    client = Client(daemon.url, KEY)
    pyramid = far_end.root / ".pyramids" / "a.jpg_1.zip"
    await client.store("a.jpg", detailed_photograph((2000, 1500)))
    first = await client.get(f"/iiif/3/a.jpg/{TILE}")
    # A file that an SFTP server has open can be read all the same, and is not made again.
    pyramid.unlink()
    again = await client.get(f"/iiif/3/a.jpg/{TILE}")
    assert (again.status, again.body) == (200, first.body)
    pyramid.unlink(missing_ok=True)
    region = await client.get("/iiif/3/a.jpg/300,300,1000,800/max/0/default.png")
    assert (region.status, region.image().size) == (200, (1000, 800))

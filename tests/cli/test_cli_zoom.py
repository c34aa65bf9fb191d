"""`was-daemon zoom warm` and `prune`."""

import zipfile
from pathlib import Path

import pytest
import pytest_twisted

from tests.cli.test_cli_thumbnails import counts, fill, names
from tests.conftest import RunDaemon
from tests.support.cli import Ran, run, write_config
from tests.support.client import Client
from tests.support.daemon import KEY, eventually
from tests.support.images import pdf, photograph

pytestmark = pytest.mark.slow

LONG = "n" * 250 + ".jpg"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a store on this disk."""
    return write_config(tmp_path, {"main": {"plugin": "filesystem", "path": tmp_path / "store"}})


def zoom(command: str, config: Path, *options: str) -> Ran:
    return run("zoom", command, "--config", config, "--json", *options)


def test_missing_pyramids_are_made_and_the_others_left_alone(tmp_path: Path, config: Path) -> None:
    fill(tmp_path / "store", "originals", {"a.jpg": photograph(), "b.pdf": pdf(), "c.txt": b"text", "d.jpg": b"text"})
    first = zoom("warm", config)
    assert (first.code, counts(first)) == (0, {"made": 2, "refused": 2})
    pyramids = tmp_path / "store" / ".pyramids"
    assert names(pyramids) == {"a.jpg_1.zip", "b.pdf_1.zip"}
    with zipfile.ZipFile(pyramids / "a.jpg_1.zip") as archive:
        assert archive.testzip() is None
    assert counts(zoom("warm", config)) == {"there": 2, "refused": 2}


def test_pyramids_without_an_original_and_of_earlier_versions_are_removed(tmp_path: Path, config: Path) -> None:
    store = tmp_path / "store"
    originals = fill(
        store, "originals", {name: photograph() for name in ("a.jpg", "b.jpg", "c.jpg", LONG, "m" + LONG[1:])}
    )
    zoom("warm", config)
    (originals / "a.jpg").unlink()
    (originals / LONG).unlink()
    (originals / "b.jpg").write_bytes(photograph((500, 300)))
    pyramids = fill(store, ".pyramids", {"other_1.zip": b"somebody's archive", "notes.txt": b"notes"})
    assert len(names(pyramids)) == 7
    counted = {"orphan": 2, "outdated": 1, "kept": 2, "unknown": 2}
    assert counts(zoom("prune", config, "--dry-run")) == counted
    assert len(names(pyramids)) == 7
    assert counts(zoom("prune", config)) == counted
    assert len(names(pyramids)) == 4 and {"c.jpg_1.zip", "other_1.zip", "notes.txt"} < names(pyramids)


def test_where_no_original_is_nothing_is_removed(tmp_path: Path, config: Path) -> None:
    store = tmp_path / "store"
    originals = fill(store, "originals", {"a.jpg": photograph()})
    zoom("warm", config)
    (originals / "a.jpg").unlink()
    assert zoom("prune", config).code == 1
    assert names(store / ".pyramids") == {"a.jpg_1.zip"}


@pytest_twisted.ensureDeferred
async def test_a_pyramid_is_made_after_an_upload_if_the_settings_say_so(run_daemon: RunDaemon) -> None:
    daemon = run_daemon({"zoom": {"warm": True}, "thumbnails": {"warm": [50]}})
    await Client(daemon.url, KEY).store("a.jpg", photograph())
    eventually(lambda: names(daemon.store / ".pyramids") == {"a.jpg_1.zip"}, "for the pyramid")
    assert names(daemon.store / "thumbnails") == {"a_50.jpg"}

"""The configuration of stores in layers, and of stores that are only read."""

from pathlib import Path

import pytest
import pytest_twisted

from tests.config.test_config import SMALLEST, keys_of, mistakes_of, settings_of
from was_daemon.config.load import ConfigError
from was_daemon.config.settings import Settings
from was_daemon.daemon.assembly import collections_in, create_stores
from was_daemon.daemon.ownership import store_directories
from was_daemon.jobs.traverse import directories_in
from was_daemon.model.composition import IComposedStore, stores_in
from was_daemon.model.interfaces import IReadOnly, IStages

LAYERS = (
    SMALLEST
    + """
[collections]
store = "all"
[stores.masters]
plugin = "filesystem"
path = "masters"
read_only = true
[stores.all]
plugin = "layered"
layers = ["main", "masters"]
"""
)


def test_a_store_that_is_only_read_is_found_out_by_the_layered_store(tmp_path: Path) -> None:
    stores = create_stores(settings_of(tmp_path, LAYERS))
    assert list(stores_in(stores["all"])) == [stores["all"], stores["main"], stores["masters"]]
    assert IReadOnly.providedBy(stores["masters"])
    assert not IReadOnly.providedBy(stores["main"])
    assert IStages.providedBy(stores["all"])


def test_thumbnails_are_in_the_first_layer(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, LAYERS)
    stores = create_stores(settings)
    place = collections_in(settings, stores).default
    assert (place.store, place.thumbnails, place.name) == (stores["all"], stores["main"], "all")


def test_a_command_of_root_becomes_the_owner_of_the_layers_that_are_written_to(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, LAYERS)
    assert store_directories(settings, ["all"]) == [settings.stores["main"].options.path]


@pytest_twisted.ensureDeferred
async def test_collections_are_found_in_all_layers_on_disks(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, LAYERS.replace("read_only = true\n", "").replace("store =", 'mode = "auto"\nstore =')
    )
    stores = create_stores(settings)
    for name, collection in (("main", "Fish"), ("masters", "Fish"), ("masters", "Birds")):
        (settings.stores[name].options.path / collection / "originals").mkdir(parents=True)
    found = await directories_in(stores["all"], collections_in(settings, stores))
    assert sorted(found) == ["Birds", "Fish"]
    for store in stores.values():
        await store.close()


def options(settings: Settings) -> tuple[bool, float]:
    found = settings.stores["all"].options
    return found.promote, found.promote_after


def test_promotion_is_a_choice(tmp_path: Path) -> None:
    assert options(settings_of(tmp_path, LAYERS)) == (False, 10)
    assert options(settings_of(tmp_path, LAYERS + "promote = true\npromote_after = 0.5\n")) == (True, 0.5)


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ('layers = ["main"]', "stores.all.layers"),
        ("layers = []", "stores.all.layers"),
        ('layers = ["main", "attic"]', "stores.all.layers"),
        ('layers = ["main", "main"]', "stores.all.layers"),
        ("", "stores.all.layers"),
        ('layers = ["main", "masters"]\npromote_after = -1', "stores.all.promote_after"),
        ('layers = ["main", "masters"]\nread_only = "yes"', "stores.all.read_only"),
    ],
)
def test_mistakes_are_reported_with_their_keys(tmp_path: Path, wrong: str, key: str) -> None:
    assert keys_of(mistakes_of(tmp_path, LAYERS.replace('layers = ["main", "masters"]', wrong))) == [key]


_SERVER = '[stores.old]\nplugin = "asset-server"\nurl = "http://old.example.org"\nkey = "a key of the old server"\n'
_DAM = '[stores.old]\nplugin = "resourcespace"\nurl = "https://dam.example.org"\nuser = "was"\nkey_file = "key"\n'
_ALSO = '[stores.inner]\nplugin = "mirror"\nprimary = "old"\ncopies = ["main"]\n'


@pytest.mark.parametrize(
    ("old", "layers", "is_mistake"),
    [
        (_SERVER, ["old", "masters"], True),
        (_SERVER + _ALSO, ["inner", "masters"], True),
        (_SERVER, ["main", "old"], False),
        (_DAM, ["old", "masters"], True),
        (_DAM, ["main", "old"], False),
    ],
)
def test_a_first_layer_has_to_keep_tombstones(tmp_path: Path, old: str, layers: list[str], is_mistake: bool) -> None:
    (tmp_path / "key").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "key").chmod(0o600)
    text = LAYERS.replace('["main", "masters"]', str(layers).replace("'", '"')) + old
    try:
        settings_of(tmp_path, text)
        found = []
    except ConfigError as error:
        found = error.mistakes
    assert len(found) == is_mistake, found
    assert all(each.startswith('stores.all.layers: "old" cannot be where uploads go') for each in found)


def test_a_layered_store_that_is_only_read_needs_no_tombstones(tmp_path: Path) -> None:
    text = LAYERS.replace('["main", "masters"]', '["old", "masters"]') + "read_only = true\n" + _SERVER
    assert settings_of(tmp_path, text).stores["all"].read_only


def test_a_layered_store_can_be_only_read_itself(tmp_path: Path) -> None:
    store = create_stores(settings_of(tmp_path, LAYERS + "read_only = true\n"))["all"]
    assert IReadOnly.providedBy(store)
    assert len(IComposedStore(store).parts) == 2


@pytest.mark.parametrize(
    ("listen", "url", "is_own"),
    [
        ("tcp:8080", "http://assets.example.org:8080", True),
        ("tcp:8080", "http://assets.example.org:8080/web_asset_store.xml", True),
        ("tcp:8080", "http://assets.example.org:8081", False),
        ("tcp:8080", "http://127.0.0.1:8080/", True),
        ("tcp:80:interface=127.0.0.1", "http://localhost", True),
        ("tcp:8080", "http://localhost:8081", False),
        ("tcp:8080:interface=192.0.2.5", "http://localhost:8080", False),
    ],
)
def test_an_old_server_that_is_this_one_is_a_mistake(tmp_path: Path, listen: str, url: str, is_own: bool) -> None:
    server = f'listen = ["{listen}"]\npublic_url = "http://assets.example.org:8080"\n'
    text = SMALLEST.replace("[server]\n", "[server]\n" + server)
    old = f'[stores.old]\nplugin = "asset-server"\nurl = "{url}"\nkey = "a key of the old server"\n'
    try:
        settings_of(tmp_path, text + old)
        found = []
    except ConfigError as error:
        found = error.mistakes
    assert found == (["stores.old.url: is the address of this server itself"] if is_own else [])

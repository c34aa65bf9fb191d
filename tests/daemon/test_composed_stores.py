"""Stores made of other stores of the configuration, with a plugin that an institution dropped in."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

import storage_plugins
from was_daemon.config.load import ConfigError, load
from was_daemon.config.settings import Settings
from was_daemon.daemon.assembly import collections_in
from was_daemon.daemon.reusable_parts import ReusableParts
from was_daemon.daemon.stores import build_stores
from was_daemon.model.composition import IComposedStore, IComposedStorePlugin, stores_in
from was_daemon.model.interfaces import IAssetStore
from was_daemon.telemetry.metrics import Metrics

PILE = """
import attrs
from zope.interface import implementer

from was_daemon.plugins import ComposedStorePlugin, IComposedStore
from was_daemon.testing.memory import MemoryStore


@attrs.frozen
class Options:
    of: list[str]
    besides: str | None = None


@implementer(IComposedStore)
class Pile(MemoryStore):
    def __init__(self, name, parts):
        super().__init__()
        self.name = name
        self.parts = parts


pile = ComposedStorePlugin(
    "pile",
    Options,
    lambda options: {"of": options.of, "besides": [options.besides] if options.besides else []},
    lambda options, name, stores: Pile(name, list(stores.values())),
)
"""


@pytest.fixture(autouse=True)
def pile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Drop in a plugin whose stores are made of others."""
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    directory = tmp_path / "own" / "storage_plugins"
    directory.mkdir(parents=True)
    (directory / "pile.py").write_text(PILE)
    yield
    sys.modules.pop("storage_plugins.pile", None)


def settings_of(directory: Path, stores: str) -> Settings:
    path = directory / "was.toml"
    path.write_text(f'[server]\nkey = "0123456789abcdef"\n[plugins]\npath = ["own"]\n{stores}')
    path.chmod(0o600)
    return load(path, {})


BOTH = """
[collections]
store = "both"
[stores.both]
plugin = "pile"
of = ["disk", "other"]
[stores.disk]
plugin = "filesystem"
path = "disk"
[stores.other]
plugin = "filesystem"
path = "other"
"""


def built(settings: Settings, before: ReusableParts | None = None) -> tuple[dict[str, IAssetStore], ReusableParts]:
    parts = ReusableParts(before)
    return build_stores(settings, parts, Metrics()), parts


def test_a_store_is_made_after_the_stores_it_names(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, BOTH)
    stores, _ = built(settings)
    assert list(stores) == ["disk", "other", "both"]
    assert IComposedStorePlugin.providedBy(settings.stores["both"].plugin)
    assert list(IComposedStore(stores["both"]).parts) == [stores["disk"], stores["other"]]
    assert list(stores_in(stores["both"])) == [stores["both"], stores["disk"], stores["other"]]


def test_its_parts_know_the_collections_that_are_kept_in_them(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, BOTH)
    stores, _ = built(settings)
    collections = collections_in(settings, stores)
    assert [list(collections.directories(store)) for store in stores.values()] == [[""]] * 3


def test_a_reload_makes_it_anew_only_when_a_part_has_changed(tmp_path: Path) -> None:
    before, parts = built(settings_of(tmp_path, BOTH))
    same, parts = built(settings_of(tmp_path, BOTH), parts)
    assert same == before
    changed, _ = built(settings_of(tmp_path, BOTH.replace('path = "other"', 'path = "third"')), parts)
    assert changed["disk"] is before["disk"]
    assert changed["both"] is not before["both"]
    assert IComposedStore(changed["both"]).parts[1] is changed["other"]


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        ('of = ["disk", "attic"]', 'stores.both.of: no store is called "attic"; there are both, disk, other'),
        ('of = ["disk", "both"]', "stores.both.of: names this store"),
        ('of = ["disk", "disk"]', 'stores.both.of: names "disk" twice'),
        ('of = ["disk"]\nbesides = "disk"', 'stores.both.besides: names "disk" twice'),
        ("of = []", "stores.both: names no store"),
    ],
)
def test_names_that_cannot_be_are_reported(tmp_path: Path, wrong: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, BOTH.replace('of = ["disk", "other"]', wrong))
    assert caught.value.mistakes == [mistake]


def test_two_parts_in_one_place_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, BOTH.replace('path = "other"', f'path = "{tmp_path}/disk"'))
    assert caught.value.mistakes == ['stores.both.of: "other" is the same place as "disk"']


@pytest.mark.parametrize(
    ("table", "mistakes"),
    [
        ('"layered"\nlayers = ["disk", "masters"]', []),
        ('"layered"\nlayers = ["masters", "disk"]', ["layers"]),
        ('"layered"\nread_only = true\nlayers = ["masters", "disk"]', []),
        ('"mirror"\nprimary = "disk"\ncopies = ["masters"]', ["copies"]),
        ('"mirror"\nprimary = "masters"\ncopies = ["disk"]', ["primary"]),
    ],
)
def test_a_part_that_takes_no_uploads_is_reported_where_they_go(
    tmp_path: Path, table: str, mistakes: list[str]
) -> None:
    masters = '[stores.masters]\nplugin = "filesystem"\npath = "masters"\nread_only = true\n'
    text = f"{BOTH}{masters}[stores.made]\nplugin = {table}\n"
    try:
        settings_of(tmp_path, text)
        found = []
    except ConfigError as error:
        found = error.mistakes
    assert found == [f'stores.made.{key}: "masters" is read_only, and what is uploaded goes there' for key in mistakes]


def test_stores_that_are_made_of_each_other_are_reported(tmp_path: Path) -> None:
    turned = BOTH + '[stores.turned]\nplugin = "pile"\nof = ["both"]\n'
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, turned.replace('"disk", "other"', '"disk", "turned"'))
    assert caught.value.mistakes == [
        'stores.both.of: "turned" is made of this store itself',
        'stores.turned.of: "both" is made of this store itself',
    ]


@pytest_twisted.ensureDeferred
async def test_a_composed_store_can_be_made_of_composed_ones(tmp_path: Path) -> None:
    stores, _ = built(settings_of(tmp_path, BOTH + '[stores.all]\nplugin = "pile"\nof = ["both"]\n'))
    assert [str(each) for each in stores_in(stores["all"])] == [
        str(stores[name]) for name in ("all", "both", "disk", "other")
    ]
    for store in stores.values():
        await store.close()

"""The configuration: what the documentation shows is understood, and every mistake is reported with its key."""

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path

import attrs
import pytest

import storage_plugins
from was_daemon.config.load import ConfigError, load
from was_daemon.config.paths import PathResolver
from was_daemon.config.plugins import find_plugins
from was_daemon.config.settings import (
    CollectionsSettings,
    LimitSettings,
    LogSettings,
    ServerSettings,
    Settings,
    ThumbnailSettings,
)
from was_daemon.config.structure import Mistakes, structure
from was_daemon.model.keys import Layout

SECRET = "correct horse battery staple"

SERVER = """
[server]
listen = ["tcp:8080"]
public_url = "https://assets.example.org"
key_file = "key"
token_window = 150
require_token_for_get = false
static_access = true
max_age = 60
stale_while_revalidate = 3600
overwrite = true
max_upload = "4 GiB"
trusted_proxies = ["127.0.0.1"]
"""
MAIN = """
[stores.main]
plugin = "filesystem"
path = "/srv/attachments"
layout = "flat"
"""
NAS = """
[stores.nas]
plugin = "sftp"
host = "nas.example.org"
user = "specify"
path = "/volume1/specify"
port = 22
identity_file = "/etc/was-daemon/id_ed25519"
known_hosts = "/etc/was-daemon/known_hosts"
"""
CLOUD = """
[stores.cloud]
plugin = "webdav"
url = "https://cloud.example.org/remote.php/dav/files/specify/"
user = "specify"
password_file = "/etc/was-daemon/dav-password"
allow_http = false
"""
COLLECTIONS = """
[collections]
mode = "map"
store = "main"
map.KUFishvoucher = { directory = "Ichthyology" }
map.KUHerbarium = { directory = "Botany", store = "main" }
"""
THUMBNAILS = """
[thumbnails]
store = "main"
workers = 2
max_scale = 4096
timeout = 30
"""

SMALLEST = """
[server]
key = "a key"
[stores.main]
plugin = "filesystem"
path = "files"
"""

SHELF = """
from ipaddress import IPv4Address
from pathlib import Path

import attrs
from zope.interface import implementer

from was_daemon.model.interfaces import IAssetStorePlugin
from was_daemon.testing.memory import MemoryStore


@attrs.frozen
class Options:
    port: int
    host: str = "localhost"
    timeout: float = 30.0
    files: list[Path] = attrs.field(factory=list)


@implementer(IAssetStorePlugin)
class Shelf:
    name = "shelf"
    options = Options

    def create(self, options):
        return MemoryStore()


shelf = Shelf()
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "was.toml"
    path.write_text(text, "utf-8")
    return path


def settings_of(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return load(write(directory, text), environ or {})


def mistakes_of(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_of(directory, text, environ)
    assert str(caught.value) == "\n".join(caught.value.mistakes)
    return caught.value.mistakes


def keys_of(mistakes: list[str]) -> list[str]:
    return sorted(mistake.partition(": ")[0] for mistake in mistakes)


def needs(*plugins: str) -> pytest.MarkDecorator:
    missing = set(plugins) - find_plugins().keys()
    may_skip = os.environ.get("CI") != "true"
    return pytest.mark.skipif(bool(missing) and may_skip, reason=f"no plugin {', '.join(sorted(missing))}")


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugins that a test drops in are gone after it."""
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    yield
    for name in ("shelf", "parts"):
        sys.modules.pop(f"storage_plugins.{name}", None)


@pytest.fixture
def shelf(tmp_path: Path) -> str:
    """A plugin in a directory of its own; the section of the configuration that names it."""
    directory = tmp_path / "plugins" / "storage_plugins"
    directory.mkdir(parents=True)
    (directory / "shelf.py").write_text(SHELF)
    return '[plugins]\npath = ["plugins"]\n'


# -- what is understood ------------------------------------------------------------------------------------------------


def test_every_key_of_the_documented_example_is_understood(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    (tmp_path / "plugins/storage_plugins").mkdir(parents=True)
    plugins = '[plugins]\npath = ["plugins"]'
    settings = settings_of(tmp_path, SERVER + MAIN + COLLECTIONS + THUMBNAILS + plugins)
    server = settings.server
    assert server.listen == ["tcp:8080"]
    assert server.public_url == "https://assets.example.org"
    assert server.key == SECRET
    assert server.token_window == 150
    assert (server.require_token_for_get, server.static_access, server.overwrite) == (False, True, True)
    assert (server.max_age, server.stale_while_revalidate) == (60, 3600)
    assert server.max_upload == 4 * 1024**3
    assert server.trusted_proxies == [ip_network("127.0.0.1/32")]
    assert settings.stores["main"].plugin.name == "filesystem"
    assert settings.stores["main"].options.path == Path("/srv/attachments")
    assert settings.stores["main"].options.layout is Layout.FLAT
    assert settings.default_store == "main"
    assert settings.collections.mode == "map"
    assert settings.collections.map["KUFishvoucher"].directory == "Ichthyology"
    assert settings.collections.map["KUHerbarium"].store == "main"
    limits = settings.thumbnails
    assert (limits.store, limits.workers, limits.max_scale, limits.timeout) == ("main", 2, 4096, 30.0)


@needs("sftp")
def test_every_key_of_the_documented_sftp_store_is_understood(tmp_path: Path) -> None:
    options = settings_of(tmp_path, SMALLEST + NAS).stores["nas"].options
    assert (options.host, options.user, options.port) == ("nas.example.org", "specify", 22)
    assert str(options.path) == "/volume1/specify"
    assert options.identity_file == Path("/etc/was-daemon/id_ed25519")
    assert options.known_hosts == Path("/etc/was-daemon/known_hosts")


@needs("webdav")
def test_every_key_of_the_documented_webdav_store_is_understood(tmp_path: Path) -> None:
    options = settings_of(tmp_path, SMALLEST + CLOUD).stores["cloud"].options
    assert options.url == "https://cloud.example.org/remote.php/dav/files/specify/"
    assert (options.user, options.allow_http) == ("specify", False)
    assert options.password_file == Path("/etc/was-daemon/dav-password")


def test_every_key_of_the_documented_asset_server_is_understood(tmp_path: Path) -> None:
    table = (
        '[stores.old]\nplugin = "asset-server"\nurl = "https://old.example.org/web_asset_store.xml"\n'
        'key = "their key"\ncollections = { Ichthyology = "KUFishvoucher" }\n'
        'public_url = "https://public.example.org/"\nread_only = true\ntimeout = 5\n'
    )
    options = settings_of(tmp_path, SMALLEST + table).stores["old"].options
    assert (options.address, options.public_address) == ("https://old.example.org", "https://public.example.org")
    assert (options.collection_of("Ichthyology"), options.collection_of("Botany")) == ("KUFishvoucher", "Botany")
    assert "their key" not in repr(options)
    for wrong, said in {
        "collection = 7": "expected a text",
        'collection = "Botany"': "either collection or collections",
        'key_file = "key"': "either key or key_file",
        "timeout = 0": "must be at least",
    }.items():
        with pytest.raises(ConfigError, match=said):
            settings_of(tmp_path, SMALLEST + table.replace("timeout = 5", wrong))


def test_what_is_left_out_has_the_documented_default(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, SMALLEST)
    server = settings.server
    assert server.listen == ["tcp:8080"]
    assert server.public_url is None
    assert server.token_window == 150
    assert (server.require_token_for_get, server.static_access, server.overwrite) == (False, True, True)
    assert (server.max_age, server.stale_while_revalidate) == (300, 7 * 24 * 3600)
    assert server.insecure_no_key is False
    assert server.trusted_proxies == []
    assert settings.default_store == "main"
    assert settings.collections.mode == "single"
    assert settings.thumbnails.store is None
    assert settings.thumbnails.workers == len(os.sched_getaffinity(0))
    assert settings.thumbnails.max_scale == 4096
    assert settings.thumbnails.max_pixels == 500_000_000
    assert settings.debug is False


def test_the_default_store_is_the_one_of_the_collections_or_else_the_first(tmp_path: Path) -> None:
    stores = SMALLEST + '[stores.other]\nplugin = "filesystem"\npath = "elsewhere"\n'
    assert settings_of(tmp_path, stores).default_store == "main"
    assert settings_of(tmp_path, stores + '[collections]\nstore = "other"').default_store == "other"


def test_relative_paths_start_at_the_directory_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    etc.mkdir()
    elsewhere.mkdir()
    (etc / "key").write_text(SECRET)
    text = '[server]\nkey_file = "key"\n[spool]\npath = "spool"\n' + MAIN.replace("/srv/attachments", "../files")
    write(etc, text)
    monkeypatch.chdir(elsewhere)
    settings = load(Path("../etc/was.toml"), {})
    assert settings.server.key == SECRET
    assert settings.spool.path == etc / "spool"
    assert settings.stores["main"].options.path.resolve() == tmp_path / "files"


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = settings_of(tmp_path, SMALLEST.replace('"files"', '"~/files"'))
    assert settings.stores["main"].options.path == tmp_path / "home" / "files"


def test_a_path_may_begin_with_a_variable_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "key").write_text(SECRET)
    text = '[server]\nkey_file = "$CREDENTIALS_DIRECTORY/key"\n' + MAIN.replace("/srv/attachments", "$FILES")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"), "FILES": str(tmp_path / "files")}
    settings = load(write(tmp_path, text), environ)
    assert settings.server.key == SECRET
    assert settings.stores["main"].options.path == tmp_path / "files"


def test_a_variable_elsewhere_in_a_path_is_no_variable(tmp_path: Path) -> None:
    settings = load(write(tmp_path, SMALLEST.replace('"files"', '"a/$FILES/$FILES"')), {"FILES": "/srv"})
    assert settings.stores["main"].options.path == tmp_path / "a" / "$FILES" / "$FILES"


def test_a_missing_secret_is_missing_and_a_wrong_one_is_not_shown(tmp_path: Path) -> None:
    @attrs.frozen
    class Options:
        api_key: str = attrs.field(repr=False)

    tables: list[tuple[dict[str, int], str]] = [({}, "is missing"), ({"api_key": 12345}, "expected a text")]
    for table, reason in tables:
        mistakes = Mistakes()
        assert structure(table, Options, "stores.dam", PathResolver(tmp_path, {}), mistakes) is None
        assert mistakes.lines == [f"stores.dam.api_key: {reason}"]


SECRET_PARTS = """
import attrs
from was_daemon.model.interfaces import IAssetStore
from was_daemon.plugins import StorePlugin

@attrs.frozen
class Login:
    user: str
    password: str = attrs.field(repr=False, validator=attrs.validators.matches_re("[A-Z]+"))

@attrs.frozen
class Options:
    login: Login
    hidden: Login | None = attrs.field(default=None, repr=False)
    pin: int = attrs.field(default=0, repr=False)
    keys: list[str] = attrs.field(factory=list, repr=False)
    more: list[Login] = attrs.field(factory=list)

parts = StorePlugin("parts", Options, lambda options: None)
"""


@pytest.mark.parametrize(
    ("lines", "mistake"),
    [
        ("", "stores.dam.login: is missing"),
        ('login = { user = "a", password = 4711 }', "stores.dam.login.password: expected a text"),
        ('login = { user = "a" }', "stores.dam.login.password: is missing"),
        ('hidden = { user = "a" }', "stores.dam.hidden.password: is missing"),
        ('hidden = "sesame-open"', "stores.dam.hidden: expected a table"),
        ('pin = "sesame-open"', "stores.dam.pin: expected an integer"),
        ('keys = "sesame-open"', "stores.dam.keys: expected a list"),
        ('keys = ["sesame-open", 1]', "stores.dam.keys[1]: expected a text"),
    ],
)
def test_a_mistake_in_a_secret_part_says_what_is_expected(tmp_path: Path, lines: str, mistake: str) -> None:
    assert mistake in mistakes_of(tmp_path, _with_parts(tmp_path, lines))


@pytest.mark.parametrize("place", ['login = { user = "a", %s }', 'more = [{ user = "a", %s }]', "hidden = { %s }"])
def test_a_secret_in_a_table_within_a_table_is_a_secret(tmp_path: Path, place: str) -> None:
    text = _with_parts(tmp_path, place % 'password = "sesame-open"')
    mistakes = mistakes_of(tmp_path, text)
    assert mistakes and not any("sesame" in line for line in mistakes), mistakes
    config = write(tmp_path, text)
    config.chmod(0o666)
    with pytest.raises(ConfigError) as raised:
        load(config, {"ATTACHMENT_KEY": SECRET})
    assert any("password: " in line and "can be" in line for line in raised.value.mistakes), raised.value.mistakes


def _with_parts(tmp_path: Path, lines: str) -> str:
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins/parts.py").write_text(SECRET_PARTS)
    return f'[plugins]\npath = ["."]\n[stores.dam]\nplugin = "parts"\n{lines}\n'


def test_a_plugin_path_without_plugins_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "right/storage_plugins/package").mkdir(parents=True)
    (tmp_path / "right/storage_plugins/dam.py").touch()
    (tmp_path / "empty/dam.py").touch()
    wrong = ["none", "empty", "right/storage_plugins", "right/storage_plugins/", "right/storage_plugins/dam.py"]
    paths = ["right", *wrong, "right/storage_plugins/package", "empty/dam.py", "empty/dam.py/x"]
    text = SMALLEST + f"[plugins]\npath = {paths}"
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, text), {})
    assert raised.value.mistakes == [
        f"plugins.path[1]: {tmp_path}/none: there is no such directory",
        f"plugins.path[2]: {tmp_path}/empty has no directory storage_plugins: "
        f"put the plugins into {tmp_path}/empty/storage_plugins",
        *(
            f"plugins.path[{index}]: {tmp_path}/right/storage_plugins{rest}: "
            f'the directory above storage_plugins is needed: "{tmp_path}/right"'
            for index, rest in enumerate(("", "", "/dam.py", "/package"), start=3)
        ),
        f"plugins.path[7]: {tmp_path}/empty/dam.py is a file: "
        f'put it into "{tmp_path}/empty/storage_plugins", and write "{tmp_path}/empty" here',
        f"plugins.path[8]: {tmp_path}/empty/dam.py/x: there is no such directory",
    ]


def test_a_path_with_a_variable_that_is_not_set_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, '[server]\nkey_file = "$SECRETS/key"\n' + MAIN), {})
    assert raised.value.mistakes == ["server.key_file: the environment has no SECRETS"]


def test_without_systemd_credentials_are_read_from_the_configurations_directory(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    text = '[server]\nkey_file = "$CREDENTIALS_DIRECTORY/key"\n' + MAIN
    for environ in ({}, {"CREDENTIALS_DIRECTORY": ""}):
        assert load(write(tmp_path, text), environ).server.key == SECRET


def test_credentials_of_a_service_that_has_ended_are_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    text = '[server]\nkey_file = "$CREDENTIALS_DIRECTORY/key"\n' + MAIN
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, text), {"CREDENTIALS_DIRECTORY": f"{tmp_path}/gone"})
    assert raised.value.mistakes == [
        f"server.key_file: there is no directory {tmp_path}/gone, which $CREDENTIALS_DIRECTORY names: "
        f"unset the variable to read the file from {tmp_path}"
    ]


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("0", 0),
        ("1000", 1000),
        ('"1000"', 1000),
        ('"1000 B"', 1000),
        ('"1 kB"', 1000),
        ('"1KiB"', 1024),
        ('"50 MB"', 50_000_000),
        ('"50 MiB"', 52_428_800),
        ('"4 GiB"', 4_294_967_296),
        ('"4 GB"', 4_000_000_000),
        ('"2 TiB"', 2_199_023_255_552),
    ],
)
def test_sizes_are_bytes_or_say_their_unit(tmp_path: Path, written: str, size: int) -> None:
    text = SMALLEST.replace("[server]", f"[server]\nmax_upload = {written}")
    assert settings_of(tmp_path, text).server.max_upload == size


@pytest.mark.parametrize(
    "listen",
    [
        '"tcp:0"',
        '"tcp:8080:interface=127.0.0.1"',
        '"unix:was.socket"',
        '"tcp:8080", "tcp6:8080"',
        '"systemd:domain=INET:index=0"',
    ],
)
def test_endpoint_strings_are_twisted_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    text = SMALLEST.replace("[server]", f"[server]\nlisten = [{listen}]")
    assert settings_of(tmp_path, text).server.listen == [part.strip(' "') for part in listen.split(",")]


def test_a_plugin_of_the_configured_path_is_found_and_its_options_are_read(tmp_path: Path, shelf: str) -> None:
    text = SMALLEST + shelf + '[stores.nas]\nplugin = "shelf"\nport = 22\ntimeout = 5\nfiles = ["a", "/b"]\n'
    options = settings_of(tmp_path, text).stores["nas"].options
    assert (options.port, options.host, options.timeout) == (22, "localhost", 5.0)
    assert options.files == [tmp_path / "a", Path("/b")]


# -- the key -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
def test_a_key_file_holds_the_key_with_or_without_a_line_break(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    settings = settings_of(tmp_path, SMALLEST.replace('key = "a key"', 'key_file = "key"'))
    assert settings.server.key == SECRET
    assert str(tmp_path / "key") in settings.key_source


def test_the_environment_supplies_the_key_that_the_file_leaves_out(tmp_path: Path) -> None:
    environ = {"ATTACHMENT_KEY": SECRET}
    settings = settings_of(tmp_path, MAIN, environ)
    assert settings.server.key == SECRET
    assert "ATTACHMENT_KEY" in settings.key_source
    assert settings_of(tmp_path, SMALLEST, environ).server.key == "a key"


def test_a_key_that_is_no_text_is_a_mistake(tmp_path: Path) -> None:
    mistakes = mistakes_of(tmp_path, MAIN, {"ATTACHMENT_KEY": "\udcff"})
    assert mistakes == ["server.key: the one in $ATTACHMENT_KEY is not valid UTF-8"]


@pytest.mark.parametrize("environ", [{}, {"ATTACHMENT_KEY": ""}])
def test_without_a_key_nothing_starts_unless_it_is_asked_for(tmp_path: Path, environ: dict[str, str]) -> None:
    assert keys_of(mistakes_of(tmp_path, MAIN, environ)) == ["server.key"]
    assert settings_of(tmp_path, f"[server]\ninsecure_no_key = true\n{MAIN}", environ).server.key is None


@pytest.mark.parametrize(("key", "setting"), [('key = ""', "key"), ('key_file = "empty"', "key_file")])
def test_an_empty_key_is_none(tmp_path: Path, key: str, setting: str) -> None:
    (tmp_path / "empty").write_text("\n")
    assert keys_of(mistakes_of(tmp_path, f"[server]\n{key}\n{MAIN}")) == [f"server.{setting}"]


def test_a_secret_is_in_no_representation_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    for settings in (
        settings_of(tmp_path, SMALLEST.replace("a key", SECRET)),
        settings_of(tmp_path, SMALLEST.replace('key = "a key"', 'key_file = "key"')),
        settings_of(tmp_path, MAIN, {"ATTACHMENT_KEY": SECRET}),
    ):
        assert settings.server.key == SECRET
        assert SECRET not in repr(settings)
        assert SECRET not in str(settings)
        assert SECRET not in repr(settings.server)
        assert SECRET not in settings.key_source


@needs("webdav")
def test_the_password_of_a_store_is_in_no_representation_either(tmp_path: Path) -> None:
    cloud = CLOUD.replace('password_file = "/etc/was-daemon/dav-password"', f'password = "{SECRET}"')
    settings = settings_of(tmp_path, SMALLEST + cloud)
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.stores["cloud"].plugin.create(settings.stores["cloud"].options))


# -- without a file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_file_there_is_a_store_in_attachments_and_a_key_made_once(home: Path) -> None:
    old = os.umask(0)
    try:
        settings = load(None, {})
    finally:
        os.umask(old)
    key_file = home / "attachments" / ".key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert settings.server.key == key_file.read_text().strip()
    assert len(settings.server.key) >= 32
    assert "attachments/.key" in settings.key_source
    assert settings.server.listen == ["tcp:8080"]
    assert settings.stores["main"].options.path == home / "attachments"
    assert load(None, {}).server.key == settings.server.key


def test_two_installations_have_different_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(None, {}).server.key
    (home / "second").mkdir()
    monkeypatch.chdir(home / "second")
    assert load(None, {}).server.key != first


def test_without_a_file_the_key_of_the_environment_counts_and_none_is_made(home: Path) -> None:
    assert load(None, {"ATTACHMENT_KEY": SECRET}).server.key == SECRET
    assert not (home / "attachments" / ".key").exists()


def test_an_existing_key_is_kept(home: Path) -> None:
    (home / "attachments").mkdir()
    (home / "attachments" / ".key").write_text(SECRET)
    assert load(None, {}).server.key == SECRET


@pytest.mark.parametrize(
    ("environ", "public_url"),
    [
        ({}, None),
        ({"SERVER_NAME": "assets.example.org"}, "http://assets.example.org:8080"),
        ({"SERVER_NAME": "assets.example.org", "SERVER_PORT": "80"}, "http://assets.example.org"),
        ({"SERVER_NAME": "assets.example.org", "SERVER_PORT": "443"}, "https://assets.example.org"),
        ({"SERVER_NAME": "assets.example.org", "SERVER_PORT": "8081"}, "http://assets.example.org:8081"),
    ],
)
def test_the_official_variables_say_the_public_address(
    tmp_path: Path, environ: dict[str, str], public_url: str | None
) -> None:
    assert settings_of(tmp_path, SMALLEST, environ).server.public_url == public_url


def test_the_file_outranks_the_official_variables(tmp_path: Path) -> None:
    text = SMALLEST.replace("[server]", '[server]\npublic_url = "https://here.example.org/assets/"')
    settings = settings_of(tmp_path, text, {"SERVER_NAME": "there.example.org"})
    assert settings.server.public_url == "https://here.example.org/assets"


@pytest.mark.parametrize(
    ("value", "debug"), [("True", True), ("true", True), ("1", True), ("", False), ("False", False), ("0", False)]
)
def test_debug_mode_is_understood(tmp_path: Path, value: str, debug: bool) -> None:
    assert settings_of(tmp_path, SMALLEST, {"DEBUG_MODE": value}).debug is debug


def test_the_environment_names_proxies_that_the_file_does_not_name(tmp_path: Path) -> None:
    environ = {"TRUSTED_PROXIES": "172.16.0.0/12, ::1"}
    named = [ip_network("172.16.0.0/12"), ip_network("::1")]
    assert settings_of(tmp_path, SMALLEST, environ).server.trusted_proxies == named
    assert settings_of(tmp_path, with_server("trusted_proxies = []"), environ).server.trusted_proxies == []
    (mistake,) = mistakes_of(tmp_path, SMALLEST, {"TRUSTED_PROXIES": "nginx"})
    assert mistake.startswith("server.trusted_proxies[0]: ")


# -- mistakes ----------------------------------------------------------------------------------------------------------


def with_server(line: str) -> str:
    return SMALLEST.replace("[server]", f"[server]\n{line}")


def with_store(line: str) -> str:
    return f"{SMALLEST}{line}\n"


TWICE = """
[collections]
mode = "map"
map.a = { directory = "same" }
map.b = { directory = "same", store = "main" }
"""

MISTAKES = {
    "an unknown section": (SMALLEST + "[thumbnail]\nworkers = 1", "thumbnail", "unknown"),
    "a section that is none": ("thumbnails = 3\n" + SMALLEST, "thumbnails", "table"),
    "an unknown key": (with_server("max_uploads = 1"), "server.max_uploads", "unknown"),
    "a text for a list": (with_server('listen = "tcp:8080"'), "server.listen", "a list"),
    "an empty list": (with_server("listen = []"), "server.listen", "empty"),
    "a number in a list of texts": (with_server("listen = [8080]"), "server.listen[0]", "a text"),
    "a port that is none": (with_server('listen = ["tcp:0", "tcp:http"]'), "server.listen[1]", "tcp:http"),
    "a port beyond all": (with_server('listen = ["tcp:70000"]'), "server.listen[0]", "70000"),
    "a port beyond all, named last": (
        with_server('listen = ["tcp:interface=127.0.0.1:port=70000"]'),
        "server.listen[0]",
        "70000",
    ),
    "an endpoint nobody knows": (with_server('listen = ["carrier-pigeon:8080"]'), "server.listen[0]", "carrier-pigeon"),
    "an empty endpoint": (with_server('listen = [""]'), "server.listen[0]", ""),
    "a certificate that is missing": (
        with_server('listen = ["ssl:443:privateKey=missing.pem"]'),
        "server.listen[0]",
        "missing.pem",
    ),
    "a text for an integer": (with_server('token_window = "150"'), "server.token_window", 'an integer, got "150"'),
    "a truth for an integer": (with_server("token_window = true"), "server.token_window", "an integer, got true"),
    "a fraction for an integer": (with_server("token_window = 1.5"), "server.token_window", "an integer, got 1.5"),
    "a negative window": (with_server("token_window = -1"), "server.token_window", "at least 0"),
    "a negative age": (with_server("max_age = -1"), "server.max_age", "at least 0"),
    "half a second": (with_server("stale_while_revalidate = 0.5"), "server.stale_while_revalidate", "an integer"),
    "an integer for a truth": (with_server("overwrite = 1"), "server.overwrite", "true or false, got 1"),
    "a text for a truth": (with_server('static_access = "no"'), "server.static_access", "true or false"),
    "a size in unknown units": (with_server('max_upload = "4 gigs"'), "server.max_upload", "4 gigs"),
    "a negative size": (with_server("max_upload = -1"), "server.max_upload", "size"),
    "a fraction for a size": (with_server("max_upload = 1.5"), "server.max_upload", "size"),
    "a size in digits of another script": (with_server('max_upload = "٤ GiB"'), "server.max_upload", "size"),
    "a proxy that is no address": (
        with_server('trusted_proxies = ["127.0.0.1", "localhost"]'),
        "server.trusted_proxies[1]",
        "localhost",
    ),
    "a network with host bits": (
        with_server('trusted_proxies = ["10.0.0.1/8"]'),
        "server.trusted_proxies[0]",
        "10.0.0.1/8",
    ),
    "an address without a scheme": (with_server('public_url = "assets.example.org"'), "server.public_url", "assets"),
    "an address of another scheme": (with_server('public_url = "ftp://a.example.org"'), "server.public_url", "ftp"),
    "an address with a query": (with_server('public_url = "http://a.example.org/?x"'), "server.public_url", "?x"),
    "an address with a broken port": (with_server('public_url = "http://a:b"'), "server.public_url", "http://a:b"),
    "an address with a broken host": (with_server('public_url = "http://[::1"'), "server.public_url", "http://[::1"),
    "a key that is no text": (with_server("").replace('"a key"', "5"), "server.key", "a text"),
    "a key in two places": (with_server('key_file = "was.toml"'), "server.key", "server.key_file"),
    "a key file that is missing": (
        SMALLEST.replace('key = "a key"', 'key_file = "nowhere"'),
        "server.key_file",
        "no such file",
    ),
    "a key file that is a directory": (
        SMALLEST.replace('key = "a key"', 'key_file = "."'),
        "server.key_file",
        "directory",
    ),
    "no store": ('[server]\nkey = "a key"', "stores", "[stores.NAME]"),
    "no store in the table": ('[server]\nkey = "a key"\n[stores]', "stores", "[stores.NAME]"),
    "stores that are no table": ('stores = 3\n[server]\nkey = "a key"', "stores", ""),
    "a store that is no table": ('[stores]\nmain = 3\n[server]\nkey = "a key"', "stores.main.plugin", "missing"),
    "a store without a plugin": (SMALLEST + '[stores.x]\npath = "x"', "stores.x.plugin", "missing"),
    "a plugin nobody knows": (SMALLEST + '[stores.x]\nplugin = "files"', "stores.x.plugin", '"files"'),
    "a plugin that is no text": (SMALLEST + "[stores.x]\nplugin = [1]", "stores.x.plugin", "[1]"),
    "a store without its path": (SMALLEST + '[stores.x]\nplugin = "filesystem"', "stores.x.path", "missing"),
    "a path that is no text": (SMALLEST.replace('"files"', "3"), "stores.main.path", "a text, got 3"),
    "a layout nobody knows": (with_store('layout = "tree"'), "stores.main.layout", '"flat" or "sharded"'),
    "an unknown key of a store": (with_store('colour = "red"'), "stores.main.colour", "unknown"),
    "a mode nobody knows": (SMALLEST + '[collections]\nmode = "many"', "collections.mode", '"many"'),
    "a mode that is no text": (SMALLEST + "[collections]\nmode = 3", "collections.mode", "a text"),
    "a map without collections": (SMALLEST + '[collections]\nmode = "map"', "collections.map", "missing"),
    "collections without a map": (
        SMALLEST + '[collections]\nmap.a = { directory = "a" }',
        "collections.map",
        'mode = "map"',
    ),
    "a collection without a directory": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = {}',
        "collections.map.a.directory",
        "missing",
    ),
    "a collection that is no table": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = "a"',
        "collections.map.a",
        "table",
    ),
    "a collection outside the store": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = { directory = "../a" }',
        "collections.map.a.directory",
        "dot",
    ),
    "an absolute collection": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = { directory = "/a" }',
        "collections.map.a.directory",
        "",
    ),
    "an unknown key of a collection": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = { directory = "a", colour = 1 }',
        "collections.map.a.colour",
        "unknown",
    ),
    "a collection in an unknown store": (
        SMALLEST + '[collections]\nmode = "map"\nmap.a = { directory = "a", store = "attic" }',
        "collections.map.a.store",
        '"attic"',
    ),
    "an unknown store of collections": (SMALLEST + '[collections]\nstore = "attic"', "collections.store", '"attic"'),
    "an unknown store of thumbnails": (SMALLEST + '[thumbnails]\nstore = "attic"', "thumbnails.store", '"attic"'),
    "no workers": (SMALLEST + "[thumbnails]\nworkers = 0", "thumbnails.workers", "at least 1"),
    "no scales": (SMALLEST + "[thumbnails]\nmax_scale = 0", "thumbnails.max_scale", "at least 1"),
    "no pixels": (SMALLEST + "[thumbnails]\nmax_pixels = 0", "thumbnails.max_pixels", "at least 1"),
    "no time": (SMALLEST + "[thumbnails]\ntimeout = 0", "thumbnails.timeout", "at least"),
    "a time that is no number": (SMALLEST + '[thumbnails]\ntimeout = "30 s"', "thumbnails.timeout", "a number"),
    "a time that is not a number": (SMALLEST + "[thumbnails]\ntimeout = nan", "thumbnails.timeout", ""),
    "a time without end": (SMALLEST + "[thumbnails]\ntimeout = inf", "thumbnails.timeout", ""),
    "a memory nobody can read": (SMALLEST + '[thumbnails]\nmemory = "lots"', "thumbnails.memory", '"lots"'),
    "a spool that is no path": (SMALLEST + "[spool]\npath = 3", "spool.path", "a text"),
    "plugins in a text": (SMALLEST + '[plugins]\npath = "x"', "plugins.path", "a list"),
    "plugins in a number": (SMALLEST + "[plugins]\npath = [3]", "plugins.path[0]", "a text"),
}


@pytest.mark.parametrize(("text", "key", "reason"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_reported_with_its_key(tmp_path: Path, text: str, key: str, reason: str) -> None:
    mistakes = mistakes_of(tmp_path, text)
    assert keys_of(mistakes) == [key]
    assert reason in mistakes[0]


@pytest.mark.parametrize("mode", ['"many"', "3"])
def test_a_map_is_no_mistake_when_only_the_mode_is_one(tmp_path: Path, mode: str) -> None:
    text = f"{SMALLEST}[collections]\nmode = {mode}\nmap.a = {{ directory = 'a' }}"
    assert keys_of(mistakes_of(tmp_path, text)) == ["collections.mode"]


def test_every_value_out_of_range_is_reported_at_once_each_item_of_a_list_with_its_index(tmp_path: Path) -> None:
    text = with_server("token_window = -1\nworkers = 0") + "[thumbnails]\nwarm = [0, 5, -1]\nqueue = 0\n"
    assert sorted(mistakes_of(tmp_path, text)) == [
        "server.token_window: must be at least 0, got -1",
        "server.workers: must be at least 1, got 0",
        "thumbnails.queue: must be at least 1, got 0",
        "thumbnails.warm[0]: must be at least 1, got 0",
        "thumbnails.warm[2]: must be at least 1, got -1",
    ]


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (ServerSettings, {"workers": 0}, "workers: must be at least 1, got 0"),
        (ServerSettings, {"listen": []}, "listen: is empty"),
        (ServerSettings, {"nginx_location": "x"}, 'nginx_location: expected a path such as "/was-files", got "x"'),
        (LimitSettings, {"header_timeout": 0.0}, "header_timeout: must be at least 0.001, got 0.0"),
        (CollectionsSettings, {"mode": "many"}, 'mode: expected "single", "map" or "auto", got "many"'),
        (LogSettings, {"format": "xml"}, 'format: expected "text" or "json", got "xml"'),
        (ThumbnailSettings, {"warm": [1, 0]}, "warm[1]: must be at least 1, got 0"),
    ],
)
def test_no_section_can_be_made_with_a_value_out_of_range(
    section: Callable[..., object], values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        section(**values)


def test_two_collections_in_one_directory_of_two_stores_are_a_mistake(tmp_path: Path) -> None:
    other = '[stores.other]\nplugin = "filesystem"\npath = "elsewhere"\n'
    twice = TWICE.replace('store = "main"', 'store = "other"')
    assert keys_of(mistakes_of(tmp_path, SMALLEST + other + twice)) == ["collections.map.b.directory"]


def test_two_collections_in_one_directory_of_one_store_are_none(tmp_path: Path) -> None:
    assert settings_of(tmp_path, SMALLEST + TWICE).collections.map["b"].directory == "same"


@pytest.mark.parametrize("port", ["http", "", "-1", "٨٠"])
def test_a_port_in_the_environment_that_is_none_is_reported(tmp_path: Path, port: str) -> None:
    environ = {"SERVER_NAME": "assets.example.org", "SERVER_PORT": port}
    assert "SERVER_PORT" in keys_of(mistakes_of(tmp_path, SMALLEST, environ))


def test_stores_that_are_no_table_and_a_name_of_one_of_them_are_reported(tmp_path: Path) -> None:
    text = 'stores = 3\n[server]\nkey = "a key"\n[collections]\nstore = "main"'
    assert "stores" in keys_of(mistakes_of(tmp_path, text))


def test_the_options_of_a_plugin_are_checked_like_ours(tmp_path: Path, shelf: str) -> None:
    text = SMALLEST + shelf + '[stores.nas]\nplugin = "shelf"\nport = "x"\nhost = 5\nfiles = ["a", 3]\nsize = 1\n'
    assert sorted(mistakes_of(tmp_path, text)) == [
        "stores.nas.files[1]: expected a text, got 3",
        "stores.nas.host: expected a text, got 5",
        'stores.nas.port: expected an integer, got "x"',
        "stores.nas.size: unknown key",
    ]


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    text = """
[server]
listen = ["tcp:http", "tcp:0", "nonsense:1"]
max_upload = "huge"
overwrite = "yes"
key_file = "nowhere"
[stores.main]
plugin = "filesystem"
layout = "tree"
colour = "red"
[stores.nas]
plugin = "carrier-pigeon"
[collections]
mode = "map"
store = "attic"
map.a = { directory = "..", store = "cellar" }
[thumbnails]
workers = 0
store = "attic"
[plugin]
"""
    expected = {
        "server.max_upload",
        "server.overwrite",
        "stores.main.layout",
        "stores.main.colour",
        "stores.main.path",
        "stores.nas.plugin",
        "collections.store",
        "collections.map.a.directory",
        "collections.map.a.store",
        "thumbnails.workers",
        "thumbnails.store",
        "plugin",
        # These can be judged although another key of their section is wrong.
        "server.listen[0]",
        "server.listen[2]",
        "server.key_file",
    }
    assert set(keys_of(mistakes_of(tmp_path, text))) >= expected


def test_a_mistake_in_the_server_section_does_not_accuse_the_key_that_is_there(tmp_path: Path) -> None:
    assert keys_of(mistakes_of(tmp_path, with_server('overwrite = "yes"'))) == ["server.overwrite"]


@pytest.mark.parametrize("content", [b"[server", b"key = \xff", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_reported_in_a_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "was.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert len(caught.value.mistakes) == 1
    assert str(path) in caught.value.mistakes[0]


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_reported_in_a_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / name, {})
    assert len(caught.value.mistakes) == 1


def test_reading_a_configuration_makes_no_files(tmp_path: Path) -> None:
    settings_of(tmp_path, SMALLEST + '[spool]\npath = "spool"')
    assert [path.name for path in tmp_path.iterdir()] == ["was.toml"]


def test_a_mistaken_secret_is_not_repeated(tmp_path: Path) -> None:
    text = SMALLEST + '[stores.nas]\nplugin = "sftp"\nhost = "nas"\nuser = "specify"\npassword = 4711\n'
    assert mistakes_of(tmp_path, text) == ["stores.nas.password: expected a text"]


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('path = "c.sqlite"\nurl = "postgresql://was@db/was"\njournal = "j.sqlite"', "catalogue.url"),
        ('url = "postgresql://was@db/was"', "catalogue.journal"),
        ('url = "postgresql://was:secret@db/was"\njournal = "j.sqlite"', "catalogue.url"),
        ('url = "oracle://was@db/was"\njournal = "j.sqlite"', "catalogue.url"),
        ('url = "mariadb://was@db"\njournal = "j.sqlite"', "catalogue.url"),
        ('path = "c.sqlite"\npassword_file = "password"', "catalogue.password_file"),
    ],
)
def test_a_catalogue_is_in_one_place_and_its_password_in_a_file(tmp_path: Path, lines: str, key: str) -> None:
    mistakes = mistakes_of(tmp_path, f"{SERVER}{MAIN}[catalogue]\n{lines}\n")
    assert key in keys_of(mistakes)
    assert not any("secret" in mistake for mistake in mistakes)


_CATALOGUE = '[catalogue]\npath = "c.sqlite"\n'


@pytest.mark.parametrize("value", ["true", "false", '"private"'])
def test_reading_needs_a_token_always_never_or_for_what_is_private(tmp_path: Path, value: str) -> None:
    server = f'[server]\nkey = "{SECRET}"\nrequire_token_for_get = {value}\n'
    settings = settings_of(tmp_path, f"{server}{MAIN}{_CATALOGUE}")
    assert settings.server.require_token_for_get == json.loads(value)
    assert settings.visibility.unknown == "private"


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        (f'key = "{SECRET}"\nrequire_token_for_get = "public"', "server.require_token_for_get"),
        (f'key = "{SECRET}"\nrequire_token_for_get = 1', "server.require_token_for_get"),
        ('insecure_no_key = true\nrequire_token_for_get = "private"', "server.insecure_no_key"),
    ],
)
def test_what_is_private_needs_a_key(tmp_path: Path, lines: str, key: str) -> None:
    assert keys_of(mistakes_of(tmp_path, f"[server]\n{lines}\n{MAIN}{_CATALOGUE}")) == [key]


def test_what_is_private_needs_a_catalogue(tmp_path: Path) -> None:
    server = f'[server]\nkey = "{SECRET}"\nrequire_token_for_get = "private"\n'
    assert keys_of(mistakes_of(tmp_path, f"{server}{MAIN}")) == ["server.require_token_for_get"]
    unknown = '[visibility]\nunknown = "hidden"\n'
    assert keys_of(mistakes_of(tmp_path, f"{server}{MAIN}{_CATALOGUE}{unknown}")) == ["visibility.unknown"]


def test_checksums_of_earlier_versions_make_a_catalogue(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, f'[server]\nkey = "{SECRET}"\n{MAIN}[checksums]\npath = "sums.sqlite"\n')
    assert settings.catalogue.path == tmp_path / "catalogue.sqlite"
    assert settings.catalogue.journal_path == tmp_path / "catalogue.journal.sqlite"
    assert any("[checksums] is now [catalogue]" in warning for warning in settings.warnings)

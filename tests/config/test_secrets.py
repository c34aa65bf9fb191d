"""Keys, passwords and tokens stay where they belong: no log, answer, command line or message has them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, unquote

import attrs
import pytest

import storage_plugins
from tests.support import prepared
from tests.support.client import Client
from tests.support.daemon import BIN, Daemon, clean_environment, eventually, to_toml
from tests.support.http_contract import photograph
from tests.support.remotes import KINDS, FarEnd, make_far_end
from was_daemon.config.load import ConfigError, load
from was_daemon.daemon.assembly import create_stores
from was_daemon.library.collections import Collections
from was_daemon.telemetry.redaction import without_secrets, without_tokens
from was_daemon.web.access import AccessRules
from was_daemon.web.keyring import Keyring

KEY = "KEY5d1f0c7a9be24386"
PASSWORD = "PASSWORD83e6a04dc2f7591b"
BEARER = "BEARER2c94f1e07bd8a653"
SECRETS = (KEY, PASSWORD, BEARER)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugins that a test drops in are gone after it."""
    monkeypatch.setattr(storage_plugins, "__path__", list(storage_plugins.__path__))
    yield
    for name in ("licensed", "crashing"):
        sys.modules.pop(f"storage_plugins.{name}", None)


CRASHING = f"""
import attrs
from zope.interface import implementer
from was_daemon.model.interfaces import IAssetStore
from was_daemon.plugins import StorePlugin

@attrs.frozen
class Options:
    secret: str = attrs.field(repr=False, validator=attrs.validators.matches_re("[A-Z].*"))

def crash(*_):
    raise RuntimeError("GET https://specify:{PASSWORD}@dam.example.org/a?key={KEY}&token={"ab" * 16}:1700000000 "
                       "failed, with Authorization: Bearer {BEARER}")

@implementer(IAssetStore)
class Crashing:
    def __init__(self, options):
        self.options = options
    def __str__(self):
        return "nothing"
    async def check(self):
        return None
    async def close(self):
        return None
    stat = open = write = delete = list = crash

crashing = StorePlugin("crashing", Options, Crashing)
"""


@attrs.frozen
class Site:
    """A daemon with stores that refuse its login, and one that crashes; every collection is called like its store."""

    daemon: Daemon
    tokens: list[str]

    @property
    def client(self) -> Client:
        """A client of the daemon."""
        return Client(self.daemon.url, KEY)

    def token(self, name: str) -> str:
        """A token that is good, and must not be seen."""
        self.tokens.append(self.client.token(name))
        return self.tokens[-1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that logs as much as it can."""
    with ExitStack() as stack:
        directory = tmp_path_factory.mktemp("secrets")
        far: dict[str, FarEnd] = {kind: make_far_end(kind, directory / kind) for kind in KINDS}
        for server in far.values():
            stack.callback(server.remove)
            server.start()
        plugins = directory / "plugins" / "storage_plugins"
        plugins.mkdir(parents=True)
        (plugins / "crashing.py").write_text(CRASHING)
        (directory / "token").write_text(BEARER)
        (directory / "identity").write_text(PASSWORD)
        login = {"user": None, "password": None, "token_file": directory / "token"}
        stores = {
            "near": {"plugin": "filesystem", "path": directory / "near"},
            "sftp": far["sftp"].table(direct=True, **far["sftp"].bad_login(), password=PASSWORD),
            "identity": far["sftp"].table(direct=True, identity_file=directory / "identity"),
            "webdav": far["webdav"].table(direct=True, password=PASSWORD),
            "bearer": far["webdav"].table(direct=True, **login),
            "crashing": {"plugin": "crashing", "secret": PASSWORD},
        }
        config = {
            "server": {"key": KEY, "require_token_for_get": True},
            "stores": {name: {k: v for k, v in table.items() if v is not None} for name, table in stores.items()},
            "collections": {"mode": "map", "map": {name: {"directory": name, "store": name} for name in stores}},
            "plugins": {"path": [directory / "plugins"]},
            "thumbnails": {"workers": 1},
        }
        daemon = Daemon(directory / "daemon", config, {"DEBUG_MODE": "true"}).start()
        stack.callback(daemon.stop)
        yield Site(daemon, [])


def check_hidden(text: str, tokens: list[str], shown: tuple[str, ...] = ()) -> None:
    """Assert that no secret is in a text, however it may be written, and of a token not even the part that counts."""
    for form in (text, unquote(text), unquote(unquote(text)), text.replace("\\x", "%")):
        for secret in (*SECRETS, *(token.partition(":")[0] for token in tokens)):
            assert secret in shown or secret.lower() not in form.lower(), secret


def send(site: Site, request: str, body: bytes = b"") -> None:
    """Send a request, and see that the answer hides everything."""
    length = f"\r\nContent-Length: {len(body)}" if body else ""
    head = f"{request} HTTP/1.1\r\nHost: was{length}" if " HTTP/" not in request else request + length
    with site.client.connect() as connection:
        connection.send(f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1") + body)
        check_hidden(connection.rest().decode("latin-1"), site.tokens)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "a field": lambda token: f"/fileget?filename=a.jpg&coll=near&token={token}",
    "the first field": lambda token: f"/fileget?token={token}&filename=a.jpg&coll=near",
    "a quoted field": lambda token: f"/fileget?filename=a.jpg&coll=near&token={quote(token, safe='')}",
    "a field all of whose bytes are quoted": lambda token: f"/fileget?token={every_byte(token)}&filename=a.jpg",
    "a quoted name": lambda token: f"/fileget?filename=a.jpg&%74oken={token}",
    "a name all of whose bytes are quoted": lambda token: f"/fileget?filename=a.jpg&%74%6f%6B%65%6e={token}",
    "upper case": lambda token: f"/fileget?filename=a.jpg&TOKEN={token}",
    "quoted upper case": lambda token: f"/fileget?filename=a.jpg&%54OKEN={token}",
    "in HTML": lambda token: f"/fileget?filename=a.jpg&amp;token={token}",
    "twice": lambda token: f"/fileget?token={token}&token=b&token={token}",
    "a quoted equals sign": lambda token: f"/fileget?filename=a.jpg&token%3d{token}",
    "a quoted ampersand": lambda token: f"/fileget?filename=a.jpg%26token={token}",
    "a semicolon": lambda token: f"/fileget?filename=a.jpg;token={token}",
    "another name": lambda token: f"/fileget?filename=a.jpg&t={token}",
    "the name of a file": lambda token: f"/fileget?filename={token}&coll=near",
    "the path": lambda token: f"/fileget/{token}?filename=a.jpg",
    "the static path": lambda token: f"/static/originals/{token}",
    "a quoted path": lambda token: f"/static/token={quote(token, safe='')}",
    "a fragment": lambda token: f"/fileget?filename=a.jpg#token={token}",
    "an absolute form": lambda token: f"http://was/fileget?filename=a.jpg&token={token}",
    "a login in an absolute form": lambda token: f"http://{token}@was/fileget?filename=a.jpg",
    "the discovery document": lambda token: f"/web_asset_store.xml?token={token}",
    "a test of the key": lambda token: f"/testkey?random=a.jpg&token={token}",
    "a reference": lambda token: f"/getfileref?filename=a.jpg&coll=near&token={token}",
    "metadata": lambda token: f"/getmetadata?filename=a.jpg&coll=near&token={token}",
    "no text": lambda token: f"/fileget?filename=\xff&token={token}",
    "a broken line": lambda token: f"/fileget?filename=a b&token={token}",
    "a key in place of it": lambda _: f"/fileget?filename=a.jpg&token={KEY}",
}
"""Where a token may stand in a request line."""


def every_byte(text: str) -> str:
    """`text`, percent-encoded although it need not be."""
    return "".join(f"%{ord(letter):02x}" for letter in text)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("where", SPELLINGS)
def test_a_token_in_an_address_is_not_logged(site: Site, where: str, method: str) -> None:
    for token in (site.token("a.jpg"), site.token("another name")):
        send(site, f"{method} {SPELLINGS[where](token)}")


@pytest.mark.parametrize("header", ["Referer", "User-Agent", "Cookie", "Authorization", "X-Forwarded-For", "Range"])
def test_a_token_in_a_header_is_not_logged(site: Site, header: str) -> None:
    token = site.token("a.jpg")
    send(site, f"GET / HTTP/1.1\r\nHost: was\r\n{header}: https://specify/a?token={token}&key={every_byte(token)}")


def test_a_method_that_is_none_is_logged_without_its_token(site: Site) -> None:
    send(site, f"G\xe9T{site.token('a.jpg')} /")
    send(site, f"GET?token={site.token('a.jpg')} /")
    send(site, f"GET /\x1b[2J?token={site.token('a.jpg')}")


@pytest.mark.parametrize("coll", ["near", "sftp", "identity", "webdav", "bearer", "crashing", "unknown"])
def test_no_store_tells_its_login_whatever_becomes_of_a_request(site: Site, coll: str) -> None:
    for name in ("a.jpg", "../x"):
        query = f"filename={name}&coll={coll}&token={site.token(name)}"
        for path in ("fileget", "getmetadata", "getfileref", "getfileref?type=T&scale=50"):
            send(site, f"GET /{path}{'&' if '?' in path else '?'}{query}")
        send(site, f"GET /fileget?{query}&type=T&scale=50")
        for form in (
            site.client.specify7_form(name, coll=coll, token=site.token(name)),
            site.client.specify6_form(name, coll=coll, token=site.token(name)),
            site.client.specify7_form(name, coll=coll, token=site.token("another name")),
        ):
            body = form.around(photograph())
            send(site, f"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Type: {form.content_type}", body)
            send(site, f"POST /fileupload HTTP/1.1\r\nHost: was\r\nContent-Type: {form.content_type}", body[:-20])
        kind = "Content-Type: application/x-www-form-urlencoded"
        send(site, f"POST /filedelete HTTP/1.1\r\nHost: was\r\n{kind}", query.encode())


def test_what_a_store_raised_is_logged_without_what_it_quotes(site: Site) -> None:
    send(site, f"GET /fileget?filename=a.jpg&coll=crashing&token={site.token('a.jpg')}")
    eventually(lambda: "RuntimeError" in site.daemon.log(), "for the error to be logged")
    assert "https://...@dam.example.org/a?... failed, with Authorization: Bearer ..." in site.daemon.log()


def test_nothing_of_it_all_is_in_the_log_or_the_list_of_processes(site: Site) -> None:
    originals = site.daemon.directory.parent / "near" / "near" / "originals"
    originals.mkdir(parents=True, exist_ok=True)
    (originals / "photo.jpg").write_bytes(photograph())
    send(site, f"GET /fileget?filename=photo.jpg&type=T&scale=50&coll=near&token={site.token('photo.jpg')}")
    workers = site.daemon.workers()
    assert workers
    for pid in (site.daemon.pid, *workers):
        check_hidden(Path(f"/proc/{pid}/cmdline").read_text(), site.tokens)
    site.daemon.restart()
    log = site.daemon.log()
    assert "refused the login" in log
    check_hidden(log, site.tokens)
    assert "\x1b" not in log


# -- commands ----------------------------------------------------------------------------------------------------------


def run(*command: str, config: Path) -> str:
    """What a command of ours prints."""
    arguments = [BIN / command[0], *command[1:], "--config", config]
    done = prepared.run(arguments, clean_environment())
    return done.stdout + done.stderr


def test_commands_print_no_secret(site: Site) -> None:
    token = run("was-daemon", "token", "a.jpg", config=site.daemon.config_file)
    assert re.fullmatch(r"[0-9a-f]{32}:[0-9]+\n", token)
    for store in ("near", "sftp", "identity", "webdav", "bearer", "crashing"):
        out = run("was-daemon", "check-store", store, config=site.daemon.config_file)
        assert out
        check_hidden(out, [])


MISTAKES = [
    f'[server]\nkey = ["{KEY}"]',
    f'[server]\nkey = {{ value = "{KEY}" }}',
    f'[server]\nkey = "{KEY}',
    f"[server]\nkey = {KEY}",
    f"[server]\nkey = '{KEY}\"",
    f'[server]\nkey "{KEY}"',
    f'[server]\nkey = "{KEY}" "more"',
    f'[server]\nkey = "{KEY}\\q"',
    f'[server]\nkey = "{KEY}"\nkey = "{KEY}"',
    f'[server]\nkey = "{KEY}"\nkey_file = "key"',
    f'[server]\nkey = "{KEY}"\noverwrite = "yes"',
    f'[server]\nkeyy = "{KEY}"',
    f'server = "{KEY}"',
    f'[stores.main]\nplugin = "sftp"\nhost = "nas"\nuser = "specify"\npassword = ["{PASSWORD}"]',
    f'[stores.main]\nplugin = "sftp"\nhost = "nas"\nuser = "specify"\npassword = "{PASSWORD}"\npassword_file = "a"',
    f'[stores.main]\nplugin = "sftp"\npassword = "{PASSWORD}"',
    f'[stores.main]\nplugin = "webdav"\nurl = "http://a/"\nuser = "specify"\npassword = "{PASSWORD}"',
    f'[stores.main]\nplugin = "webdav"\nurl = "https://specify:{PASSWORD}@a/"',
    f'[stores.main]\nplugin = "webdav"\nurl = "https://a/"\npassword = "{PASSWORD}"\ntoken_file = "a"',
    f'[stores.main]\nplugin = "crashing"\nsecret = "lower case {PASSWORD}"\n[plugins]\npath = ["PLUGINS"]',
]


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration that may use the plugin `crashing`."""
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "crashing.py").write_text(CRASHING)

    def write(text: str) -> Path:
        path = tmp_path / "was.toml"
        path.write_text(text.replace("PLUGINS", str(tmp_path)))
        path.chmod(0o600)
        return path

    return write


@pytest.mark.parametrize("text", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_in_the_line_of_a_secret_does_not_tell_it(config: Callable[[str], Path], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(text), {})
    for line in caught.value.mistakes:
        check_hidden(line, [])
    told = re.compile(r"(.*/was\.toml|server|stores\.main)\b.*: ")
    assert any(told.match(line) for line in caught.value.mistakes), caught.value.mistakes


def test_commands_print_mistakes_without_secrets(config: Callable[[str], Path]) -> None:
    for text in (MISTAKES[0], MISTAKES[3]):
        for command in (("twistd", "-n", "--pidfile=", "was"), ("was-daemon", "token", "a.jpg")):
            out = run(*command, config=config(text))
            assert re.search("server.key: expected a text|was.toml: Invalid value", out), out
            check_hidden(out, [])


# -- representations ---------------------------------------------------------------------------------------------------


def test_no_representation_of_a_setting_or_login_has_its_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(BEARER)
    config = tmp_path / "was.toml"
    stores = {
        "sftp": {"plugin": "sftp", "host": "nas", "user": "specify", "password": PASSWORD},
        "webdav": {"plugin": "webdav", "url": "https://a/", "user": "specify", "password": PASSWORD},
        "bearer": {"plugin": "webdav", "url": "https://a/", "token_file": tmp_path / "token"},
    }
    config.write_text(to_toml({"server": {"key": KEY}, "stores": stores}))
    settings = load(config, {})
    access = AccessRules(Collections(attrs.NOTHING), Keyring(KEY, {"Fish": KEY}), 150, False)  # type: ignore[arg-type]  # not looked at
    logins = [store.options.login() for store in settings.stores.values()]
    made = create_stores(settings)
    for value in (settings, access, *settings.stores.values(), *logins, *made.values()):
        check_hidden(f"{value!r} {value}", [])
    assert {PASSWORD, BEARER} <= set(
        re.findall("(?:PASSWORD|BEARER)[0-9a-f]+", str([vars_of(each) for each in logins]))
    )


def vars_of(value: object) -> list[object]:
    """What an object holds."""
    names = [*getattr(value, "__dict__", {}), *(field.name for field in getattr(value, "__attrs_attrs__", ()))]
    return [getattr(value, name) for name in names]


# -- what is taken out, and what is not --------------------------------------------------------------------------------

TOKEN = "0123456789abcdefABCDEF0123456789:1700000000"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"/fileget?token={TOKEN}&coll=a", "/fileget?token=...&coll=a"),
        (f"/fileget?coll=a&%74o%4BeN={TOKEN}", "/fileget?coll=a&%74o%4BeN=..."),
        (f"/fileget?x={every_byte(TOKEN)}", "/fileget?x=..."),
        (f"/{TOKEN.replace(':', '%3A')}/x", "/.../x"),
        ("/fileget?token=", "/fileget?token="),
        ("/fileget?filename=token=a.jpg&atoken=b", "/fileget?filename=token=a.jpg&atoken=b"),
        *(
            (name, name)
            for name in ("/a/0123456789abcdef0123456789abcdef.jpg", "/4ee6b5a6-6f0c-4b44-9d53-8c9c3f4d9f1e")
        ),
    ],
)
def test_tokens_are_taken_out_of_an_address_and_nothing_else(text: str, shown: str) -> None:
    assert without_tokens(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:pass@a.org/b?key=c failed", "GET https://...@a.org/b?... failed"),
        ("'https://a.org/c?d' and (ftp://me@b)", "'https://a.org/c?...' and (ftp://...@b)"),
        ("Authorization: Basic c2VjcmV0", "Authorization: Basic ..."),
        ("{'Authorization': 'Bearer a.b.c.d', 'Host': 'a'}", "{'Authorization': 'Bearer ...', 'Host': 'a'}"),
        ("no space left in /srv/a?b@c", "no space left in /srv/a?b@c"),
        ("a basic need", "a basic need"),
    ],
)
def test_logins_are_taken_out_of_any_text(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


# -- files with secrets ------------------------------------------------------------------------------------------------

SECRET_FILES = {
    "server.key_file": '[server]\nkey_file = "secret"\n[stores.main]\nplugin = "filesystem"\npath = "a"',
    "stores.main.identity_file": '[stores.main]\nplugin = "sftp"\nhost = "a"\nuser = "b"\nidentity_file = "secret"',
    "stores.main.password_file": '[stores.main]\nplugin = "sftp"\nhost = "a"\nuser = "b"\npassword_file = "secret"',
    "stores.main.token_file": '[stores.main]\nplugin = "webdav"\nurl = "https://a/"\ntoken_file = "secret"',
    "stores.main.licence": '[stores.main]\nplugin = "licensed"\nlicence = "secret"\n[plugins]\npath = ["."]',
}
"""Every setting that names a file with a secret, one of somebody else's plugin among them."""

LICENSED = """
import attrs
from was_daemon.config.secret_files import SecretFile
from was_daemon.plugins import StorePlugin

@attrs.frozen
class Options:
    licence: SecretFile

licensed = StorePlugin("licensed", Options, print)
"""

ENVIRONMENT = {"ATTACHMENT_KEY": KEY}
STRANGERS = 4711


@pytest.fixture(params=SECRET_FILES)
def secret_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file that a setting, whose name is in the file `setting`, names in the configuration beside it."""
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "licensed.py").write_text(LICENSED)
    (tmp_path / "was.toml").write_text(SECRET_FILES[request.param])
    (tmp_path / "setting").write_text(request.param)
    path = tmp_path / "secret"
    path.write_text(KEY)
    return path


def warnings_about(path: Path) -> list[str]:
    """What a start with the file's permissions warns of."""
    return load(path.with_name("was.toml"), ENVIRONMENT).warnings


@pytest.mark.parametrize("mode", [0o602, 0o606, 0o666, 0o777])
def test_a_secret_that_others_can_change_is_a_mistake(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        warnings_about(secret_file)
    setting = secret_file.with_name("setting").read_text()
    expected = f"{setting}: {secret_file} can be changed by others: run chmod go-w {secret_file}"
    assert caught.value.mistakes == [expected]
    subprocess.run(["chmod", "go-w", secret_file], check=True)
    warnings_about(secret_file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a strange group")
def test_a_secret_that_another_group_can_change_is_a_mistake(secret_file: Path) -> None:
    secret_file.chmod(0o660)
    assert warnings_about(secret_file) == []
    os.chown(secret_file, -1, STRANGERS)
    with pytest.raises(ConfigError, match="can be changed by others"):
        warnings_about(secret_file)
    secret_file.chmod(0o640)
    assert warnings_about(secret_file) == []


def test_a_missing_file_of_a_secret_is_warned_of(secret_file: Path) -> None:
    secret_file.unlink()
    if secret_file.with_name("setting").read_text() == "server.key_file":
        with pytest.raises(ConfigError, match="no such file"):
            warnings_about(secret_file)
    else:
        assert warnings_about(secret_file) == [f"{secret_file}: there is no such file"]


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o604])
def test_a_secret_that_others_can_read_is_warned_of(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    expected = f"{secret_file} can be read by every user of this machine: run chmod o-r {secret_file}"
    assert warnings_about(secret_file) == [expected]
    subprocess.run(["chmod", "o-r", secret_file], check=True)
    assert warnings_about(secret_file) == []


def test_a_link_has_the_permissions_of_its_file_and_a_pipe_has_none_that_matter(secret_file: Path) -> None:
    secret_file.chmod(0o644)
    secret_file.rename(secret_file.with_name("elsewhere"))
    secret_file.symlink_to("elsewhere")
    assert len(warnings_about(secret_file)) == 1
    if "key_file" not in secret_file.with_name("setting").read_text():
        secret_file.unlink()
        os.mkfifo(secret_file)
        secret_file.chmod(0o666)
        assert warnings_about(secret_file) == []


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("server.key", f'[server]\nkey = "{KEY}"\n[stores.main]\nplugin = "filesystem"\npath = "a"'),
        ("stores.main.password", '[stores.main]\nplugin = "sftp"\nhost = "a"\nuser = "b"\npassword = "c"'),
    ],
)
def test_a_configuration_with_a_secret_is_a_secret_file(tmp_path: Path, setting: str, text: str) -> None:
    config = tmp_path / "was.toml"
    config.write_text(text)
    config.chmod(0o606)
    with pytest.raises(ConfigError, match=f"^{setting}: .* can be changed by others: run chmod go-w"):
        load(config, ENVIRONMENT)
    config.chmod(0o644)
    [warning] = load(config, ENVIRONMENT).warnings
    assert warning.endswith(f"run chmod o-r {config}, or keep {setting} in a file of its own")
    config.chmod(0o600)
    assert load(config, ENVIRONMENT).warnings == []


@pytest.mark.parametrize(
    "store",
    [
        'plugin = "filesystem"\npath = "a"',
        """plugin = "rest"
        url = "https://dam.example.org"
        get = "/assets/{path}"
        list = "/assets?folder={folder}"
        next = "none"
        match = { "" = "{path}" }
        secrets = { key = "dam-key" }
        headers = { Authorization = "Bearer {key}" }""",
    ],
)
def test_a_configuration_without_a_secret_is_anybody_s(tmp_path: Path, store: str) -> None:
    config = tmp_path / "was.toml"
    config.write_text(f"[stores.main]\n{store}")
    config.chmod(0o666)
    (tmp_path / "dam-key").touch(0o600)
    assert load(config, ENVIRONMENT).warnings == []


def test_the_warning_is_in_the_log_and_the_mistake_on_the_terminal(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o644)
    daemon = Daemon(tmp_path / "daemon", {"server": {"key": None, "key_file": key}}).start()
    daemon.stop()
    assert f"run chmod o-r {key}" in daemon.log()
    key.chmod(0o666)
    process = daemon.launch()
    assert process.wait(60) == 1
    assert f"server.key_file: {key} can be changed by others: run chmod go-w {key}" in daemon.log()
    check_hidden(daemon.log(), [])

"""`was-daemon import-settings`: the official server's settings become ours, and are never executed."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from was_daemon.cli.main import main
from was_daemon.config.load import load
from was_daemon.config.settings import Settings

SAMPLE = """
# The names are the official server's.
import os
from os.path import join

DEBUG = False
KEY = 'a key: "ü"'
TIME_TOLERANCE = 600
REQUIRE_KEY_FOR_GET = False
ALLOW_STATIC_FILE_ACCESS = True
HOST = 'assets.museum.org'
PORT = 8080
SERVER_NAME = HOST
SERVER_PORT = PORT
DEVELOPMENT_PORT = PORT
COLLECTION_DIRS = {
    'KUFishvoucher': 'Ichthyology',
    'Käfer & Co': 'Entomology',
}
BASE_DIR = join('/home/specify', 'attachments/')
THUMB_DIR = 'thumbnails'
ORIG_DIR = 'originals'
CAN_THUMBNAIL = {'image/jpeg', 'application/pdf'}
SERVER = 'paste'
"""


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTACHMENT_KEY", raising=False)


def run(text: str, *arguments: str) -> Result:
    Path("settings.py").write_text(text, "utf-8")
    return CliRunner().invoke(main, ["import-settings", "settings.py", *arguments])


def imported(text: str, *arguments: str) -> Settings:
    """The settings that come out."""
    finished = run(text, *arguments)
    assert finished.exit_code == 0, finished.output
    Path("out.toml").write_text(finished.stdout, "utf-8")
    return load(Path("out.toml"), {})


def table(text: str, name: str) -> dict[str, Any]:
    """One table of what comes out, valid or not."""
    found: dict[str, Any] = tomllib.loads(run(text).stdout)[name]
    return found


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- what is carried over ----------------------------------------------------------------------------------------------


def test_the_settings_become_a_configuration() -> None:
    found = imported(SAMPLE)
    server = found.server
    assert server.key == 'a key: "ü"'
    assert server.token_window == 600
    assert (server.require_token_for_get, server.static_access) == (False, True)
    assert server.listen == ["tcp:8080"]
    assert server.public_url == "http://assets.museum.org:8080"
    assert found.stores["main"].options.path == Path("/home/specify/attachments")
    assert found.collections.mode == "map"
    directories = {name: entry.directory for name, entry in found.collections.map.items()}
    assert directories == {"KUFishvoucher": "Ichthyology", "Käfer & Co": "Entomology"}


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("TIME_TOLERANCE = None", "token_window", 0),
        ("REQUIRE_KEY_FOR_GET = True", "require_token_for_get", True),
        ("ALLOW_STATIC_FILE_ACCESS = False", "static_access", False),
        ("IPADDR = '127.0.0.1'", "listen", ["tcp:8080:interface=127.0.0.1"]),
        ("IPADDR = '::1'", "listen", [r"tcp6:8080:interface=\:\:1"]),
        ("IPADDR = '0.0.0.0'", "listen", ["tcp:8080"]),
        ("DEVELOPMENT_PORT = 3088", "listen", ["tcp:3088"]),
        ("SERVER_PORT = 80", "public_url", "http://assets.museum.org"),
        ("SERVER_PORT = '443'", "public_url", "https://assets.museum.org"),
        ("SERVER_PROTOCOL = 'https'", "public_url", "https://assets.museum.org:8080"),
        ("SERVER_NAME = 'https://museum.org'; SERVER_PORT = 443", "public_url", "https://museum.org"),
        ("SERVER_PROTOCOL = 'https'; SERVER_PORT = 80", "public_url", "https://assets.museum.org"),
        ("SERVER_PROTOCOL = 'https'", "listen", ["tcp:8080:interface=127.0.0.1"]),
        ("SERVER_PROTOCOL = 'https'", "trusted_proxies", ["127.0.0.1"]),
        ("SERVER_PROTOCOL = 'https'; IPADDR = '192.0.2.1'", "listen", ["tcp:8080:interface=192.0.2.1"]),
        ("SERVER_PROTOCOL = 'https'; PORT = DEVELOPMENT_PORT = 443", "listen", ["tcp:8080:interface=127.0.0.1"]),
        ("SERVER_PORT = 443; DEVELOPMENT_PORT = 3088", "listen", ["tcp:3088:interface=127.0.0.1"]),
        ("TIME_TOLERANCE = 60 * 5", "token_window", 300),
        ("TIME_TOLERANCE = 5 * 60 // 2", "token_window", 150),
        ("HOST, DEVELOPMENT_PORT = 'h', 8123", "listen", ["tcp:8123"]),
        ("[DEVELOPMENT_PORT, X] = (8123, open('ran', 'w'))", "listen", ["tcp:8123"]),
        ("SERVER_NAME = None", "public_url", "http://assets.museum.org:8080"),
    ],
)
def test_a_setting_is_carried_over(setting: str, key: str, value: object) -> None:
    text = f"{SAMPLE}\n{setting}\n"
    assert table(text, "server")[key] == value
    imported(text)


@pytest.mark.parametrize(
    ("change", "directories"),
    [
        ("COLLECTION_DIRS.update({'Birds': 'Ornithology'})", {"Fish": "Ichthyology", "Birds": "Ornithology"}),
        ("COLLECTION_DIRS.update(Birds='Ornithology')", {"Fish": "Ichthyology", "Birds": "Ornithology"}),
        ("COLLECTION_DIRS.setdefault('Birds', 'Ornithology')", {"Fish": "Ichthyology", "Birds": "Ornithology"}),
        ("COLLECTION_DIRS |= {'Birds': 'Ornithology'}", {"Fish": "Ichthyology", "Birds": "Ornithology"}),
        ("COLLECTION_DIRS['Birds'] = 'Ornithology'", {"Fish": "Ichthyology", "Birds": "Ornithology"}),
        ("COLLECTION_DIRS.update(B='B')\nCOLLECTION_DIRS.pop('Fish')", {"B": "B"}),
        ("COLLECTION_DIRS['B'] = 'B'\ndel COLLECTION_DIRS['Fish']", {"B": "B"}),
        ("DIRS = COLLECTION_DIRS\nDIRS.update(B='B')", {"Fish": "Ichthyology", "B": "B"}),
        ("print(COLLECTION_DIRS)", {"Fish": "Ichthyology"}),
        ("print(COLLECTION_DIRS['Fish'])\nfor a in COLLECTION_DIRS:\n    print(a)", {"Fish": "Ichthyology"}),
    ],
)
def test_changes_of_the_collections_are_followed(change: str, directories: dict[str, str]) -> None:
    found = imported(f"{SAMPLE}\nCOLLECTION_DIRS = {{'Fish': 'Ichthyology'}}\n{change}\n")
    assert {name: entry.directory for name, entry in found.collections.map.items()} == directories


@pytest.mark.parametrize(
    "change",
    [
        "COLLECTION_DIRS.update(load())",
        "COLLECTION_DIRS.update(**load())",
        "COLLECTION_DIRS.popitem()",
        "COLLECTION_DIRS.pop('missing')",
        "COLLECTION_DIRS[load()] = 'a'",
        "COLLECTION_DIRS['a'] = load()",
        "COLLECTION_DIRS['a']['b'] = 'c'",
        "del COLLECTION_DIRS[load()]",
        "extend(COLLECTION_DIRS)",
        "for a in 'ab':\n    COLLECTION_DIRS.update({a: a})",
        "for a in 'ab':\n    COLLECTION_DIRS[a] = a",
        "if load():\n    COLLECTION_DIRS.clear()",
        "[COLLECTION_DIRS.update({a: a}) for a in 'ab']",
    ],
)
def test_collections_that_cannot_be_told_are_not_thrown_together(change: str) -> None:
    finished = run(f"{SAMPLE}\n{change}\n", "--output", "was.toml")
    assert finished.exit_code == 1
    assert not Path("was.toml").exists()
    assert "1 setting needs your attention" in finished.stderr
    assert "collections.map: is missing" in finished.stderr


def test_collections_that_are_lost_are_a_failure() -> None:
    finished = run(SAMPLE + "COLLECTION_DIRS = {'a': '../b', 'c': 'd', 'e': None}", "--output", "was.toml")
    assert finished.exit_code == 1
    assert "2 settings need your attention" in finished.stderr
    assert "collections are missing" in finished.stderr
    assert list(load(Path("was.toml"), {}).collections.map) == ["c"]
    finished = run(SAMPLE + "COLLECTION_DIRS = {'a': '../b', 'e': None}")
    assert finished.exit_code == 1
    assert 'mode = "map"' in finished.stdout


@pytest.mark.parametrize("base", ["open('/etc/was').read()", "None", "5"])
def test_a_directory_is_not_made_up(base: str) -> None:
    finished = run(f"{SAMPLE}\nBASE_DIR = {base}\n")
    assert finished.exit_code == 1
    assert "path =" not in finished.stdout.replace('path = "..."', "")
    assert "stores.main.path: is missing" in finished.stderr
    assert "# BASE_DIR " in finished.stdout


@pytest.mark.parametrize("port", ["'80a'", "0", "70000", "load()"])
def test_a_port_that_is_none_is_said(port: str) -> None:
    finished = run(f"{SAMPLE}\nPORT = DEVELOPMENT_PORT = {port}\n")
    assert finished.stdout.count("# PORT ") == 1
    assert "2 settings need your attention" in finished.stderr


def test_how_many_settings_need_attention_is_said_at_the_end() -> None:
    assert run(SAMPLE).stderr == "No setting needs your attention.\n"
    assert run(SAMPLE + "TIME_TOLERANCE = 'long'").stderr.startswith("1 setting needs your attention")


@pytest.mark.parametrize("change", ["COLLECTION_DIRS = None", "COLLECTION_DIRS = {}", "del COLLECTION_DIRS"])
def test_without_collections_there_is_one_directory_for_all(change: str) -> None:
    assert imported(f"{SAMPLE}\n{change}").collections.mode == "single"


def test_without_a_key_anybody_may_write_as_before() -> None:
    finished = run(SAMPLE + "KEY = None")
    assert "# KEY is None: anybody may write and delete." in finished.stdout
    assert imported(SAMPLE + "KEY = None").server.insecure_no_key


def test_a_relative_directory_starts_at_the_settings(tmp_path: Path) -> None:
    assert imported(SAMPLE + "BASE_DIR = 'attachments'").stores["main"].options.path == tmp_path / "attachments"


# -- how the file is read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "assignment",
    [
        "BASE_DIR = '/data' + '/' + 'files'",
        "BASE_DIR = '/data/%s' % 'files'",
        "BASE_DIR = '%s/%s' % ('/data', 'files')",
        "where = 'files'\nBASE_DIR = f'/data/{where}'",
        "BASE_DIR = os.path.join('/data', 'x', '..', 'files')",
        "BASE_DIR = os.environ.get('BASE_DIR', '/data/files')",
        "BASE_DIR = os.getenv('BASE_DIR', default='/data/files')",
        "BASE_DIR = os.environ.get('BASE_DIR') or '/data/files'",
        "from os import environ as e, path\nBASE_DIR = path.join(e.get('BASE', '/data'), 'files')",
        "import os.path as p\nBASE_DIR = p.join('/data', 'files')",
        "BASE_DIR = '/data/files' if 'BASE_DIR' not in os.environ else os.environ['BASE_DIR']",
        "if 'BASE_DIR' in os.environ:\n    BASE_DIR = os.environ['BASE_DIR']\nelse:\n    BASE_DIR = '/data/files'",
        "if not DEBUG and PORT > 80:\n    BASE_DIR = '/data/files'",
        "try:\n    BASE_DIR = '/data/files'\nexcept Exception:\n    BASE_DIR = '/tmp'",
        "DIRS = {'a': '/data/files'}\nBASE_DIR = DIRS['a']",
        "DIRS = {}\nDIRS['a'] = '/data/files'\nBASE_DIR = DIRS.get('a')",
        "BASE_DIR: str = ' /DATA/files'.strip().replace('DATA', 'data')",
        "BASE_DIR = '/data'\nBASE_DIR += '/files'",
        "BASE_DIR = ('/data' '/files')",
        "BASE_DIR = str('/data/files')",
    ],
)
def test_simple_expressions_are_understood(assignment: str) -> None:
    path = imported(f"{SAMPLE}\n{assignment}\n").stores["main"].options.path
    assert path.resolve() == Path("/data/files")


def test_a_directory_beside_the_settings_is_found(tmp_path: Path) -> None:
    text = SAMPLE + "BASE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'files')"
    assert imported(text).stores["main"].options.path == tmp_path / "files"


def test_the_key_may_lie_in_a_file_beside_the_settings() -> None:
    Path("secret_key.py").write_text("KEY = 'from the other file'")
    assert imported(SAMPLE + "from secret_key import KEY").server.key == "from the other file"
    assert imported(SAMPLE + "from secret_key import *").server.key == "from the other file"


def test_a_key_that_lies_elsewhere_is_not_made_up() -> None:
    finished = run(SAMPLE + "from secret_key import KEY", "--key-file", "key")
    assert finished.exit_code == 1
    assert not Path("key").exists()
    assert "# KEY cannot be told: it comes from secret_key, which is not beside the file." in finished.stdout
    Path("secret_key.py").write_text("OTHER = 1")
    finished = run(SAMPLE + "from secret_key import KEY", "--key-file", "key")
    assert "# KEY cannot be told: secret_key.py does not assign it." in finished.stdout
    assert not Path("key").exists()


def test_files_that_import_each_other_come_to_an_end() -> None:
    Path("secret_key.py").write_text("from settings import *\nKEY = 'found'")
    assert imported(SAMPLE + "from secret_key import KEY").server.key == "found"


def test_the_environment_of_the_official_server_can_be_told() -> None:
    text = SAMPLE + "SERVER_NAME = os.environ.get('SERVER_NAME', 'localhost')\nKEY = os.environ['ATTACHMENT_KEY']"
    finished = run(text)
    assert finished.exit_code == 1
    assert (
        "# The settings ask for the variable SERVER_NAME of the environment: taken as not set (see --env)."
        in finished.stdout
    )
    assert "KEY cannot be told: line" in finished.stdout
    assert "server.key: is missing" in finished.stderr
    found = imported(text, "--env", "SERVER_NAME=a.org", "--env", "ATTACHMENT_KEY=told", "--env", "HTTPS=true")
    assert found.server.public_url == "https://a.org:8080"
    assert found.server.key == "told"


@pytest.mark.parametrize(
    "statement",
    [
        "open('ran', 'w')",
        "KEY = open('ran', 'w').name",
        "KEY = __import__('os').system('touch ran')",
        "import os\nKEY = os.system('touch ran')",
        "KEY = (lambda: open('ran', 'w'))()",
        "KEY = [open('ran', 'w') for _ in 'a']",
        'KEY = f\'{open("ran", "w")}\'',
        "KEY = 'a'.join(map(open, ['ran']))",
        "KEY = ''.__class__.__base__.__subclasses__()",
        "KEY = '%999999999999s' % 'a'",
        "KEY = 'a' * 10 ** 12",
        "class A:\n    open('ran', 'w')",
        "def f(a=open('ran', 'w')): pass",
        "with open('ran', 'w') as KEY: pass",
        "for KEY in open('ran', 'w'): pass",
        "if open('ran', 'w'):\n    KEY = 'a'",
    ],
)
def test_nothing_is_executed(statement: str) -> None:
    finished = run(f"{SAMPLE}\n{statement}\n")
    assert not Path("ran").exists()
    assert isinstance(finished.exception, SystemExit | None)
    if "KEY" in statement:
        assert "# KEY cannot be told: line " in finished.stdout
        assert finished.exit_code == 1


# -- what is not carried over ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "remark"),
    [
        ("KEY = 'test_attachment_key'", "# The key is an example in public documentation; `openssl rand"),
        ("ORIG_DIR = 'orig'", "# ORIG_DIR is orig; here it is originals"),
        ("STORAGE_TYPE = 'digitalocean_spaces'", "# STORAGE_TYPE is digitalocean_spaces: there is no plugin"),
        ("DEBUG = True", "# DEBUG is not needed: start the daemon with DEBUG_MODE=true"),
        ("SERVER = 'paste'", "# SERVER is not needed: the daemon is its own HTTP server."),
        ("CAN_THUMBNAIL = set()", "# CAN_THUMBNAIL is not needed"),
        ("DIGITALOCEAN_SECRET = 'hush'", "# DIGITALOCEAN_SECRET is not known to was_daemon, and left out."),
        ("TIME_TOLERANCE = 'long'", "# TIME_TOLERANCE is not a number of seconds."),
        (
            "TIME_TOLERANCE = compute()",
            f"# TIME_TOLERANCE cannot be told: line {SAMPLE.count(chr(10)) + 2}: compute() is not called here.",
        ),
        ("REQUIRE_KEY_FOR_GET = True", "# Below /static/ anybody can read"),
        ("SERVER_NAME = 'localhost'", "# Only programs on the same machine find it there."),
        (
            "COLLECTION_DIRS = {'a': '../b', 'c': 'd'}",
            "# The collection a cannot be in ../b: the name starts with a dot.",
        ),
        ("COLLECTION_DIRS = {'a': None}", "# The collection a has no directory."),
        ("COLLECTION_DIRS = ['a']", "# COLLECTION_DIRS is not a map"),
    ],
)
def test_what_does_not_fit_is_said_in_a_comment(setting: str, remark: str) -> None:
    finished = run(f"{SAMPLE}\n{setting}\n")
    assert remark in finished.stdout
    assert finished.exit_code == ("COLLECTION_DIRS" in setting)
    assert "hush" not in finished.output


def test_a_remark_stays_a_comment() -> None:
    finished = run(SAMPLE + "COLLECTION_DIRS = {'a\\ninsecure_no_key = true': None}\nORIG_DIR = 'b\\n[plugins]'")
    assert finished.exit_code == 1
    assert set(tomllib.loads(finished.stdout)) == {"server", "stores", "collections"}


def test_settings_without_a_key_are_not_complete() -> None:
    finished = run("HOST = 'a.org'\n")
    assert finished.exit_code == 1
    assert "KEY cannot be told: the file does not assign it" in finished.stdout
    assert "this is not complete yet" in finished.stderr


@pytest.mark.parametrize(
    "text", ["print 'Python 2'", "KEY = '", "KEY = " + "(" * 5000, "KEY = " + "-" * 9**6 + "1", "\0"]
)
def test_what_is_no_python_is_a_plain_error(text: str) -> None:
    finished = run(text)
    assert finished.exit_code == 1
    assert isinstance(finished.exception, SystemExit)
    assert "is not a settings file of Python 3" in finished.stderr


# -- files -------------------------------------------------------------------------------------------------------------


def test_the_key_can_go_into_a_file_of_its_own(tmp_path: Path) -> None:
    found = imported(SAMPLE, "--key-file", "key")
    assert found.server.key_file == tmp_path / "key"
    assert found.server.key == 'a key: "ü"'
    assert mode_of(Path("key")) == 0o600
    assert "a key:" not in Path("out.toml").read_text()


def test_a_key_is_never_overwritten() -> None:
    Path("key").write_text("another")
    finished = run(SAMPLE, "--key-file", "key", "--force")
    assert finished.exit_code == 1
    assert "key exists already, and is left alone" in finished.stderr
    assert Path("key").read_text() == "another"


def test_the_same_import_twice_is_no_conflict() -> None:
    assert run(SAMPLE, "--key-file", "key").exit_code == 0
    assert run(SAMPLE, "--key-file", "key").exit_code == 0


def test_a_configuration_with_the_key_in_it_is_for_its_user_only() -> None:
    finished = run(SAMPLE, "--output", "was.toml")
    assert (finished.exit_code, finished.stdout) == (0, "")
    assert mode_of(Path("was.toml")) == 0o600
    assert "# Others must not read this file." in Path("was.toml").read_text()


def test_an_existing_configuration_is_overwritten_only_by_force() -> None:
    Path("was.toml").write_text("mine")
    assert run(SAMPLE, "--output", "was.toml").exit_code == 1
    assert Path("was.toml").read_text() == "mine"
    assert run(SAMPLE, "--output", "was.toml", "--force").exit_code == 0
    assert load(Path("was.toml"), {}).server.token_window == 600


@pytest.mark.parametrize("arguments", [["missing.py"], ["settings.py", "--env", "HTTPS"], []])
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    Path("settings.py").write_text(SAMPLE, "utf-8")
    assert CliRunner().invoke(main, ["import-settings", *arguments]).exit_code == 2

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
        ("SERVER_PROTOCOL = 'https'; IPADDR = '::'", "listen", ["tcp:8080:interface=127.0.0.1"]),
        ("SERVER_PROTOCOL = 'https'; IPADDR = '192.0.2.1'", "listen", ["tcp:8080:interface=192.0.2.1"]),
        ("SERVER_PROTOCOL = 'https'; PORT = 443; DEVELOPMENT_PORT = PORT", "listen", ["tcp:8080:interface=127.0.0.1"]),
        ("SERVER_PORT = 443; DEVELOPMENT_PORT = 3088", "listen", ["tcp:3088:interface=127.0.0.1"]),
        ("SERVER_NAME = None", "public_url", "http://assets.museum.org:8080"),
    ],
)
def test_a_setting_is_carried_over(setting: str, key: str, value: object) -> None:
    text = f"{SAMPLE}\n{setting}\n"
    assert table(text, "server")[key] == value
    imported(text)


@pytest.mark.parametrize(
    "change",
    [
        "COLLECTION_DIRS.update(Birds='Ornithology')",
        "COLLECTION_DIRS |= {'Birds': 'Ornithology'}",
        "COLLECTION_DIRS['Birds'] = 'Ornithology'",
        "COLLECTION_DIRS['a']['b'] = 'c'",
        "COLLECTION_DIRS = {**load()}",
        "DIRS = {'Birds': 'Ornithology'}\nCOLLECTION_DIRS = DIRS",
        "DIRS = COLLECTION_DIRS\nDIRS.update(B='B')",
        "DIRS = [COLLECTION_DIRS]\nDIRS[0].clear()",
        "del COLLECTION_DIRS",
        "del COLLECTION_DIRS['KUFishvoucher']",
        "extend(COLLECTION_DIRS)",
        "BIRDS = extend(COLLECTION_DIRS)",
        "for a in 'ab':\n    COLLECTION_DIRS[a] = a",
        "if load():\n    COLLECTION_DIRS.clear()",
        "[COLLECTION_DIRS.update({a: a}) for a in 'ab']",
        "from local_settings import COLLECTION_DIRS",
        "import local_settings as COLLECTION_DIRS",
        "def COLLECTION_DIRS(): pass",
    ],
)
def test_collections_that_are_changed_or_computed_are_not_thrown_together(change: str) -> None:
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
    finished = run(f"{SAMPLE}\nPORT = {port}\nDEVELOPMENT_PORT = PORT\n")
    assert finished.stdout.count("# PORT ") == 1
    assert "2 settings need your attention" in finished.stderr


def test_how_many_settings_need_attention_is_said_at_the_end() -> None:
    assert run(SAMPLE).stderr == "No setting needs your attention.\n"
    assert run(SAMPLE + "TIME_TOLERANCE = 'long'").stderr.startswith("1 setting needs your attention")


@pytest.mark.parametrize("change", ["COLLECTION_DIRS = None", "COLLECTION_DIRS = {}"])
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
        "BASE_DIR = '/data/files'",
        "BASE_DIR = ('/data' '/files')",
        "BASE_DIR = os.path.join('/data', 'x', '..', 'files')",
        "BASE_DIR = join('/data', 'files')",
        "from os import environ, path\nBASE_DIR = path.join(environ.get('BASE', '/data'), 'files')",
        "BASE_DIR = os.environ.get('BASE_DIR', '/data/files')",
        "BASE_DIR = os.getenv('BASE_DIR', '/data/files')",
        "DATA = '/data'\nBASE_DIR = join(DATA, 'files')",
        "BASE_DIR = load()\nBASE_DIR = '/data/files'",
        "from local_settings import *\nfrom os.path import join\nBASE_DIR = '/data/files'",
    ],
)
def test_literals_names_environ_get_and_join_are_read(assignment: str) -> None:
    path = table(f"{SAMPLE}\n{assignment}\n", "stores")["main"]["path"]
    assert Path(path).resolve() == Path("/data/files")


@pytest.mark.parametrize(
    "assignment",
    [
        "BASE_DIR = '/data/' + 'files'",
        "BASE_DIR = '/data/%s' % 'files'",
        "BASE_DIR = f'/data/{THUMB_DIR}'",
        "BASE_DIR = os.environ['BASE_DIR']",
        "BASE_DIR = os.environ.get('BASE_DIR') or '/data/files'",
        "BASE_DIR = os.path.dirname(__file__)",
        "BASE_DIR = join('/data', 5)",
        "BASE_DIR = join(*'/data')",
        "BASE_DIR = join('/data', unknown)",
        "BASE_DIR = DIRECTORY = '/data/files'",
        "BASE_DIR, THUMB_DIR = '/data/files', 'thumbnails'",
        "BASE_DIR: str = '/data/files'",
        "BASE_DIR += 'files'",
        "if DEBUG: BASE_DIR = '/data/files'",
        "del BASE_DIR",
        "print(BASE_DIR := '/data/files')",
        "from local_settings import BASE_DIR",
        "from local_settings import *",
        "exec(open('local_settings.py').read())",
        "globals().update(load())",
        "class BASE_DIR: pass",
    ],
)
def test_what_is_read_in_no_other_way_is_named_with_its_line(assignment: str) -> None:
    finished = run(f"{SAMPLE}\n{assignment}\n")
    assert finished.exit_code == 1
    number = SAMPLE.count("\n") + 2
    assert f"# BASE_DIR cannot be read (line {number}: {assignment}). Set this yourself." in finished.stdout
    assert "path =" not in finished.stdout.replace('path = "..."', "")


@pytest.mark.parametrize(
    "definition", ["from shlex import join", "def join(*parts): return '/'", "join = None", "import glue as join"]
)
def test_a_function_of_the_same_name_is_another_one(definition: str) -> None:
    finished = run(f"{SAMPLE}\n{definition}\nBASE_DIR = join('/data', 'files')\n")
    assert "# BASE_DIR cannot be read (line " in finished.stdout


def test_what_a_function_may_assign_is_not_read() -> None:
    text = f"def change():\n    global TIME_TOLERANCE\n    TIME_TOLERANCE = 0\n{SAMPLE}\nchange()\n"
    finished = run(text)
    assert "# TIME_TOLERANCE cannot be read (line 2: global TIME_TOLERANCE). Set this yourself." in finished.stdout


def test_a_comment_quotes_no_login_and_not_the_key() -> None:
    finished = run(SAMPLE + "KEY = 'hush'.strip()\nBASE_DIR = fetch('https://me:hush@museum.org/?sig=hush')")
    assert "# KEY cannot be read (line " in finished.stdout
    assert "# BASE_DIR cannot be read (line " in finished.stdout
    assert "hush" not in finished.output


def test_the_environment_of_the_official_server_can_be_told() -> None:
    text = SAMPLE + "SERVER_NAME = os.environ.get('SERVER_NAME', 'localhost')\nKEY = os.environ.get('ATTACHMENT_KEY')"
    finished = run(text)
    assert finished.exit_code == 1
    assert (
        "# The settings ask for the variable SERVER_NAME of the environment: taken as not set (see --env)."
        in finished.stdout
    )
    assert "# KEY depends on $ATTACHMENT_KEY of that server (see --env)." in finished.stdout
    joined = run(SAMPLE + "KEY = join(os.environ.get('A', ''), os.environ.get('B', ''))").stdout
    assert "# KEY depends on $A, $B of that server (see --env)." in joined
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
        assert "# KEY cannot be read (line " in finished.stdout
        assert finished.exit_code == 1


# -- who has access ----------------------------------------------------------------------------------------------------

ACCESS = {
    "REQUIRE_KEY_FOR_GET": ("require_token_for_get", True),
    "ALLOW_STATIC_FILE_ACCESS": ("static_access", False),
    "IPADDR": ("listen", ["tcp:8080:interface=127.0.0.1"]),
}


@pytest.mark.parametrize("name", ACCESS)
@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("{} = load()", "cannot be read (line 26: {0} = load())"),
        ("if DEBUG: {} = False", "cannot be read (line 26: if DEBUG: {0} = False)"),
        ("from local_settings import {}", "cannot be read (line 26: from local_settings import {0})"),
        ("from local_settings import *", "cannot be read (line 26: from local_settings import *)"),
        ("{} = os.environ.get('A')", "depends on $A of that server (see --env)"),
        ("B = os.environ.get('A')\n{} = B", "depends on $A of that server (see --env)"),
        ("{} = ['yes']", "is not "),
    ],
)
def test_access_that_cannot_be_read_is_closed_and_said_loudly(name: str, statement: str, fault: str) -> None:
    finished = run(f"{SAMPLE}\n{statement.format(name)}\n")
    key, closed = ACCESS[name]
    assert tomllib.loads(finished.stdout)["server"][key] == closed
    assert f"# {name} {fault.format(name)}" in finished.stdout
    assert f"WARNING: {name} {fault.format(name)}" in finished.stderr
    assert "It decides who has access: set this yourself." in finished.stderr
    assert finished.exit_code == 1


def test_a_text_is_no_answer_to_who_may_read() -> None:
    text = f"{SAMPLE}\nREQUIRE_KEY_FOR_GET = os.environ.get('A', 'False')\n"
    finished = run(text, "--env", "A=False", "--output", "was.toml")
    assert "WARNING: REQUIRE_KEY_FOR_GET is not True or False." in finished.stderr
    assert "it is not certain who had access on that server: see the warnings above" in finished.stderr
    assert finished.exit_code == 1
    assert load(Path("was.toml"), {}).server.require_token_for_get


def test_a_key_that_cannot_be_read_is_not_made_up_and_opens_nothing() -> None:
    Path("secret_key.py").write_text("KEY = 'from the other file'")
    for statement in ("from secret_key import KEY", "KEY = os.environ.get('KEY')", "KEY = 5", "KEY = ''"):
        finished = run(f"{SAMPLE}\n{statement}\n", "--key-file", "key")
        assert finished.exit_code == 1
        assert not Path("key").exists()
        assert "insecure_no_key" not in finished.stdout
        assert "WARNING: There is no KEY: set key_file, or $ATTACHMENT_KEY." in finished.stderr


def test_a_warning_is_printable() -> None:
    finished = run(f"{SAMPLE}\nREQUIRE_KEY_FOR_GET = load('\x1b[2J')\n")
    assert "(line 26: REQUIRE_KEY_FOR_GET = load(' [2J'))" in finished.stderr
    assert "\x1b" not in finished.output


def test_known_access_is_no_warning() -> None:
    finished = run(SAMPLE + "IPADDR = os.environ.get('A')", "--env", "A=0.0.0.0")
    assert finished.exit_code == 0
    assert finished.stderr == "No setting needs your attention.\n"


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
            f"# TIME_TOLERANCE cannot be read (line {SAMPLE.count(chr(10)) + 2}: TIME_TOLERANCE = compute()).",
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


def test_the_note_on_a_local_address_stands_at_the_address_and_not_at_an_open_port() -> None:
    lines = run(f"{SAMPLE}\nSERVER_NAME = 'localhost'\nSERVER_PORT = 8080\n").stdout.splitlines()
    note = lines.index("# Only programs on the same machine find it there.")
    assert lines[note + 1] == 'public_url = "http://localhost:8080"'
    assert lines[note + 2 :][:2] == ["# Other machines, too, reach the daemon at this port.", 'listen = ["tcp:8080"]']


@pytest.mark.parametrize("host", ["localhost:8080", "http://127.0.1.1", "[::1]", "LOCALHOST"])
def test_the_note_stands_at_every_address_of_the_same_machine(host: str) -> None:
    finished = run(f"{SAMPLE}\nSERVER_NAME = '{host}'\nIPADDR = '127.0.0.1'\n")
    assert "# Only programs on the same machine find it there." in finished.stdout
    assert "Other machines" not in finished.stdout


def test_behind_a_proxy_the_note_names_the_address_that_is_listened_on() -> None:
    finished = run(f"{SAMPLE}\nSERVER_NAME = 'https://a.org'\nIPADDR = '10.0.0.5'\n")
    assert "the daemon listens on 10.0.0.5 only" in finished.stdout
    assert "127.0.0.1" not in finished.stdout


@pytest.mark.parametrize(
    ("setting", "attention", "exit_code"),
    [
        ("GREETING = 'hello'", 0, 0),
        ("GREETING = load()", 0, 0),
        ("REQUIRE_LOGIN = True", 1, 0),
        ("REQUIRE_LOGIN = load()", 1, 1),
        ("if DEBUG: PUBLIC_COLLECTIONS = []", 1, 1),
    ],
)
def test_an_unknown_setting_that_may_make_reading_public_needs_attention(
    setting: str, attention: int, exit_code: int
) -> None:
    finished = run(f"{SAMPLE}\n{setting}\n")
    assert ("1 setting needs your attention" in finished.stderr) == bool(attention)
    assert ("WARNING: " in finished.stderr) == bool(exit_code)
    assert finished.exit_code == exit_code


def test_settings_of_the_california_academys_server_are_recognised_and_close_what_it_redacts() -> None:
    theirs = "SQL_USER = 'root'\nSQL_PASSWORD = 'hush'\nINTERNAL = True\nif INTERNAL:\n    PUBLIC_SERVER = 'a.org'\n"
    finished = run(f"{SAMPLE}\n{theirs}")
    document = tomllib.loads(finished.stdout)
    assert document["stores"]["main"]["layout"] == "sharded"
    assert (document["server"]["require_token_for_get"], document["server"]["static_access"]) == (True, False)
    assert "# SQL_USER is a setting of the California Academy's server, and left out: " in finished.stdout
    assert "# PUBLIC_SERVER is a setting of the California Academy's server" in finished.stdout
    assert "WARNING: These are settings of the California Academy's server, which shows redacted pictures" in (
        finished.stderr
    )
    assert "hush" not in finished.output
    assert finished.exit_code == 1


def test_a_remark_stays_a_comment() -> None:
    finished = run(SAMPLE + "COLLECTION_DIRS = {'a\\ninsecure_no_key = true': None}\nORIG_DIR = 'b\\n[plugins]'")
    assert finished.exit_code == 1
    assert set(tomllib.loads(finished.stdout)) == {"server", "stores", "collections"}


def test_settings_without_a_key_are_not_complete() -> None:
    finished = run("HOST = 'a.org'\n")
    assert finished.exit_code == 1
    assert "# There is no KEY: set key_file, or $ATTACHMENT_KEY." in finished.stdout
    assert "WARNING: There is no KEY: " in finished.stderr
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

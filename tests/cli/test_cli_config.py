"""`was-daemon --help`, `token` and `config check`."""

import hmac
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support import prepared
from tests.support.daemon import BIN, clean_environment, to_toml
from tests.support.paths import ROOT
from was_daemon.cli.main import main
from was_daemon.model.tokens import verify

SECRET = "correct horse battery staple"
MAIN = {"plugin": "filesystem", "path": "/srv/attachments", "layout": "sharded"}
NAS = {"plugin": "sftp", "host": "nas.example.org", "user": "specify", "password": SECRET}
GROUPS = [["catalogue"], ["config"], ["fixity"], ["mirror"], ["specify"], ["thumbnails"], ["trash"], ["zoom"]]
DERIVED = [[group, name] for group in ("thumbnails", "zoom") for name in ("warm", "prune")]
FIXITY = [["fixity", name] for name in ("report", "accept")]
CATALOGUE = [["catalogue", name] for name in ("backup", "import", "rebuild")]
MIRROR = [["mirror", name] for name in ("verify", "repair")]
TRASH = [["trash", name] for name in ("list", "restore", "empty")]
WITHIN_GROUPS = [*CATALOGUE, ["config", "check"], ["specify", "read"], *FIXITY, *MIRROR, *TRASH, *DERIVED]
STATUS = "Exit status: 0 all is well, 1 something failed, 2 the command was used wrongly."
OTHER_STATUS = {"reconcile": "Exit status: 0 nothing was found, 1 there are findings, 2 it could not be compared"}
COMMANDS = [[], *([name] for name in main.commands), *WITHIN_GROUPS]


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ATTACHMENT_KEY", "SERVER_NAME", "SERVER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="was-daemon")


def check(path: Path, document: dict[str, dict[str, object]], *arguments: str) -> Result:
    (path / "was.toml").write_text(to_toml(document))
    return run("config", "check", "--config", path / "was.toml", *arguments)


def test_it_is_told_what_other_servers_do(tmp_path: Path) -> None:
    document: dict[str, dict[str, object]] = {
        "server": {"key": SECRET, "public_url": "https://assets.example.org"},
        "discovery": {"read": "https://dam.example.org/fileget"},
        "stores": {"main": {"plugin": "filesystem", "path": "files"}},
    }
    told = check(tmp_path, document)
    assert "  discovery    read: https://dam.example.org/fileget\n    was-daemon check tries these" in told.stdout
    assert json.loads(check(tmp_path, document, "--json").stdout)["discovery"] == document["discovery"]


def test_help_does_not_wait_for_the_daemons_parts() -> None:
    code = "import sys, was_daemon.cli.main; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    slow = {"twisted", "klein", "treq", "PIL", "cattrs", "attr", "rich", "was_daemon.config.load", "http.client"}
    assert "click" in modules
    assert not slow & set(modules)


def test_the_installed_command_answers() -> None:
    answer = subprocess.run([BIN / "was-daemon", "--help"], check=True, capture_output=True, text=True)
    assert "config" in answer.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_and_tells_the_exit_status(command: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.exit_code == 0
    if command not in GROUPS:
        words = " ".join(answer.stdout.split())
        assert "Example: was-daemon" in words
        assert OTHER_STATUS.get(" ".join(command), STATUS) in words


@pytest.mark.parametrize("arguments", [["no-such-command"], ["token"], ["config", "check", "--nonsense"]])
def test_wrong_usage_is_told_from_a_failure(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_shell_completes_commands_and_options() -> None:
    for shell in ("bash", "zsh", "fish"):
        environ = clean_environment({"_WAS_DAEMON_COMPLETE": f"{shell}_source"})
        printed = subprocess.run([BIN / "was-daemon"], env=environ, capture_output=True, text=True, check=False)
        assert f"{shell}_complete" in printed.stdout
    environ = clean_environment(
        {"_WAS_DAEMON_COMPLETE": "bash_complete", "COMP_WORDS": "was-daemon ch", "COMP_CWORD": "1"}
    )
    told = subprocess.run([BIN / "was-daemon"], env=environ, capture_output=True, text=True, check=True)
    assert {"plain,check", "plain,check-store"} <= set(told.stdout.split())


# -- token -------------------------------------------------------------------------------------------------------------


def test_a_token_is_signed_with_the_key_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "was.toml").write_text(to_toml({"server": {"key": SECRET}, "stores": {"main": MAIN}}))
    answer = run("token", "Käfer.jpg", "--config", tmp_path / "was.toml")
    mac, _, timestamp = answer.stdout.strip().partition(":")
    assert abs(int(timestamp) - time.time()) < 60
    assert mac == hmac.new(SECRET.encode(), f"{timestamp}Käfer.jpg".encode(), "md5").hexdigest()


def test_a_server_without_a_key_needs_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "was.toml").write_text(to_toml({"server": {"insecure_no_key": True}, "stores": {"main": MAIN}}))
    answer = run("token", "a.jpg", "--config", tmp_path / "was.toml")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "needs no tokens" in answer.stderr


def test_a_token_is_signed_with_the_key_of_its_collection(tmp_path: Path) -> None:
    mapped = {"Fish": {"directory": "Fishes", "key": SECRET}, "Birds": {"directory": "Birds", "key": "b"}}
    config = {"stores": {"main": MAIN}, "collections": {"mode": "map", "map": mapped}}
    (tmp_path / "was.toml").write_text(to_toml(config), "utf-8")
    arguments = ("token", "a.jpg", "--config", tmp_path / "was.toml")
    answer = run(*arguments, "--collection", "Fish")
    token = answer.stdout.strip()
    assert verify(SECRET, "a.jpg", token, int(time.time()), 60) is None
    for more in ((), ("--collection", "Reptiles")):
        answer = run(*arguments, *more)
        assert (answer.exit_code, answer.stdout) == (2, "")


@pytest.mark.parametrize("command", [("token", "a.jpg"), ("config", "check"), ("check-store", "main"), ("serve",)])
def test_a_missing_configuration_is_a_wrong_use(command: tuple[str, ...], tmp_path: Path) -> None:
    answer = run(*command, "--config", tmp_path / "none.toml")
    assert answer.exit_code == 2
    assert f"'{tmp_path}/none.toml' does not exist" in answer.stderr


@pytest.fixture
def system_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of the system's daemon, and an empty working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("ATTACHMENT_KEY", raising=False)
    path = tmp_path / "etc/was.toml"
    path.parent.mkdir()
    monkeypatch.setattr("was_daemon.cli.options.SYSTEM_CONFIG", path)
    return path


def test_commands_find_the_systems_configuration_and_its_key_by_themselves(system_config: Path) -> None:
    (system_config.parent / "key").write_text(SECRET)
    server = {"key_file": "$CREDENTIALS_DIRECTORY/key"}
    system_config.write_text(to_toml({"server": server, "stores": {"museum": MAIN}}), "utf-8")
    assert verify(SECRET, "a.jpg", run("token", "a.jpg").stdout.strip(), int(time.time()), 60) is None
    assert "museum" in run("config", "check").stdout
    assert "there are museum" in run("check-store", "nope").stderr
    assert "there are museum" in run("verify", "--store", "nope").stderr


def test_the_daemon_that_was_started_here_without_a_configuration_goes_before_the_systems(system_config: Path) -> None:
    system_config.write_text(to_toml({"server": {"key": "the system's key"}, "stores": {"museum": MAIN}}), "utf-8")
    Path("attachments").mkdir()
    Path("attachments/.key").write_text(SECRET)
    assert verify(SECRET, "a.jpg", run("token", "a.jpg").stdout.strip(), int(time.time()), 60) is None


@pytest.mark.parametrize("command", [("status",), ("token", "a.jpg"), ("check-store", "main")])
def test_without_any_configuration_a_command_says_so_and_makes_nothing(
    system_config: Path, command: tuple[str, ...]
) -> None:
    answer = run(*command)
    assert answer.exit_code == 2
    assert f"name it with --config; there is no {system_config}" in " ".join(answer.stderr.split())
    assert list(Path().iterdir()) == []


def test_a_store_that_is_not_configured_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "was.toml").write_text(to_toml({"server": {"insecure_no_key": True}, "stores.main": MAIN}))
    answer = run("check-store", "nope", "--config", tmp_path / "was.toml")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert "no store is called nope; there are main" in answer.stderr


# -- config check ------------------------------------------------------------------------------------------------------


def test_what_the_daemon_would_warn_of_is_told(tmp_path: Path) -> None:
    config = tmp_path / "was.toml"
    config.write_text(to_toml({"server": {"key": SECRET, "require_token_for_get": True}, "stores.main": MAIN}))
    config.chmod(0o644)
    told = run("config", "check", "--config", config)
    assert told.exit_code == 0
    warnings = [line for line in told.stdout.splitlines() if line.startswith("WARNING: ")]
    assert any("was.toml" in line for line in warnings)
    assert any("/static/" in line for line in warnings)
    as_json = json.loads(run("config", "check", "--config", config, "--json").stdout)
    assert [f"WARNING: {warning}" for warning in as_json["warnings"]] == warnings


def test_warnings_are_the_last_lines_and_plugins_are_told_only_if_asked_for(tmp_path: Path) -> None:
    document = {"server": {"key": SECRET}, "stores": {"main": MAIN}}
    short, long = check(tmp_path, document).stdout, check(tmp_path, document, "--plugins").stdout
    for told in (short, long):
        assert told.splitlines()[-1].startswith("WARNING: ")
    assert "Plugins for stores" not in short
    assert len(short.splitlines()) < 20
    assert "Plugins for stores, and their options:\n  asset-server\n" in long
    assert "plugins" not in json.loads(check(tmp_path, document, "--json").stdout)


@pytest.mark.parametrize(
    ("server", "is_warned_of"),
    [
        ({}, True),
        ({"listen": ["tcp:8080:interface=127.0.0.1", "tcp:8081:interface=0.0.0.0"]}, True),
        ({"listen": ["tcp6:8080:interface=\\:\\:"]}, True),
        ({"listen": ["tcp:8080:interface=192.0.2.1"]}, True),
        ({"listen": ["systemd:domain=INET:index=0"]}, True),
        ({"listen": ["tcp:8080"], "public_url": "https://assets.example.org"}, False),
        ({"listen": ["tcp:8080:interface=127.0.0.1", "unix:/run/was"]}, False),
        ({"listen": ["tcp:8080:interface=localhost"]}, False),
        ({"listen": ["tcp6:8080:interface=\\:\\:1"]}, False),
    ],
)
def test_a_server_that_believes_what_others_call_it_is_warned_of(
    tmp_path: Path, server: dict[str, object], is_warned_of: bool
) -> None:
    document = {"server": {"key": SECRET, **server}, "stores": {"main": MAIN}}
    warnings = json.loads(check(tmp_path, document, "--json").stdout)["warnings"]
    assert any("set public_url" in warning for warning in warnings) == is_warned_of


@pytest.mark.parametrize("setting", ["listen", "admin_listen"])
def test_a_configuration_with_a_mistake_is_not_called_right(tmp_path: Path, setting: str) -> None:
    endpoint = f"ssl:9180:privateKey={tmp_path}/no.pem"
    result = check(
        tmp_path,
        {"server": {"key": SECRET, setting: [endpoint]}, "stores.main": {"plugin": "filesystem", "path": tmp_path}},
    )
    assert result.exit_code == 1
    assert f"server.{setting}[0]" in result.output
    assert f"{tmp_path}/no.pem: no such file or directory" in result.output
    assert "is right" not in result.output


def test_a_right_configuration_is_told_in_short(tmp_path: Path) -> None:
    answer = check(
        tmp_path,
        {
            "server": {"listen": ["tcp:8080", "unix:/run/was"], "public_url": "https://a.example.org", "key": SECRET},
            "stores": {"main": MAIN, "nas": NAS, "fast": {**MAIN, "redirect": "nginx", "redirect_thumbnails": True}},
            "collections": {
                "mode": "map",
                "map": {
                    "KUFish": {"directory": "Fishes"},
                    "KUHerb": {"directory": "Botany", "store": "nas", "key": SECRET, "quota": "500 GiB"},
                },
            },
            "catalogue": {"path": "/var/lib/was/catalogue.sqlite"},
            "fixity": {"every": "90 days"},
            "trash": {"keep": "12 h"},
        },
    )
    assert answer.exit_code == 0
    for words in (
        "tcp:8080, unix:/run/was",
        "https://a.example.org",
        "in the configuration",
        'main: plugin = "filesystem", path = "/srv/attachments", layout = "sharded"',
        'layout = "sharded", redirect = "nginx", redirect_thumbnails = true',
        'nas: plugin = "sftp", host = "nas.example.org", user = "specify"',
        "KUFish: Fishes in main",
        "KUHerb: Botany in nas, key its own, quota 500 GiB",
        "catalogue    /var/lib/was/catalogue.sqlite",
        "fixity       every 90 days",
        "trash        for 12 hours",
    ):
        assert words in answer.stdout
    assert SECRET not in answer.output


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    answer = check(tmp_path, {"server": {"key": SECRET, "max_upload": "much"}, "stores": {"main": {"plugin": "tape"}}})
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "server.max_upload: " in answer.stderr
    assert 'stores.main.plugin: no plugin is called "tape"' in answer.stderr


def test_what_a_store_cannot_do_is_a_mistake_too(tmp_path: Path) -> None:
    answer = check(tmp_path, {"server": {"key": SECRET}, "stores": {"main": {**MAIN, "redirect": True}}})
    assert answer.exit_code == 1
    assert "stores.main.redirect" in answer.stderr


def test_a_script_gets_mistakes_as_json(tmp_path: Path) -> None:
    answer = check(tmp_path, {"server": {}, "stores": {"main": MAIN}}, "--json")
    assert answer.exit_code == 1
    assert "server.key" in json.loads(answer.stdout)["mistakes"][0]


def test_a_script_gets_the_summary_as_json(tmp_path: Path) -> None:
    answer = check(tmp_path, {"server": {"key": SECRET}, "stores": {"main": MAIN, "nas": NAS}}, "--json", "--plugins")
    summary = json.loads(answer.stdout)
    assert summary["stores"]["main"]["path"] == "/srv/attachments"
    assert summary["plugins"]["filesystem"] == {
        "path": {"type": "path", "required": True},
        "layout": {"type": '"flat" or "sharded"', "required": False, "default": "flat"},
    }
    assert summary["plugins"]["sftp"]["port"] == {"type": "integer", "required": False, "default": 22}
    assert SECRET not in answer.stdout


def check_with_plugins(directory: Path, plugins: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own: plugins stay imported."""
    document = {"server": {"key": SECRET}, "stores": {"main": MAIN}, "plugins": {"path": [str(plugins)]}}
    (directory / "was.toml").write_text(to_toml(document))
    command = [BIN / "was-daemon", "config", "check", "--plugins", "--config", "was.toml"]
    return prepared.run(command, clean_environment(), directory)


def test_dropped_in_plugins_are_listed_with_their_options(tmp_path: Path) -> None:
    answer = check_with_plugins(tmp_path, ROOT / "docs" / "examples")
    assert "  rest-dam\n    url      text, required\n" in answer.stdout


def test_a_plugin_that_cannot_be_imported_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "storage_plugins").mkdir()
    (tmp_path / "storage_plugins" / "tape.py").write_text("import no_such_module\n")
    answer = check_with_plugins(tmp_path, tmp_path)
    assert answer.returncode == 0
    assert (answer.stdout + answer.stderr).count("no_such_module") == 1
    assert "Traceback" not in answer.stderr


def test_looking_at_the_default_makes_no_key(tmp_path: Path) -> None:
    answer = run("config", "check")
    assert answer.exit_code == 0
    assert "made at the first start, in attachments/.key" in answer.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_key_of_a_daemon_that_ran_without_configuration_is_found(tmp_path: Path) -> None:
    (tmp_path / "attachments").mkdir()
    (tmp_path / "attachments" / ".key").write_text(SECRET)
    answer = run("config", "check")
    assert "attachments/.key" in answer.stdout
    assert "first start" not in answer.stdout
    assert SECRET not in answer.stdout

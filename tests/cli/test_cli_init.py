"""`was-daemon init`: a configuration that works, a key that only its user can read, and what to enter elsewhere."""

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.daemon import BIN, Daemon, clean_environment, eventually
from tests.support.davservers import NGINX, require
from tests.support.ports import free_port
from tests.support.tls import self_signed
from was_daemon.cli.main import main
from was_daemon.config.load import load
from was_daemon.config.settings import Settings
from was_daemon.model.keys import Layout
from was_daemon.model.passwords import is_password

DIRECTORY = Path("/srv/attachments")


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTACHMENT_KEY", raising=False)


def init(*arguments: str | Path, answers: str | None = None) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, arguments)], input=answers)


def settings(path: Path = Path("was.toml")) -> Settings:
    return load(path, {})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_questions_everything_is_as_it_is_by_default(tmp_path: Path) -> None:
    finished = init("--yes")
    assert finished.exit_code == 0, finished.output
    found = settings()
    assert found.server.listen == ["tcp:8080"]
    assert found.server.public_url == "http://localhost:8080"
    assert found.stores["main"].options.path == DIRECTORY
    assert found.collections.mode == "single"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["console-password", "key", "was.toml"]


def test_the_key_is_for_its_user_only_and_is_not_shown() -> None:
    finished = init("--yes")
    key = Path("key").read_text().strip()
    assert mode_of(Path("key")) == 0o600
    assert len(key) >= 32
    assert key == settings().server.key
    assert key not in finished.output


def test_the_consoles_password_is_printed_once_and_only_its_hash_is_kept() -> None:
    finished = init("--yes")
    found = settings()
    assert found.server.admin_listen == ["tcp:9180:interface=127.0.0.1"]
    assert found.admin.password_file == Path("console-password").absolute()
    assert mode_of(Path("console-password")) == 0o600
    (password,) = re.findall(r"http://localhost:9180/ .* with the password (\S+)", finished.stdout)
    hashed = Path("console-password").read_text().strip()
    assert is_password(password, hashed)
    assert password not in hashed
    again = init("--yes", "--force")
    assert again.exit_code == 0, again.output
    assert "with the password" not in again.stdout
    assert Path("console-password").read_text().strip() == hashed


def test_the_console_may_have_another_port_or_none(tmp_path: Path) -> None:
    assert init("--yes", "--console-port", "9181").exit_code == 0
    assert settings().server.admin_listen == ["tcp:9181:interface=127.0.0.1"]
    Path("console-password").unlink()
    assert init("--yes", "--force", "--console-port", "0").exit_code == 0
    assert settings().server.admin_listen == []
    assert settings().admin.password_file is None
    assert not Path("console-password").exists()


def test_questions_are_answered_one_by_one(tmp_path: Path) -> None:
    finished = init(answers=f"{tmp_path}/photos\n9000\nhttps://assets.example.org/\ny\n")
    assert finished.exit_code == 0, finished.output
    found = settings()
    assert found.server.listen == ["tcp:9000:interface=127.0.0.1"]
    assert found.server.public_url == "https://assets.example.org"
    assert [str(network) for network in found.server.trusted_proxies] == ["127.0.0.1/32"]
    assert found.stores["main"].options.path == tmp_path / "photos"


def test_a_bad_answer_is_asked_for_again(tmp_path: Path) -> None:
    finished = init(answers=f"{tmp_path}/photos\nport\n9000\nassets.example.org\nhttps://assets.example.org\ny\n")
    assert finished.exit_code == 0, finished.output
    assert finished.stderr.count("expected an address such as") == 1
    assert settings().server.public_url == "https://assets.example.org"


def test_what_options_say_is_not_asked() -> None:
    options = ["--path", "/data", "--port", "81", "--public-url", "http://a.org", "--no-proxy", "--layout", "sharded"]
    finished = init(*options, "--collections", "auto", answers="")
    assert finished.exit_code == 0, finished.output
    found = settings()
    assert found.server.listen == ["tcp:81"]
    assert found.stores["main"].options.layout is Layout.SHARDED
    assert found.collections.mode == "auto"


def test_who_answers_nothing_changes_nothing(tmp_path: Path) -> None:
    finished = init(answers="")
    assert finished.exit_code == 1
    assert "Aborted" in finished.output
    assert list(tmp_path.iterdir()) == []


# -- an existing directory ---------------------------------------------------------------------------------------------


def test_an_existing_directory_is_adopted(tmp_path: Path) -> None:
    (tmp_path / "old" / "originals").mkdir(parents=True)
    (tmp_path / "old" / "originals" / "a.jpg").write_bytes(b"a")
    finished = init("--yes", "--path", "old")
    assert "holds originals already" in finished.stderr
    found = settings()
    assert found.stores["main"].options.path == tmp_path / "old"
    assert found.stores["main"].options.layout is Layout.FLAT
    assert found.collections.mode == "single"


def test_directories_of_collections_are_proposed_as_a_map(tmp_path: Path) -> None:
    for name in ("Ichthyology", "Käfer & Co"):
        (tmp_path / "old" / name / "originals").mkdir(parents=True)
    (tmp_path / "old" / "lost+found").mkdir()
    finished = init("--path", "old", answers="\n\n\n\n")
    assert finished.exit_code == 0, finished.output
    assert "directories of collections, which are adopted as they are: Ichthyology, Käfer & Co." in finished.stderr
    found = settings()
    assert found.collections.mode == "map"
    assert {name: entry.directory for name, entry in found.collections.map.items()} == {
        "Ichthyology": "Ichthyology",
        "Käfer & Co": "Käfer & Co",
    }


def test_a_map_without_directories_shows_how_one_is_written() -> None:
    assert init("--yes", "--collections", "map").exit_code == 0
    assert settings().collections.map["collection"].directory == "collection"


def test_a_sharded_directory_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "old" / "originals" / "ab" / "cd").mkdir(parents=True)
    (tmp_path / "old" / "originals" / ".staging").mkdir()
    init("--yes", "--path", "old")
    assert settings().stores["main"].options.layout is Layout.SHARDED


# -- nothing is overwritten --------------------------------------------------------------------------------------------


def test_an_existing_configuration_is_left_alone(tmp_path: Path) -> None:
    Path("was.toml").write_text("mine")
    finished = init("--yes")
    assert finished.exit_code == 1
    assert "was.toml exists already; --force overwrites it" in finished.stderr
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("was.toml", "mine")]


def test_force_overwrites_a_configuration_but_never_a_key() -> None:
    Path("was.toml").write_text("mine")
    Path("key").write_text("the old key\n")
    Path("key").chmod(0o644)
    finished = init("--yes", "--force")
    assert finished.exit_code == 0, finished.output
    assert settings().server.key == "the old key"
    assert "key is used" in finished.stdout
    assert "Others can read the key: chmod 600" in finished.stderr


@pytest.mark.parametrize("url", ["assets.example.org", "https://a b", "ftp://a"])
def test_what_makes_no_configuration_leaves_nothing_behind(tmp_path: Path, url: str) -> None:
    finished = init("--yes", "--public-url", url)
    assert finished.exit_code == 1
    assert "server.public_url" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_key_is_no_key(tmp_path: Path) -> None:
    Path("key").touch()
    finished = init("--yes")
    assert finished.exit_code == 1
    assert "server.key" in finished.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_what_cannot_be_written_is_a_plain_error() -> None:
    finished = init("--yes", "--output", "/proc/was/was.toml")
    assert finished.exit_code == 1
    assert isinstance(finished.exception, SystemExit)
    assert "/proc/was: no such file or directory" in finished.stderr


@pytest.mark.parametrize("arguments", [["--port", "0"], ["--port", "65536"], ["--layout", "deep"], ["--nonsense"]])
def test_wrong_usage_ends_with_status_2(arguments: list[str]) -> None:
    assert init("--yes", *arguments).exit_code == 2


# -- what is printed ---------------------------------------------------------------------------------------------------


def test_it_says_what_to_enter_in_specify(tmp_path: Path) -> None:
    finished = init("--yes", "--public-url", "https://assets.example.org")
    for line in (
        "- ASSET_SERVER_URL=https://assets.example.org/web_asset_store.xml",
        f"- ASSET_SERVER_KEY=<the key: cat {tmp_path}/key>",
        "WEB_ATTACHMENT_URL = 'https://assets.example.org/web_asset_store.xml'",
        "attachment.url=https://assets.example.org/web_asset_store.xml",
        f"attachment.key=<the key: cat {tmp_path}/key>",
        "attachment.use_path=false",
    ):
        assert line in finished.stdout


def test_without_a_proxy_there_is_no_site_for_nginx() -> None:
    assert "nginx" not in init("--yes").stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/assets", ""])
def test_nginx_works_as_it_is_printed(tmp_path: Path, path: str) -> None:
    require(NGINX)
    tls_port = free_port()
    url = f"https://localhost:{tls_port}{path}"
    daemon = Daemon(tmp_path / "daemon", {"server": {"key": "k", "public_url": url, "trusted_proxies": ["127.0.0.1"]}})
    printed = init("--yes", "--public-url", url, "--port", str(daemon.port)).stdout
    certificate = self_signed(tmp_path)
    site = printed[printed.index("server {") :]
    site = re.sub(r"ssl_certificate +\S+;", f"ssl_certificate {certificate};", site)
    site = re.sub(r"ssl_certificate_key +\S+;", f"ssl_certificate_key {certificate};", site)
    home = tmp_path / "nginx"
    home.mkdir()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(
        f"daemon off; pid {home}/pid; {user} events {{}} http {{ access_log off; {temporary}\n{site} }}"
    )
    with (home / "log").open("wb") as log:
        nginx = subprocess.Popen([NGINX, "-e", home / "error.log", "-c", home / "nginx.conf"], stdout=log, stderr=log)
    try:
        daemon.start()
        eventually((home / "pid").exists, "for nginx to listen")
        checked = subprocess.run(
            [BIN / "was-daemon", "check", url, "--ca-file", certificate],
            capture_output=True,
            text=True,
            env=clean_environment({"ATTACHMENT_KEY": "k"}),
        )
    finally:
        nginx.send_signal(signal.SIGQUIT)
        nginx.wait()
        daemon.stop()
    assert checked.returncode == 0, checked.stdout + (home / "error.log").read_text()
    assert "differ" not in checked.stdout

"""The section `[discovery]`: addresses that clients can use, and what counts no more where the daemon is not asked."""

from pathlib import Path

import pytest

from was_daemon.config.load import ConfigError, load
from was_daemon.config.settings import Settings

STORE = '[stores.main]\nplugin = "filesystem"\npath = "attachments"\n'


def settings_of(tmp_path: Path, discovery: str, server: str = "", more: str = "") -> Settings:
    path = tmp_path / "was.toml"
    path.write_text(f"[server]\n{server}\n[discovery]\n{discovery}\n{STORE}{more}")
    return load(path, {"ATTACHMENT_KEY": "correct horse battery staple"})


def mistakes(tmp_path: Path, discovery: str, server: str = "") -> list[str]:
    with pytest.raises(ConfigError) as raised:
        settings_of(tmp_path, discovery, server)
    return raised.value.mistakes


def test_what_is_not_named_stays_with_the_daemon(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "").discovery.elsewhere() == {}
    read = "https://dam.example.org:8443/specify/fileget"
    assert settings_of(tmp_path, f'read = "{read}"').discovery.elsewhere() == {"read": read}


@pytest.mark.parametrize("kind", ["read", "write", "delete", "getmetadata", "testkey"])
def test_each_endpoint_may_be_elsewhere(tmp_path: Path, kind: str) -> None:
    url = "http://[::1]:8000/~dam/K%C3%A4fer.php"
    assert settings_of(tmp_path, f'{kind} = "{url}"').discovery.elsewhere() == {kind: url}


def test_another_name_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, 'fileget = "https://dam.example.org/fileget"') == ["discovery.fileget: unknown key"]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("dam.example.org/fileget", "expected an address such as"),
        ("/fileget", "expected an address such as"),
        ("ftp://dam.example.org/fileget", "expected an address such as"),
        ("https:///fileget", "expected an address such as"),
        ("https://dam.example.org:0/fileget", "expected an address such as"),
        ("https://dam.example.org:99999/fileget", "port out of range"),
        ("https://dam example.org/fileget", "expected an address such as"),
        ("https://dam.example.org/file get", "expected an address such as"),
        ("https://dam.example.org/<coll>/fileget", "expected an address such as"),
        ("https://dam.example.org/käfer", "expected an address such as"),
        ("https://[::1/fileget", "invalid ipv6 url"),
        ("https://dam.example.org/fileget?library=fishes", "has a query"),
        ("https://dam.example.org/fileget?", "has a query"),
        ("https://dam.example.org/#fileget", "has a query or a fragment"),
        ("https://dam.example.org", "is the address of a server"),
        ("https://dam.example.org/", "is the address of a server"),
    ],
)
def test_an_address_that_clients_cannot_use_is_a_mistake(tmp_path: Path, url: str, reason: str) -> None:
    [mistake] = mistakes(tmp_path, f'read = "{url}"')
    assert mistake.startswith(f"discovery.read: {reason}")


def test_a_login_is_a_mistake_and_is_not_shown(tmp_path: Path) -> None:
    [mistake] = mistakes(tmp_path, 'read = "https://was:sesame@dam.example.org/fileget"')
    assert mistake == "discovery.read: has a login, which the discovery document would tell everybody"


def test_every_wrong_address_is_reported(tmp_path: Path) -> None:
    assert [line.partition(":")[0] for line in mistakes(tmp_path, 'read = "a"\nwrite = 5\ntestkey = "b"')] == [
        "discovery.read",
        "discovery.write",
        "discovery.testkey",
    ]


def test_http_in_a_document_of_https_is_a_mistake_as_browsers_refuse_it(tmp_path: Path) -> None:
    server = 'public_url = "https://assets.example.org"'
    [mistake] = mistakes(tmp_path, 'read = "http://dam.example.org/fileget"', server)
    assert mistake == "discovery.read: is http, and server.public_url https: browsers refuse such mixed content"
    assert settings_of(tmp_path, 'read = "https://dam.example.org/fileget"', server).warnings == []


def test_http_is_a_warning_where_it_is_not_known_how_the_document_comes(tmp_path: Path) -> None:
    discovery = 'read = "http://dam.example.org/fileget"'
    [warning] = settings_of(tmp_path, discovery).warnings
    assert warning.startswith("discovery.read is http: if Specify's pages come by https, browsers refuse")
    assert settings_of(tmp_path, discovery, 'public_url = "http://assets.example.org"').warnings == []
    for host in ("localhost", "127.0.0.1:8000", "[::1]"):
        assert settings_of(tmp_path, f'read = "http://{host}/fileget"').warnings == []


def test_settings_that_count_no_more_are_a_warning(tmp_path: Path) -> None:
    url = "https://dam.example.org/any"
    trash = '[trash]\nkeep = "30 days"\n'
    quota = '[collections]\nmode = "map"\nmap.Fish = { directory = "Fish", quota = "1 GiB" }\n'
    assert settings_of(tmp_path, f'read = "{url}"', more=trash + quota).warnings == []
    [warning] = settings_of(tmp_path, f'delete = "{url}"', more=trash).warnings
    assert warning.startswith("trash.keep keeps nothing")
    [warning] = settings_of(tmp_path, f'write = "{url}"', more=quota).warnings
    assert warning.startswith("Quotas do not limit")

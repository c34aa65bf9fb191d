"""nginx in front of the daemon, the real one: read from its configuration, and found out by a request."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cli import write_config
from tests.support.daemon import Daemon
from tests.support.examined import bad, found_by
from tests.support.nginx_site import NginxSite
from was_daemon.doctor import nginx
from was_daemon.doctor.findings import Finding, State
from was_daemon.doctor.machine import Machine, Nginx, look_at_machine
from was_daemon.doctor.nginx_config import parse_dump, seconds_in, size_in

Start = Callable[..., NginxSite]

DUMP = """
# configuration file /etc/nginx/nginx.conf:
user www-data;
http {
    client_max_body_size 5m; # for all
    map $a $b { default "x;}"; ~^/(?<n>.*)$ '${n}{'; }
    include /etc/nginx/conf.d/*.conf;
}
# configuration file /etc/nginx/conf.d/site.conf:
upstream was { server 127.0.0.1:8080; keepalive 2; }
server {
    server_name assets.example.org;
    proxy_set_header Host $host;
    location / { proxy_pass http://was; client_max_body_size 20M; }
    location /other { proxy_pass http://127.0.0.1:9999/; }
    location /socket { proxy_pass http://unix:/run/was-daemon/http:/; proxy_set_header X-Forwarded-For $a; }
}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"), {"server": {"trusted_proxies": ["127.0.0.1"]}}).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def start(daemon: Daemon, tmp_path: Path) -> Iterator[Start]:
    """Starts the shipped site, with changes of its text."""
    started = []

    def started_site(*changes: tuple[str, str], **options: bool) -> NginxSite:
        site = NginxSite(tmp_path / "nginx", daemon, **options)
        path = tmp_path / "nginx/site.conf"
        text = path.read_text("utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
        started.append(site.start())
        return site

    yield started_site
    for site in started:
        site.stop()


def found_at(
    site: NginxSite, daemon: Daemon, directory: Path, sends_files: bool = False, **server: object
) -> list[Finding]:
    """What is found with the site as the public address."""
    settings = {"trusted_proxies": ["127.0.0.1"], "public_url": site.url, **server}
    config = write_config(
        directory,
        {"main": {"plugin": "filesystem", "path": daemon.store, **({"redirect": "nginx"} if sends_files else {})}},
        server={"listen": [f"tcp:{daemon.port}:interface=127.0.0.1"], **settings},
        **({"thumbnails": {"nginx_marker": daemon.nginx_marker}} if sends_files else {}),
    )
    return found_by(nginx.look, config, look_at_machine())


def test_the_shipped_site_is_right(start: Start, daemon: Daemon, tmp_path: Path) -> None:
    found = found_at(start(), daemon, tmp_path)
    assert [each.state for each in found] == [State.OK, State.OK], found


def test_the_shipped_site_that_sends_files_itself_is_right(start: Start, daemon: Daemon, tmp_path: Path) -> None:
    found = found_at(start(files=True, thumbnails=True), daemon, tmp_path, sends_files=True)
    assert [each.state for each in found] == [State.OK, State.OK], found


def test_a_proxy_that_refuses_uploads_is_told(start: Start, daemon: Daemon, tmp_path: Path) -> None:
    site = start(
        (
            "location / {\n        proxy_pass http://was_daemon;",
            "location = /fileupload { return 403; }\n    location / {\n        proxy_pass http://was_daemon;",
        )
    )
    (finding,) = bad(found_at(site, daemon, tmp_path))
    assert "answers an upload itself (403)" in finding.message


def test_a_small_body_size_is_told_by_the_configuration_and_by_a_request(
    start: Start, daemon: Daemon, tmp_path: Path
) -> None:
    site = start(("client_max_body_size 0;", ""))
    found = bad(found_at(site, daemon, tmp_path))
    assert [each.state for each in found] == [State.FAILED, State.FAILED], found
    assert (
        "nginx refuses uploads of more than 1m (client_max_body_size), and the daemon takes 4 GiB" in found[0].message
    )
    assert str(found[0].remedy).startswith("client_max_body_size 0; in the block server of /")
    assert found[1].message.startswith(f"by a request: what is at {site.url} refuses uploads of 4 GiB")


def test_buffers_short_times_and_lost_headers_are_told(
    start: Start, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "_ANSWER_SECONDS", 0.5)
    site = start(
        ("proxy_request_buffering off;", ""),
        ("proxy_max_temp_file_size 0;", ""),
        ("proxy_read_timeout 300s;", "proxy_read_timeout 1m;"),
        ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", ""),
    )
    found = bad(found_at(site, daemon, tmp_path, trusted_proxies=[]))
    words = ("proxy_request_buffering", "proxy_max_temp_file_size", "gives up after 1m", "trusted_proxies")
    for word in (*words, "does not pass on X-Forwarded-For", "keeps an upload to itself"):
        assert sum(word in each.message for each in found) == 1, (word, found)
    assert {each.state for each in found} == {State.WARNING}


def test_a_store_that_nginx_is_to_send_needs_a_location(daemon: Daemon, tmp_path: Path) -> None:
    dump = (
        "# configuration file /etc/nginx/nginx.conf:\nuser nobody;\n"
        f"http {{ server {{ location / {{ proxy_pass http://127.0.0.1:{daemon.port}; }} LOCATION }} }}\n"
    )
    config = write_config(
        tmp_path,
        {"main": {"plugin": "filesystem", "path": daemon.store, "redirect": "nginx"}},
        server={"listen": [f"tcp:{daemon.port}:interface=127.0.0.1"], "trusted_proxies": ["127.0.0.1"]},
        thumbnails={"nginx_marker": tmp_path / "marker"},
    )

    def messages(location: str) -> str:
        machine = Machine(nginx=[Nginx("1.22.1", dump.replace("LOCATION", location))])
        return "\n".join(each.message for each in bad(found_by(nginx.look, config, machine)))

    assert "nginx has no location /was-files/main/: downloads fail" in messages("")
    assert "nginx looks for no such file" in messages("")
    wrong = messages("location /was-files/main/ { internal; alias /srv/elsewhere/; }")
    assert f"sends files of the store main from /srv/elsewhere/, and they are in {daemon.store}" in wrong
    right = f"location /was-files/main/ {{ alias {daemon.store}/; }} if (!-f {tmp_path}/marker) {{ return 418; }}"
    assert "was-files" not in messages(right)
    assert "nginx_marker" not in messages(right)
    if os.geteuid() == 0:
        # pytest's directories are for their user only.
        assert "nginx' user nobody may not enter /" in messages(right)


def test_what_nginx_prints_is_read_with_includes_and_inherited_values() -> None:
    config = parse_dump(DUMP)
    first, other, by_socket = config.proxies()
    assert (config.targets_of(first), first.names) == (["127.0.0.1:8080"], ["assets.example.org"])
    assert (first.value("client_max_body_size", "1m"), other.value("client_max_body_size", "1m")) == ("20M", "5m")
    assert first.value("proxy_read_timeout", "60s") == "60s"
    assert config.targets_of(other) == ["127.0.0.1:9999"]
    assert config.targets_of(by_socket) == ["unix:/run/was-daemon/http"]
    assert first.headers() == {"host": "$host"}
    assert by_socket.headers() == {"x-forwarded-for": "$a"}
    with pytest.raises(ValueError, match="no configuration"):
        parse_dump("nginx: [emerg] unknown directive")


def test_sizes_and_times_are_read_as_nginx_does() -> None:
    assert [size_in(text) for text in ("0", "10", "8k", "20M", "1g", "x")] == [0, 10, 8192, 20 << 20, 1 << 30, None]
    assert [seconds_in(text) for text in ("60", "90s", "5m", "1h 30m", "500ms", "x")] == [60, 90, 300, 5400, 0.5, None]


def test_a_machine_without_nginx_and_one_that_keeps_its_configuration_secret(daemon: Daemon) -> None:
    assert [each.state for each in found_by(nginx.look, daemon.config_file)] == [State.SKIPPED]
    hidden = Machine(nginx=[Nginx("1.22.1", problem="nginx says: permission denied")])
    assert [each.state for each in found_by(nginx.look, daemon.config_file, hidden)] == [State.SKIPPED]
    broken = Machine(nginx=hidden.nginx, is_seen_by_root=True)
    assert [each.remedy for each in found_by(nginx.look, daemon.config_file, broken)] == ["nginx -t"]

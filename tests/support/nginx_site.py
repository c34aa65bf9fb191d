"""The real nginx with the site that etc/nginx ships, in front of a daemon under test."""

import os
import pwd
import re
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.daemon import Daemon, eventually
from tests.support.davservers import NGINX, require
from tests.support.paths import ROOT
from tests.support.ports import free_port

ETC = ROOT / "etc" / "nginx"
_SITE = "/etc/nginx/snippets/was-thumbnails.conf"
_MARKER = "/run/was-daemon/nginx-may-answer"
_FILES = "/etc/nginx/snippets/was-files.conf"


class NginxSite:
    """The site in front of `daemon`, its own files below `directory`.

    With `thumbnails` nginx answers stored thumbnails itself, from the directories of `collections`, or else from the
    daemon's store. With `files` it sends files that the daemon says it may. With a `certificate` (key and certificate
    in a file) it speaks TLS. With `plain_files` the daemon's store is served as files, and nothing else. At
    `plain_port` everybody is sent to https. `site` is the file of the site, if it is not the one that is shipped.
    """

    def __init__(
        self,
        directory: Path,
        daemon: Daemon,
        *,
        thumbnails: bool = False,
        files: bool = False,
        collections: dict[str, Path] | None = None,
        certificate: Path | None = None,
        plain_files: bool = False,
        site: Path = ETC / "was-daemon.conf",
    ) -> None:
        require(NGINX)
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"http{'s' if certificate else ''}://{'localhost' if certificate else '127.0.0.1'}:{self.port}"
        text = self._site(site.read_text("utf-8"), daemon, certificate)
        if thumbnails:
            snippet = (ETC / "was-thumbnails.conf").read_text("utf-8")
            (directory / "thumbnails.conf").write_text(snippet.replace(_MARKER, str(daemon.nginx_marker)))
            text = text.replace(f"#include {_SITE}", f"include {directory / 'thumbnails.conf'}")
            assert "thumbnails.conf;" in text
        if files:
            snippet = (ETC / "was-files.conf").read_text("utf-8")
            (directory / "files.conf").write_text(snippet.replace("/srv/attachments/", f"{daemon.store}/"))
            text = text.replace(f"#include {_FILES}", f"include {directory / 'files.conf'}")
            assert "files.conf;" in text
        places = [f"default {daemon.store};"]
        if collections is not None:
            places = ["default /nonexistent;", *(f"~^{name}$ {path};" for name, path in collections.items())]
        text = text.replace("default /srv/attachments;", "\n".join(places))
        if plain_files:
            text = f"server {{ listen 127.0.0.1:{self.port}; root {daemon.store}; open_file_cache off; }}"
        (directory / "site.conf").write_text(text)
        (directory / "nginx.conf").write_text(self._main())
        self._process: subprocess.Popen[bytes] | None = None

    def _site(self, site: str, daemon: Daemon, certificate: Path | None) -> str:
        site = site.replace("127.0.0.1:8080", f"127.0.0.1:{daemon.port}")
        site = site.replace("    listen 80;\n    listen [::]:80;\n", f"    listen 127.0.0.1:{self.plain_port};\n")
        site = site.replace("    listen [::]:443 ssl;\n", "")
        if certificate:
            site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl")
            return re.sub(r"(ssl_certificate(?:_key)?) +[^;]+", rf"\1 {certificate}", site)
        site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port}")
        return re.sub(r"    ssl_certificate.*\n", "", site)

    def _main(self) -> str:
        here = self._directory
        temporary = "\n".join(
            f"{kind}_temp_path {here}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
        # What Debian's nginx.conf says of the rest, but with a cache of open files, which some add.
        return f"""
            {user} daemon off; worker_processes 1; pid {here}/pid; error_log {here}/error.log info;
            events {{ worker_connections 1024; }}
            http {{
                access_log {here}/access.log; sendfile on; tcp_nopush on; types_hash_max_size 2048;
                include /etc/nginx/mime.types; default_type application/octet-stream; gzip on;
                open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;
                keepalive_requests 100000; {temporary}
                include {here}/site.conf;
            }}
        """

    def start(self) -> "NginxSite":
        """Start, and wait until it listens."""
        with (self._directory / "output.log").open("wb") as log:
            self._process = subprocess.Popen(
                [NGINX, "-e", str(self._directory / "error.log"), "-c", str(self._directory / "nginx.conf")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(self._listens, "for nginx to listen")
        return self

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it at once."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def complaints(self) -> list[str]:
        """What nginx logged about requests and its configuration that went wrong."""
        lines = (self._directory / "error.log").read_text("utf-8", "replace").splitlines()
        return [line for line in lines if re.search(r"\[(warn|error|crit|alert|emerg)\]", line)]

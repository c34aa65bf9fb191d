"""The recipe for nginx in docs/install.md makes a configuration that nginx accepts."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.davservers import NGINX, require
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.tls import self_signed

MAIN = """
pid {root}/pid; error_log {root}/error.log;
events {{}}
http {{ access_log off; {temporary} include {root}/etc/nginx/sites-enabled/*; }}
"""


def recipe() -> str:
    """The commands of the guide."""
    text = (ROOT / "docs" / "install.md").read_text("utf-8")
    (block,) = re.findall(r"<!-- tried: tests/docs/test_nginx_guide\.py .*?```sh\n(.*?)```", text, re.DOTALL)
    return str(block)


def test_the_recipe_makes_a_site_that_nginx_accepts(tmp_path: Path) -> None:
    require(NGINX)
    shutil.copytree(ROOT / "etc/nginx", tmp_path / "repository/etc/nginx")
    for name in ("sites-available", "sites-enabled", "snippets"):
        (tmp_path / "etc/nginx" / name).mkdir(parents=True)
    # As certbot leaves it.
    live = tmp_path / "etc/letsencrypt/live/museum.example.net"
    live.mkdir(parents=True)
    certificate = self_signed(tmp_path)
    for name in ("fullchain.pem", "privkey.pem"):
        shutil.copy(certificate, live / name)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(MAIN.format(root=tmp_path, temporary=temporary), "utf-8")

    commands = re.sub(r"(?<![\w/])/etc/(nginx|letsencrypt)", rf"{tmp_path}/etc/\1", recipe())
    commands = commands.replace("/assets.example.org/", "/museum.example.net/")
    # Tests may not open the ports of this machine.
    listen = " ".join(f"-e 's/listen {port}/listen 127.0.0.1:{free_port()}/'" for port in (80, 443))
    ports = f"sed -i -e 's/listen \\[.*//' {listen}"
    site = tmp_path / "etc/nginx/sites-available/was-daemon.conf"
    commands = commands.replace("nginx -t", f"{ports} {site}\n{NGINX} -t -e {tmp_path}/e -c {tmp_path}/nginx.conf")
    commands = commands.replace("systemctl reload nginx", "")
    ran = subprocess.run(
        ["bash", "-e", "-u", "-c", commands], cwd=tmp_path / "repository", capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "test is successful" in ran.stderr
    text = site.read_text("utf-8")
    assert text.count("server_name museum.example.net;") == 2
    assert f"ssl_certificate     {live}/fullchain.pem;" in text
    assert f"ssl_certificate_key {live}/privkey.pem;" in text

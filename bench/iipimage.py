"""IIPImage: Debian's `iipimage-server` in two processes behind nginx, as its documentation has it."""

import os
import pwd
import subprocess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.support.daemon import eventually
from tests.support.nginx_site import NGINX
from tests.support.ports import free_port

PROCESSES = 2
QUALITY = 82
_SERVER = "/usr/lib/iipimage-server/iipsrv.fcgi"


class IIPImage:
    """The server; it shows the pyramids in `pictures` by version 3 of the Image API, below `url`."""

    def __init__(self, directory: Path, pictures: Path) -> None:
        directory.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{(port := free_port())}/iiif"
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(PROCESSES)]
        (directory / "nginx.conf").write_text(_nginx(directory, port, addresses))
        environment = {
            "FILESYSTEM_PREFIX": f"{pictures}/",
            "URI_MAP": "iiif=>IIIF",
            "IIIF_VERSION": "3",
            "JPEG_QUALITY": str(QUALITY),
            "MAX_CVT": "5000",
            "VERBOSITY": "0",
            "LOGFILE": "/dev/null",
        }
        commands = [[_SERVER, "--bind", address] for address in addresses]
        commands.append([NGINX, "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")])
        with (directory / "output.log").open("wb") as log:
            self._processes = [
                subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
                for command in commands
            ]
        eventually(self._answers, "for IIPImage to answer")

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/missing/info.json", timeout=10):
                return True
        except URLError as error:
            return getattr(error, "code", 0) in (400, 404)

    def stop(self) -> None:
        """End all processes."""
        # nginx, the last one, ends its own child.
        for process in reversed(self._processes):
            process.terminate()
            process.wait()


def make_pyramid(picture: Path, pyramid: Path) -> None:
    """Make a pyramid that IIPImage can show; its tiles are as large as ours."""
    options = ["--tile", "--pyramid", "--tile-width", "512", "--tile-height", "512"]
    compression = ["--compression", "jpeg", "--Q", str(QUALITY)]
    subprocess.run(["vips", "tiffsave", picture, pyramid, *options, *compression], check=True, capture_output=True)


def _nginx(directory: Path, port: int, servers: list[str]) -> str:
    user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    upstream = "\n".join(f"server {server};" for server in servers)
    return f"""
        {user} daemon off; worker_processes 2; pid {directory}/pid; error_log {directory}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 100000; {temporary}
            upstream iipsrv {{ {upstream} }}
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    fastcgi_pass iipsrv;
                    include /etc/nginx/fastcgi_params;
                }}
            }}
        }}
    """

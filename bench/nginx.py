"""Stored thumbnails that nginx answers from the disk, as etc/nginx tells it to, beside nginx and a plain file."""

from pathlib import Path
from statistics import median
from urllib.request import urlopen

from PIL import Image

from bench import started
from bench.report import Figure
from bench.walls import REPETITIONS, SCALE, requests_per_second
from tests.support.nginx_site import NginxSite

_PATH = f"/fileget?filename=picture.jpg&coll=Bench&type=T&scale={SCALE}"


def nginx(directory: Path) -> list[Figure]:
    """Requests per second for one thumbnail of about 6 KB, over connections that are kept alive."""
    config = {"server": {"trusted_proxies": ["127.0.0.1"]}, "thumbnails": {"nginx_marker": "nginx-may-answer"}}
    daemon = started.daemon(directory / "daemon", config)
    originals = daemon.store / "originals"
    originals.mkdir(parents=True)
    Image.effect_noise((3000, 2000), 160).save(originals / "picture.jpg", quality=95)
    daemon.start()
    site = NginxSite(directory / "site", daemon, thumbnails=True).start()
    files = NginxSite(directory / "files", daemon, plain_files=True).start()
    try:
        with urlopen(site.url + _PATH, timeout=60) as answer:
            answer.read()
        plain = f"{files.url}/thumbnails/picture_{SCALE}.jpg"
        rates = [(requests_per_second(site.url + _PATH), requests_per_second(plain)) for _ in range(REPETITIONS)]
    finally:
        files.stop()
        site.stop()
        daemon.stop()
    ours, theirs = (median(rate) for rate in zip(*rates, strict=True))
    return [
        Figure(
            "a stored thumbnail by way of nginx, 16 connections",
            "/s",
            ours,
            "nginx, a static file",
            theirs,
            ours / theirs,
            "at least 0.5",
        )
    ]

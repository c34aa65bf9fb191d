"""Check of the files that nginx sends itself: originals and thumbnails as the daemon allows, and stored thumbnails."""

import os
import pwd
import shlex
from collections.abc import Iterator
from pathlib import Path

from was_daemon.doctor.findings import Finding, failed, warning
from was_daemon.doctor.nginx_config import Directive, NginxConfig, Proxy
from was_daemon.doctor.patient import Patient
from was_daemon.model.redirect import Redirect

_NAME = "nginx"
_DEFAULT_USER = "www-data"
_VERSIONS = "etc/nginx/was-files.conf and was-thumbnails.conf"


def look(patient: Patient, config: NginxConfig, proxy: Proxy) -> Iterator[Finding]:
    """Yield what is wrong with what `redirect = "nginx"` and `thumbnails.nginx_marker` need of nginx."""
    locations = [each for each, _ in config.walk() if each.name == "location"]
    redirected = [name for name, each in patient.known.stores.items() if each.redirect is Redirect.NGINX]
    yield from _redirects(patient, proxy, locations, redirected)
    marker = patient.known.thumbnails.nginx_marker
    if marker:
        yield from _marker(config, marker)
    if redirected or marker:
        yield from _readable(patient, config)


def _redirects(patient: Patient, proxy: Proxy, locations: list[Directive], redirected: list[str]) -> Iterator[Finding]:
    prefix = patient.known.server.nginx_location
    if redirected and "x-accel-redirect" not in proxy.headers():
        yield warning(
            _NAME,
            f"{proxy.file}: nginx does not tell the daemon that it sends files (X-Accel-Redirect): the daemon does",
            f"Take the lines from {_VERSIONS}, and include was-files.conf.",
        )
    roots = {name: Path(files.root) for name, files in patient.local_stores().items()}
    for name in redirected:
        wanted = f"{prefix}/{name}/"
        found = next((each for each in locations if wanted in each.arguments), None)
        alias = next((each.first for each in found.block if each.name == "alias"), None) if found else None
        if found is None:
            yield failed(
                _NAME,
                f'stores.{name}.redirect = "nginx", and nginx has no location {wanted}: downloads fail',
                f"location {wanted} as in etc/nginx/was-files.conf, then: nginx -t && systemctl reload nginx",
            )
        elif name in roots and (alias is None or not alias.endswith("/") or not _is_same(alias, roots[name])):
            yield failed(
                _NAME,
                f"nginx sends files of the store {name} from {alias}, and they are in {roots[name]}",
                f"alias {roots[name]}/; in location {wanted} of {found.file}, then: nginx -t && systemctl reload nginx",
            )


def _is_same(alias: str, root: Path) -> bool:
    return os.path.realpath(alias) == os.path.realpath(root)


def _marker(config: NginxConfig, marker: Path) -> Iterator[Finding]:
    conditions = [each for each, _ in config.walk() if each.name == "if" and "-f" in " ".join(each.arguments)]
    tested = {word.rstrip(")") for each in conditions for word in each.arguments if word.startswith("/")}
    if str(marker) not in tested:
        named = [each for each in tested if "nginx" in each or "was" in each]
        yield warning(
            _NAME,
            f"thumbnails.nginx_marker is {marker}, and nginx looks for {named[0] if named else 'no such file'}: "
            "the daemon sends the thumbnails",
            "Name the same file in both: see etc/nginx/was-thumbnails.conf.",
        )


def _readable(patient: Patient, config: NginxConfig) -> Iterator[Finding]:
    """Yield stores that nginx' user may not read, as far as the modes of files tell; others' rights are not known."""
    if patient.other_user:
        return
    directives = [each.first for each in config.directives if each.name == "user"]
    user = directives[-1] if directives else _DEFAULT_USER
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return
    group = shlex.quote(patient.account.owner.partition(":")[2])
    groups = set(os.getgrouplist(user, account.pw_gid))
    for files in patient.local_stores().values():
        root = Path(os.path.realpath(files.root))
        for place in (*reversed(root.parents), root):
            try:
                status = place.stat()
            except OSError:
                return
            mode = status.st_mode
            bits = mode >> 6 if status.st_uid == account.pw_uid else mode >> 3 if status.st_gid in groups else mode
            if not bits & 1 and account.pw_uid != 0:
                yield warning(
                    _NAME,
                    f"nginx' user {user} may not enter {place}, so the daemon sends the files of {root}",
                    f"usermod -aG {group} {user} && systemctl restart nginx",
                )
                return

"""Checks of the attachment key: whether it is easy to guess, and whether Specify has the same."""

import json
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlsplit
from uuid import uuid4

from was_daemon.config.weak_keys import GOOD_KEY_COMMAND
from was_daemon.conformance.client import Answer, HttpClient, Unanswered
from was_daemon.conformance.results import CheckState
from was_daemon.doctor.contract import UNANSWERED, results_of, server_at
from was_daemon.doctor.findings import Finding, failed, ok, skipped, warning
from was_daemon.doctor.patient import Patient, SpecifySite
from was_daemon.model import tokens

_NAME = "key"
_SPECIFY = "specify"
_SECONDS = 4.0
_TOKEN = re.compile("[0-9a-f]+:[0-9]{1,12}")
_CLOCK_SECONDS = 30


def look(patient: Patient) -> Iterator[Finding]:
    """Yield what is wrong with the keys of the server and of its collections."""
    settings = patient.known
    for each in settings.weak_keys:
        line, _, _ = each.partition("; ")
        yield failed(_NAME, line, _stronger(patient, line.partition(":")[0]))
    if settings.server.key is None and settings.server.insecure_no_key:
        yield warning(
            _NAME,
            "there is no key (server.insecure_no_key), so anybody who reaches the server may upload and delete",
            f"{GOOD_KEY_COMMAND} prints one: enter it as server.key_file and in Specify.",
        )
    elif any(map(patient.is_of_credential, patient.mistakes)):
        yield skipped(_NAME, "only root may read it", "sudo was-daemon doctor")
    elif settings.server.key is None and not any(each.key for each in settings.collections.map.values()):
        yield skipped(_NAME, "cannot be read, as a mistake in the configuration says")
    elif not settings.weak_keys:
        yield ok(_NAME, f"{settings.key_source}, and not easy to guess")


def _stronger(patient: Patient, setting: str) -> str:
    """Return what replaces a weak key; a file keeps its owner and its mode."""
    settings, table = patient.known, setting.rpartition(".")[0]
    named = {"server": settings.server.key_file} | {
        f"collections.map.{name}": each.key_file for name, each in settings.collections.map.items()
    }
    file = named.get(table)
    if file:
        write = f"{GOOD_KEY_COMMAND} > {shlex.quote(str(patient.source_of(file.expanduser())))}"
    elif "ATTACHMENT_KEY" in settings.key_source and setting == "server.key":
        write = f"Set ATTACHMENT_KEY of the daemon to what this prints: {GOOD_KEY_COMMAND}"
    else:
        write = f"Enter what this prints as {setting} in {patient.name_of_config}: {GOOD_KEY_COMMAND}"
    return f"{write}; then enter the same in Specify, which cannot upload until it has it, and: {patient.restart}"


def look_at_specify(patient: Patient) -> Iterator[Finding]:
    """Yield whether Specify has the same key, the same time, and the right addresses; blocks."""
    site = patient.specify
    if site is None:
        yield skipped(
            _SPECIFY, "nobody has said where Specify is", "was-daemon doctor --specify https://specify.example.org"
        )
        return
    if site.url.endswith(".xml"):
        yield from _as_specify_does(site.url, patient)
        return
    client = HttpClient(_SECONDS)
    yield from _mixed_content(site, patient)
    name = f"{uuid4()}.jpg"
    try:
        answer = _get(client, site, f"/attachment_gw/get_token/?filename={quote(name)}")
    except Unanswered as error:
        yield failed(_SPECIFY, f"{error}", f"curl --head {site.url}")
        return
    yield from _server_time(answer, site)
    if answer.status != 200 or answer.media_type == "text/html":
        yield skipped(
            _SPECIFY,
            f"{site.url} tells its key's tokens only to users who have logged in ({answer.status})",
            "Log in with a browser, write the value of the cookie sessionid into a file, and name it: "
            "--specify-session FILE. Or compare on Specify's machine: printenv ASSET_SERVER_KEY | "
            "was-daemon check URL --key-stdin",
        )
        return
    token = answer.text.strip()
    if not _TOKEN.fullmatch(token):
        yield failed(
            _SPECIFY,
            f"{site.url} has no key of an asset server, or its asset server was not there when it was started",
            "Set ASSET_SERVER_URL and ASSET_SERVER_KEY of Specify 7, and restart it.",
        )
        return
    yield from _token(token, name, site, patient)
    yield from _addresses(client, site, patient)


def _as_specify_does(url: str, patient: Patient) -> Iterator[Finding]:
    """Yield what Specify meets when it reads the discovery document at `url`, as it does at its start."""
    for result in results_of(server_at(url, patient)):
        if result.state is CheckState.FAILED:
            got = result.got if result.expected == UNANSWERED else f"{result.got}, not {result.expected}"
            yield failed(_SPECIFY, f"{url}: {result.title}: {got}", f"was-daemon check {url} --key-file FILE")
            return
        if result.state is CheckState.DIFFERS:
            yield warning(_SPECIFY, f"{url}: {result.remark}")
    yield ok(_SPECIFY, f"the server of {url} takes the tokens of this key")


def _get(client: HttpClient, site: SpecifySite, path: str) -> Answer:
    headers = {"Accept": "application/json, text/plain"}
    if site.session:
        headers["Cookie"] = f"sessionid={site.session.text().strip()}"
    return client.request("GET", site.url.rstrip("/") + path, headers)


def _mixed_content(site: SpecifySite, patient: Patient) -> Iterator[Finding]:
    public = patient.settings.server.public_url if patient.settings else None
    if public and urlsplit(site.url).scheme == "https" and urlsplit(public).scheme == "http":
        yield failed(
            _SPECIFY,
            f"Specify's pages come by https and server.public_url is {public}: browsers refuse such mixed content",
            "Serve the asset server by https, too, as docs/install.md shows with nginx, and change server.public_url.",
        )


def _server_time(answer: Answer, site: SpecifySite) -> Iterator[Finding]:
    from email.utils import parsedate_to_datetime

    try:
        told = parsedate_to_datetime(str(answer.headers.get("Date"))).timestamp()
    except (TypeError, ValueError):
        return
    ahead = time.time() - told
    if abs(ahead) > _CLOCK_SECONDS:
        yield warning(
            _SPECIFY,
            f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of "
            f"{urlsplit(site.url).hostname}",
            "timedatectl set-ntp true, on both machines",
        )


def _token(token: str, name: str, site: SpecifySite, patient: Patient) -> Iterator[Finding]:
    stamp = token.partition(":")[2]
    keys = _keys(patient)
    same = [source for source, key in keys.items() if tokens.sign(key, name, int(stamp)) == token]
    if not same:
        yield failed(
            _SPECIFY,
            f"{site.url} signs with another key than {' or '.join(keys) or 'none here'}",
            "Enter the content of the key's file as ASSET_SERVER_KEY (Specify 7) or attachment.key (Specify 6), and "
            "restart Specify; or write Specify's key into that file, and restart the daemon.",
        )
        return
    window = patient.known.server.token_window
    off = int(stamp) - int(time.time())
    if window and abs(off) > window:
        told = f"{abs(off)} s {'ahead' if off > 0 else 'old'}"
        yield failed(
            _SPECIFY,
            f"the tokens of {site.url} are {told}, and may be {window} s: one clock was changed after Specify's start",
            "timedatectl set-ntp true, on both machines; then restart Specify.",
        )
        return
    yield ok(_SPECIFY, f"{site.url} signs with the same key ({same[0]}), and its time is right")


def _keys(patient: Patient) -> dict[str, str]:
    """Return the keys of this configuration, by the settings that they come from."""
    settings = patient.settings
    if not settings:
        return {}
    own = {f"collections.map.{name}": each.key for name, each in settings.collections.map.items() if each.key}
    return {**({"server.key": settings.server.key} if settings.server.key else {}), **own}


def _addresses(client: HttpClient, site: SpecifySite, patient: Patient) -> Iterator[Finding]:
    """Yield whether Specify has read the addresses of this server."""
    try:
        told = json.loads(_get(client, site, "/attachment_gw/get_settings/").text)
    except (Unanswered, ValueError):
        return
    public = patient.settings.server.public_url if patient.settings else None
    if not isinstance(told, Mapping):
        return
    read = told.get("read")
    if not read:
        yield failed(
            _SPECIFY,
            f"{site.url} has no asset server in use: it did not answer, or refused the key, when Specify was started",
            "Restart Specify.",
        )
    elif public and not str(read).startswith(f"{public}/"):
        yield failed(
            _SPECIFY,
            f"{site.url} uses the asset server of {urlsplit(str(read)).netloc}, not {public}",
            f"Set ASSET_SERVER_URL to {public}/web_asset_store.xml, and restart Specify.",
        )

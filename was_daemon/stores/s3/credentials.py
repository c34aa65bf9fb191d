"""Where the keys to a bucket come from, by the names and in the order that Amazon's own tools have."""

import configparser
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.config.secret_files import check_permissions
from was_daemon.model.errors import AssetError, StoreUnavailable
from was_daemon.stores.http.answer import Answer
from was_daemon.stores.http.auth import FixedLogin
from was_daemon.stores.http.client import HTTPRemote

_EARLY = 300
"""Seconds before its end at which a temporary key is exchanged for the next one."""

_PAUSE = 30
"""Seconds until the next try, after one that failed while the key at hand is still valid."""

_TIMEOUT = 3.0
"""Seconds for the machine's own services to answer; where there are none, nobody does."""

_INSTANCE = "http://169.254.169.254"
_CONTAINER = "http://169.254.170.2"
_TRUSTED = ("localhost", "127.0.0.1", "::1", "169.254.170.2", "169.254.170.23", "fd00:ec2::23")
"""Hosts that a container's credentials may come from without TLS."""


@attrs.frozen
class AccessKey:
    """What requests are signed with; `expires` is in Unix seconds, None for a key that lasts."""

    id: str
    secret: str = attrs.field(repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    expires: float | None = None


Source = Callable[[], Awaitable[AccessKey | None]]
"""Looks in one place; None when nothing is said there."""


class Keys:
    """The key at hand. It is fetched when it is needed first, and anew before it expires."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, sources: Sequence[Source]) -> None:
        """`sources` are asked one after the other, until one has a key."""
        self._clock = clock
        self._sources = sources
        self._fetching = DeferredLock()
        self._key: AccessKey | None = None
        self._next_try = 0.0
        self._fetched = 0.0

    async def current(self, lasting: float = 0) -> AccessKey:
        """A key that is good for `lasting` more seconds, if there is one; `StoreUnavailable` when there is none."""
        key = self._at_hand(lasting)
        if key is None:
            async with self._fetching:
                key = self._at_hand(lasting) or await self._fetch()
        return key

    def forget(self, key: AccessKey, age: float = 0) -> bool:
        """The store refused `key`, which may have been replaced: whether to try once more, with another look.

        One that was fetched less than `age` seconds ago is kept.
        """
        if self._key == key:
            if self._clock.seconds() < self._fetched + age:
                return False
            self._key = None
        return True

    def _at_hand(self, lasting: float) -> AccessKey | None:
        key, now = self._key, self._clock.seconds()
        if key is None or key.expires is None:
            return key
        left = key.expires - now
        return key if left > max(_EARLY, lasting) or (left > 0 and now < self._next_try) else None

    async def _fetch(self) -> AccessKey:
        now, old = self._clock.seconds(), self._key
        self._next_try = now + _PAUSE
        try:
            for source in self._sources:
                key = await source()
                if key:
                    self._key, self._fetched = key, now
                    return key
            raise StoreUnavailable("there are no credentials for the store")
        except AssetError as error:
            if old is None or (old.expires or 0) <= now:
                raise
            self._log.warn("The credentials could not be renewed yet: {error}", error=error)
            return old


def fixed(key_id: str, secret: str | Path, token: str | None) -> Source:
    """The key in the configuration; its secret may be in a file."""

    async def source() -> AccessKey:
        return AccessKey(key_id, _read(secret) if isinstance(secret, Path) else secret, token)

    return source


def from_environment(environ: Mapping[str, str]) -> Source:
    """The key in `AWS_ACCESS_KEY_ID` and its companions."""

    async def source() -> AccessKey | None:
        key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        return AccessKey(key_id, secret, environ.get("AWS_SESSION_TOKEN") or None) if key_id and secret else None

    return source


def from_file(environ: Mapping[str, str], path: Path | None = None, profile: str | None = None) -> Source:
    """The key of a profile in a file such as `~/.aws/credentials`; one that is asked for by name must be there."""
    asked = path is not None or profile is not None
    name = profile or environ.get("AWS_PROFILE") or "default"
    file = path or Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()

    async def source() -> AccessKey | None:
        profiles = configparser.RawConfigParser()
        try:
            check_permissions(file)
            profiles.read_string(_read(file) if asked or file.exists() else "")
        except (ValueError, configparser.Error) as error:
            Keys._log.error("{path} is no use: {error}", path=file, error=error)
            raise StoreUnavailable("the credentials for the store cannot be read") from error
        section = profiles[name] if profiles.has_section(name) else {}
        key_id, secret = section.get("aws_access_key_id"), section.get("aws_secret_access_key")
        if key_id and secret:
            return AccessKey(key_id, secret, section.get("aws_session_token"))
        if asked:
            Keys._log.error("{path} has no key in the profile {name}", path=file, name=name)
            raise StoreUnavailable("the credentials for the store are not where the settings say")
        return None

    return source


def from_container(environ: Mapping[str, str]) -> Source:
    """The key that a container's surroundings hand out, at the address that they told it."""

    async def source() -> AccessKey | None:
        relative, full = (environ.get(f"AWS_CONTAINER_CREDENTIALS_{each}_URI") for each in ("RELATIVE", "FULL"))
        url = _CONTAINER + relative if relative else full
        if not url:
            return None
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _TRUSTED:
            raise StoreUnavailable("the address for the container's credentials cannot be trusted")
        token_file = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = _read(Path(token_file)) if token_file else environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        remote = HTTPRemote(FixedLogin(token or None), _TIMEOUT)
        try:
            return await _temporary(remote, url, {})
        finally:
            await remote.close()

    return source


def from_instance(environ: Mapping[str, str]) -> Source:
    """The key of the machine's role, from the metadata service of its cloud (version 2)."""

    async def source() -> AccessKey | None:
        if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            return None
        service = (environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE).rstrip("/") + "/latest"
        remote = HTTPRemote(FixedLogin(None), _TIMEOUT)
        try:
            return await _of_role(remote, service)
        finally:
            await remote.close()

    return source


async def _of_role(remote: HTTPRemote, service: str) -> AccessKey | None:
    try:
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "300"}
        answer = await remote.request("PUT", f"{service}/api/token", lifetime)
    except AssetError:
        # This machine is in no cloud.
        return None
    session = {"X-aws-ec2-metadata-token": await _line(answer)}
    roles = f"{service}/meta-data/iam/security-credentials/"
    answer = await remote.request("GET", roles, session)
    if answer.code == 404:
        answer.close()
        return None
    return await _temporary(remote, roles + await _line(answer), session)


async def _line(answer: Answer) -> str:
    """The first line of what a metadata service says."""
    text = (await answer.expect(200).content(1 << 16)).decode("ascii", "replace")
    return text.split("\n")[0].strip()


async def _temporary(remote: HTTPRemote, url: str, headers: dict[str, str]) -> AccessKey:
    """The key in the document at `url`."""
    document = await (await remote.request("GET", url, headers)).expect(200).json(1 << 16)
    with suppress(KeyError, TypeError, ValueError):
        expires = datetime.fromisoformat(document["Expiration"]).timestamp()
        return AccessKey(document["AccessKeyId"], document["SecretAccessKey"], document.get("Token"), expires)
    raise StoreUnavailable("the credentials for the store came in a form that is not known")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        Keys._log.error("{path} cannot be read: {reason}", path=path, reason=getattr(error, "strerror", error))
        raise StoreUnavailable("the credentials for the store cannot be read") from error


def usual_sources(environ: Mapping[str, str] = os.environ) -> list[Source]:
    """Where Amazon's own tools look when they are told nothing, in their order."""
    return [from_environment(environ), from_file(environ), from_container(environ), from_instance(environ)]

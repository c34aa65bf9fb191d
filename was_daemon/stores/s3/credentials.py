"""Credentials of an S3 store: from its settings, or from where botocore finds them."""

import re
from collections.abc import Callable
from pathlib import Path

import attrs
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from was_daemon.concurrency.threads import Threads
from was_daemon.config.secret_files import SecretFile, check_permissions
from was_daemon.model.errors import StoreUnavailable
from was_daemon.telemetry.redaction import without_secrets

_INTERVAL = 60
"""Seconds from one look at the key to the next: botocore renews one that has less than 15 minutes left then."""

_GRACE = 240
"""Seconds for which a key is used while it is being renewed. A link that is signed with it lasts five minutes more."""

_PAUSE = 30
"""Seconds until the next try, after one that failed while there is a key at hand."""

_SHORT_PAUSE = 3
"""Seconds until the next try, after one that failed while there is none."""

_ELSEWHERE = ("ec2-credentials-file", "boto-config", "container-role", "iam-role")
"""botocore's names for sources that belong to the machine, not to a profile."""

_NO_KEY = "there are no credentials for the store"


@attrs.frozen
class AccessKey:
    """Key that requests are signed with."""

    id: str
    secret: str = attrs.field(repr=False)
    token: str | None = attrs.field(default=None, repr=False)


CredentialSource = Callable[[], AccessKey]
"""Returns the key as it is now, renewed when it is time. It may block."""

CredentialFinder = Callable[[], CredentialSource]
"""Finds a source, or raises an exception of any kind. It may block."""


class CredentialCache:
    """Access key of one store: found when it is first needed, and renewed before it expires, in a thread."""

    _log = Logger()

    def __init__(self, clock: IReactorTime, search: CredentialFinder, timeout: float) -> None:
        """A request waits `timeout` seconds for the key."""
        self._clock = clock
        self._search = search
        self._timeout = timeout
        self._threads = Threads("S3 credentials", 1)
        self._looking = DeferredLock()
        self._source: CredentialSource | None = None
        self._key: AccessKey | None = None
        self._changed = 0.0
        self._next_look = -1.0

    async def current(self) -> AccessKey:
        """Return the key; raises `StoreUnavailable` when there is none."""
        late = self._clock.seconds() - self._next_look
        if late >= 0 and not (self._key and self._looking.locked and late < _GRACE):
            async with self._looking:
                if self._clock.seconds() >= self._next_look:
                    await self._look()
        if self._key is None:
            raise StoreUnavailable(_NO_KEY)
        return self._key

    def forget(self, key: AccessKey, age: float = 0) -> bool:
        """Drop `key`, which the store refused; return whether a request may be tried once more, with another look.

        A key that is younger than `age` seconds is kept.
        """
        if self._key == key:
            if self._clock.seconds() < self._changed + age:
                return False
            self._key = self._source = None
            self._next_look = -1.0
        return True

    async def _look(self) -> None:
        """Renew the key. Without success the old one is kept: the store will refuse it when it has expired."""
        try:
            key = await self._threads.call(self._renewed).addTimeout(self._timeout, self._clock)
        except CancelledError:
            raise
        except Exception as error:  # of any kind: botocore passes on what its sources make of wrong answers
            self._log.error("The credentials for the store could not be obtained: {reason}", reason=_reason(error))
            self._next_look = self._clock.seconds() + (_PAUSE if self._key else _SHORT_PAUSE)
            return
        now = self._clock.seconds()
        if key != self._key:
            self._key, self._changed = key, now
        self._next_look = now + _INTERVAL

    def _renewed(self) -> AccessKey:
        source = self._source or self._search()
        key = source()
        self._source = source
        return key


def find_in_settings(key_id: str, secret: str | SecretFile, token: str | None) -> CredentialFinder:
    """Return a search for the key in the store's settings; `secret` may be in a file."""

    def search() -> CredentialSource:
        text = secret.text() if isinstance(secret, SecretFile) else secret
        key = AccessKey(key_id, text, token)
        return lambda: key

    return search


def find_by_botocore(region: str, profile: str | None = None, file: Path | None = None) -> CredentialFinder:
    """Return a search of botocore's, which looks where all of Amazon's tools do.

    With a profile or a file it looks for that profile, or the default one, in that file, or the usual ones, only.
    `region` is where services are asked that hand out keys, unless a profile says where.
    """

    def search() -> CredentialSource:
        # Here, as botocore is there only where somebody wants an S3 store, and takes half a second to import.
        from botocore.credentials import create_credential_resolver
        from botocore.session import Session

        session = Session()
        if file:
            session.set_config_variable("credentials_file", str(file))
            session.set_config_variable("config_file", str(file))
        if profile or file:
            session.set_config_variable("profile", profile or session.get_config_variable("profile") or "default")
        if session.get_config_variable("region") is None:
            session.set_config_variable("region", region)
        for name in ("credentials_file", "config_file"):
            check_permissions(Path(session.get_config_variable(name)).expanduser())
        resolver = create_credential_resolver(session)
        if profile or file:
            for source in _ELSEWHERE:
                resolver.remove(source)
        credentials = resolver.load_credentials()
        if credentials is None:
            raise LookupError("none of the places has any")

        def current() -> AccessKey:
            frozen = credentials.get_frozen_credentials()
            return AccessKey(frozen.access_key, frozen.secret_key, frozen.token)

        return current

    return search


def _reason(error: Exception) -> str:
    """Return what is wrong in a line, up to where an answer is quoted that may have a secret in it."""
    if isinstance(error, DeferredTimeout):
        return "it takes too long"
    text = re.split(r"[{\n]", str(error), maxsplit=1)[0]
    return f"{type(error).__name__}: {without_secrets(text)[:200]}"

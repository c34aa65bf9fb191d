"""Where the key to a bucket comes from, and when it is renewed."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.web.server import Request

from tests.support.scripted import Listen, Script, site
from was_daemon.config.secret_files import SecretFile
from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.s3.credentials import (
    AccessKey,
    CredentialCache,
    CredentialFinder,
    CredentialSource,
    find_by_botocore,
    find_in_settings,
)
from was_daemon.stores.s3.options import S3Options

REGION = "eu-central-1"
TIMEOUT = 30
"""Seconds that a request waits for a key, on the clock of a test."""


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that has no credentials, and is in no cloud."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "DEFAULT_PROFILE", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_METADATA_SERVICE_TIMEOUT", "30")
    (tmp_path / ".aws").mkdir()
    return monkeypatch


async def found(search: CredentialFinder) -> AccessKey:
    """The key that a search leads to."""
    return await CredentialCache(Clock(), search, TIMEOUT).current()


def profiles(*names: str) -> str:
    """A file in which each profile has a key of its name."""
    return "".join(f"[{name}]\naws_access_key_id = {name}\naws_secret_access_key = se%cret\n" for name in names)


def temporary(number: int, lifetime: timedelta = timedelta(days=1)) -> bytes:
    """A temporary key, as services hand it out."""
    expiration = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
    key = {"AccessKeyId": f"id{number}", "SecretAccessKey": "secret", "Token": f"token{number}"}
    return json.dumps(key | {"Expiration": expiration, "Code": "Success"}).encode()


class Metadata:
    """The metadata service of a machine in a cloud."""

    def __init__(self, answer: Callable[[int], bytes] = temporary, role: str | None = "specify") -> None:
        self.count = 0
        self._answer = answer
        self._role = role
        self.script = Script(PUT=self._session, GET=self._get)

    def _session(self, request: Request) -> bytes:
        assert request.path == b"/latest/api/token"
        return b"session"

    def _get(self, request: Request) -> bytes:
        assert request.getHeader("X-aws-ec2-metadata-token") == "session"
        where = b"/latest/meta-data/iam/security-credentials/"
        if self._role is None:
            request.setResponseCode(404)
            return b""
        if request.path == where:
            return self._role.encode()
        assert request.path == where + self._role.encode()
        self.count += 1
        return self._answer(self.count)

    def start(self, listen: Listen, surroundings: pytest.MonkeyPatch) -> "Metadata":
        """Be the service of this machine."""
        surroundings.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", listen(site(self.script)))
        surroundings.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
        return self


# -- places ------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_environment_has_the_usual_names(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setenv("AWS_ACCESS_KEY_ID", "id")
    surroundings.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await found(find_by_botocore(REGION)) == AccessKey("id", "secret")
    surroundings.setenv("AWS_SESSION_TOKEN", "t")
    assert await found(find_by_botocore(REGION)) == AccessKey("id", "secret", "t")


@pytest_twisted.ensureDeferred
async def test_a_file_has_profiles(tmp_path: Path, surroundings: pytest.MonkeyPatch) -> None:
    usual = tmp_path / ".aws" / "credentials"
    usual.write_text(profiles("default", "museum") + "aws_session_token = t\n")
    assert await found(find_by_botocore(REGION)) == AccessKey("default", "se%cret")
    assert await found(find_by_botocore(REGION, profile="museum")) == AccessKey("museum", "se%cret", "t")
    file = tmp_path / "file"
    file.write_text(profiles("default", "museum"))
    assert await found(find_by_botocore(REGION, "museum", file)) == AccessKey("museum", "se%cret")
    surroundings.setenv("AWS_PROFILE", "museum")
    assert await found(find_by_botocore(REGION)) == AccessKey("museum", "se%cret", "t")
    assert await found(find_by_botocore(REGION, file=file)) == AccessKey("museum", "se%cret")


@pytest.mark.parametrize(
    ("profile", "content", "reason"),
    [
        ("missing", profiles("default"), "ProfileNotFound: The config profile (missing) could not be found"),
        (None, profiles("other"), "ProfileNotFound: The config profile (default) could not be found"),
        (None, "[default]\n", "LookupError: none of the places has any"),
        (None, None, "ProfileNotFound: The config profile (default) could not be found"),
        (None, "no ini file", "ConfigParseError: Unable to parse config file: "),
        (None, "[default]\naws_access_key_id = id\n", "PartialCredentialsError: Partial credentials found in"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_profile_or_a_file_that_is_named_is_the_only_place(
    tmp_path: Path,
    surroundings: pytest.MonkeyPatch,
    listen: Listen,
    logged: Callable[[], str],
    profile: str | None,
    content: str | None,
    reason: str,
) -> None:
    service = Metadata().start(listen, surroundings)
    surroundings.setenv("AWS_ACCESS_KEY_ID", "id")
    surroundings.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (tmp_path / ".aws" / "config").write_text(profiles("default"))
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION, profile, file))
    assert f"The credentials for the store could not be obtained: {reason}" in logged()
    assert not service.script.requests


@pytest.mark.parametrize("name", ["credentials", "config"])
@pytest_twisted.ensureDeferred
async def test_a_file_that_others_can_change_is_not_believed(
    tmp_path: Path, logged: Callable[[], str], name: str
) -> None:
    file = tmp_path / ".aws" / name
    file.write_text(profiles("default"))
    assert (await found(find_by_botocore(REGION))).id == "default"
    file.chmod(0o666)
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION))
    assert f"{file} can be changed by others: run chmod go-w" in logged()


@pytest_twisted.ensureDeferred
async def test_a_machine_in_a_cloud_has_a_role(listen: Listen, surroundings: pytest.MonkeyPatch) -> None:
    Metadata().start(listen, surroundings)
    assert await found(find_by_botocore(REGION)) == AccessKey("id1", "secret", "token1")
    for nothing in (Metadata(role=None), Metadata(lambda _number: b'{"Code": "Failed", "Message": "no"}')):
        nothing.start(listen, surroundings)
        with pytest.raises(StoreUnavailable):
            await found(find_by_botocore(REGION))
    surroundings.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION))


@pytest_twisted.ensureDeferred
async def test_no_service_is_asked_when_the_key_is_elsewhere(
    tmp_path: Path, listen: Listen, surroundings: pytest.MonkeyPatch
) -> None:
    service = Metadata().start(listen, surroundings)
    assert (await found(find_in_settings("ours", "s", None))).id == "ours"
    (tmp_path / ".aws" / "credentials").write_text(profiles("default"))
    assert (await found(find_by_botocore(REGION))).id == "default"
    assert not service.script.requests


@pytest_twisted.ensureDeferred
async def test_a_container_is_told_an_address_and_a_password(
    tmp_path: Path, listen: Listen, surroundings: pytest.MonkeyPatch
) -> None:
    def get(request: Request) -> bytes:
        assert request.path == b"/v1/credentials"
        assert request.getHeader("Authorization") == "pass"
        return temporary(1)

    surroundings.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", listen(site(Script(GET=get))) + "v1/credentials")
    (tmp_path / "token").write_text("pass")
    for name, value in {"TOKEN": "pass", "TOKEN_FILE": str(tmp_path / "token")}.items():
        surroundings.setenv(f"AWS_CONTAINER_AUTHORIZATION_{name}", value)
        assert await found(find_by_botocore(REGION)) == AccessKey("id1", "secret", "token1")
    surroundings.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://s3.example.org/")
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION))


@pytest_twisted.ensureDeferred
async def test_a_program_may_hand_out_the_key(tmp_path: Path, logged: Callable[[], str]) -> None:
    answer = tmp_path / "answer"
    answer.write_bytes(json.dumps({"Version": 1, "AccessKeyId": "id", "SecretAccessKey": "sesame"}).encode())
    config = tmp_path / ".aws" / "config"
    config.write_text(f"[default]\ncredential_process = cat {answer}\n")
    assert await found(find_by_botocore(REGION)) == AccessKey("id", "sesame")
    config.write_text("[default]\ncredential_process = sh -c 'echo no such role >&2; exit 1'\n")
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION))
    assert "Error when retrieving credentials from custom-process: no such role" in logged()


@pytest_twisted.ensureDeferred
async def test_a_role_may_be_taken_on(tmp_path: Path, listen: Listen, surroundings: pytest.MonkeyPatch) -> None:
    def assume(request: Request) -> bytes:
        assert f"/{REGION}/sts/" in request.getHeader("Authorization")
        key = json.loads(temporary(1))
        token = f"<SessionToken>{key.pop('Token')}</SessionToken>"
        fields = "".join(f"<{name}>{value}</{name}>" for name, value in key.items())
        result = f"<AssumeRoleResult><Credentials>{fields}{token}</Credentials></AssumeRoleResult>"
        return f"<AssumeRoleResponse>{result}</AssumeRoleResponse>".encode()

    surroundings.setenv("AWS_ENDPOINT_URL_STS", listen(site(Script(POST=assume))))
    role = "[profile museum]\nrole_arn = arn:aws:iam::123456789012:role/specify\nsource_profile = default\n"
    (tmp_path / ".aws" / "config").write_text(role)
    (tmp_path / ".aws" / "credentials").write_text(profiles("default"))
    assert await found(find_by_botocore(REGION, "museum")) == AccessKey("id1", "secret", "token1")


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({"access_key_id": "ours", "secret_access_key": "s"}, {}, "ours"),
        ({}, {}, "environment"),
        ({"profile": "museum"}, {}, "museum"),
        ({}, {"AWS_ACCESS_KEY_ID": ""}, "default"),
        ({}, {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "museum"}, "museum"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_said_goes_before_what_is_found(
    tmp_path: Path,
    surroundings: pytest.MonkeyPatch,
    settings: dict[str, str],
    environ: dict[str, str],
    expected: str,
) -> None:
    (tmp_path / ".aws" / "credentials").write_text(profiles("default", "museum"))
    around = {"AWS_ACCESS_KEY_ID": "environment", "AWS_SECRET_ACCESS_KEY": "s"}
    for name, value in (around | environ).items():
        surroundings.setenv(name, value)
    assert (await found(S3Options(bucket="assets", **settings).search())).id == expected


@pytest_twisted.ensureDeferred
async def test_without_any_key_the_store_says_so(logged: Callable[[], str]) -> None:
    with pytest.raises(StoreUnavailable, match="no credentials"):
        await found(find_by_botocore(REGION))
    assert "LookupError: none of the places has any" in logged()


@pytest_twisted.ensureDeferred
async def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame\n")
    assert await found(find_in_settings("id", SecretFile(tmp_path / "secret"), None)) == AccessKey("id", "sesame")
    with pytest.raises(StoreUnavailable):
        await found(find_in_settings("id", SecretFile(tmp_path / "missing"), None))


@pytest_twisted.ensureDeferred
async def test_the_log_quotes_no_answer_of_a_service(
    listen: Listen, surroundings: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    def refuse(request: Request) -> bytes:
        request.setResponseCode(500)
        return b'{"AccessKeyId": "id", "SecretAccessKey": "sesame"'

    surroundings.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", listen(site(Script(GET=refuse))))
    with pytest.raises(StoreUnavailable):
        await found(find_by_botocore(REGION))
    assert "Received non 200 response 500 from container metadata" in logged()
    assert "sesame" not in logged()


def test_a_key_does_not_show_its_secrets() -> None:
    assert "sesame" not in repr(AccessKey("id", "sesame", "sesame"))


# -- times -------------------------------------------------------------------------------------------------------------


class Counting:
    """A search and its source, which gives the keys id1, id2, ..., and fails where its number is in `faulty`."""

    def __init__(self, *faulty: int) -> None:
        self.count = 0
        self.searches = 0
        self._faulty = faulty

    def __call__(self) -> CredentialSource:
        self.searches += 1
        return self._key

    def _key(self) -> AccessKey:
        self.count += 1
        if self.count in self._faulty:
            raise OSError("down")
        return AccessKey(f"id{self.count}", "secret")


class Held:
    """A search that takes until it is let go, in a thread."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self._go = threading.Event()

    def __call__(self) -> CredentialSource:
        return self._key

    def _key(self) -> AccessKey:
        self.threads.append(threading.current_thread())
        assert self._go.wait(60)
        return AccessKey(f"id{len(self.threads)}", "secret")

    def let_go(self) -> None:
        self._go.set()

    def hold(self) -> None:
        self._go.clear()

    async def begun(self, number: int) -> None:
        """Wait until the thread is at it for the time of this number."""
        while len(self.threads) < number:
            await deferLater(reactor, 0.01)


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.let_go()


@pytest_twisted.ensureDeferred
async def test_a_key_is_looked_at_every_minute() -> None:
    clock, search = Clock(), Counting()
    keys = CredentialCache(clock, search, TIMEOUT)
    assert (await keys.current()).id == "id1"
    clock.advance(59)
    assert (await keys.current()).id == "id1"
    clock.advance(1)
    assert (await keys.current()).id == "id2"
    assert search.searches == 1


@pytest_twisted.ensureDeferred
async def test_a_temporary_key_is_exchanged_before_it_expires(listen: Listen, surroundings: pytest.MonkeyPatch) -> None:
    lifetimes = [timedelta(minutes=5), timedelta(days=1), timedelta(days=1)]
    service = Script(GET=lambda _request: temporary(len(service.requests), lifetimes[len(service.requests) - 1]))
    surroundings.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", listen(site(service)))
    clock = Clock()
    keys = CredentialCache(clock, find_by_botocore(REGION), TIMEOUT)
    # One that ends soon is exchanged at once.
    assert (await keys.current()).id == "id2"
    clock.advance(60)
    assert (await keys.current()).id == "id2"
    assert len(service.requests) == 2


@pytest_twisted.ensureDeferred
async def test_a_key_that_cannot_be_renewed_is_used_on(logged: Callable[[], str]) -> None:
    clock, search = Clock(), Counting(2, 3)
    keys = CredentialCache(clock, search, TIMEOUT)
    await keys.current()
    clock.advance(60)
    assert (await keys.current()).id == "id1"
    assert (await keys.current()).id == "id1"  # not asked again at once
    assert search.count == 2
    clock.advance(30)
    assert (await keys.current()).id == "id1"
    clock.advance(30)
    assert (await keys.current()).id == "id4"
    assert logged().count("could not be obtained: OSError: down") == 2


@pytest_twisted.ensureDeferred
async def test_all_that_wait_in_vain_are_told_by_one_search() -> None:
    clock, search = Clock(), Counting(1)
    keys = CredentialCache(clock, search, TIMEOUT)
    waiting = [Deferred.fromCoroutine(keys.current()) for _ in range(5)]
    for each in waiting:
        with pytest.raises(StoreUnavailable):
            await each
    assert search.count == 1
    clock.advance(3)
    assert (await keys.current()).id == "id2"


@pytest_twisted.ensureDeferred
async def test_a_key_that_was_refused_is_forgotten_once() -> None:
    clock, search = Clock(), Counting()
    keys = CredentialCache(clock, search, TIMEOUT)
    first = await keys.current()
    assert keys.forget(first)
    second = await keys.current()
    assert search.searches == 2
    assert keys.forget(first)
    assert await keys.current() == second
    assert second.id == "id2"
    assert not keys.forget(second, age=60)
    clock.advance(60)
    assert keys.forget(second, age=60)
    assert (await keys.current()).id == "id3"


@pytest_twisted.ensureDeferred
async def test_the_search_is_in_a_thread_and_has_a_time_limit(held: Held, logged: Callable[[], str]) -> None:
    clock = Clock()
    keys = CredentialCache(clock, held, TIMEOUT)
    waiting = [Deferred.fromCoroutine(keys.current()) for _ in range(3)]
    await held.begun(1)
    assert held.threads[0] is not threading.current_thread()
    assert held.threads[0].daemon
    clock.advance(TIMEOUT)
    for each in waiting:
        with pytest.raises(StoreUnavailable):
            await each
    assert "could not be obtained: it takes too long" in logged()
    held.let_go()
    clock.advance(3)
    assert (await keys.current()).id == "id2"


@pytest_twisted.ensureDeferred
async def test_a_request_that_is_cancelled_takes_the_key_from_nobody(held: Held) -> None:
    keys = CredentialCache(Clock(), held, TIMEOUT)
    first, second = (Deferred.fromCoroutine(keys.current()) for _ in range(2))
    await held.begun(1)
    first.cancel()
    with pytest.raises(CancelledError):
        await first
    held.let_go()
    assert (await second).id == "id2"


@pytest_twisted.ensureDeferred
async def test_requests_do_not_wait_while_a_key_is_renewed(held: Held) -> None:
    clock = Clock()
    keys = CredentialCache(clock, held, TIMEOUT * 100)
    held.let_go()
    await keys.current()
    held.hold()
    clock.advance(60)
    renewing = Deferred.fromCoroutine(keys.current())
    await held.begun(2)
    assert (await keys.current()).id == "id1"
    clock.advance(240)
    late = Deferred.fromCoroutine(keys.current())
    held.let_go()
    assert [key.id for key in await gatherResults([renewing, late])] == ["id2", "id2"]

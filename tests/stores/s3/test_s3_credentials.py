"""Where the keys to a bucket come from, and when they are fetched anew."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.task import Clock
from twisted.web.server import Request

from tests.support.scripted import Listen, Script, site
from was_daemon.model.errors import StoreUnavailable
from was_daemon.stores.s3.credentials import (
    AccessKey,
    Keys,
    Source,
    fixed,
    from_container,
    from_environment,
    from_file,
    from_instance,
    usual_sources,
)
from was_daemon.stores.s3.options import S3Options

HOUR = 3600


def temporary(number: int, expires: float) -> str:
    """What the services say."""
    moment = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'{{"AccessKeyId": "id{number}", "SecretAccessKey": "secret", "Token": "token{number}",'
        f' "Expiration": "{moment}", "Code": "Success"}}'
    )


class Metadata:
    """The metadata service of a machine that has a role, if it is told a session first."""

    def __init__(self, answer: Callable[[int], str], role: str | None = "specify") -> None:
        self.count = 0
        self._answer = answer
        self._role = role
        self.script = Script(PUT=self._session, GET=self._get)

    def _session(self, request: Request) -> bytes:
        assert request.path == b"/latest/api/token"
        assert request.getHeader("X-aws-ec2-metadata-token-ttl-seconds")
        return b"session"

    def _get(self, request: Request) -> bytes:
        assert request.getHeader("X-aws-ec2-metadata-token") == "session"
        where = b"/latest/meta-data/iam/security-credentials/"
        if self._role is None:
            request.setResponseCode(404)
            return b""
        if request.path == where:
            return f"{self._role}\n".encode()
        assert request.path == where + self._role.encode()
        self.count += 1
        return self._answer(self.count).encode()


def environment_for(url: str) -> dict[str, str]:
    """One that leads to the fake service."""
    return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}


# -- places ------------------------------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_the_environment_has_the_usual_names() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert await from_environment(environ)() == AccessKey("id", "secret")
    assert await from_environment(environ | {"AWS_SESSION_TOKEN": "t"})() == AccessKey("id", "secret", "t")
    assert await from_environment({"AWS_ACCESS_KEY_ID": "id"})() is None


@pytest_twisted.ensureDeferred
async def test_a_file_has_profiles(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = id\naws_secret_access_key = se%cret\n"
        "[museum]\naws_access_key_id=m\naws_secret_access_key=n\naws_session_token=t\n[empty]\n"
    )
    assert await from_file({"AWS_SHARED_CREDENTIALS_FILE": str(file)})() == AccessKey("id", "se%cret")
    named = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "museum"}
    assert await from_file(named)() == await from_file({}, file, "museum")() == AccessKey("m", "n", "t")
    assert await from_file({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")})() is None
    for path, profile in ((file, "empty"), (file, "missing"), (tmp_path / "none", None)):
        with pytest.raises(StoreUnavailable):
            await from_file({}, path, profile)()
    file.write_text("no ini file")
    with pytest.raises(StoreUnavailable):
        await from_file({}, file)()
    file.write_text("[default]\naws_access_key_id = id\naws_secret_access_key = secret\n")
    file.chmod(0o666)
    with pytest.raises(StoreUnavailable):
        await from_file({}, file)()


@pytest_twisted.ensureDeferred
async def test_a_machine_in_a_cloud_has_a_role(listen: Listen) -> None:
    service = Metadata(lambda number: temporary(number, 2_000_000_000))
    environ = environment_for(listen(site(service.script)))
    expected = AccessKey("id1", "secret", "token1", 2_000_000_000)
    assert await from_instance(environ)() == expected
    assert await from_instance(environ | {"AWS_EC2_METADATA_DISABLED": "true"})() is None
    roleless = Metadata(lambda _number: "", role=None)
    assert await from_instance(environment_for(listen(site(roleless.script))))() is None
    assert await from_instance(environment_for("http://127.0.0.1:1"))() is None
    broken = Metadata(lambda _number: '{"Code": "Failed"}')
    with pytest.raises(StoreUnavailable):
        await from_instance(environment_for(listen(site(broken.script))))()


@pytest_twisted.ensureDeferred
async def test_a_container_is_told_an_address_and_a_password(listen: Listen, tmp_path: Path) -> None:
    def get(request: Request) -> bytes:
        assert request.path == b"/v1/credentials"
        assert request.getHeader("Authorization") == "pass"
        return temporary(1, 2_000_000_000).encode()

    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": listen(site(Script(GET=get))) + "v1/credentials"}
    (tmp_path / "token").write_text("pass\n")
    for token in ({"TOKEN": "pass"}, {"TOKEN_FILE": str(tmp_path / "token")}):
        asked = environ | {f"AWS_CONTAINER_AUTHORIZATION_{name}": value for name, value in token.items()}
        assert await from_container(asked)() == AccessKey("id1", "secret", "token1", 2_000_000_000)
    assert await from_container({})() is None
    with pytest.raises(StoreUnavailable):
        await from_container({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://s3.example.org/"})()


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
    tmp_path: Path, settings: dict[str, str], environ: dict[str, str], expected: str
) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        "".join(f"[{name}]\naws_access_key_id={name}\naws_secret_access_key=s\n" for name in ("default", "museum"))
    )
    around = {
        "AWS_ACCESS_KEY_ID": "environment",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    keys = Keys(Clock(), S3Options(bucket="assets", **settings).sources(around | environ))
    assert (await keys.current()).id == expected


@pytest_twisted.ensureDeferred
async def test_without_any_key_the_store_says_so() -> None:
    nothing = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.raises(StoreUnavailable, match="no credentials"):
        await Keys(Clock(), usual_sources(nothing)).current()


@pytest_twisted.ensureDeferred
async def test_a_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sesame\n")
    assert await fixed("id", tmp_path / "secret", None)() == AccessKey("id", "sesame")
    with pytest.raises(StoreUnavailable):
        await fixed("id", tmp_path / "missing", None)()


# -- times -------------------------------------------------------------------------------------------------------------


def counting(clock: Clock, lifetime: float, faulty: Mapping[int, StoreUnavailable] | None = None) -> Source:
    """Gives keys id1, id2, ... that last so many seconds; raises what `faulty` has for a call."""
    count = 0

    def source() -> Awaitable[AccessKey | None]:
        async def get() -> AccessKey:
            nonlocal count
            count += 1
            if faulty and count in faulty:
                raise faulty[count]
            return AccessKey(f"id{count}", "secret", None, clock.seconds() + lifetime)

        return get()

    return source


@pytest_twisted.ensureDeferred
async def test_a_temporary_key_is_exchanged_before_it_expires() -> None:
    clock = Clock()
    keys = Keys(clock, [counting(clock, HOUR)])
    assert (await keys.current()).id == "id1"
    clock.advance(HOUR - 301)
    assert (await keys.current()).id == "id1"
    clock.advance(2)
    assert (await keys.current()).id == "id2"
    assert (await keys.current(lasting=HOUR + 1)).id == "id2"
    clock.advance(60)
    assert (await keys.current(lasting=HOUR - 30)).id == "id3"


@pytest_twisted.ensureDeferred
async def test_a_key_that_cannot_be_exchanged_is_used_to_its_end() -> None:
    clock = Clock()
    down = StoreUnavailable("down")
    keys = Keys(clock, [counting(clock, HOUR, {2: down, 3: down, 4: down})])
    await keys.current()
    clock.advance(HOUR - 100)
    assert (await keys.current()).id == "id1"
    assert (await keys.current()).id == "id1"  # not asked again at once
    clock.advance(50)
    assert (await keys.current()).id == "id1"
    clock.advance(60)
    with pytest.raises(StoreUnavailable):
        await keys.current()
    assert (await keys.current()).id == "id5"


@pytest_twisted.ensureDeferred
async def test_a_key_that_was_refused_is_forgotten_once() -> None:
    clock = Clock()
    keys = Keys(clock, [counting(clock, HOUR)])
    first = await keys.current()
    assert keys.forget(first)
    second = await keys.current()
    assert keys.forget(first)
    assert await keys.current() == second
    assert second.id == "id2"
    assert not keys.forget(second, age=60)
    clock.advance(60)
    assert keys.forget(second, age=60)
    assert (await keys.current()).id == "id3"


def test_a_key_does_not_show_its_secrets() -> None:
    assert "sesame" not in repr(AccessKey("id", "sesame", "sesame"))

"""Collections of several institutions on one server, each with a key of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.conftest import RunDaemon
from tests.daemon.test_reload import reload
from tests.support.client import Answer, Client, Form, file_part, text_part
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.http_contract import check_allowed_everywhere, check_refused, gather, new_name

FISH_KEY, BIRD_KEY = "the key of the fishes: ü", "the key of the birds"
SIZE = 1 << 20


def hosted(directory: Path) -> dict[str, dict[str, object]]:
    """The collections of a configuration, two of which have keys of their own; one in a file below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    key_file = directory / "birds.key"
    key_file.write_text(f"{BIRD_KEY}\n", "utf-8")
    key_file.chmod(0o600)
    return {
        "Fish": {"directory": "Ichthyology", "key": FISH_KEY},
        "Birds": {"directory": "Ornithology", "key_file": str(key_file)},
    }


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose key is for the collection that has none of its own; reading needs a token."""
    directory = tmp_path_factory.mktemp("hosted")
    collections = {**hosted(directory), "Plants": {"directory": "Botany"}}
    server = {"require_token_for_get": True, "static_access": False}
    daemon = Daemon(directory, {"server": server, "collections": {"mode": "map", "map": collections}}).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has no key but those of its collections."""
    directory = tmp_path_factory.mktemp("keyless")
    config = {"server": {"key": None}, "collections": {"mode": "map", "map": hosted(directory)}}
    daemon = Daemon(directory, config).start()
    yield daemon
    daemon.stop()


@pytest.fixture
def fish(daemon: Daemon) -> Client:
    return Client(daemon.url, FISH_KEY)


@pytest.fixture
def birds(daemon: Daemon) -> Client:
    return Client(daemon.url, BIRD_KEY)


@pytest.fixture
def plants(daemon: Daemon) -> Client:
    return Client(daemon.url, KEY)


async def everything(client: Client, name: str, coll: str | None) -> list[Answer]:
    """The answers to all that needs a token of a collection."""
    token = client.token(name)
    return [
        await client.upload_like_specify7(name, b"a", coll=coll),
        await client.upload_like_specify6(name, b"a", coll=coll or ""),
        await client.original(name, coll=coll, token=token),
        await client.thumbnail(name, 60, coll=coll, token=token),
        await client.metadata(name, coll=coll, token=token),
        await client.delete(name, coll=coll),
    ]


@pytest_twisted.ensureDeferred
async def test_each_collection_goes_by_its_own_key(fish: Client, birds: Client, plants: Client) -> None:
    name = new_name(".txt")
    for client, coll in ((fish, "Fish"), (birds, "Birds"), (plants, "Plants")):
        await client.store(name, coll.encode(), coll=coll)
        assert (await client.upload_like_specify6(name, coll.encode(), coll=coll)).body == b"Ok."
        token = client.token(name)
        assert (await client.original(name, coll=coll, token=token)).body == coll.encode()
        assert (await client.metadata(name, coll=coll, token=token)).json == []
    for client, coll in ((fish, "Fish"), (birds, "Birds"), (plants, "Plants")):
        assert (await client.delete(name, coll=coll)).body == b"Ok."


@pytest_twisted.ensureDeferred
async def test_a_token_signed_with_the_key_of_another_collection_is_refused(
    daemon: Daemon, fish: Client, birds: Client, plants: Client
) -> None:
    name = new_name()
    owners = {"Fish": fish, "Birds": birds, "Plants": plants}
    for coll, owner in owners.items():
        await owner.store(name, coll.encode(), coll=coll)
        for stranger in (fish, birds, plants, Client(daemon.url, "nobody's key")):
            if stranger is not owner:
                for answer in await everything(stranger, name, coll):
                    check_refused(answer, 403, stranger.key)
        assert (await owner.original(name, coll=coll, token=owner.token(name))).body == coll.encode()


@pytest_twisted.ensureDeferred
async def test_whoever_has_no_key_of_the_server_cannot_tell_which_collections_there_are(
    daemon: Daemon, fish: Client, keyless: Daemon
) -> None:
    for client in (fish, Client(daemon.url, "nobody's key"), Client(keyless.url, FISH_KEY)):
        there, missing = [await everything(client, new_name(), coll) for coll in ("Birds", "Reptiles")]
        if client.base_url == keyless.url:
            # Reading needs no token there, so collections are no secret either.
            there, missing = [[*answers[:2], answers[-1]] for answers in (there, missing)]
        for one, other in zip(there, missing, strict=True):
            check_refused(one, 403, client.key)
            assert (one.status, one.body) == (other.status, other.body)


@pytest_twisted.ensureDeferred
async def test_the_servers_key_is_told_that_a_collection_is_unknown_or_missing(plants: Client) -> None:
    for coll in ("Reptiles", "", None):
        for answer in await everything(plants, new_name(), coll):
            check_refused(answer, 404, KEY)


@pytest_twisted.ensureDeferred
async def test_every_key_is_right_when_specify_7_starts(daemon: Daemon, keyless: Daemon) -> None:
    for url, keys in ((daemon.url, (FISH_KEY, BIRD_KEY, KEY)), (keyless.url, (FISH_KEY, BIRD_KEY))):
        for key in keys:
            client = Client(url, key)
            assert (await client.get("/testkey", random="x", token=client.token("x"))).body == b"Ok."
            old = await client.get("/testkey", random="x", token=client.token("x", 1))
            check_refused(old, 403, key)
            assert "time" in old.text
        client = Client(url, "nobody's key")
        for token in (client.token("x"), "a:1", "", None):
            check_refused(await client.get("/testkey", random="x", token=token), 403, client.key)


@pytest_twisted.ensureDeferred
async def test_without_a_key_of_the_server_collections_work_alike(keyless: Daemon) -> None:
    name = new_name()
    for key, coll in ((FISH_KEY, "Fish"), (BIRD_KEY, "Birds")):
        client = Client(keyless.url, key)
        await client.store(name, coll.encode(), coll=coll)
        assert (await client.original(name, coll=coll)).body == coll.encode()
        assert (await client.delete(name, coll=coll)).body == b"Ok."
    assert KEY not in keyless.log()
    assert FISH_KEY not in keyless.log()
    assert "The key is each collection's own" in keyless.log()


def test_a_token_of_nobodys_is_refused_before_the_file_comes(daemon: Daemon, fish: Client, birds: Client) -> None:
    name = new_name()
    stranger = Client(daemon.url, "nobody's key")
    fields = {"store": name, "type": "O"}
    for client, more in ((stranger, {}), (birds, {"coll": "Fish"})):
        texts = {**fields, "token": client.token(name), **more}
        form = Form.of(*(text_part(*each) for each in texts.items()), file_part())
        with client.connect() as connection:
            connection.send(form.head(SIZE) + form.before)
            answer = connection.answer()
        check_refused(answer, 403, client.key)
        check_allowed_everywhere(answer)


@pytest_twisted.ensureDeferred
async def test_the_collection_may_come_before_the_file_or_after_it(daemon: Daemon, fish: Client, birds: Client) -> None:
    name = new_name()
    for client, status in ((fish, 200), (birds, 403)):
        fields = {"store": name, "token": client.token(name), "type": "O"}
        texts = [text_part(*each) for each in fields.items()]
        coll = text_part("coll", "Fish")
        for parts in ([*texts, file_part(), coll], [coll, file_part(), *texts], [*texts, coll, file_part()]):
            assert (await client.upload(Form.of(*parts), b"a")).status == status
    eventually(lambda: not list(daemon.store.rglob(".staging/*")), "for the staging files to go")


@pytest.mark.slow
def test_sixty_collections_on_sixty_stores_are_a_small_matter(run_daemon: RunDaemon, tmp_path: Path) -> None:
    numbers = range(60)
    stores = {f"store{number}": {"plugin": "filesystem", "path": str(tmp_path / f"{number}")} for number in numbers}
    collections = {
        f"C{number}": {"directory": f"C{number}", "store": f"store{number}", "key": f"key {number}", "quota": "1 KiB"}
        for number in numbers
    }
    config = {"server": {"key": None}, "stores": stores, "collections": {"mode": "map", "map": collections}}
    daemon = run_daemon(config)
    tasks = Path(f"/proc/{daemon.pid}/task")
    # A look at each store, and counts of a few: not all threads that each may have.
    assert len(list(tasks.iterdir())) < 3 * len(numbers)
    eventually(lambda: len(list(tasks.iterdir())) == 1, "for the threads to end")
    for number in numbers:
        assert upload(daemon, f"key {number}", f"C{number}") == 200
    assert upload(daemon, "key 1", "C2") == 403
    config["collections"]["map"]["New"] = {"directory": "New", "store": "store0", "key": "new"}
    reload(daemon, config)
    assert upload(daemon, "new", "New") == 200
    eventually(lambda: len(list(tasks.iterdir())) == 1, "for the threads to end")


def upload(daemon: Daemon, key: str, coll: str) -> int:
    client = Client(daemon.url, key)
    form = client.specify7_form("a.jpg", coll=coll)
    return client.raw(form.head(1, "Connection: close") + form.around(b"a")).status


@pytest_twisted.ensureDeferred
async def test_collections_do_not_get_into_each_others_way(fish: Client, birds: Client, plants: Client) -> None:
    name = new_name()
    owners = {"Fish": fish, "Birds": birds, "Plants": plants}
    uploads = [owner.upload_like_specify7(name, coll.encode(), coll=coll) for coll, owner in owners.items()]
    assert [answer.body for answer in await gather(*uploads)] == [b"Ok."] * 3
    for coll, owner in owners.items():
        assert (await owner.original(name, coll=coll, token=owner.token(name))).body == coll.encode()

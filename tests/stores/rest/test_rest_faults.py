"""What the REST store makes of DAMs that err, lie, or lead elsewhere."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.stores.rest.conftest import Connect
from tests.support.scripted import Listen, Script, site
from tests.support.scripted_dam import SECRET, Says, ScriptedDAM, found, item
from was_daemon.model.errors import (
    AssetError,
    AssetNotFound,
    NoSpace,
    StoreFailed,
    StoreTimeout,
    StoreUnavailable,
)
from was_daemon.model.interfaces import ISizes
from was_daemon.model.keys import Kind
from was_daemon.testing.contract import original
from was_daemon.testing.streams import chunked, collect, read_asset

KEY = original("a.jpg")


async def error_of(call: Any, kind: type[AssetError] = StoreFailed) -> str:
    """What an operator is told by the error of `call`; clients see no address and no secret in it."""
    with pytest.raises(kind) as caught:
        await call
    assert "127.0.0.1" not in str(caught.value)
    told = f"{caught.value} ({caught.value.reason})"
    assert SECRET not in told
    assert "\n" not in told
    return told


# -- answers that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Says(b"<html>Who are you?</html>"), "no JSON"),
        (Says(b""), "no JSON"),
        (Says(b"[" * 100_000), "no JSON"),
        (Says(b'{"items": [{"id": 1}'), "no JSON"),
        (Says(b"\xff\xfe"), "no JSON"),
        (Says({"results": []}), 'no list at "/items"'),
        (Says({"items": {"7": item()}}), 'no list at "/items"'),
        (Says([]), 'no list at "/items"'),
        (Says({"items": "a.jpg"}), 'no list at "/items"'),
        (Says(b'{"items": [], "next": {"a": 1}}'), 'no text at "/next"'),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else None,
)
@pytest_twisted.ensureDeferred
async def test_results_that_are_none_are_an_error_and_not_an_empty_list(
    connect: Connect, dam: ScriptedDAM, answer: Says, told: str
) -> None:
    store = connect()
    dam.answers |= {"GET /search": answer, "GET /list": answer}
    assert told in await error_of(store.stat(KEY))
    assert told in await error_of(collect(store.list("", Kind.ORIGINAL)))


@pytest_twisted.ensureDeferred
async def test_results_of_any_length_are_not_kept_in_memory(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect()
    dam.answers["GET /search"] = Says(b'{"items": [' + b" " * (17 << 20) + b"]}")
    assert "too long" in await error_of(store.stat(KEY))


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (item(size=None), 'no number of bytes at "/size"'),
        (item(size=-1), "/size"),
        (item(size=5.5), "/size"),
        (item(size=True), "/size"),
        (item(size="5 KB"), "/size"),
        (item(size=1 << 70), "/size"),
        ({"id": 7, "name": "a.jpg", "modified": 1}, "/size"),
        ({"name": "a.jpg", "size": 5}, 'no text at "/id"'),
        (item(number=None), "/id"),
        (item(number=[7]), "/id"),
        (item(number=True), "/id"),
        (item(number=""), "/id"),
        (item(number="\ud800"), "/id"),
        (item() | {"modified": "yesterday"}, 'no time at "/modified"'),
        (item() | {"modified": 1e300}, "/modified"),
        (item() | {"modified": [2026]}, "/modified"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else None,
)
@pytest_twisted.ensureDeferred
async def test_what_is_missing_in_an_answer_or_of_another_type_is_named(
    connect: Connect, dam: ScriptedDAM, one: dict[str, Any], told: str
) -> None:
    store = connect()
    dam.answers["GET /search"] = found(one)
    assert told in await error_of(store.stat(KEY))


@pytest_twisted.ensureDeferred
async def test_items_of_other_assets_and_of_none_are_passed_over(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect()
    others = [None, 7, "a.jpg", [], {}, item(name="a.JPG"), item(name="xa.jpg"), {"id": 1, "name": ["a.jpg"]}]
    dam.answers["GET /search"] = found(*others, item(8))
    dam.answers["GET /list"] = found(*others, item(8), item(9, ".hidden"), item(10, "in/folder"), item(11, "\ud800"))
    assert (await store.stat(KEY)).etag == "8"
    assert sorted(key.name for key in await collect(store.list("", Kind.ORIGINAL))) == ["a.JPG", "a.jpg", "xa.jpg"]


@pytest_twisted.ensureDeferred
async def test_no_results_may_be_null_or_an_answer_of_its_own(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(no_results=["404 /code = nothing", "/total = 0"])
    for answer in (Says({"items": None}), Says({"code": "nothing"}, 404), Says({"total": 0})):
        dam.answers |= {"GET /search": answer, "GET /list": answer}
        await error_of(store.stat(KEY), AssetNotFound)
        assert await collect(store.list("", Kind.ORIGINAL)) == []
    dam.answers["GET /search"] = Says({"code": "no such address"}, 404)
    assert "status 404" in await error_of(store.stat(KEY))


# -- ids and addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "sent"),
    [(7, "7"), ("a b/c?d#e%f", "a%20b%2Fc%3Fd%23e%25f"), ("é", "%C3%A9"), ("..a", "..a"), (10**25, "1" + "0" * 25)],
)
@pytest_twisted.ensureDeferred
async def test_an_id_is_sent_as_it_is_whatever_signs_it_has(
    connect: Connect, dam: ScriptedDAM, number: Any, sent: str
) -> None:
    store = connect()
    dam.answers["GET /search"] = found(item(number))
    dam.answers[f"GET /files/{sent}"] = Says(b"bytes")
    assert await read_asset(store, KEY) == b"bytes"


@pytest_twisted.ensureDeferred
async def test_addresses_of_the_settings_may_have_any_letters(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(search="/søk?på={name}")
    dam.answers["GET /s%C3%B8k"] = found()
    await error_of(store.stat(original("å.jpg")), AssetNotFound)
    assert dam.lines() == ["GET /s%C3%B8k?p%C3%A5=%C3%A5.jpg"]


@pytest.mark.parametrize("number", [".", ".."])
@pytest_twisted.ensureDeferred
async def test_an_id_that_leads_to_another_address_is_refused(connect: Connect, dam: ScriptedDAM, number: str) -> None:
    store = connect()
    dam.answers["GET /search"] = found(item(number))
    assert f"id is {number}" in await error_of(store.delete(KEY))
    assert not [line for line in dam.lines() if line.startswith("DELETE")]


@pytest_twisted.ensureDeferred
async def test_a_name_is_encoded_once_in_queries_forms_and_json(connect: Connect, dam: ScriptedDAM) -> None:
    key = original('50% "of" {name}&é+.jpg')
    dam.answers["POST /search"] = found()
    for body in ('{"q": {"name": "{name}", "in": ["{folder}", 1, null]}}', "q={name}&in={folder}"):
        await error_of(connect(search=f"POST /search?name={{name}} {body}").stat(key), AssetNotFound)
    as_json, as_form = dam.heard
    assert json.loads(dam.bodies[0]) == {"q": {"name": key.name, "in": ["originals", 1, None]}}
    assert as_json.getHeader("Content-Type") == "application/json"
    assert as_form.args == {b"name": [key.name.encode()], b"q": [key.name.encode()], b"in": [b"originals"]}


@pytest_twisted.ensureDeferred
async def test_secrets_go_to_the_server_of_the_settings_alone(
    connect: Connect, dam: ScriptedDAM, listen: Listen, logged: Callable[[], str]
) -> None:
    bucket = Script(GET=lambda _request: b"bytes", PUT=200)
    elsewhere = listen(site(bucket))
    dam.answers["GET /search"] = found(item(url=f"{elsewhere}signed?signature=abc"))
    dam.answers["GET /files/7"] = Says(b"", 302, {"Location": f"{elsewhere}signed?signature=abc"})

    assert "origins" in await error_of(read_asset(connect(), KEY))
    assert "origins" in await error_of(read_asset(connect(get="{/url}"), KEY))
    assert bucket.requests == []

    for store in (connect(origins=[elsewhere]), connect(origins=[elsewhere], get="{/url}")):
        assert await read_asset(store, KEY) == b"bytes"
    assert [request.uri for request in bucket.requests] == [b"/signed?signature=abc"] * 2
    assert all(request.getHeader("X-Key") is None for request in bucket.requests)
    assert {request.getHeader("X-Key") for request in dam.heard} == {SECRET}
    ours = [line for line in logged().splitlines() if not line.startswith('"127.0.0.1"')]
    assert any("not in origins" in line for line in ours)
    assert not any(SECRET in line or "signature=abc" in line for line in ours)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://[::1]/", "http://a:b/", "//", ""]
)
@pytest_twisted.ensureDeferred
async def test_an_address_that_is_none_is_an_error(connect: Connect, dam: ScriptedDAM, address: str) -> None:
    store = connect(get="{/url}")
    dam.answers["GET /search"] = found(item(url=address))
    await error_of(read_asset(store, KEY))


@pytest_twisted.ensureDeferred
async def test_redirects_come_to_an_end(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect()
    dam.answers["GET /search"] = found(item())
    dam.answers["GET /files/7"] = Says(b"", 302, {"Location": "/files/7"})
    assert "redirects" in await error_of(read_asset(store, KEY))
    dam.answers["POST /files"] = Says(b"", 302, {"Location": "/login"})
    dam.answers["GET /search"] = found()
    assert "redirect" in await error_of(store.write(KEY, chunked(b"bytes")))


# -- pages -------------------------------------------------------------------------------------------------------------


def paged(**by_argument: Says) -> Callable[[Request], Says]:
    """Answer by the value of the argument `p`, as in `p1`."""

    def answer(request: Request) -> Says:
        return by_argument[f"p{request.args.get(b'p', [b''])[0].decode()}"]

    return answer


@pytest.mark.parametrize(
    ("changes", "pages"),
    [
        (
            {"next": "/next", "list": "/list?p=1"},
            {"p1": found(item(1, "1"), next="?p=2"), "p2": found(item(2, "2"), next="/list?p=3"), "p3": found()},
        ),
        (
            {"next": "Link", "list": "/list?p=1"},
            {
                "p1": Says({"items": [item(1, "1")]}, headers={"Link": '</x>; rel="first", <?p=2>; rel="last next"'}),
                "p2": Says({"items": [item(2, "2")]}, headers={"Link": '<?p=1>; title="a, b"; rel=prev'}),
            },
        ),
        (
            {"list": "/list?p={cursor}"},
            {"p": found(item(1, "1"), next="x/1"), "px/1": found(next=17), "p17": found(item(2, "2"), next="")},
        ),
        (
            {"next": None, "list": "/list?p={page}", "search": "/search?p={page}", "first_page": 0},
            {"p0": found(item(1, "1")), "p1": found(item(2, "2")), "p2": found()},
        ),
        (
            {"next": "/more", "list": "/list?p={offset}"},
            {"p0": found(item(1, "1"), item(0, "0"), more=True), "p2": found(item(2, "2"), more=False)},
        ),
        (
            {"next": None, "list": "/list?p={after}", "search": "/search?p={after}"},
            {"p": found(item(1, "1")), "p1": found(item(2, "2")), "p2": found()},
        ),
        ({"next": "none", "list": "/list?p=1"}, {"p1": found(item(1, "1"), item(2, "2"), next="?p=2")}),
    ],
    ids=["link", "header", "cursor", "page", "offset", "after", "none"],
)
@pytest_twisted.ensureDeferred
async def test_pages_are_asked_for_in_the_way_of_the_dam(
    connect: Connect, dam: ScriptedDAM, changes: dict[str, Any], pages: dict[str, Says]
) -> None:
    store = connect(**changes)
    dam.answers["GET /list"] = paged(**pages)
    names = {key.name for key in await collect(store.list("", Kind.ORIGINAL))}
    assert names - {"0"} == {"1", "2"}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"next": None, "list": "/list?p={page}", "search": "/search?p={page}"}, found(item())),
        ({"next": None, "list": "/list?p={offset}", "search": "/search?p={offset}"}, found(item())),
        ({"next": None, "list": "/list?p={after}", "search": "/search?p={after}"}, found(item())),
        ({"list": "/list?p={cursor}"}, found(item(), next="same")),
        ({"list": "/list"}, found(item(), next="/list")),
        ({"list": "/list"}, found(next="/list")),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_page_that_comes_again_is_an_error(
    connect: Connect, dam: ScriptedDAM, changes: dict[str, Any], answer: Says
) -> None:
    store = connect(**changes)
    dam.answers["GET /list"] = answer
    assert "again" in (told := await error_of(collect(store.list("", Kind.ORIGINAL)))) or "circle" in told
    assert len(dam.heard) <= 3


@pytest_twisted.ensureDeferred
async def test_a_search_that_finds_everything_is_given_up(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(search="/search?p={page}", next=None, list="/list?p={page}")
    dam.answers["GET /search"] = lambda request: found(*[item(request.args[b"p"][0].decode(), "b")] * 3000)
    assert "finds too much" in await error_of(store.stat(KEY))


@pytest_twisted.ensureDeferred
async def test_the_next_page_is_not_asked_for_elsewhere(connect: Connect, dam: ScriptedDAM, listen: Listen) -> None:
    other = Script(GET=lambda _request: b'{"items": []}')
    store = connect()
    dam.answers["GET /list"] = found(next=listen(site(other)))
    assert "origins" in await error_of(collect(store.list("", Kind.ORIGINAL)))
    assert other.requests == []


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, StoreUnavailable), (403, StoreUnavailable), (429, StoreUnavailable), (500, StoreFailed), (507, NoSpace)],
)
@pytest_twisted.ensureDeferred
async def test_the_dams_own_words_go_to_the_operator_without_the_secret(
    connect: Connect, dam: ScriptedDAM, logged: Callable[[], str], status: int, kind: type[AssetError]
) -> None:
    store = connect()
    dam.answers["GET /search"] = Says({"message": f"The key {SECRET}\n is not good"}, status)
    assert "The key ... is not good" in await error_of(store.stat(KEY), kind)
    assert "The key ... is not good" in logged()
    assert SECRET not in logged()


@pytest_twisted.ensureDeferred
async def test_an_error_with_status_200_is_an_error(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(failed=["/stat = fail", "/error"], missing=["404", "/err = 404"])
    for document in ({"stat": "fail", "message": "No."}, {"error": {"code": 7}, "message": "No."}):
        dam.answers |= {"GET /search": Says(document), "POST /files": Says(document)}
        assert "No." in await error_of(store.stat(KEY))
        dam.answers["GET /search"] = found()
        assert "No." in await error_of(store.write(KEY, chunked(b"bytes")))
        dam.answers |= {"GET /search": found(item()), "DELETE /files/7": Says(document)}
        assert "No." in await error_of(store.delete(KEY))
    dam.answers |= {"GET /search": found(item()), "DELETE /files/7": Says({"stat": "fail", "err": 404})}
    await error_of(store.delete(KEY), AssetNotFound)


@pytest_twisted.ensureDeferred
async def test_a_dam_that_does_not_answer_is_given_up(connect: Connect, listen: Listen) -> None:
    silent = Script(GET=lambda _request: NOT_DONE_YET)
    store = connect(url=listen(site(silent)).rstrip("/"), timeout=0.2)
    for call in (store.stat(KEY), store.check(), collect(store.list("", Kind.ORIGINAL))):
        await error_of(call, StoreTimeout)
    for request in silent.requests:
        request.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_a_secret_that_cannot_be_read_says_what_to_do(connect: Connect, logged: Callable[[], str]) -> None:
    store = connect(secrets={"key": "nowhere"})
    assert "secret or certificate file cannot be read" in await error_of(store.check(), StoreUnavailable)
    assert "nowhere" in logged()


# -- the check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({}, "status 404"),
        ({"GET /list": found()}, "status 404"),
        ({"GET /list": found(), "GET /search": Says(b"<html>")}, "no JSON"),
        ({"GET /list": Says({}), "GET /search": found()}, 'no list at "/items"'),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_check_finds_wrong_addresses_and_pointers(
    connect: Connect, dam: ScriptedDAM, answers: dict[str, Says], told: str
) -> None:
    store = connect()
    dam.answers |= answers
    assert told in await error_of(store.check(), StoreUnavailable)


@pytest_twisted.ensureDeferred
async def test_the_check_writes_nothing_and_asks_what_it_is_told_to(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(check="/me?may=write")
    dam.answers |= {"GET /list": found(), "GET /search": found(), "GET /me": Says({}, 403)}
    assert "permission" in await error_of(store.check(), StoreUnavailable)
    dam.answers["GET /me"] = Says()
    await store.check()
    assert {request.method for request in dam.heard} == {b"GET"}


@pytest_twisted.ensureDeferred
async def test_a_server_that_has_everything_is_found_out(connect: Connect, listen: Listen) -> None:
    def head(request: Request) -> bytes:
        request.setHeader("ETag", '"1"')
        request.setHeader("Content-Length", "1")
        return b""

    everything = Script(GET=lambda _request: b"[]", HEAD=head)
    plain = {"search": None, "id": None, "size": None, "modified": None, "items": "", "next": "none"}
    addresses = dict.fromkeys(("get", "put", "delete"), "/files/{path}")
    store = connect(url=listen(site(everything)).rstrip("/"), **plain, **addresses)
    assert "nobody has ever uploaded" in await error_of(store.check(), StoreUnavailable)


# -- uploads -----------------------------------------------------------------------------------------------------------


class Keeping(ScriptedDAM):
    """A DAM that keeps what is uploaded, unless `spoil` changes it, and tells what it has."""

    def __init__(self, spoil: Callable[[bytes], bytes] = lambda content: content) -> None:
        super().__init__()
        self.spoil = spoil
        self.kept: dict[int, bytes] = {}
        self.answers = {"GET /search": self._search, "GET /list": self._search, "POST /files": self._post}

    def _search(self, _request: Request) -> Says:
        sums = {number: hashlib.sha256(content).hexdigest().upper() for number, content in self.kept.items()}
        return found(*[item(number, size=len(content), sum=sums[number]) for number, content in self.kept.items()])

    def _post(self, request: Request) -> Says:
        body: Any = request.content
        number = 7 + len(self.heard)
        self.kept[number] = self.spoil(body.read())
        self.answers[f"DELETE /files/{number}"] = lambda _request: Says({"was": len(self.kept.pop(number))})
        return Says({"asset": {"id": number}}, 201)


@pytest.fixture
def keeping(dam: ScriptedDAM, monkeypatch: pytest.MonkeyPatch, listen: Listen) -> tuple[Keeping, str]:
    """A DAM that keeps what is uploaded, and its address."""
    keeping = Keeping()
    return keeping, listen(Site(keeping, timeout=None)).rstrip("/")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(lambda content: content[:-1], "another number of bytes"), (lambda content: b"x" + content[1:], "damaged")],
)
@pytest_twisted.ensureDeferred
async def test_an_upload_that_arrives_otherwise_is_an_error_and_the_old_version_stays(
    connect: Connect, keeping: tuple[Keeping, str], spoil: Callable[[bytes], bytes], told: str
) -> None:
    dam, url = keeping
    store = connect(url=url, checksum="sha256 /sum", created="/asset/id")
    stat = await store.write(KEY, chunked(b"old"))
    dam.spoil = spoil
    assert told in await error_of(store.write(KEY, chunked(b"newer")))
    await store.close()
    assert await store.stat(KEY) == stat
    assert list(dam.kept.values()) == [b"old"]


@pytest_twisted.ensureDeferred
async def test_a_new_version_takes_the_place_of_the_old_one(connect: Connect, keeping: tuple[Keeping, str]) -> None:
    dam, url = keeping
    store = connect(url=url, checksum="sha256 /sum")
    first = await store.write(KEY, chunked(b"old"))
    second = await store.write(KEY, chunked(b"old"))
    assert first.etag != second.etag
    assert list(dam.kept.values()) == [b"old"]
    await store.delete(KEY)
    assert dam.kept == {}


@pytest_twisted.ensureDeferred
async def test_an_old_version_that_cannot_be_deleted_is_hidden(
    connect: Connect, keeping: tuple[Keeping, str], logged: Callable[[], str]
) -> None:
    dam, url = keeping
    store = connect(url=url)
    await store.write(KEY, chunked(b"old"))
    (old,) = dam.kept
    dam.answers[f"DELETE /files/{old}"] = Says({}, 500)
    stat = await store.write(KEY, chunked(b"newer"))
    assert (stat.size, await store.stat(KEY)) == (5, stat)
    assert "keeps an old version" in logged()


@pytest_twisted.ensureDeferred
async def test_a_deletion_that_the_dam_only_says_it_has_done_is_an_error(
    connect: Connect, keeping: tuple[Keeping, str]
) -> None:
    dam, url = keeping
    store = connect(url=url)
    await store.write(KEY, chunked(b"old"))
    (old,) = dam.kept
    dam.answers[f"DELETE /files/{old}"] = Says(b"<html>Who are you?</html>")
    assert "still shows" in await error_of(store.delete(KEY), StoreTimeout)


@pytest_twisted.ensureDeferred
async def test_without_put_the_store_is_read_only(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(put=None, delete=None)
    dam.answers["GET /search"] = found(item())
    for call in (store.write(KEY, chunked(b"bytes")), store.delete(KEY)):
        assert "read-only" in await error_of(call, StoreUnavailable)
    assert (await store.stat(KEY)).size == 5


@pytest_twisted.ensureDeferred
async def test_a_file_is_sent_in_a_form(connect: Connect, dam: ScriptedDAM) -> None:
    key = original('the "é" of\u00a0it.jpg')
    store = connect(put="POST /files", put_form={"title": "{path}", "file": "{file}", "after": "{size} bytes"})
    dam.answers["GET /search"] = found()

    def post(request: Request) -> Says:
        dam.answers["GET /search"] = found(item(name=key.name, size=len(request.args[b"file"][0])))
        return Says()

    dam.answers["POST /files"] = post
    content = bytes(range(256)) * 8000
    assert (await store.write(key, chunked(content), len(content))).size == len(content)
    sent = next(request for request in dam.heard if request.method == b"POST")
    assert sent.args[b"file"] == [content]
    assert sent.args[b"title"] == [f"originals/{key.name}".encode()]
    assert sent.args[b"after"] == [f"{len(content)} bytes".encode()]


@pytest_twisted.ensureDeferred
async def test_bytes_replace_those_of_an_asset_that_keeps_its_id(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(replace="PUT /files/{id}", version="/revision")
    dam.answers["GET /search"] = found(item(size=3, revision=1))

    def put(request: Request) -> Says:
        body: Any = request.content
        dam.answers["GET /search"] = found(item(size=len(body.read()), revision=2))
        return Says()

    dam.answers["PUT /files/7"] = put
    before = await store.stat(KEY)
    stat = await store.write(KEY, chunked(b"newer"))
    assert (before.etag, stat.etag, stat.size) == ("7.1", "7.2", 5)
    dam.answers["PUT /files/7"] = Says()
    assert "no new version" in await error_of(store.write(KEY, chunked(b"other")))


@pytest_twisted.ensureDeferred
async def test_an_upload_that_breaks_off_after_its_first_step_is_taken_back(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(begin="/uploads", put="PUT {location}", abort="/uploads/{/number}")
    dam.answers["GET /search"] = found()
    dam.answers["POST /uploads"] = Says({"number": 5}, 201, {"Location": "/bytes/5"})
    dam.answers["PUT /bytes/5"] = Says({}, 507)
    dam.answers["DELETE /uploads/5"] = Says(b"", 204)
    await error_of(store.write(KEY, chunked(b"bytes")), NoSpace)
    await store.close()
    assert dam.lines() == ["GET /search?name=a.jpg", "POST /uploads", "PUT /bytes/5", "DELETE /uploads/5"]


@pytest_twisted.ensureDeferred
async def test_an_upload_that_another_daemon_has_replaced_already_is_confirmed(
    connect: Connect, keeping: tuple[Keeping, str]
) -> None:
    dam, url = keeping
    store = connect(url=url)

    def spoil(content: bytes) -> bytes:
        # The other one is newer by its number, as both are of the same second.
        dam.kept[99] = b"that of the other daemon"
        return content

    dam.spoil = spoil
    assert (await store.write(KEY, chunked(b"ours"))).size == 4
    assert await collect(store.list("", Kind.ORIGINAL)) == [KEY]
    assert (await store.stat(KEY)).size == len(dam.kept[99])


@pytest_twisted.ensureDeferred
async def test_what_the_results_do_not_tell_is_asked_for_by_the_id(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(info="/assets/{id}", get="{/href}", version="/version")
    dam.answers["GET /search"] = found({"id": 7, "name": "a.jpg", "href": "/bytes"}, {"id": 8, "name": "a.jpg"})
    dam.answers["GET /assets/7"] = Says({"size": "5", "modified": 1796040000000, "version": "3/4"})
    dam.answers["GET /bytes"] = Says(b"bytes")
    # The DAM still finds 8, which it has deleted.
    stat = await store.stat(KEY)
    assert (stat.size, stat.modified) == (5, 1796040000)
    assert await read_asset(store, KEY) == b"bytes"
    dam.answers["GET /assets/7"] = Says({"size": 5, "modified": None, "version": "3/5"})
    assert (await store.stat(KEY)).etag != stat.etag
    assert not ISizes.providedBy(store)


@pytest_twisted.ensureDeferred
async def test_put_has_headers_of_its_own(connect: Connect, dam: ScriptedDAM) -> None:
    store = connect(put="POST /files", put_headers={"content-type": "x/y", "X-Name": "{name}", "X-Again": "{key}"})
    key = original("Käfer.jpg")
    dam.answers |= {"GET /search": found(), "POST /files": Says({}, 507)}
    await error_of(store.write(key, chunked(b"bytes")), NoSpace)
    sent = dam.heard[-1]
    assert sent.requestHeaders.getRawHeaders("Content-Type") == ["x/y"]
    assert (sent.getHeader("X-Name"), sent.getHeader("X-Again")) == ("K%C3%A4fer.jpg", SECRET)

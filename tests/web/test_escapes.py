"""Names and paths (contract, section 4): whatever is sent, nothing outside of them is read, written or deleted.

Every attempt goes to a real daemon as the bytes it is made of, for client libraries tidy them up.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle, islice
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.client import Answer
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.escapes import CANARY, LINK, REAL, Site, legal, spellings
from tests.support.http_contract import check_refused, photograph
from tests.support.remotes import KINDS, FarEnd, files_below, make_far_end
from tests.support.slow import slow_after
from was_daemon.model.keys import Kind, Layout

pytestmark = pytest.mark.slow

BOUNDARY = "----a-boundary"
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

Part = tuple[str, bytes]
"""The headers of a part of a form, and its content."""

Query = Callable[[Site], str]

MODES: dict[str, tuple[Layout, str | None, str, dict[str, object]]] = {
    "single": (Layout.FLAT, None, "", {}),
    "map": (Layout.SHARDED, "KUFish", "Fish", {"mode": "map", "map": {"KUFish": {"directory": "Fish"}}}),
    "auto": (Layout.FLAT, "Fish", "Fish", {"mode": "auto"}),
}


@pytest.fixture(
    scope="module", params=[mode if mode == "single" else pytest.param(mode, marks=pytest.mark.slow) for mode in MODES]
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site in each mode of collections, flat and sharded."""
    layout, coll, directory, collections = MODES[request.param]
    root = tmp_path_factory.mktemp("museum")
    daemon = Daemon(root / "daemon", {"collections": collections})
    store = {"plugin": "filesystem", "path": daemon.store, "layout": layout.value}
    daemon.write_config({"collections": collections, "stores": {"main": store}})
    site = Site(root, daemon, layout, coll, directory)
    site.furnish()
    daemon.start()
    yield site
    daemon.stop()


@pytest.fixture
def untouched(site: Site) -> Iterator[None]:
    """Everything is the same before and after the test."""
    before = site.everything()
    yield
    site.check_untouched(before)


# -- requests, byte by byte --------------------------------------------------------------------------------------------


class Reader:
    """Asks for one target after the other, on one connection as long as it is kept."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._connection = site.client.connect()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, target: bytes, host: bytes = b"was") -> Answer:
        """The answer to a GET, which has nothing of the canary in it."""
        self._connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        answer = self._connection.answer()
        check_secret(answer)
        if answer.headers["Connection"] == "close":
            self._connection.close()
            self._connection = self._site.client.connect()
        return answer


def check_secret(answer: Answer) -> None:
    """Assert that there is nothing of the canary in an answer."""
    assert CANARY not in answer.body
    assert CANARY.decode() not in str(answer.headers)


def post(site: Site, target: str, content_type: str, body: bytes) -> Answer:
    """The answer to a POST."""
    head = [f"POST {target} HTTP/1.1", "Host: was", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    with site.client.connect() as connection:
        connection.send("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
        answer = connection.answer()
    check_secret(answer)
    return answer


def multipart(parts: Iterable[Part]) -> bytes:
    """A form."""
    body = b"".join(
        f"--{BOUNDARY}\r\n".encode() + headers.encode("latin-1") + b"\r\n\r\n" + content + b"\r\n"
        for headers, content in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


def field(name: str, value: bytes, charset: str = "") -> Part:
    """A text field."""
    return f'Content-Disposition: form-data; name="{name}"{charset}', value


def file(content: bytes = b"new", name: bytes = b"picture.jpg", part: bytes = b"file") -> Part:
    """A file; `name` and `part` are bytes as they are."""
    return (
        f'Content-Disposition: form-data; name="{part.decode("latin-1")}"; filename="{name.decode("latin-1")}"',
        content,
    )


def token(site: Site, value: bytes) -> bytes:
    """A token for `value`, whatever it is."""
    return site.client.token(value.decode("utf-8", "replace")).encode()


def upload_fields(site: Site, name: bytes) -> dict[str, bytes]:
    """The fields of an upload."""
    coll = {"coll": site.coll.encode()} if site.coll else {}
    return {"token": token(site, name), "store": name, "type": b"O", **coll}


def upload(site: Site, fields: dict[str, bytes], attached: Part, file_first: bool) -> Answer:
    """Upload as Specify 7 does, or as Specify 6."""
    texts = [field(name, value) for name, value in fields.items()]
    return post(site, "/fileupload", MULTIPART, multipart([attached, *texts] if file_first else [*texts, attached]))


SINGLE = pytest.mark.parametrize("site", ["single"], indirect=True)
ORDERS = pytest.mark.parametrize("file_first", [True, False], ids=["file first", "file last"])


def in_both_orders(attempts: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Each of `attempts` with an order of the form, in turn."""
    return zip(cycle([True, False]), attempts)


def in_all_spellings(site: Site) -> Iterator[tuple[str, bytes, bytes]]:
    """Each hostile value with what it tries, and in every spelling."""
    for attempt, value in site.values().items():
        for spelling in spellings(value):
            yield attempt, value, spelling


def in_a_spelling(site: Site) -> Iterator[tuple[str, bytes, bytes]]:
    """Each hostile value with what it tries, and in one of its spellings, in turn."""
    for number, (attempt, value) in enumerate(site.values().items()):
        possible = sorted(spellings(value))
        yield attempt, value, possible[number % len(possible)]


SPELLED = pytest.mark.parametrize("spelled", [in_a_spelling, pytest.param(in_all_spellings, marks=pytest.mark.slow)])

Spelled = Callable[[Site], Iterator[tuple[str, bytes, bytes]]]


def in_collection(site: Site) -> bytes:
    """The part of a query that names the collection."""
    return f"&coll={quote(site.coll)}".encode() if site.coll else b""


def test_there_are_at_least_300_attempts_of_each_kind(site: Site) -> None:
    hostile = [value for value in site.values().values() if not legal(value)]
    assert len({spelling for value in site.values().values() for spelling in spellings(value)}) >= 300
    assert len({spelling for value in hostile for spelling in spellings(value)}) >= 200


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["fileget?", "fileget?type=T&scale=60&", "getmetadata?", "getfileref?"])
@pytest.mark.usefixtures("untouched")
def test_no_file_name_reads_what_is_no_asset(site: Site, what: str) -> None:
    with Reader(site) as reader:
        for value in site.values().values():
            for spelling in spellings(value):
                answer = reader.get(f"/{what}filename=".encode() + spelling + in_collection(site))
                check_refused(answer, 404 if legal(value) else 400, KEY)


@pytest.mark.usefixtures("untouched")
def test_a_link_is_no_asset_wherever_it_leads(site: Site) -> None:
    with Reader(site) as reader:
        for name in (LINK, "linked"):
            for what in ("fileget?", "fileget?type=T&scale=60&", "getmetadata?", "getfileref?"):
                answer = reader.get(f"/{what}filename={name}".encode() + in_collection(site))
                check_refused(answer, 404, KEY)


def test_a_link_among_the_thumbnails_is_replaced_and_not_followed(site: Site) -> None:
    with Reader(site) as reader:
        before = site.everything()
        thumbnail = site.path("real_61.jpg", Kind.THUMBNAIL)
        where = "/".join(filter(None, [site.directory, "thumbnails/real_61.jpg"]))
        check_refused(reader.get(f"/static/{where}".encode()), 404, KEY)
        target = thumbnail.readlink()
        answer = reader.get(f"/fileget?filename={REAL}&type=T&scale=61".encode() + in_collection(site))
        assert answer.image().size == (61, 41)
        assert not thumbnail.is_symlink()
        thumbnail.unlink()
        thumbnail.symlink_to(target)
        before[str(thumbnail)] = site.everything()[str(thumbnail)]
        site.check_untouched(before)


STATIC = ["{}", "{}/originals/real.jpg", "originals/{}", "thumbnails/{}", "Fish/originals/{}", "Fish/thumbnails/{}"]


@pytest.mark.parametrize("path", STATIC)
@pytest.mark.usefixtures("untouched")
def test_no_static_path_reads_what_is_no_asset(site: Site, path: str) -> None:
    front, back = (part.encode() for part in path.split("{}"))
    allowed = b"/static/" + "/".join(filter(None, [site.directory, "originals", REAL])).encode()
    with Reader(site) as reader:
        for value in site.values().values():
            for spelling in spellings(value):
                target = b"/static/" + front + spelling + back
                answer = reader.get(target)
                if target == allowed:
                    assert answer.body == photograph()
                else:
                    assert answer.status in (400, 404), target
                    check_refused(answer, answer.status, KEY)


TARGETS = [
    "/../canary.txt",
    "/../../canary.txt",
    "/./.key",
    "/.key",
    "/canary.txt",
    "//canary.txt",
    "/originals/real.jpg",
    "/Secret/originals/canary.jpg",
    "/static",
    "/static/",
    "/static/..",
    "/static/../../canary.txt",
    "/static/../daemon/was.toml",
    "/static/%2e%2e/canary.txt",
    "/static/%2e%2e%2fcanary.txt",
    "/static/%252e%252e%252fcanary.txt",
    "/static/..%5ccanary.txt",
    "/static/..;/canary.txt",
    "/static/canary.txt",
    "/static/.key",
    "/static/Secret/originals/canary.jpg",
    "/static/Secret/thumbnails/canary_60.jpg",
    "/static/secret/originals/canary.jpg",
    "/static/Secret%2foriginals%2fcanary.jpg",
    "/static/originals/../Secret/originals/canary.jpg",
    "/static/./Secret/originals/canary.jpg",
    "/static//etc/passwd",
    "/static/C:/canary.txt",
    "/static/file:///canary.txt",
    "/fileget/../static/../canary.txt",
    "/fileget/canary.txt",
    "/fileget/%2e%2e/canary.txt",
    "/fileget;filename=canary.txt",
    "/fileget%2f..%2fcanary.txt",
    "/fileget%3ffilename=real.jpg",
    "http://was/../canary.txt",
    "http://was/static/../canary.txt",
    "http://was//static/../canary.txt",
    "http://was",
    "http:///static/canary.txt",
    "http://../canary.txt",
    "http://was@elsewhere/canary.txt",
    "https://was/static/.key",
    "HTTP://was/static/.key",
    "ftp://was/canary.txt",
    "file:///etc/passwd",
    "file:canary.txt",
    "was:80",
    "*",
    "**",
    "?filename=real.jpg",
    "#",
    "\\canary.txt",
    "/\\canary.txt",
    "..",
    "../canary.txt",
    "canary.txt",
    "%",
    "/%",
    "/static/%",
    "/static/originals/%",
    "/static/originals/%zz",
    "/static/originals/%0",
    "/static/originals/%00",
    "/static/originals/\0",
    "/static/originals/\xff",
    "/static/originals/%ff",
    "/static/originals/%u002e",
]


@pytest.mark.usefixtures("untouched")
def test_no_request_target_reads_what_is_no_asset(site: Site) -> None:
    with Reader(site) as reader:
        for target in TARGETS:
            for ending in ("", "/", "?filename=../canary.txt", "#real.jpg"):
                if target == "/static/Secret/originals/canary.jpg" and site.directory == site.coll:
                    continue
                answer = reader.get((target + ending).encode("latin-1"))
                assert answer.status in (400, 404) or answer.text.startswith("It works!"), target + ending
                assert "was.toml" not in answer.text


# -- fields that are no names ------------------------------------------------------------------------------------------

READING: dict[str, tuple[str, int]] = {
    "type of fileget": (f"fileget?filename={REAL}&type=", 200),
    "downloadname": (f"fileget?filename={REAL}&downloadname=", 200),
    "token of fileget": (f"fileget?filename={REAL}&token=", 200),
    "an unknown field": (f"fileget?filename={REAL}&disp=", 200),
    "scale": (f"fileget?filename={REAL}&type=T&scale=", 400),
    "scale of getfileref": (f"getfileref?filename={REAL}&type=T&scale=", 400),
    "type of getfileref": (f"getfileref?filename={REAL}&type=", 200),
    "dt": (f"getmetadata?filename={REAL}&dt=", 200),
    "token of testkey": ("testkey?random=a&token=", 403),
}
"""Addresses without the value of a last field, and the status with a hostile one."""


@SINGLE
@SPELLED
@pytest.mark.parametrize("what", READING)
@pytest.mark.usefixtures("untouched")
def test_a_hostile_value_of_another_field_leads_nowhere(site: Site, what: str, spelled: Spelled) -> None:
    start, status = READING[what]
    path, _, query = start.partition("?")
    with Reader(site) as reader:
        for attempt, value, spelling in spelled(site):
            answer = reader.get(f"/{path}?".encode() + in_collection(site)[1:] + b"&" + query.encode() + spelling)
            if _is_text(value):
                assert answer.status == status, attempt
            else:
                check_refused(answer, 400, KEY)
            if answer.status == 200 and path == "fileget":
                assert answer.body == photograph()
                check_disposition(answer)


def check_disposition(answer: Answer) -> None:
    """Assert that a header names a file and no path, in letters that need no thought."""
    disposition = answer.headers.get("Content-Disposition", "inline; filename*=utf-8''")
    assert re.fullmatch(r"inline; filename\*=utf-8''([\w.~-]|%[0-9A-F]{2})*", disposition, re.ASCII)
    assert not re.search("(?i)%2f|%5c", disposition)


@SINGLE
@SPELLED
@pytest.mark.usefixtures("untouched")
def test_a_key_can_be_tested_with_any_text(site: Site, spelled: Spelled) -> None:
    with Reader(site) as reader:
        for _, value, spelling in spelled(site):
            answer = reader.get(b"/testkey?random=" + spelling + b"&token=" + token(site, value))
            assert answer.status == (200 if _is_text(value) else 400)


@SPELLED
@pytest.mark.parametrize("what", ["fileget?", "getmetadata?", "getfileref?"])
@pytest.mark.usefixtures("untouched")
def test_no_collection_leads_elsewhere(site: Site, what: str, spelled: Spelled) -> None:
    with Reader(site) as reader:
        for _, value, spelling in spelled(site):
            answer = reader.get(f"/{what}filename={REAL}&coll=".encode() + spelling)
            if not _is_text(value):
                check_refused(answer, 400, KEY)
            elif site.coll:
                check_refused(answer, 404, KEY)
            else:
                assert answer.status == 200


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- writing -----------------------------------------------------------------------------------------------------------


def check_stored(site: Site, before: dict[str, object], names: Iterable[str], content: bytes = b"new") -> None:
    """Assert that assets of these names are all that was stored; remove them."""
    for name in names:
        path = site.path(name)
        assert path.read_bytes() == content
        assert name in [each.name for each in path.parent.iterdir()]
        path.unlink()
    site.check_untouched(before)


@ORDERS
def test_an_upload_is_stored_under_exactly_its_name_or_nowhere(site: Site, file_first: bool) -> None:
    before, stored = site.everything(), []
    for attempt, value in site.values().items():
        name = legal(value)
        answer = upload(site, upload_fields(site, value), file(), file_first)
        if name:
            assert answer.body == b"Ok.", attempt
            stored.append(name)
        else:
            check_refused(answer, 400, KEY)
    assert len(stored) >= 15
    check_stored(site, before, stored)


@SINGLE
@pytest.mark.parametrize("charset", ["utf-7", "utf-16-le", "hex"])
def test_a_name_in_a_charset_of_its_own_is_no_way_out(site: Site, charset: str) -> None:
    before, stored = site.everything(), set()
    for file_first, value in in_both_orders(site.values().values()):
        try:
            text = value.decode(charset)
        except (LookupError, UnicodeError):
            text = ""
        name = legal(text.encode("utf-8", "surrogatepass"))
        fields = upload_fields(site, value) | {"token": token(site, text.encode("utf-8", "replace"))}
        texts = [field(key, each, f"\r\nContent-Type: text/plain; charset={charset}") for key, each in fields.items()]
        texts = [
            each if "store" in each[0] else field(key, fields[key]) for key, each in zip(fields, texts, strict=True)
        ]
        body = multipart([file(), *texts] if file_first else [*texts, file()])
        answer = post(site, "/fileupload", MULTIPART, body)
        if name:
            assert answer.body == b"Ok."
            stored.add(name)
        else:
            check_refused(answer, 400, KEY)
    check_stored(site, before, stored)


@SINGLE
def test_what_the_part_of_the_file_is_called_does_not_matter(site: Site) -> None:
    before = site.everything()
    for file_first, value in in_both_orders(site.values().values()):
        attached = file(name=value) if file_first else file(part=value)
        answer = upload(site, upload_fields(site, b"a.jpg"), attached, file_first)
        if answer.status != 200:
            check_refused(answer, 400, KEY)
    check_stored(site, before, ["a.jpg"])


WRITING = {"type": 200, "token": 403, "coll": 200}
"""Fields of an upload, and the status with a hostile value."""


@SINGLE
@pytest.mark.parametrize("what", slow_after(1, WRITING))
def test_a_hostile_value_of_another_field_of_an_upload_leads_nowhere(site: Site, what: str) -> None:
    before = site.everything()
    status = WRITING[what]
    for file_first, value in in_both_orders(site.values().values()):
        answer = upload(site, upload_fields(site, b"a.jpg") | {what: value}, file(), file_first)
        assert answer.status == status or (answer.status == 400 and not _is_text(value)), value
    check_stored(site, before, ["a.jpg"] if status == 200 else [])


def test_an_upload_onto_a_link_replaces_the_link(site: Site) -> None:
    with Reader(site) as reader:
        # What may be left of an older asset is removed once there are thumbnails.
        reader.get(f"/fileget?filename={REAL}&type=T&scale=62".encode() + in_collection(site))
        site.path("real_62.jpg", Kind.THUMBNAIL).unlink()
    before, path = site.everything(), site.path(LINK)
    target = path.readlink()
    assert upload(site, upload_fields(site, LINK.encode()), file(), True).body == b"Ok."
    assert not path.is_symlink()
    check_stored(site, {name: each for name, each in before.items() if name != str(path)}, [LINK])
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.slow
@pytest.mark.parametrize("site", ["map", "auto"], indirect=True)
@ORDERS
def test_no_collection_is_stored_elsewhere(site: Site, file_first: bool) -> None:
    before = site.everything()
    for attempt, value in site.values().items():
        answer = upload(site, upload_fields(site, b"a.jpg") | {"coll": value}, file(), file_first)
        name = legal(value)
        if site.coll == site.directory and name and name not in ("originals", "thumbnails"):
            assert answer.body == b"Ok.", attempt
            (site.daemon.store / name / "originals" / "a.jpg").unlink()
        else:
            check_refused(answer, 404 if _is_text(value) else 400, KEY)
    site.check_untouched(before)


# -- deleting ----------------------------------------------------------------------------------------------------------


def delete_fields(site: Site, name: bytes) -> dict[str, bytes]:
    """The fields of a delete."""
    coll = {"coll": site.coll.encode()} if site.coll else {}
    return {"filename": name, "token": token(site, name), **coll}


def delete(site: Site, fields: dict[str, bytes], kind: str) -> Iterator[Answer]:
    """The answers to a delete as a form of that kind, in all spellings."""
    if kind == MULTIPART:
        yield post(site, "/filedelete", kind, multipart(field(*item) for item in fields.items()))
        return
    for quoting in ("", "/\\.:~"):
        yield post(site, "/filedelete", kind, urlencode(fields, safe=quoting, quote_via=quote).encode())


@pytest.mark.parametrize("kind", [URLENCODED, MULTIPART])
@pytest.mark.usefixtures("untouched")
def test_no_file_name_deletes_what_is_no_asset(site: Site, kind: str) -> None:
    for value in (*site.values().values(), b"linked"):
        for answer in delete(site, delete_fields(site, value), kind):
            check_refused(answer, 404 if legal(value) else 400, KEY)


def test_a_link_is_not_deleted_and_its_target_neither(site: Site) -> None:
    before = site.everything()
    for answer in delete(site, delete_fields(site, LINK.encode()), URLENCODED):
        check_refused(answer, 404, KEY)
    site.check_untouched(before)


@pytest.mark.parametrize("kind", slow_after(1, [URLENCODED, MULTIPART]))
@pytest.mark.parametrize(("what", "status"), [("coll", 404), ("token", 403)])
@pytest.mark.usefixtures("untouched")
def test_a_hostile_value_of_another_field_deletes_nothing(site: Site, what: str, status: int, kind: str) -> None:
    for value in site.values().values():
        # Without collections the field does not matter, and the asset would go.
        name = REAL if site.coll or what != "coll" else "missing.jpg"
        for answer in islice(delete(site, delete_fields(site, name.encode()) | {what: value}, kind), 1):
            assert answer.status == status or (answer.status == 400 and not _is_text(value))
            check_refused(answer, answer.status, KEY)


# -- whatever else there may be ----------------------------------------------------------------------------------------

PIECES = [b"..", b"/", b"\\", b"%2f", b"%", b"\0", b".", b"a", REAL.encode(), b".key", b"\xc0\xaf"]

anything = (
    st.binary(max_size=64)
    | st.text(max_size=32).map(lambda text: text.encode("utf-8", "replace"))
    | st.lists(st.sampled_from(PIECES), max_size=9).map(b"".join)
)

ALLOWED = {200, 400, 403, 404, 415}

often = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SINGLE
@often
@given(
    path=st.sampled_from(
        ["fileget", "getmetadata", "getfileref", "testkey", "static/originals", "web_asset_store.xml"]
    ),
    fields=st.dictionaries(
        st.sampled_from(["filename", "coll", "scale", "downloadname", "dt", "random", "token"]), anything, max_size=5
    ),
    kind=st.sampled_from([b"T", b"O", b"t"]),
    rest=anything,
)
@pytest.mark.usefixtures("untouched")
def test_whatever_is_asked_for_nothing_is_changed(
    site: Site, path: str, fields: dict[str, bytes], kind: bytes, rest: bytes
) -> None:
    # That makes a thumbnail of it, as it should.
    assume(fields.get("filename") != REAL.encode() or not fields.get("scale", b"").isdigit())
    query = urlencode({**fields, "type": kind}, quote_via=quote).encode()
    slash = b"/" + quote(rest, safe="/%\\:~").encode() if "static" in path else b""
    with Reader(site) as reader:
        assert reader.get(f"/{path}".encode() + slash + b"?" + query).status in ALLOWED


@SINGLE
@often
@given(
    path=st.sampled_from(["/fileupload", "/filedelete"]),
    fields=st.dictionaries(st.sampled_from(["store", "filename", "coll", "type", "disp"]), anything, max_size=4),
    name=anything,
    part=anything,
    file_first=st.booleans(),
)
def test_whatever_is_posted_nothing_is_changed_outside(
    site: Site, path: str, fields: dict[str, bytes], name: bytes, part: bytes, file_first: bool
) -> None:
    before = site.everything()
    value = fields.get("store" if path == "/fileupload" else "filename", b"")
    assume(legal(value) not in (REAL, LINK))
    texts = [field(key, each) for key, each in {**fields, "token": token(site, value)}.items()]
    attached = file(name=name, part=part)
    body = multipart([attached, *texts] if file_first else [*texts, attached])
    answer = post(site, path, MULTIPART, body)
    assert answer.status in ALLOWED
    stored = legal(value) if (path, answer.body) == ("/fileupload", b"Ok.") else None
    check_stored(site, before, [stored] if stored else [])


# -- where the files are not on this machine ---------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarEnd]:
    """A server for each kind of remote store."""
    far = make_far_end(request.param, tmp_path_factory.mktemp("far"))
    far.start()
    yield far
    far.remove()


@pytest.fixture(scope="module")
def remote(far: FarEnd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose store is on that server."""
    root = tmp_path_factory.mktemp("remote")
    site = Site(root, Daemon(root / "daemon", {"stores": {"main": far.table(direct=True)}}), Layout.FLAT, None, "")
    site.daemon.start()
    yield site
    site.daemon.stop()


def test_a_remote_store_keeps_files_under_exactly_their_names(far: FarEnd, remote: Site) -> None:
    (far.root / "Secret").mkdir()
    outside = far.root / "Secret" / "canary.txt"
    outside.write_bytes(CANARY)
    far.share()
    values = remote.values().values()
    names = {name for name in map(legal, values) if name and len(name.encode()) < 240}
    for file_first, name in in_both_orders(name.encode() for name in names):
        assert upload(remote, upload_fields(remote, name), file(), file_first).body == b"Ok."
    expected = {f"originals/{name}": 3 for name in names} | {"Secret/canary.txt": len(CANARY)}
    eventually(lambda: files_below(far.root) == expected, "for temporary files to go")
    with Reader(remote) as reader:
        for value in values:
            answer = reader.get(b"/fileget?filename=" + quote(value, safe="").encode())
            assert answer.status == (200 if legal(value) in names else 404 if legal(value) else 400)
    for value in values:
        for answer in islice(delete(remote, delete_fields(remote, value), URLENCODED), 1):
            assert answer.status == (200 if legal(value) in names else 404 if legal(value) else 400)
    assert outside.read_bytes() == CANARY
    eventually(lambda: files_below(far.root) == {"Secret/canary.txt": len(CANARY)}, "for the files to go")

"""The daemon does what a dictionary would: random requests, compared with a model, step by step."""

import os
import time
from itertools import count
from pathlib import Path
from posixpath import splitext
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.support.blocking import BlockingClient, finished
from tests.support.client import Answer, Form
from tests.support.daemon import KEY, Daemon, eventually
from tests.support.versions import SIZE, Version, colour_of, is_colour, no_picture, picture
from was_daemon.model.keys import AssetKey, Kind, Layout

FAMILIES = (
    ("a.jpg", "a.png", "a.tif", "a", "a_40.png"),
    ("sp6123.att.jpg", "sp61234.att.jpg", "sp6123.att_1.jpg"),
    ("\u00e9.jpg", "e\u0301.jpg", "\u00e9.png", "e\u0301.tif"),
    (" a  b.jpg", "%41.jpg", "A.jpg", "A.JPG"),
    ("l" * 251 + ".jpg", "l" * 251 + ".tif", "l" * 250 + "k.tif"),
)
"""Names that collide wherever somebody is not careful, most of all among the thumbnails: one family an example."""

BAD_NAMES = ("", "..", ".a.jpg", "../a.jpg", "b/a.jpg", "a\\a.jpg", "a\0.jpg", "a\n.jpg", "m" * 256)
PADDING = (0, 1, 1000, 70_000, 600_000)
SCALES = (1, 7, 40, 100, 500)
STEPS_PER_EXAMPLE = 60
REQUESTS_BETWEEN_RESTARTS = 200

_numbers = count(1)

Place = tuple[str, str]
"""A collection and a name."""

which = st.integers(0, 5)
"""One of the example's places."""

scales = st.sampled_from(SCALES)
seen = st.sampled_from((None, *SCALES))
"""The scale of a thumbnail that is looked at before something is changed."""


class AssetServerModel(RuleBasedStateMachine):
    """Requests to a daemon whose collections are directories (`auto`), each compared with `self.assets`.

    All examples share the daemon; each has collections of its own.
    """

    since_restart = 0
    """Requests of all examples since the daemon was started."""

    def __init__(self, daemon: Daemon, layout: Layout) -> None:
        super().__init__()
        self.daemon = daemon
        self.layout = layout
        self.client = BlockingClient(daemon.url, KEY)
        self.run = f"run{next(_numbers)}"
        self.assets: dict[Place, Version] = {}
        self.etags: dict[tuple[Place, str], Version] = {}
        self.thumbnail_etags: dict[tuple[Place, int], tuple[str, Version]] = {}
        self.removed_behind: set[Place] = set()
        self.places: list[Place] = []

    @initialize(names=st.sampled_from(FAMILIES))
    def choose_places(self, names: tuple[str, ...]) -> None:
        self.places = [*(("fish", name) for name in names), ("herbarium", names[0])]
        for which in range(len(self.places)):
            self.put(which, 0, is_picture=True, specify6=False, seen=None)

    def _place(self, which: int) -> Place:
        return self.places[which % len(self.places)]

    # -- changes -------------------------------------------------------------------------------------------------------

    @rule(
        which=which,
        padding=st.sampled_from(PADDING),
        is_picture=st.sampled_from((True, True, True, False)),
        specify6=st.booleans(),
        seen=seen,
    )
    def put(self, which: int, padding: int, is_picture: bool, specify6: bool, seen: int | None) -> None:
        place = self._place(which)
        self._see_thumbnail(place, seen)
        version = self._new_version(place, padding, is_picture)
        others = self._thumbnails_of_others(place)
        answer = finished(self.client.upload(self._form(place, specify6), version.content))
        assert (answer.status, answer.body) == (200, b"Ok."), answer
        assert self._thumbnails_of_others(place) == others
        self.assets[place] = version
        self.removed_behind.discard(place)
        self._check_original(place, self._fileget(place, method="HEAD"), "HEAD")

    @rule(which=which, scale=scales)
    def put_two_of_one_size_at_once(self, which: int, scale: int) -> None:
        self.put(which, 0, is_picture=True, specify6=False, seen=None)
        self.put(which, 0, is_picture=True, specify6=True, seen=scale)

    @rule(which=which, seen=seen)
    def delete(self, which: int, seen: int | None) -> None:
        place = self._place(which)
        self._see_thumbnail(place, seen)
        others = self._thumbnails_of_others(place)
        answer = finished(self.client.delete(place[1], coll=self._collection(place)))
        assert self._thumbnails_of_others(place) == others
        assert answer.status == (200 if place in self.assets else 404), answer
        self.assets.pop(place, None)
        self.removed_behind.discard(place)
        assert not self._thumbnails_on_disk(place)

    @rule(which=which, padding=st.sampled_from(PADDING), seen=seen)
    def copy_behind_its_back(self, which: int, padding: int, seen: int | None) -> None:
        place = self._place(which)
        self._see_thumbnail(place, seen)
        version = self._new_version(place, padding, True)
        path = self._path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(".copy")
        new.write_bytes(version.content)
        # The time that the kernel writes is that of its last tick: it may be before a thumbnail of a moment ago.
        os.utime(new, ns=(time.time_ns(),) * 2)
        new.rename(path)
        self.assets[place] = version

    @rule(which=which, seen=seen)
    def remove_behind_its_back(self, which: int, seen: int | None) -> None:
        place = self._place(which)
        self._see_thumbnail(place, seen)
        if self.assets.pop(place, None):
            self._path(place).unlink()
            self.removed_behind.add(place)

    @rule(which=which, specify6=st.booleans(), wrong=st.sampled_from(("no:1", "", "of another name")))
    def ask_without_permission(self, which: int, specify6: bool, wrong: str) -> None:
        place = self._place(which)
        token = self.client.token("another name") if wrong == "of another name" else wrong
        form = self._form(place, specify6, token=token)
        assert finished(self.client.upload(form, b"not allowed")).status == 403
        coll = self._collection(place)
        assert finished(self.client.delete(place[1], coll=coll, token=token)).status == 403

    @rule(
        which=which,
        name=st.sampled_from(BAD_NAMES),
        coll=st.sampled_from((None, "", "..", "fish/originals")),
        scale=st.sampled_from(("0", "-1", "", "x", "4097", "1.5", None)),
    )
    def ask_what_makes_no_sense(self, which: int, name: str, coll: str | None, scale: str | None) -> None:
        place = self._place(which)
        form = self._form(place, specify6=True, kind="T")
        answer = finished(self.client.upload(form, b"a thumbnail of Specify 6"))
        assert (answer.status, answer.body) == (200, b"Ignoring thumbnail upload!"), answer
        bad = (place[0], name)
        assert finished(self.client.upload(self._form(bad, specify6=False), b"bad")).status == 400
        assert finished(self.client.delete(name, coll=self._collection(place))).status == 400
        assert finished(self.client.original(place[1], coll=coll)).status == 404
        assert finished(self.client.delete(place[1], coll=coll)).status == 404
        assert self._fileget(place, type="T", scale=scale).status == 400

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        if self.since_restart < REQUESTS_BETWEEN_RESTARTS:
            return
        if kill:
            self.daemon.kill()
            self.daemon.start()
        else:
            self.daemon.restart()
        type(self).since_restart = 0

    # -- looks ---------------------------------------------------------------------------------------------------------

    @rule(which=which, method=st.sampled_from(("GET", "HEAD")), kind=st.sampled_from(("O", None)))
    def get(self, which: int, method: str, kind: str | None) -> None:
        place = self._place(which)
        self._check_original(place, self._fileget(place, method=method, type=kind), method)

    @rule(which=which, by=st.sampled_from(("etag", "date", "old etag", "old date")))
    def get_if_changed(self, which: int, by: str) -> None:
        place = self._place(which)
        now = self._fileget(place)
        self._check_original(place, now)
        if now.status == 404:
            return
        old = [etag for (other, etag), version in self.etags.items() if other == place and version.content != now.body]
        condition = {
            "etag": {"If-None-Match": now.headers["ETag"]},
            "date": {"If-Modified-Since": now.headers["Last-Modified"]},
            "old etag": {"If-None-Match": ", ".join(['"none"', *old])},
            "old date": {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        }[by]
        answer = self._fileget(place, headers=condition)
        # A date is as good as none while another version may be made in the same second.
        if by.startswith("old") or (by == "date" and answer.status == 200):
            self._check_original(place, answer)
        else:
            assert (answer.status, answer.body) == (304, b""), answer

    @rule(
        which=which,
        first=st.one_of(st.none(), st.integers(0, 3000)),
        length=st.one_of(st.none(), st.integers(0, 3000)),
        if_range=st.sampled_from((None, True, False)),
    )
    def get_range(self, which: int, first: int | None, length: int | None, if_range: bool | None) -> None:
        place = self._place(which)
        if place not in self.assets or (first is None and length is None):
            return
        content = self.assets[place].content
        size = len(content)
        headers = {"Range": f"bytes=-{length}"}
        start, stop = max(0, size - (length or 0)), size
        if first is not None:
            headers = {"Range": f"bytes={first}-{'' if length is None else first + length}"}
            start, stop = first, size if length is None else min(size, first + length + 1)
        if if_range is not None:
            etag = self._fileget(place, method="HEAD").headers["ETag"]
            headers["If-Range"] = etag if if_range else '"another version"'
        answer = self._fileget(place, headers=headers)
        whole = if_range is False or (not size and first is None and length)
        if whole:
            self._check_original(place, answer)
        elif start >= size:
            assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}"), answer
        else:
            assert (answer.status, answer.body) == (206, content[start:stop]), answer
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"

    @rule(which=which, scale=scales, method=st.sampled_from(("GET", "GET", "HEAD")))
    def thumbnail(self, which: int, scale: int, method: str) -> None:
        self._see_thumbnail(self._place(which), scale, method)

    @rule(data=st.data())
    @precondition(lambda self: self.thumbnail_etags)
    def thumbnail_if_changed(self, data: st.DataObject) -> None:
        place, scale = data.draw(st.sampled_from(sorted(self.thumbnail_etags)))
        etag, seen = self.thumbnail_etags[place, scale]
        answer = self._fileget(place, headers={"If-None-Match": etag}, type="T", scale=scale)
        if answer.status == 304:
            assert self.assets.get(place) is seen
        elif self._check_thumbnail_status(place, answer):
            self._check_picture(self.assets[place], scale, answer)

    @rule(which=which, scale=seen)
    def reference(self, which: int, scale: int | None) -> None:
        place = self._place(which)
        kind = "T" if scale else "O"
        answer = finished(self.client.reference(place[1], coll=self._collection(place), type=kind, scale=scale))
        if scale:
            if self._check_thumbnail_status(place, answer):
                self._check_picture(self.assets[place], scale, finished(self.client.get(urlsplit(answer.text).path)))
            return
        assert answer.status == (200 if place in self.assets else 404), answer
        if place in self.assets:
            self._check_original(place, finished(self.client.get(urlsplit(answer.text).path)))

    @rule(which=which, kind=st.sampled_from(tuple(Kind)), scale=scales)
    def static(self, which: int, kind: Kind, scale: int) -> None:
        place = self._place(which)
        key = self._key(place)
        key = key if kind is Kind.ORIGINAL else key.thumbnail(scale)
        answer = finished(self.client.get("/static/" + quote(Layout.FLAT.path(key))))
        if kind is Kind.ORIGINAL:
            self._check_original(place, answer)
        elif answer.status != 404:
            self._check_somebodys_thumbnail(place, scale, answer)

    @rule(which=which, date=st.booleans())
    def metadata(self, which: int, date: bool) -> None:
        place = self._place(which)
        params = {"dt": "date" if date else "json", "coll": self._collection(place)}
        answer = finished(self.client.metadata(place[1], **params))
        version = self.assets.get(place)
        if not version:
            assert answer.status == 404, answer
        elif date:
            assert (answer.status, answer.text) == (200, version.taken) if version.taken else answer.status == 404
        else:
            assert answer.status == 200, answer
            groups = {group["Name"]: group["Fields"] for group in answer.json}
            assert groups.get("EXIF", {}).get("DateTimeOriginal") == version.taken
            assert version.colour or not groups

    # -- the end -------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """What is on the disk is what the model has, and nothing else."""
        for place in self.places:
            self._check_original(place, self._fileget(place))
            if place not in self.assets and place not in self.removed_behind:
                assert not self._thumbnails_on_disk(place)
        files = [path for coll in ("fish", "herbarium") for path in self._files(coll, Kind.ORIGINAL)]
        assert len(files) == len(self.assets)
        eventually(lambda: not list(self.daemon.directory.rglob(".staging/*")), "for staging files to go")

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _see_thumbnail(self, place: Place, scale: int | None, method: str = "GET") -> None:
        if not scale:
            return
        answer = self._fileget(place, method=method, type="T", scale=scale)
        if self._check_thumbnail_status(place, answer) and method == "GET":
            self._check_picture(self.assets[place], scale, answer)
            is_jpeg = place[1].lower().endswith(".jpg")
            assert answer.headers["Content-Type"] == ("image/jpeg" if is_jpeg else "image/png")
            self.thumbnail_etags[place, scale] = answer.headers["ETag"], self.assets[place]

    def _new_version(self, place: Place, padding: int, is_picture: bool) -> Version:
        number = next(_numbers)
        return picture(place[1], number, padding) if is_picture else no_picture(place[1], number, padding)

    def _form(self, place: Place, specify6: bool, **fields: Any) -> Form:
        # Specify 6 writes Latin-1.
        can = specify6 and place[1].isascii()
        form = self.client.specify6_form if can else self.client.specify7_form
        return form(place[1], coll=self._collection(place), **fields)

    def _collection(self, place: Place) -> str:
        return f"{self.run} {place[0]}"

    def _key(self, place: Place) -> AssetKey:
        return AssetKey(self._collection(place), Kind.ORIGINAL, place[1])

    def _path(self, place: Place) -> Path:
        return self.daemon.store / self.layout.path(self._key(place))

    def _files(self, coll: str, kind: Kind) -> list[Path]:
        directory = self.daemon.store / self._collection((coll, "")) / kind.value
        return [path for path in directory.rglob("*") if path.is_file() and path.parent.name != ".staging"]

    def _thumbnails_of_others(self, place: Place) -> dict[Place, list[Path]]:
        return {other: self._thumbnails_on_disk(other) for other in self.places if other != place}

    def _thumbnails_on_disk(self, place: Place) -> list[Path]:
        owner = place[1].encode()
        mark = len(owner).to_bytes(4, "big") + b"waSr" + owner
        paths = {self.daemon.store / self.layout.path(self._key(place).thumbnail(scale)) for scale in SCALES}
        is_mine = place[1].lower().endswith(".jpg")
        return [path for path in sorted(paths) if path.exists() and (is_mine or mark in path.read_bytes())]

    def _fileget(self, place: Place, *, method: str = "GET", **params: Any) -> Answer:
        type(self).since_restart += 1
        path = {"filename": place[1], "coll": self._collection(place)}
        return finished(self.client.request(method, "/fileget", **path, **params))

    def _check_original(self, place: Place, answer: Answer, method: str = "GET") -> None:
        version = self.assets.get(place)
        if not version:
            assert answer.status == 404, answer
            return
        assert answer.status == 200, answer
        assert answer.headers["Content-Length"] == str(len(version.content))
        assert answer.body == (version.content if method == "GET" else b"")
        # An entity tag means one version, for ever.
        assert self.etags.setdefault((place, answer.headers["ETag"]), version) is version

    def _check_thumbnail_status(self, place: Place, answer: Answer) -> bool:
        """Whether there is a thumbnail."""
        version = self.assets.get(place)
        if version and version.colour:
            assert answer.status == 200, answer
            return True
        claims_to_be_one = bool(splitext(place[1])[1])
        assert answer.status == (404 if not version else 422 if claims_to_be_one else 415), answer
        return False

    def _check_picture(self, version: Version, scale: int, answer: Answer) -> None:
        assert answer.status == 200, answer
        width, height = answer.image().size
        factor = min(1, scale / max(SIZE))
        assert width == max(1, round(SIZE[0] * factor)), answer
        assert abs(height - max(1, SIZE[1] * factor)) < 1, answer
        assert version.colour
        assert is_colour(colour_of(answer.body), version.colour), (version, answer)

    def _check_somebodys_thumbnail(self, place: Place, scale: int, answer: Answer) -> None:
        """It is the thumbnail of one of the assets whose thumbnails have this name, as it is now."""
        thumbnail = self._key(place).thumbnail(scale)
        assert answer.status == 200, answer
        colour = colour_of(answer.body)
        assert any(
            version.colour and is_colour(colour, version.colour)
            for other, version in self.assets.items()
            if self._key(other).thumbnail(scale) == thumbnail
        ), answer


def run_model(directory: Path, layout: Layout, examples: int, *, derandomize: bool) -> None:
    """Compare a daemon with the model, in so many examples of `STEPS_PER_EXAMPLE` steps."""
    table = {"plugin": "filesystem", "path": directory / "store", "layout": layout.value}
    config = {"stores": {"main": table}, "collections": {"mode": "auto"}}
    daemon = Daemon(directory, config).start()
    try:
        run_state_machine_as_test(
            lambda: AssetServerModel(daemon, layout),
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS_PER_EXAMPLE,
                deadline=None,
                derandomize=derandomize,
                database=None,
                print_blob=True,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        daemon.stop()


def test_hundreds_of_requests_find_what_a_model_says(tmp_path: Path) -> None:
    run_model(tmp_path, Layout.FLAT, 12, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("layout", Layout)
def test_thousands_of_requests_find_what_a_model_says(tmp_path: Path, layout: Layout) -> None:
    run_model(tmp_path, layout, 150, derandomize=False)

"""The gallery under other configurations, and while parts of the daemon cannot be used."""

import os
import re
import signal
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from tests.support.daemon import eventually
from tests.support.images import jpeg
from tests.web.console.gallery.museum import KEPT, Museum, names, picture, text_of


def test_without_a_catalogue_one_sentence_says_how_to_turn_it_on_and_pages_of_known_names_are_there(
    tmp_path: Path,
) -> None:
    museum = Museum(tmp_path, KEPT, catalogue=False)
    try:
        museum.put("a.jpg", jpeg())
        gallery = museum.admin.get("gallery/")
        assert (gallery.status, "[catalogue]" in gallery.text) == (200, True)
        page = museum.admin.get("gallery/asset?name=a.jpg&collection=")
        assert page.status == 200
        assert "look/view?filename=a.jpg" in page.text
        assert "Who may see it" not in page.text
        assert picture(museum.admin.get("gallery/look/thumbnail?filename=a.jpg&scale=50")).size == (50, 33)
        museum.delete("a.jpg")
        assert museum.admin.submit("gallery/asset?name=a.jpg", "Restore: a.jpg").status == 303
        assert museum.admin.get("gallery/look/fileget?filename=a.jpg").body == jpeg()
    finally:
        museum.stop()


@pytest.mark.slow
def test_collections_of_any_name_are_those_of_the_catalogue(tmp_path: Path) -> None:
    museum = Museum(tmp_path, {"collections": {"mode": "auto"}, **KEPT})
    try:
        for collection in ("Käfer", "a&b"):
            museum.put("one.jpg", jpeg(), collection)
        museum.await_rows("assets", "one.jpg", 2)
        gallery = museum.admin.get("gallery/")
        assert re.findall(r'<option value="([^"]*)"', gallery.text) == ["", "a&amp;b", "Käfer"]
        assert gallery.text.count('<span class="name">') == 2
        assert museum.admin.get(f"gallery/?collection={quote('a&b')}").text.count('<span class="name">') == 1
        query = urlencode({"collection": "Käfer", "name": "one.jpg"})
        assert museum.admin.get(f"gallery/asset?{query}").status == 200
        museum.delete("one.jpg", "Käfer")
        assert "one.jpg" in museum.admin.get("trash/").text
        assert museum.admin.submit(f"gallery/asset?{query}", "Restore: one.jpg").status == 303
    finally:
        museum.stop()


@pytest.mark.slow
def test_what_cannot_be_found_out_is_said_and_hides_nothing_else(tmp_path: Path) -> None:
    museum = Museum(tmp_path)
    try:
        museum.put("a.jpg", jpeg())
        (tmp_path / "other").write_bytes(b"no database " * 1000)
        (tmp_path / "other").replace(museum.catalogue)
        gallery = museum.admin.get("gallery/")
        assert (gallery.status, "doctor" in gallery.text) == (503, True)
        page = museum.admin.get("gallery/asset?name=a.jpg")
        assert page.status == 200
        assert text_of(page).count("This cannot be told now: the catalogue cannot be used") == 3
        assert museum.admin.get("gallery/look/thumbnail?filename=a.jpg&scale=50").status == 200
        assert str(tmp_path) not in page.text
    finally:
        museum.stop()


@pytest.mark.slow
def test_a_reload_changes_what_is_shown(tmp_path: Path) -> None:
    museum = Museum(tmp_path)
    try:
        museum.put("a.jpg", jpeg())
        text = museum.daemon.config_file.read_text("utf-8")
        museum.daemon.config_file.write_text(text.replace('"private"', "false", 1), "utf-8")
        os.kill(museum.daemon.pid, signal.SIGHUP)
        eventually(lambda: "is in use" in museum.daemon.log(), "for the reload")
        assert "Decisions have no effect" in text_of(museum.admin.get("gallery/asset?name=a.jpg"))
    finally:
        museum.stop()


@pytest.mark.slow
def test_of_several_processes_any_may_be_asked(tmp_path: Path) -> None:
    museum = Museum(tmp_path, {"server": {"workers": 2}, **KEPT})
    try:
        content = jpeg((2400, 1600), quality=100)
        museum.put("a.jpg", content)
        for _ in range(4):
            assert museum.admin.get("gallery/").text.count('<span class="name">') == 1
        assert museum.admin.get("gallery/look/fileget?filename=a.jpg").body == content
        museum.delete("a.jpg")
        assert museum.admin.submit("gallery/asset?name=a.jpg", "Restore: a.jpg").status == 303
        assert museum.admin.get("gallery/look/fileget?filename=a.jpg").body == content
    finally:
        museum.stop()


@pytest.mark.slow
def test_of_several_daemons_each_shows_what_the_others_store_and_decides_for_all(tmp_path: Path) -> None:
    first = Museum(tmp_path / "first", KEPT)
    shared = {
        "stores": {"main": {"plugin": "filesystem", "path": first.daemon.store}},
        "catalogue": {"path": first.catalogue},
    }
    second = Museum(tmp_path / "second", {**KEPT, **shared})
    try:
        first.put("a.jpg", jpeg())
        assert names(second.admin.get("gallery/")) == ["a.jpg"]
        assert second.admin.get("gallery/look/fileget?filename=a.jpg").body == jpeg()
        page = "gallery/asset?name=a.jpg"
        second.admin.submit(page, 'value="public"', choice="public", reason="for the atlas")
        assert "for the atlas" in first.admin.get(page).text
        request = b"GET /fileget?filename=a.jpg&type=O HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        eventually(lambda: first.client.raw(request).status == 200, "for the decision to count")
        first.delete("a.jpg")
        assert second.admin.submit(page, "Restore: a.jpg").status == 303
        assert first.admin.get("gallery/look/fileget?filename=a.jpg").body == jpeg()
        first.await_rows("history", "a.jpg", 3)
        assert "restored" in text_of(first.admin.get(page))
    finally:
        second.stop()
        first.stop()

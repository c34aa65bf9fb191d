"""Questions in the addresses of the gallery."""

from urllib.parse import quote, urlencode

import pytest

from was_daemon.model.search_texts import BadSearch
from was_daemon.web.console.gallery.asked import Asked
from was_daemon.web.console.gallery.drawing import drawing
from was_daemon.web.console.gallery.markup import address, facts, isolated, table

HOSTILE = "<b>&\"'"


def test_empty_fields_ask_for_nothing() -> None:
    assert Asked.parse(b"collection=&name=&size=%20&cursor=") == Asked()
    assert not Asked.parse(b"collection=Fish").is_search


def test_a_question_is_the_same_after_its_way_through_an_address() -> None:
    asked = Asked({"name": f"{HOSTILE}*+ü", "size": "..5"}, "Käfer & Co", "WzEsIDJd")
    assert Asked.parse(address("./", asked.query).partition("?")[2].encode()) == asked
    assert Asked.parse(urlencode(asked.query).encode()) == asked


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(BadSearch):
        Asked.parse(b"&".join(b"a%d=1" % number for number in range(100)))


@pytest.mark.parametrize(
    ("fields", "wider"),
    [
        ({"name": "a.jpg", "size": "5"}, {"name": "*a.jpg*", "size": "5"}),
        ({"file_name": "a"}, {"file_name": "*a*"}),
        ({"name": "a*"}, None),
        ({"name": "a", "file_name": "?"}, None),
        ({"size": "5"}, None),
    ],
)
def test_whole_names_can_be_looked_for_as_parts(fields: dict[str, str], wider: dict[str, str] | None) -> None:
    found = Asked(fields).wider()
    assert (found and found.fields) == wider


def test_texts_are_escaped_wherever_they_stand() -> None:
    pieces = (
        facts([(HOSTILE, HOSTILE), (HOSTILE, isolated(HOSTILE))]),
        table(HOSTILE, [HOSTILE, ""], [[HOSTILE, isolated(HOSTILE)]]),
        drawing(f"a.{HOSTILE}", HOSTILE),
    )
    for piece in pieces:
        assert HOSTILE not in piece and "<b>" not in piece and "&lt;b&gt;&amp;" in piece
    assert facts([("none", "")]) == ""


def test_an_address_has_the_fields_that_are_not_empty() -> None:
    assert address("asset", {"collection": "", "name": "a b&c=d"}) == f"asset?name={quote('a b&c=d')}"
    assert address("./", {"name": ""}) == "./"

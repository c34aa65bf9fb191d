"""`[specify.NAME]`."""

from pathlib import Path

import pytest

from tests.config.test_config import MAIN, SECRET, keys_of, mistakes_of, settings_of
from was_daemon.config.settings import SpecifySettings

BASE = f'[server]\nkey = "{SECRET}"\n{MAIN}'
CATALOGUE = '[catalogue]\npath = "catalogue.sqlite"\n'
URL = 'url = "mariadb://was@db.example.org/fish?ssl_ca=/etc/ssl/ca.pem"\n'
COLLECTIONS = '[collections]\nmode = "map"\nmap.Fish = { directory = "fish" }\n'


def fish(*lines: str) -> str:
    return "\n".join(["[specify.fish]", *lines, ""])


def test_a_url_is_enough(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, BASE + CATALOGUE + fish(URL))
    assert settings.specify == {"fish": SpecifySettings(url="mariadb://was@db.example.org/fish?ssl_ca=/etc/ssl/ca.pem")}
    assert (settings.specify["fish"].every, settings.specify["fish"].full_at) == (300, "03:00")


@pytest.mark.parametrize(
    ("every", "seconds"), [('"5 min"', 300), ('"90 s"', 90), ('"1.5 h"', 5400), ('"1 day"', 86_400), ("60", 60)]
)
def test_times_have_units(tmp_path: Path, every: str, seconds: float) -> None:
    settings = settings_of(tmp_path, BASE + CATALOGUE + fish(f"every = {every}"))
    assert settings.specify["fish"].every == seconds


def test_databases_need_a_catalogue(tmp_path: Path) -> None:
    mistakes = mistakes_of(tmp_path, BASE + fish(URL))
    assert mistakes == ["specify: needs [catalogue], which keeps what Specify's databases say: set path there"]


def test_a_mistake_in_an_address_is_told_without_what_follows_from_it(tmp_path: Path) -> None:
    catalogue = '[catalogue]\nurl = "postgresql://was:secret@db/c"\njournal = "j.sqlite"\npassword_file = "pw"\n'
    address = 'url = "mariadb://was:secret@db/fish"\npassword_file = "pw"'
    (tmp_path / "pw").write_text("secret")
    (tmp_path / "pw").chmod(0o600)
    text = BASE + catalogue + '[fixity]\nevery = "90 days"\n' + fish(address)
    assert keys_of(mistakes_of(tmp_path, text)) == ["catalogue.url", "specify.fish.url"]


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('url = "postgresql://was@db/fish"', "url"),
        ('url = "mariadb://was:secret@db/fish"', "url"),
        ('url = "mariadb://was@db"', "url"),
        ('url = "mariadb://was@db:port/fish"', "url"),
        ("password_file = 'password'", "password_file"),
        ('every = "five minutes"', "every"),
        ('every = "0 s"', "every"),
        ('full_at = "25:00"', "full_at"),
        ('full_at = "3:00"', "full_at"),
        ("min_rows = -1", "min_rows"),
        ("min_share = 90", "min_share"),
        ('collection = "Fish"', "collection"),
    ],
)
def test_a_mistake_is_told_with_its_key(tmp_path: Path, lines: str, key: str) -> None:
    mistakes = mistakes_of(tmp_path, BASE + CATALOGUE + fish(lines))
    assert keys_of(mistakes) == [f"specify.fish.{key}"]
    assert not any("secret" in mistake for mistake in mistakes)


@pytest.mark.parametrize(("lines", "is_right"), [("", False), ('coll = "Fish"', True), ('coll = "fish"', False)])
def test_attachments_are_in_one_of_the_collections(tmp_path: Path, lines: str, is_right: bool) -> None:
    text = BASE + COLLECTIONS + CATALOGUE + fish(lines)
    if is_right:
        assert settings_of(tmp_path, text).specify["fish"].coll == "Fish"
    else:
        assert keys_of(mistakes_of(tmp_path, text)) == ["specify.fish.coll"]


def test_where_names_make_collections_attachments_are_in_a_possible_one(tmp_path: Path) -> None:
    text = BASE + '[collections]\nmode = "auto"\n' + CATALOGUE
    assert settings_of(tmp_path, text + fish('coll = "Any"')).specify["fish"].coll == "Any"
    assert keys_of(mistakes_of(tmp_path, text + fish('coll = "../any"'))) == ["specify.fish.coll"]


def test_names_of_databases_differ_in_more_than_case(tmp_path: Path) -> None:
    text = BASE + CATALOGUE + '[specify.fish]\n[specify.Fish]\n[specify."a b"]\n'
    assert keys_of(mistakes_of(tmp_path, text)) == ["specify.Fish", "specify.a b"]


def test_a_database_is_a_table(tmp_path: Path) -> None:
    assert keys_of(mistakes_of(tmp_path, 'specify = "fish"\n' + BASE + CATALOGUE)) == ["specify"]
    text = BASE + CATALOGUE + '[specify]\nurl = "mariadb://db/fish"\n'
    assert keys_of(mistakes_of(tmp_path, text)) == ["specify.url"]

"""What the log does not tell."""

import pytest

from was_daemon.telemetry.redaction import without_tokens
from was_daemon.web.capabilities import grant

CAPABILITY = str(grant("a key", None, "a.jpg", 1_800_000_000))


def encoded(text: str) -> str:
    return "".join(f"%{ord(letter):02x}" for letter in text)


@pytest.mark.parametrize("write", [str, encoded, lambda text: text.replace(".", "%2E")])
@pytest.mark.parametrize("page", ["", ";2"])
def test_an_address_that_lets_its_holder_look_is_not_written(write: object, page: str) -> None:
    assert callable(write)
    line = without_tokens(f"/iiif/3/a.jpg{page}{write(f';{CAPABILITY}')}/info.json")
    assert line.startswith(f"/iiif/3/a.jpg{page}") and line.endswith(".../info.json")
    mac = CAPABILITY.partition(".")[2]
    assert mac not in line and encoded(mac) not in line


@pytest.mark.parametrize("name", ["token", "token2", "Token2", "t%6fken%32"])
@pytest.mark.parametrize("value", ["d41d8cd98f00b204e9800998ecf8427e:1800000000", CAPABILITY, "secret"])
def test_the_tokens_of_both_pictures_in_the_viewer_are_not_written(name: str, value: str) -> None:
    line = without_tokens(f"/view?filename=a.jpg&{name}={value}&filename2=b.jpg")
    assert line == f"/view?filename=a.jpg&{name}=...&filename2=b.jpg"


def test_other_addresses_are_written_as_they_are() -> None:
    for line in ("/iiif/3/a.jpg;2/full/max/0/default.jpg", "/a;b.jpg", "/iiif/3/a;1800000000.txt/info.json"):
        assert without_tokens(line) == line

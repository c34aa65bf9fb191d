"""URLs of servers, as administrators write them, and as they are sent."""

import pytest

from was_daemon.stores.http.urls import as_sent, url_problem


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://dav.example/a b/ä%2F+~", "https://dav.example/a%20b/%C3%A4%2F+~"),
        ("http://käfer.example:8080/", "http://xn--kfer-loa.example:8080/"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
    ],
)
def test_a_url_is_sent_encoded(url: str, sent: str) -> None:
    assert url_problem(url) is None
    assert as_sent(url) == sent
    assert as_sent(sent) == sent


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://a..b/",
            "https://a b/",
            "https://xn--a/",
            f"https://{'a' * 300}/",
            "https:///x",
            "https://[::1",
            "http://[::1]/",
        ),
        *(
            "https://[::g]/",
            "https://[a.example]/",
            "https://a.example:/",
            "https://a.example:x/",
            "https://a.example:0/",
        ),
        *(
            "https://a.example:99999/",
            "ftp://a.example/",
            "https://u:p@a.example/",
            "https://a.example/?a=b",
            "a.example",
        ),
    ],
)
def test_a_url_that_nobody_can_ask_for_is_a_mistake(url: str) -> None:
    assert url_problem(url)

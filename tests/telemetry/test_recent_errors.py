"""The last failures: how they are told apart, counted and kept."""

import pytest
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure

from was_daemon.health.history.failures import Failures, failures_of, merged, parse_failures
from was_daemon.telemetry.metrics import Metrics
from was_daemon.telemetry.recent_errors import FailedRequest, LogLine, Occurrences, RecentErrors


@pytest.fixture
def recent() -> RecentErrors:
    return RecentErrors(Metrics())


def test_requests_that_failed_alike_are_one_kind_with_the_last_words(recent: RecentErrors) -> None:
    for seconds in (400, 401):
        recent.note_failed_request("fileupload", 403, f"the token's time is {seconds} s behind the server's")
    recent.note_failed_request("fileget", 404, "no such asset")
    (newest, once), (kind, twice) = recent.requests.newest_first()
    assert (newest.endpoint, newest.status, once.number) == ("fileget", 404, 1)
    assert (kind.endpoint, twice.number, twice.text) == (
        "fileupload",
        2,
        "the token's time is 401 s behind the server's",
    )
    assert twice.first <= twice.last


def test_only_statuses_of_500_and_more_count_as_failed_requests_of_the_last_hour(recent: RecentErrors) -> None:
    recent.note_failed_request("fileget", 404, "")
    recent.note_failed_request("fileget", 503, "")
    assert recent.failed_requests() == 1


def test_lines_of_the_log_are_told_apart_by_their_form_and_have_no_secrets(recent: RecentErrors) -> None:
    log = Logger(observer=LogPublisher(recent))
    for name in ("a", "b"):
        log.warn("Store {name}: https://user:secret@dav.example.org/ is down", name=name)
    log.info("all is well")
    ((line, times),) = recent.lines.newest_first()
    assert (line.level, times.number) == ("warn", 2)
    assert times.text == "Store b: https://...@dav.example.org/ is down"


def test_mistakes_and_warnings_that_differ_do_not_hide_each_other(recent: RecentErrors) -> None:
    log = Logger(observer=LogPublisher(recent))
    for number, text in enumerate(("limits.min_fre: unknown", "server.workers: 0 is too small", "server.workers: 9")):
        log.error("A mistake: {mistake}", mistake=text)
        log.warn("{warning}", warning=f"https://user:secret{number}@dav.example.org/ {text}")
    log.error("A mistake: {mistake}", mistake="server.workers: 3 is too small")
    found = recent.lines.newest_first()
    assert [times.number for _, times in found] == [2, 1, 1, 1, 1, 1]
    assert "secret" not in str(found)


def test_a_failure_is_told_by_its_error_and_not_by_a_traceback(recent: RecentErrors) -> None:
    log = Logger(observer=LogPublisher(recent))
    log.failure("This went wrong", Failure(ValueError("the reason")), level=LogLevel.critical)
    ((line, times),) = recent.lines.newest_first()
    assert (line.level, times.text) == ("critical", "This went wrong: the reason")


def test_a_token_in_a_reason_is_not_kept(recent: RecentErrors) -> None:
    recent.note_failed_request("fileget", 400, f"bad ?token={'0' * 32}:1700000000")
    assert "0000" not in failures_of(recent).text()


def test_failures_are_read_as_they_were_written_and_anything_else_is_none(recent: RecentErrors) -> None:
    recent.note_failed_request("fileget", 404, "no such asset: é")
    Logger(observer=LogPublisher(recent)).error("an error")
    found = failures_of(recent)
    assert parse_failures(found.text()) == found
    for text in ("", "{", "[]", "null", '{"requests": [[1]], "lines": []}', '{"requests": 5}', "[" * 100_000):
        assert parse_failures(text) == Failures()


def test_failures_of_several_processes_are_added_up_and_the_last_ones_come_first() -> None:
    kind, other = FailedRequest("fileget", 404, "x"), FailedRequest("index", 500, "y")
    one = Failures([(kind, Occurrences(2, 10, 30, "before"))], [(LogLine("warn", "z"), Occurrences(1, 1, 1, "z"))])
    two = Failures([(kind, Occurrences(3, 5, 40, "after")), (other, Occurrences(1, 50, 50, "y"))])
    found = merged([one, two])
    assert found.requests == [(other, Occurrences(1, 50, 50, "y")), (kind, Occurrences(5, 5, 40, "after"))]
    assert len(found.lines) == 1


def test_the_number_of_kinds_is_bounded(recent: RecentErrors) -> None:
    for number in range(1000):
        recent.note_failed_request(f"endpoint-{number}", 404, "")
    assert len(recent.requests.newest_first()) == 100
    assert recent.requests.newest_first()[0][0].endpoint == "endpoint-999"

"""Rates, quantiles and levels, as they are made of samples."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from was_daemon.health.history.charts import charts_of
from was_daemon.health.history.ring_file import MINUTES
from was_daemon.health.history.samples import MOST_NAMES, reason_of, sample_of, without_names
from was_daemon.health.history.series import SPANS, Chart, History, Timed
from was_daemon.telemetry.metrics import Metrics

HOUR = SPANS["hour"]
NOW = 1_800_000_000
"""The begin of an interval, which is the last one of the span."""


def history(*processes: list[Timed], span: str = "hour") -> History:
    return History(SPANS[span], processes, NOW)


def sample(began: int, **values: Any) -> dict[str, Any]:
    return {"began": began, **values}


def chart(title: str, found: History) -> Chart:
    return next(each for each in charts_of(found) if each.title == title)


def requests(*pairs: tuple[int, int], began: int = NOW - 10_000) -> list[Timed]:
    return [(moment, sample(began, requests=number)) for moment, number in pairs]


def rates(found: History) -> list[float | None]:
    return found.rates(lambda each: each["requests"] if each else 0)


def test_a_rate_is_the_difference_of_two_samples_by_the_time_between_them() -> None:
    values = rates(history(requests((NOW - 60, 100), (NOW, 400))))
    assert values == [*[None] * 59, 5.0]


def test_after_a_restart_all_that_was_counted_since_is_the_difference() -> None:
    before = requests((NOW - 120, 1000), (NOW - 60, 1120))
    after = requests((NOW, 30), began=NOW - 30)
    values = rates(history(before + after))
    assert values[-2:] == [2.0, 1.0]


def test_a_sample_that_is_missing_costs_no_request() -> None:
    values = rates(history(requests((NOW - 180, 0), (NOW - 120, 60), (NOW, 180))))
    assert values[-3:] == [1.0, None, 1.0]


def test_the_numbers_of_processes_are_added_up() -> None:
    one, other = requests((NOW - 60, 0), (NOW, 60)), requests((NOW - 60, 500), (NOW, 620))
    assert rates(history(one, other))[-1] == 3.0


def test_a_clock_that_was_set_back_makes_no_negative_rate() -> None:
    values = rates(history(requests((NOW - 60, 500), (NOW, 100))))
    assert all(value is None or value >= 0 for value in values)


def test_quantiles_are_those_of_the_requests_of_an_interval_alone() -> None:
    slow = [[0.01, 0], [0.1, 0], [1.0, 1000], [0, 1000]]
    fast = [[0.01, 90], [0.1, 100], [1.0, 1100], [0, 1100]]
    began = NOW - 10_000
    found = history([(NOW - 60, sample(began, seconds=slow)), (NOW, sample(began, seconds=fast))])
    assert found.quantiles(0.5)[-1] == pytest.approx(0.01 * 50 / 90)
    assert found.quantiles(0.95)[-1] == pytest.approx(0.01 + 0.09 * 5 / 10)
    assert found.quantiles(0.99)[-1] == pytest.approx(0.01 + 0.09 * 9 / 10)
    assert found.quantiles(0.5)[-3] is None


def test_requests_that_took_longer_than_the_largest_bound_are_told_by_that() -> None:
    found = history([(NOW, sample(NOW - 30, seconds=[[1.0, 0], [120.0, 0], [0, 10]]))])
    assert found.quantiles(0.5)[-1] == 120.0


@pytest.mark.parametrize("span", SPANS)
def test_every_span_ends_now_and_has_the_newest_value_last(span: str) -> None:
    found = history([(NOW, sample(NOW - 30, requests=60, waiting=7))], span=span)
    queue = chart("Queue", found)
    assert [series.values[-1] for series in queue.series] == [7, 0]
    assert all(len(series.values) == SPANS[span].count for series in queue.series)
    assert found.begin < NOW < found.end == found.begin + SPANS[span].seconds


def test_what_all_processes_see_is_shown_once_and_what_each_has_is_added_up() -> None:
    values = {"free": {"spool": 100}, "busy": 2, "mirrors": {"main, copy": 5}, "quotas": {"Fish": [30, 60]}}
    found = history([(NOW, sample(NOW - 30, **values))], [(NOW + 1, sample(NOW - 30, **values))])
    assert chart("Free space", found).series[0].values[-1] == 100
    assert chart("Workers", found).series[0].values[-1] == 4
    assert chart("Changes that wait for a copy", found).series[0].values[-1] == 5
    assert chart("Quotas", found).series[0].values[-1] == 50.0


def test_charts_of_what_the_settings_do_not_have_are_left_out() -> None:
    titles = {each.title for each in charts_of(history([(NOW, sample(NOW - 30))]))}
    assert "Quotas" not in titles and "Changes that wait for a copy" not in titles
    assert {"Requests", "Time to answer", "Failed requests by reason", "Bytes", "Queue", "Workers"} <= titles


def test_reasons_that_did_not_occur_are_left_out_and_the_most_frequent_is_first() -> None:
    errors = {"not found": 3, "disk full": 8}
    found = chart("Failed requests by reason", history([(NOW, sample(NOW - 30, errors=errors))]))
    assert [(series.name, series.values[-1]) for series in found.series] == [("disk full", 8.0), ("not found", 3.0)]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("200", None),
        ("304", None),
        ("404", "not found"),
        ("409", "other refusal"),
        ("aborted", "client left"),
        ("507", "disk full"),
    ],
)
def test_a_status_is_told_by_a_reason(status: str, reason: str | None) -> None:
    assert reason_of(status) == reason


def test_a_sample_has_what_the_metrics_have() -> None:
    metrics = Metrics()
    metrics.requests.labels("fileget", 200).inc(5)
    metrics.requests.labels("fileget", 403).inc(2)
    metrics.request_seconds.labels("fileget").observe(0.02)
    metrics.request_seconds.labels("index").observe(0.02)
    metrics.sent.inc(1000)
    metrics.free_bytes.labels("store main").set(7)
    metrics.collection_quota.labels("Fish").set(100)
    metrics.collection_used.labels("Fish").set(float("nan"))
    metrics.store_seconds.labels("main", "open").observe(0.5)
    metrics.store_errors.labels("main", "open", "unavailable").inc()
    found = sample_of(metrics.registry, NOW)
    assert (found["began"], found["requests"], found["sent"]) == (NOW, 7, 1000)
    assert found["errors"] == {"token refused": 2}
    assert found["seconds"][-1] == [0, 2]
    assert dict(map(tuple, found["seconds"]))[0.025] == 2 and dict(map(tuple, found["seconds"]))[0.01] == 0
    assert found["free"] == {"store main": 7}
    # Not counted yet.
    assert found["quotas"] == {}
    assert found["stores"] == {"main": [1, 0.5, 1]}
    assert generate_latest(metrics.registry)


def test_a_sample_with_many_names_is_cut_to_the_fullest_collections() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.collection_quota.labels(f"collection {number}").set(1000)
        metrics.collection_used.labels(f"collection {number}").set(number)
    found = sample_of(metrics.registry, NOW)
    assert list(found["quotas"])[:2] == ["collection 99", "collection 98"]
    assert len(found["quotas"]) == MOST_NAMES
    assert list(without_names(found, 1)["quotas"]) == ["collection 99"]


def test_the_hour_is_made_of_minutes() -> None:
    assert HOUR.ring is MINUTES and HOUR.step == MINUTES.step


def test_the_first_sample_of_a_process_that_has_run_for_long_is_no_burst() -> None:
    values = rates(history(requests((NOW - 60, 1_000_000), (NOW, 1_000_060))))
    assert values[-2:] == [None, 1.0]

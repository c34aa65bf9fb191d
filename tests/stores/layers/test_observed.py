"""The dashboard and the alerts that come along fit the metrics that there are."""

import json
import re
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import RunDaemon
from tests.support.paths import ROOT
from tests.support.ports import free_port
from was_daemon.telemetry.metrics import Metrics

ALERTS = yaml.safe_load((ROOT / "etc/prometheus-alerts.yml").read_text("utf-8"))
DASHBOARD = json.loads((ROOT / "etc/grafana-dashboard.json").read_text("utf-8"))
GUIDE = (ROOT / "docs/operations.md").read_text("utf-8")

RULES = {rule["alert"]: rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]}
PANELS = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in DASHBOARD["panels"]}

METRIC = re.compile(r"\b(?:was|process)_[a-z_]+")
SELECTOR = re.compile(r"\b((?:was|process)_[a-z_]+)\{([^}]*)\}")
QUOTED = re.compile(r'"[^"]*"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
TARGET = {"instance", "job"}
"""Labels that Prometheus adds to what it reads; it renames ours of these names."""
OF_PROMETHEUS = TARGET | {"le"}


@pytest.fixture(scope="module")
def names() -> set[str]:
    """The names of the series that a daemon without any traffic shows, as the expressions use them."""
    found = set()
    for family in text_string_to_metric_families(Metrics().exposition().decode()):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return found


@pytest.fixture(scope="module")
def own_labels() -> set[str]:
    metrics = vars(Metrics()).values()
    return {label for metric in metrics for label in getattr(metric, "_labelnames", ())} | {"version"}


@pytest.fixture(scope="module")
def labels(own_labels: set[str]) -> set[str]:
    return own_labels | OF_PROMETHEUS


EXPRESSIONS = [*RULES.values(), *(expression for panel in PANELS.values() for expression in panel)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_exists(names: set[str], labels: set[str], expression: str) -> None:
    assert set(METRIC.findall(QUOTED.sub("", expression))) <= names
    for _, selectors in SELECTOR.findall(expression):
        assert {selector.partition("=")[0].rstrip("!") for selector in selectors.split(",")} <= labels
    for group in GROUPED.findall(expression):
        assert {label.strip() for label in group.split(",")} <= labels


def test_a_running_daemon_shows_the_same_names(run_daemon: RunDaemon, names: set[str]) -> None:
    port = free_port()
    run_daemon({"server": {"admin_listen": [f"tcp:{port}:interface=127.0.0.1"]}})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name for name in names if name.endswith("_total")} <= families
    assert {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")} <= families


def metrics(names: set[str]) -> set[str]:
    """The metrics of the daemon to which series belong."""
    return {re.sub("_(bucket|sum|count)$", "", name) for name in names if name.startswith("was_")}


def test_every_metric_is_on_the_dashboard(names: set[str]) -> None:
    shown = {name for panel in PANELS.values() for expression in panel for name in METRIC.findall(expression)}
    assert metrics(names) - metrics(shown) == set()


def test_no_label_has_a_name_of_those_that_prometheus_adds(own_labels: set[str]) -> None:
    assert not own_labels & TARGET


def test_the_guide_explains_every_metric_and_every_alert(names: set[str]) -> None:
    told = set(METRIC.findall(GUIDE))
    ours = metrics(names)
    assert ours - told == set()
    assert {name for name in told if name.startswith("was_")} <= ours
    assert {f"`{name}`" for name in RULES} <= set(re.findall(r"`\w+`", GUIDE))


def test_every_panel_has_room_of_its_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells

"""The rule of every route of the console: who may ask for it."""

import pytest

from was_daemon.daemon.console import AREAS
from was_daemon.web.console import guard
from was_daemon.web.console.routes import Console

OPEN = {
    "login": guard.anybody,
    "log_in": guard.stranger_form,
    "file": guard.anybody,
    "overview": guard.administrator,
    "log_out": guard.form,
}
"""The routes of the console itself; `area` leaves the request to the routes of an area."""


def test_every_route_of_the_console_has_its_rule() -> None:
    found = {name: getattr(route, "rule", None) for name, route in Console.app.endpoints.items() if "area" not in name}
    assert found == OPEN


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_no_route_of_an_area_is_for_anybody(area: type) -> None:
    routes = area.app.endpoints  # type: ignore[attr-defined]
    assert routes
    for name, route in routes.items():
        assert getattr(route, "rule", None) in (guard.administrator, guard.session, guard.form), name


def test_only_forms_of_pages_change_anything() -> None:
    for app in (Console.app, *(area.app for area in AREAS)):
        for rule in app.url_map.iter_rules():
            if "POST" in (rule.methods or ()) and "area" not in rule.endpoint:
                assert app.endpoints[rule.endpoint].rule in (guard.form, guard.stranger_form), rule

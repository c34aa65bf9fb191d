"""The names that docs/stability.md promises to keep, as they are now.

`python -m tests.support.stable` writes them to `STABLE`.
"""

import json
import typing
from collections.abc import Iterator
from typing import Any

import attrs
import click
from zope.interface.interface import InterfaceClass, Method

from tests.support.paths import ROOT
from was_daemon import plugins
from was_daemon.cli.main import main as command
from was_daemon.config.plugins import find_plugins
from was_daemon.config.settings import Sections, StoreSettings
from was_daemon.config.specify_settings import SpecifySettings
from was_daemon.telemetry.metrics import Metrics
from was_daemon.web.admin.routes import AdminServer
from was_daemon.web.contract.routes import AssetServer

STABLE = ROOT / "tests" / "stable.json"


def names() -> dict[str, list[str]]:
    """Return the names by their kind, sorted."""
    kinds = {
        "settings": settings(),
        "commands": commands(command, "was-daemon"),
        "metrics": metrics(),
        "addresses": addresses(),
        "plugins": interfaces(),
    }
    return {kind: sorted(set(found)) for kind, found in kinds.items()}


def settings() -> Iterator[str]:
    """Yield the keys of the configuration, those of all stores included."""
    yield from _keys(Sections, "")
    yield from _keys(StoreSettings, "stores.NAME.")
    yield from _keys(SpecifySettings, "specify.NAME.")
    found = find_plugins()
    for name in found:
        yield from _keys(found[name].options, f"stores.NAME({name}).")


def _keys(settings: Any, prefix: str) -> Iterator[str]:
    kinds = typing.get_type_hints(settings)
    for field in attrs.fields(settings):
        yield f"{prefix}{field.alias}"
        for kind in (kinds[field.name], *typing.get_args(kinds[field.name])):
            if attrs.has(kind):
                yield from _keys(kind, f"{prefix}{field.alias}.")


def commands(found: click.Command, name: str) -> Iterator[str]:
    """Yield the commands, and each with its arguments and options."""
    yield name
    for parameter in found.params:
        yield from (f"{name} {form}" for form in (parameter.opts if parameter.param_type_name == "option" else ["..."]))
    for within, each in getattr(found, "commands", {}).items():
        yield from commands(each, f"{name} {within}")


def metrics() -> Iterator[str]:
    """Yield the metrics with their labels."""
    for each in vars(Metrics()).values():
        if hasattr(each, "_labelnames"):
            yield f"{each._name}{{{','.join(each._labelnames)}}}"


def addresses() -> Iterator[str]:
    """Yield the routes, of the public and of the admin endpoints."""
    for side, server in (("", AssetServer), ("admin ", AdminServer)):
        for rule in server.app.url_map.iter_rules():
            yield from (f"{side}{method} {rule.rule}" for method in rule.methods or ())


def interfaces() -> Iterator[str]:
    """Yield what authors of plugins import, and the methods of interfaces with their arguments."""
    for name in plugins.__all__:
        yield name
        found = getattr(plugins, name)
        if isinstance(found, InterfaceClass):
            for member, description in found.namesAndDescriptions(all=True):
                takes = f"({', '.join(description.positional)})" if isinstance(description, Method) else ""
                yield f"{name}.{member}{takes}"


if __name__ == "__main__":
    STABLE.write_text(json.dumps(names(), indent=1) + "\n", "utf-8")

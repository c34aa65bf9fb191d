"""`was-daemon config check`: a summary of the configuration, or all mistakes in it."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from was_daemon.cli.options import DEFAULT_KEY, config_option, epilog, has_default_key, json_option

if TYPE_CHECKING:
    from was_daemon.config.settings import CollectionSettings, Settings, SpecifySettings, StoreSettings
    from was_daemon.model.interfaces import IStorePlugin

_READING = {
    False: "without a token",
    True: "with a token",
    "private": "with a token what is private; what is not known is {}",
}


@click.group()
def config() -> None:
    """Look at the daemon's configuration."""


@config.command(epilog=epilog("was-daemon config check --config was.toml"))
@click.option("--plugins", "with_plugins", is_flag=True, help="List the plugins for stores and their options, too.")
@config_option
@json_option
def check(with_plugins: bool, config: Path | None, as_json: bool) -> None:
    """Tell what would run, and what to be warned of; or all mistakes, each with its key.

    Nothing is opened, and no secret is shown. Whether a store can be reached, `check-store` finds out.
    """
    from was_daemon.config.load import ConfigError
    from was_daemon.daemon.warnings import warnings

    try:
        settings = _load(config)
    except ConfigError as error:
        click.echo(json.dumps({"mistakes": error.mistakes}, ensure_ascii=False) if as_json else error, err=not as_json)
        raise SystemExit(1) from None
    plugins = {"plugins": _plugins(settings.plugins)} if with_plugins else {}
    summary = _summary(settings) | plugins | {"warnings": warnings(settings)}
    click.echo(json.dumps(summary, ensure_ascii=False, indent=2) if as_json else "\n".join(_lines(summary)))


def _load(path: Path | None) -> "Settings":
    """Return the settings; raises `ConfigError` with all that is wrong, weak keys included."""
    import secrets

    import attrs

    from was_daemon.config.load import ConfigError, load
    from was_daemon.daemon.assembly import create_stores

    environ = dict(os.environ)
    # To look at the configuration makes no key.
    makes_key = path is None and not environ.get("ATTACHMENT_KEY") and not has_default_key()
    weak_keys: Sequence[str] = ()
    try:
        settings = load(path, environ | {"ATTACHMENT_KEY": secrets.token_hex()} if makes_key else environ)
        weak_keys = settings.weak_keys
        create_stores(settings)
    except ConfigError as error:
        raise ConfigError([*error.mistakes, *(weak_keys or error.weak_keys)]) from None
    if weak_keys:
        raise ConfigError([*weak_keys])
    return attrs.evolve(settings, key_source=f"made at the first start, in {DEFAULT_KEY}") if makes_key else settings


def _summary(settings: "Settings") -> dict[str, Any]:
    server, collections = settings.server, settings.collections
    return {
        "listen": server.listen,
        "processes": server.workers,
        "public_url": server.public_url,
        "discovery": settings.discovery.elsewhere(),
        "key": settings.key_source,
        "reading": _READING[server.require_token_for_get].format(settings.visibility.unknown),
        "stores": {
            name: {"plugin": store.plugin.name, **_shown_options(store.options), **_shown_common(store)}
            for name, store in settings.stores.items()
        },
        "collections": {
            "mode": collections.mode,
            "store": settings.default_store,
            "map": {name: _collection(entry, settings.default_store) for name, entry in collections.map.items()},
        },
        "thumbnails": {
            "store": settings.thumbnails.store or "the original's own",
            "workers": max(settings.thumbnails.workers, server.workers),
        },
        "spool": str(settings.spool.path),
        "catalogue": settings.catalogue.url or _plain(settings.catalogue.path),
        "fixity": settings.fixity.every,
        "trash": settings.trash.keep,
        "specify": {name: _specify(each) for name, each in settings.specify.items()},
    }


def _collection(settings: "CollectionSettings", default_store: str) -> dict[str, Any]:
    shown = {"directory": settings.directory, "store": settings.store or default_store}
    key = {"key": f"in {settings.key_file}" if settings.key_file else "its own"} if settings.key else {}
    return shown | key | ({"quota": settings.quota} if settings.quota is not None else {})


def _specify(settings: "SpecifySettings") -> dict[str, Any]:
    return {"database": settings.url, "coll": settings.coll, "every": settings.every, "full_at": settings.full_at}


def _shown_options(options: Any) -> dict[str, Any]:
    """Return the options of a store's table, without secrets and without those left at their defaults."""
    import attrs

    fields = [field for field in attrs.fields(type(options)) if field.repr]
    values = {field.name: getattr(options, field.name) for field in fields}
    changed = {field.name for field in fields if values[field.name] != field.default}
    return {name: _plain(value) for name, value in values.items() if name in changed}


def _shown_common(store: "StoreSettings") -> dict[str, Any]:
    """Return the settings of a store's table that every plugin may have, without those left at their defaults."""
    read_only = {"read_only": True} if store.read_only else {}
    thumbnails = {"redirect_thumbnails": True} if store.redirect_thumbnails else {}
    return read_only | ({"redirect": store.redirect.value, **thumbnails} if store.redirect else {})


def _plain(value: Any) -> Any:
    value = getattr(value, "value", value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _plugins(plugins: Mapping[str, "IStorePlugin"]) -> dict[str, dict[str, dict[str, Any]]]:
    import attrs

    return {
        name: {field.name: _described(field) for field in attrs.fields(plugin.options)}
        for name, plugin in sorted(plugins.items())
    }


def _described(field: Any) -> dict[str, Any]:
    import attrs

    described: dict[str, Any] = {"type": _type_name(field.type), "required": field.default is attrs.NOTHING}
    # What a function makes is an empty table.
    has_value = field.default is not None and not isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]
    if has_value and not described["required"]:
        described["default"] = _plain(field.default)
    return described


def _type_name(kind: Any) -> str:
    """Return the name that the documentation uses for values of this type."""
    import enum

    if get_origin(kind) is dict:
        return "table"
    if get_origin(kind) is list:
        return f"list of {_type_name(get_args(kind)[0])}"
    given = [argument for argument in get_args(kind) if argument is not type(None)] or [kind]
    kind = given[0]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(f'"{member.value}"' for member in kind)
    names = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
    return names.get(kind, getattr(kind, "__name__", str(kind)).lower())


def _lines(summary: dict[str, Any]) -> Iterator[str]:
    from was_daemon.model.durations import exactly
    from was_daemon.model.sizes import readable

    yield "The configuration is right. This would run:"
    yield f"  listen       {', '.join(summary['listen'])}"
    yield f"  processes    {summary['processes']}"
    yield f"  public_url   {summary['public_url'] or 'scheme and host of each request'}"
    for kind, url in summary["discovery"].items():
        yield f"  discovery    {kind}: {url}"
    if summary["discovery"]:
        yield "    was-daemon check tries these: CORS, https, the key and the clock"
    yield f"  key          {summary['key']}"
    yield f"  reading      {summary['reading']}"
    for name, store in summary["stores"].items():
        yield f"  store        {name}: {_table(store)}"
    collections = summary["collections"]
    yield f"  collections  {collections['mode']}, in {collections['store']}"
    for name, place in collections["map"].items():
        key = f", key {place['key']}" if "key" in place else ""
        quota = f", quota {readable(place['quota'])}" if "quota" in place else ""
        yield f"    {name}: {place['directory']} in {place['store']}{key}{quota}"
    yield f"  thumbnails   in {summary['thumbnails']['store']}, {summary['thumbnails']['workers']} workers"
    yield f"  spool        {summary['spool']}"
    if summary["catalogue"]:
        yield f"  catalogue    {summary['catalogue']}"
    for name, database in summary["specify"].items():
        coll = f", in {database['coll']}" if database["coll"] else ""
        yield f"  specify      {name}: {database['database'] or 'exports'}{coll}"
    if summary["fixity"]:
        yield f"  fixity       every {exactly(summary['fixity'])}"
    if summary["trash"]:
        yield f"  trash        for {exactly(summary['trash'])}"
    if "plugins" in summary:
        yield from _plugin_lines(summary["plugins"])
    for warning in summary["warnings"]:
        yield f"WARNING: {warning}"


def _plugin_lines(plugins: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    yield "Plugins for stores, and their options:"
    for name, options in plugins.items():
        yield f"  {name}"
        width = max(map(len, options), default=0)
        for option, described in options.items():
            ending = ", required" if described["required"] else ""
            default = f", {json.dumps(described['default'])} by default" if "default" in described else ""
            yield f"    {option:<{width}}  {described['type']}{ending}{default}"


def _table(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())

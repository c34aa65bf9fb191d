"""`was-daemon visibility`: who may see which files, and decisions about it by hand."""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, json_option, load_settings
from was_daemon.cli.targets import create_stores
from was_daemon.model.moments import shown

if TYPE_CHECKING:
    from was_daemon.catalogue.catalogue import Catalogue
    from was_daemon.catalogue.identities import Identity
    from was_daemon.catalogue.visibility import Decision
    from was_daemon.config.settings import Settings
    from was_daemon.library.collections import Collections
    from was_daemon.model.interfaces import IAssetStore
    from was_daemon.model.keys import AssetKey

_PAGE_ROWS = 500
_DECISIONS = {"private": True, "public": False, "by-record": None}
_STATES = {True: "private", False: "public", None: "undecided"}


class _Subject(NamedTuple):
    """An original that the command is about: its key, and its store with its name."""

    key: "AssetKey"
    place: str
    store: "IAssetStore"

    @property
    def identity(self) -> "Identity":
        """The original in the catalogue."""
        return self.place, self.key.collection, self.key.name


@click.command(
    epilog=epilog(
        'was-daemon visibility photo.jpg --private --reason "nest of a falcon"',
        "was-daemon visibility photo.jpg --by-record",
        "was-daemon visibility",
    )
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--private", is_flag=True, help="Whatever Specify says, require a token.")
@click.option("--public", is_flag=True, help="Whatever Specify says, require no token.")
@click.option("--by-record", is_flag=True, help="Take a decision back: what Specify says counts.")
@click.option("--reason", metavar="TEXT", help="The reason, for those who ask later. Needed for a decision.")
@click.option("--collection", metavar="NAME", help="The collection that the files are in.")
@config_option
@json_option
def visibility(
    names: tuple[str, ...],
    private: bool,
    public: bool,
    by_record: bool,
    reason: str | None,
    collection: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Decide who may see the files NAME, or tell who may, and why.

    A decision counts within seconds, and until it is taken back. Without NAME, all decisions are listed.
    """
    from was_daemon.cli.reactor import run

    choice = _choice({"private": private, "public": public, "by-record": by_record})
    if choice and not names:
        raise click.UsageError(f"--{choice}: name the files")
    if choice in ("private", "public") and not (reason or "").strip():
        raise click.UsageError("give the --reason")
    settings = load_settings(config)
    require_catalogue(settings)
    files = settings.catalogue.files()
    settings = as_owner(settings, [], files)
    require_writable(settings, [], files)
    if not settings.server.tells_private:
        click.echo('WARNING: decisions have no effect: server.require_token_for_get is not "private"', err=True)
    stores = create_stores(settings)
    subjects = _subjects(settings, stores, collection, names)

    async def work() -> int:
        from was_daemon.catalogue.catalogue import open_catalogue
        from was_daemon.jobs.visibility import decide_by_hand

        opened = open_catalogue(settings.catalogue)
        try:
            if choice:
                identities = [subject.identity for subject in subjects]
                await decide_by_hand(opened, identities, _DECISIONS[choice], reason)
            if names:
                found = [await _describe(settings, opened, subject) for subject in subjects]
            else:
                found = [_shown(decision) async for decision in _all(opened)]
        finally:
            for store in stores.values():
                await store.close()
            await opened.close()
        click.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else "\n".join(_lines(found)))
        return 0

    run(work)


def _subjects(
    settings: "Settings", stores: "dict[str, IAssetStore]", collection: str | None, names: Sequence[str]
) -> list[_Subject]:
    from was_daemon.daemon.assembly import collections_in
    from was_daemon.model.errors import AssetError

    collections: Collections = collections_in(settings, stores)
    try:
        keys = [collections.original(collection, name) for name in names]
        return [_Subject(key, (place := collections.place(key)).name, place.store) for key in keys]
    except AssetError as error:
        raise click.UsageError(f"{error}: --collection names it" if not collection else str(error)) from None


def _choice(flags: Mapping[str, bool]) -> str | None:
    """Return the decision that was given, None if none was."""
    given = [choice for choice, is_given in flags.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(f"--{given[0]} and --{given[1]}: give one of them")
    return given[0] if given else None


async def _describe(settings: "Settings", catalogue: "Catalogue", subject: _Subject) -> dict[str, Any]:
    """Fire with who may see an original, what was decided, what records say, and whether it is stored."""
    from was_daemon.catalogue.visibility import decision_about, records_about, statements

    identity = subject.identity
    said = (await catalogue.database.read(statements, [identity]))[identity]
    decision = await catalogue.database.read(decision_about, identity)
    found = await catalogue.database.read(records_about, identity)
    verdict = said.verdict if said else None
    unknown = settings.visibility.unknown
    return {
        **_named(identity),
        "visibility": unknown if verdict is None else _STATES[verdict],
        "decision": _shown(decision) if decision else None,
        "records": [
            {"source": source, "number": number, "says": _STATES[None if is_public is None else not is_public]}
            for source, number, is_public in found
        ],
        "is_stored": await _is_stored(subject),
    }


async def _is_stored(subject: _Subject) -> bool | None:
    """Fire with whether there is such a file, None if the store cannot say so now."""
    from was_daemon.model.errors import AssetError
    from was_daemon.model.lookup import find_stat

    try:
        return await find_stat(subject.store, subject.key) is not None
    except AssetError:
        return None


async def _all(catalogue: "Catalogue") -> "AsyncGenerator[Decision, None]":
    from was_daemon.catalogue.visibility import decisions_after

    last: int | None = 0
    while last is not None:
        found, last = await catalogue.database.read(decisions_after, last, _PAGE_ROWS)
        for decision in found:
            yield decision


def _named(identity: "Identity") -> dict[str, Any]:
    store, directory, name = identity
    return {"store": store, "collection": directory, "name": name}


def _shown(decision: "Decision") -> dict[str, Any]:
    identity = decision.store, decision.collection, decision.name
    return {
        **_named(identity),
        "visibility": _STATES[decision.is_private],
        "reason": decision.reason,
        "since": decision.at,
    }


def _lines(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not found:
        yield "Nothing was decided by hand."
    for each in found:
        path = "/".join(filter(None, (each["collection"], each["name"])))
        yield f"{each['visibility']:<9} {path}: {_why(each)}"


def _why(each: dict[str, Any]) -> str:
    """Return why an original is private or public."""
    decision = each if "since" in each else each["decision"]
    if decision:
        reason = f": {decision['reason']}" if decision["reason"] else ""
        why = f"decided by hand on {shown(decision['since'])}{reason}"
    elif each["records"]:
        why = ", ".join(f"record {one['number']} of {one['source']} says {one['says']}" for one in each["records"])
    else:
        why = "no record says anything"
    missing = "; no such file is stored" if each.get("is_stored", True) is False else ""
    return "".join(character if character.isprintable() else "\ufffd" for character in f"{why}{missing}")

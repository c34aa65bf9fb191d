"""`was-daemon check`: checks of any asset server against the contract that Specify relies on."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from was_daemon.cli.options import epilog, json_option
from was_daemon.config.secret_files import SecretFile

if TYPE_CHECKING:
    from was_daemon.conformance.results import CheckResult
    from was_daemon.conformance.server import Server

_DOCUMENT = "web_asset_store.xml"

_existing_file = click.Path(path_type=Path, exists=True, dir_okay=False)
_key_file = click.Path(path_type=SecretFile, exists=True, dir_okay=False)


@click.command(epilog=epilog("was-daemon check https://assets.example.org --key-file /etc/was-daemon/key"))
@click.argument("url")
@click.option("--key-file", type=_key_file, help="The file with the key that Specify signs with.")
@click.option("--key-stdin", is_flag=True, help="Read the key from the standard input.")
@click.option("--no-key", is_flag=True, help="The server has no key: anybody may write and delete.")
@click.option("--coll", "collections", multiple=True, metavar="NAME", help="A collection to try; may be repeated.")
@click.option(
    "--coll-key",
    "key_files",
    multiple=True,
    type=(str, _key_file),
    metavar="NAME FILE",
    help="The file with the key of a collection that has its own.",
)
@click.option("--timeout", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Seconds.")
@click.option("--ca-file", type=_existing_file, help="Certificates to trust instead of the system's.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write a JUnit report to this file.")
@json_option
def check(
    url: str,
    key_file: SecretFile | None,
    key_stdin: bool,
    no_key: bool,
    collections: tuple[str, ...],
    key_files: tuple[tuple[str, SecretFile], ...],
    timeout: float,
    ca_file: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Try whether the asset server at URL does what Specify's clients need.

    URL is the server's address, or that of its discovery document. The key is in a file, comes from the standard input,
    or is in $ATTACHMENT_KEY.

    One line for each check: passed; failed, with what was expected and what came; skipped, with the reason; or differs:
    not as the contract says, but no client of Specify's suffers. What is uploaded has new, unguessable names, and is
    deleted again; what the server keeps all the same is named.
    """
    from was_daemon.conformance.client import HttpClient
    from was_daemon.conformance.server import Server

    own = {name: _read_key(path) for name, path in key_files}
    names = dict.fromkeys((*collections, *own))
    general = None if own and own.keys() >= names.keys() else _key(key_file, key_stdin, no_key)
    keys = {name: own.get(name, general) for name in names}
    collection = next(iter(keys), None)
    key = general if collection is None else keys.pop(collection)
    server = Server(_discovery_url(url), key, collection, HttpClient(timeout, str(ca_file) if ca_file else None))
    results = _run(server, keys, quiet=as_json)
    _report(server.url, results, junit, as_json)


def _key(key_file: SecretFile | None, key_stdin: bool, no_key: bool) -> str | None:
    if (key_file is not None) + key_stdin + no_key > 1:
        raise click.UsageError("--key-file, --key-stdin and --no-key exclude each other")
    if no_key:
        return None
    key = _read_key(key_file) if key_file or key_stdin else os.environ.get("ATTACHMENT_KEY", "").strip()
    if not key:
        raise click.UsageError("there is no key: use --key-file, --key-stdin, $ATTACHMENT_KEY or --no-key")
    return key


def _read_key(key_file: SecretFile | None) -> str:
    """Return the key from a file, or from the standard input without one."""
    try:
        return (key_file.text() if key_file else sys.stdin.read()).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"the key cannot be read: {error}") from None


def _discovery_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise click.BadParameter("expected an address such as https://assets.example.org", param_hint="URL")
    return url if parts.path.endswith(".xml") else f"{url.rstrip('/')}/{_DOCUMENT}"


def _run(server: "Server", collections: Mapping[str, str | None], quiet: bool) -> "list[CheckResult]":
    from rich.console import Console

    from was_daemon.conformance.report import CheckPrinter
    from was_daemon.conformance.suite import run_checks

    # A pipeline that is cancelled cleans up like a person who interrupts.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    printer = CheckPrinter(Console(quiet=quiet, highlight=False))
    results = []
    try:
        for result in run_checks(server, collections):
            results.append(result)
            printer.add(result)
    except KeyboardInterrupt:
        click.echo("Interrupted; what was uploaded is removed.", err=True)
        raise SystemExit(1) from None
    finally:
        printer.flush()
        server.clean_up()
        left = [*server.not_deleted, *server.left_thumbnails]
        if left:
            click.echo(f"Left on the server: {', '.join(left)}", err=True)
    return results


def _report(url: str, results: "list[CheckResult]", junit: Path | None, as_json: bool) -> None:
    from was_daemon.conformance import report
    from was_daemon.conformance.results import CheckState

    click.echo(report.as_json(url, results) if as_json else report.summary(results))
    if junit:
        try:
            report.write_junit(junit, url, results)
        except OSError as error:
            raise click.ClickException(f"the report cannot be written: {error}") from None
    if any(result.state is CheckState.FAILED for result in results):
        raise SystemExit(1)

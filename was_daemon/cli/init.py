"""`was-daemon init`: a new configuration and key, and instructions for Specify and nginx."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from was_daemon.cli.options import epilog

if TYPE_CHECKING:
    from was_daemon.cli.config_template import Choices
    from was_daemon.cli.existing_directory import ExistingDirectory

T = TypeVar("T")
_PORT = 8080
_CONSOLE_PORT = 9180
_PORTS = click.IntRange(1, 65535)
_MODES = click.Choice(["single", "map", "auto"])
_LAYOUTS = click.Choice(["flat", "sharded"])

_file = click.Path(path_type=Path, dir_okay=False)


class _Address(click.ParamType[str]):
    """Parameter type for the address of a server, as the configuration takes it."""

    name = "address"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from was_daemon.config.public_url import is_server_address

        if not is_server_address(value):
            self.fail("expected an address such as https://assets.example.org", param, ctx)
        return value


@click.command(
    epilog=epilog(
        "was-daemon init",
        "was-daemon init --yes --path /srv/attachments --public-url https://assets.example.org",
    )
)
@click.option("--path", type=click.Path(path_type=Path, file_okay=False), help="The directory of the attachments.")
@click.option("--port", type=_PORTS, help="The port to listen on.")
@click.option("--public-url", help="The address that Specify and browsers use.")
@click.option("--proxy/--no-proxy", default=None, help="Whether nginx, or another proxy, stands in front.")
@click.option("--layout", type=_LAYOUTS, help="How the files lie in their directory.")
@click.option("--collections", "mode", type=_MODES, help="How collections are told apart.")
@click.option("--key-file", type=_file, help="The file of the key; an existing one is used as it is.")
@click.option(
    "--console-port",
    type=click.IntRange(0, 65535),
    default=_CONSOLE_PORT,
    show_default=True,
    help="The port of the console and of monitoring, for this machine only; 0 for none.",
)
@click.option("--output", type=_file, default=Path("was.toml"), show_default=True, help="The configuration to write.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing; what no option says is as it is by default.")
@click.option("--force", is_flag=True, help="Overwrite the configuration; a key and a password never are.")
def init(
    path: Path | None,
    port: int | None,
    public_url: str | None,
    proxy: bool | None,
    layout: str | None,
    mode: str | None,
    key_file: Path | None,
    console_port: int,
    output: Path,
    yes: bool,
    force: bool,
) -> None:
    """Write a configuration, a key and the console's password, and print what to enter in Specify and nginx.

    Asks for what the options leave open. A directory that another asset server has used is recognised, and adopted as
    it is.
    """
    from was_daemon.cli.config_template import Choices

    if output.exists() and not force:
        raise click.ClickException(f"{output} exists already; --force overwrites it, --output names another")
    ask = _default_of if yes else _prompt
    path = _absolute(path or ask("Directory of the attachments", Path("/srv/attachments"), click.Path(path_type=Path)))
    existing = _inspect(path)
    port, public_url, has_proxy = _choose_address(ask, port, public_url, proxy)
    key_file = _absolute(key_file or output.parent / "key")
    choices = Choices(
        path=path,
        port=port,
        public_url=public_url,
        has_proxy=has_proxy,
        layout=layout or ("sharded" if existing.is_sharded else "flat"),
        mode=mode or _choose_mode(ask, existing),
        directories=existing.directories,
        key_file=key_file,
        console_port=console_port,
        password_file=key_file.with_name("console-password"),
    )
    password = _write(choices, output, force)
    _print_next_steps(choices, output, password)


class _Ask(Protocol):
    """Function that asks a question and returns the answer, or returns the default."""

    def __call__(self, question: str, default: T, kind: "click.ParamType[Any]") -> T: ...


def _prompt(question: str, default: T, kind: "click.ParamType[Any]") -> T:
    answer: T = click.prompt(question, default, type=kind, err=True)
    return answer


def _default_of(question: str, default: T, kind: "click.ParamType[Any]") -> T:
    return default


def _absolute(path: Path) -> Path:
    return Path.cwd() / path.expanduser()


def _inspect(path: Path) -> "ExistingDirectory":
    """Return the layout of the directory, and print what will be adopted."""
    from was_daemon.cli.existing_directory import inspect_directory
    from was_daemon.cli.new_files import report_file_errors

    with report_file_errors():
        existing = inspect_directory(path)
    if existing.is_single:
        click.echo(f"{path} holds originals already: they are adopted as they are.", err=True)
    if existing.directories:
        names = ", ".join(existing.directories)
        click.echo(f"{path} holds directories of collections, which are adopted as they are: {names}.", err=True)
    if existing.is_sharded:
        click.echo("The originals lie in subdirectories: the layout is sharded.", err=True)
    return existing


def _choose_address(
    ask: _Ask, port: int | None, public_url: str | None, has_proxy: bool | None
) -> tuple[int, str, bool]:
    port = port or ask("Port to listen on", _PORT, _PORTS)
    public_url = public_url or ask("Address that Specify and browsers use", f"http://localhost:{port}", _Address())
    if has_proxy is None:
        is_https = public_url.startswith("https:")
        has_proxy = ask("Does nginx, or another proxy on this machine, stand in front?", is_https, click.BOOL)
    return port, public_url.rstrip("/"), has_proxy


def _choose_mode(ask: _Ask, existing: "ExistingDirectory") -> str:
    return ask("Tell collections apart", existing.mode, _MODES) if existing.directories else existing.mode


def _print_next_steps(choices: "Choices", output: Path, password: str | None) -> None:
    from was_daemon.cli import instructions

    click.echo(f"\nStart it:    twistd --nodaemon was --config {output}")
    click.echo(f"Then try it: was-daemon check {choices.public_url} --key-file {choices.key_file}")
    if password:
        click.echo(
            f"The console: http://localhost:{choices.console_port}/ on this machine, with the password {password}\n"
            "             (it is shown this once; was-daemon console-password makes another)"
        )
    click.echo()
    click.echo(instructions.specify(choices.public_url, choices.key_file))
    if choices.has_proxy:
        click.echo("nginx, as a site of its own:\n")
        click.echo(instructions.nginx(choices.public_url, choices.port))


def _write(choices: "Choices", output: Path, force: bool) -> str | None:
    """Write all files, or none; return the console's password if it is a new one."""
    from was_daemon.cli.new_files import report_file_errors, write_config
    from was_daemon.config.load import ConfigError, load
    from was_daemon.config.new_files import replace_shared, write_key
    from was_daemon.daemon.ownership import owners
    from was_daemon.model.passwords import hash_password, new_password

    key_file, password_file = choices.key_file, choices.password_file
    has_key, has_password = key_file.exists(), password_file.exists() or not choices.console_port
    password = None if has_password else new_password()
    # The daemon is to run as the user to whom the attachments belong.
    group = next((owner.gid for owner in owners([choices.path])), None)
    made: list[Path] = []
    with report_file_errors():
        try:
            if not has_key:
                write_key(key_file)
                made.append(key_file)
            if password:
                replace_shared(password_file, f"{hash_password(password)}\n", group)
                made.append(password_file)
            write_config(output, choices.text(), force=force)
            made.clear()
        except ConfigError as error:
            raise click.ClickException(f"this makes no configuration:\n{error}") from None
        finally:
            for path in made:
                path.unlink()
    click.echo(f"Wrote {output}.")
    click.echo(f"The key in {key_file} is used." if has_key else f"Wrote a new key to {key_file}, for your eyes only.")
    if has_key and key_file.stat().st_mode & 0o077:
        click.echo(f"Others can read the key: chmod 600 {key_file}", err=True)
    for warning in load(output, os.environ).weak_keys:
        click.echo(f"WARNING: {warning}", err=True)
    return password

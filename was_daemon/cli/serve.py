"""`was-daemon serve`: the daemon in the foreground, also where there is no `twistd`, as in the file of `make dist`."""

import os
import signal
from pathlib import Path

import click

from was_daemon.cli.options import epilog


@click.command(epilog=epilog("was-daemon serve --config was.toml"))
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The configuration; without one, a store in ./attachments on port 8080.",
)
def serve(config: Path | None) -> None:
    """Run the daemon in the foreground, like `twistd --nodaemon was`, and log to the standard output."""
    # The first process of a container gets no signal that it does not handle. The reactor takes over when it runs.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from twisted.python.usage import UsageError
    from twisted.scripts.twistd import ServerOptions, runApp  # type: ignore[attr-defined]  # public, yet not in __all__

    from twisted.plugins.was_daemon_plugin import was

    class Options(ServerOptions):
        """Options of twistd with this service alone; a search for others would import them, and write a cache."""

        subCommands = (("was", None, lambda: was.options(), was.description),)
        loadedPlugins = {was.tapname: was}  # noqa: RUF012  # as twistd names it

    # twistd changes to a directory before it starts, by default to the current one.
    place = [] if os.access(".", os.X_OK, effective_ids=True) else ["--rundir=/"]
    named = ["--config", str(config.absolute())] if config else []
    options = Options()
    try:
        options.parseOptions(["--nodaemon", "--pidfile=", *place, "was", *named])
    except UsageError as error:
        raise click.ClickException(str(error)) from None
    runApp(options)

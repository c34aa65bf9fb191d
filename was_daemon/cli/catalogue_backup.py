"""`was-daemon catalogue backup`."""

from pathlib import Path

import click

from was_daemon.cli.catalogue import require_catalogue
from was_daemon.cli.identity import as_owner, require_writable
from was_daemon.cli.options import config_option, epilog, load_settings
from was_daemon.model.sizes import readable


@click.command(epilog=epilog("was-daemon catalogue backup catalogue-backup.sqlite --config was.toml"))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
def backup(file: Path, config: Path | None) -> None:
    """Write a copy of the catalogue and its history to FILE, while the daemon runs.

    What is still in the journal is moved to the catalogue first. FILE is replaced as a whole, or not at all. For a
    catalogue in PostgreSQL or MariaDB use the server's own tools.
    """
    from was_daemon.cli.reactor import run

    settings = load_settings(config)
    require_catalogue(settings)
    source, target = settings.catalogue.path, file.absolute()
    if source is None:
        raise click.ClickException("this catalogue is in a server's database: use pg_dump or mariadb-dump")
    settings = as_owner(settings, [], settings.catalogue.files())
    require_writable(settings, [], [*settings.catalogue.files(), target.parent])

    async def work() -> int:
        from twisted.internet.threads import deferToThread

        from was_daemon.catalogue.backup import write_backup
        from was_daemon.catalogue.catalogue import open_catalogue

        catalogue = open_catalogue(settings.catalogue)
        try:
            await catalogue.catch_up()
            await deferToThread(write_backup, source, target)
        finally:
            await catalogue.close()
        click.echo(f"{target}: {readable(target.stat().st_size)}")
        return 0

    run(work)

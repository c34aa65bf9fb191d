"""Database servers for tests, on free ports of 127.0.0.1, with files in directories of their own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, create_engine, text

from tests.support.needs import require
from tests.support.ports import free_port

_PASSWORD = "p@ss/word%"
_PATIENCE_SECONDS = 60
_SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def lose_sqlite(path: Path) -> None:
    """Put a directory in the place of a SQLite file, which a daemon may make anew before there is one."""
    while not path.is_dir():
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink(missing_ok=True)
        with suppress(FileExistsError):
            path.mkdir()


def new_database(server: URL) -> URL:
    """The URL of a new, empty database of a server."""
    name = f"catalogue_{uuid4().hex[:12]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.set(database=name)


@contextmanager
def postgresql() -> Iterator[URL]:
    """Run PostgreSQL; the URL is that of its superuser and of its first database."""
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nowhere"), key=lambda path: path.parent.name)
    require((newest / "initdb").exists(), "PostgreSQL")
    # It refuses to be run by root.
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
    with _directory(user) as directory:
        data, secret, port = directory / "data", directory / "password", free_port()
        secret.write_text(_PASSWORD)
        run = {"user": user and user.pw_uid, "group": user and user.pw_gid, "cwd": directory}
        words = ["-A", "scram-sha-256", "-U", "postgres", f"--pwfile={secret}", "--no-sync", "-E", "UTF8"]
        _run([newest / "initdb", "-D", data, *words], **run)
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(directory), "-F"]
        url = URL.create("postgresql+psycopg", "postgres", _PASSWORD, "127.0.0.1", port, "postgres")
        # SIGINT: clients that are still connected do not hold it up.
        with _server([newest / "postgres", "-D", data, *settings], url, "INT", **run):
            yield url


@contextmanager
def mariadb() -> Iterator[URL]:
    """Run MariaDB; the URL is that of an administrator, and of no database."""
    binary = shutil.which("mariadbd", path=_SBIN)
    require(binary, "MariaDB")
    with _directory(None) as directory:
        data, port = directory / "data", free_port()
        user = f"--user={pwd.getpwuid(os.geteuid()).pw_name}"
        # Its temporary tables are named by process numbers: in a directory that is shared by containers they collide.
        places = [f"--datadir={data}", f"--tmpdir={directory}", user]
        _run(["mariadb-install-db", "--no-defaults", *places, "--skip-test-db"], cwd=directory)
        start = directory / "start.sql"
        start.write_text(
            f"CREATE USER was@'127.0.0.1' IDENTIFIED BY '{_PASSWORD}';\n"
            "GRANT ALL ON *.* TO was@'127.0.0.1' WITH GRANT OPTION;\n"
        )
        places += [f"--socket={directory / 'socket'}", f"--pid-file={directory / 'pid'}", f"--init-file={start}"]
        settings = ["--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve"]
        url = URL.create("mariadb+pymysql", "was", _PASSWORD, "127.0.0.1", port)
        with _server([binary, "--no-defaults", *settings, *places], url, "TERM", cwd=directory):
            yield url


@contextmanager
def _directory(user: pwd.struct_passwd | None) -> Iterator[Path]:
    """A directory that `user` can reach, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="was-database-"))
    try:
        if user:
            os.chown(path, user.pw_uid, user.pw_gid)
        yield path
    finally:
        shutil.rmtree(path)


def _run(command: list[object], **options: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done


@contextmanager
def _server(command: list[object], url: URL, signal: str, **options: object) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, **options)

        def told() -> str:
            log.seek(0)
            return log.read().decode(errors="replace")

        try:
            _wait_for(url, lambda: process.poll() is None, told)
            yield
        finally:
            subprocess.run(["kill", f"-{signal}", str(process.pid)], check=False)
            process.wait(timeout=_PATIENCE_SECONDS)


def _wait_for(url: URL, is_running: Callable[[], bool], told: Callable[[], str]) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with engine.connect():
                engine.dispose()
                return
        except Exception:
            assert is_running(), told()
            assert time.monotonic() < deadline, told()
            time.sleep(0.05)

"""The walk-throughs of the guide to migrating: what they tell an administrator to type does what they say."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from sqlalchemy import URL
from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.support.bottled import AcademyServer, BottledServer
from tests.support.client import Client
from tests.support.daemon import BIN, KEY, Daemon, clean_environment, eventually
from tests.support.databases import mariadb, new_database
from tests.support.http_contract import BLUE, RED, plain_picture, shows
from tests.support.paths import ROOT
from tests.support.s3servers import ACCESS_KEY, BUCKET, SECRET_KEY, moto

GUIDE = (ROOT / "docs" / "migrate.md").read_text("utf-8")
OLD = "http://old.example.org:8081"
NAMES = [f"sp6{number}.att.jpg" for number in range(3)]

IMAGES = """CREATE TABLE `images` (
  `id` int NOT NULL AUTO_INCREMENT PRIMARY KEY, `original_filename` varchar(2000), `url` varchar(500),
  `universal_url` varchar(500), `original_path` varchar(2000), `redacted` tinyint(1), `internal_filename` varchar(500),
  `notes` varchar(8192), `datetime` datetime, `collection` varchar(50), `orig_md5` varchar(32)
);
"""
FORK = """
KEY = {key!r}
SERVER_NAME = "localhost"
SERVER_PROTOCOL = "http"
PORT = {port}
SERVER_PORT = PORT
BASE_DIR = {base!r}
COLLECTION_DIRS = {{"Botany": "botany"}}
SQL_USER = "images"
"""
SPECIFY = """
CREATE TABLE attachment (AttachmentID INT AUTO_INCREMENT PRIMARY KEY, AttachmentLocation VARCHAR(128), OrigFilename TEXT
  NOT NULL, Title VARCHAR(255), MimeType VARCHAR(1024), FileCreatedDate DATE, IsPublic BOOL NOT NULL, TableID SMALLINT
  NOT NULL, ScopeID INT, ScopeType SMALLINT, GUID VARCHAR(128), TimestampCreated DATETIME NOT NULL,
  Version INT NOT NULL);
CREATE TABLE collectionobject (CollectionObjectID INT AUTO_INCREMENT PRIMARY KEY, CatalogNumber VARCHAR(32),
  CollectionID INT NOT NULL);
CREATE TABLE collectionobjectattachment (CollectionObjectAttachmentID INT AUTO_INCREMENT PRIMARY KEY, CollectionObjectID
  INT NOT NULL, AttachmentID INT NOT NULL, CollectionMemberID INT NOT NULL, Ordinal INT NOT NULL, TimestampCreated
  DATETIME NOT NULL, Version INT NOT NULL);
INSERT INTO collectionobject (CatalogNumber, CollectionID) VALUES ('000012345', 4), ('000012346', 4), ('000012345', 8);
"""


def section(title: str) -> list[str]:
    """The blocks of a walk-through that are tried."""
    (text,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", GUIDE, re.DOTALL | re.MULTILINE)
    return re.findall(r"<!-- tried: tests/docs/test_migrating\.py [^\n]*\n```\w+\n(.*?)```", text, re.DOTALL)


class Machine:
    """A machine whose directories are below `root`, with a daemon that has the configuration of the guide."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.etc = root / "etc" / "was-daemon"
        self.specify = root / "home" / "specify"
        for directory in (self.etc, self.specify, root / "var" / "lib" / "was-daemon"):
            directory.mkdir(parents=True)
        (self.etc / "key").write_text(KEY, "utf-8")
        (self.etc / "key").chmod(0o600)
        self.environment = {"TMPDIR": str(root), "CACHE_DIRECTORY": str(root / "cache")}
        self.daemon = Daemon(root / "daemon", environ=self.environment)
        self.daemon.config_file = self.etc / "was.toml"
        self.replaced = {"tcp:8080": f"tcp:{self.daemon.port}:interface=127.0.0.1"}

    def here(self, text: str) -> str:
        """A block of the guide, with the directories and addresses of this machine."""
        text = text.replace("/opt/was-daemon/bin/", f"{BIN}/")
        for there, here in self.replaced.items():
            text = text.replace(there, here)
        return re.sub(r"(?<![\w/.])/(etc/was-daemon|srv|home/specify|var/lib/was-daemon)", rf"{self.root}/\1", text)

    def run(self, block: str) -> str:
        """What the commands of a block print."""
        ran = self.ran(block)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def ran(self, block: str) -> "subprocess.CompletedProcess[str]":
        """How the commands of a block ended."""
        command = ["bash", "-e", "-u", "-c", self.here(block)]
        environment = clean_environment(self.environment)
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)

    @property
    def client(self) -> Client:
        return Client(self.daemon.url, KEY)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.daemon.stop()


@pytest.fixture(scope="module")
def server() -> Iterator[URL]:
    """MariaDB."""
    with mariadb() as url:
        yield url


def sql(database: URL, statements: str) -> list[list[str]]:
    """What a database answers to its command-line client."""
    login = ["--host=127.0.0.1", f"--port={database.port}", f"--user={database.username}"]
    ran = subprocess.run(
        [
            "mariadb",
            *login,
            f"--password={database.password}",
            "--local-infile",
            "--batch",
            "-N",
            str(database.database),
        ],
        input=statements,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return [line.split("\t") for line in ran.stdout.splitlines()]


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# -- the daemon in front of the old server -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_the_daemon_in_front_of_the_old_server(machine: Machine, tmp_path: Path) -> None:
    begin, copy, end, back = section("The daemon in front of the old server")
    old = BottledServer(tmp_path / "old", key=KEY)
    for name in NAMES:
        put(old.root / "originals" / name, plain_picture(RED))
    with old.running():
        machine.replaced |= {OLD: old.url}
        machine.run(begin)
        new = tmp_path / "srv" / "attachments" / "originals"
        machine.daemon.start()
        client = machine.client
        assert (await client.original(NAMES[0])).body == plain_picture(RED)
        assert shows(await client.thumbnail(NAMES[1], 50), RED)
        await client.store("new.jpg", plain_picture(BLUE))
        assert (await client.delete(NAMES[2])).status == 200
        assert not (old.root / "originals" / NAMES[2]).exists()
        assert (new / "new.jpg").exists()

        rows = "".join(f"{number},{name}\n" for number, name in enumerate([*NAMES[:2], "new.jpg"], 1))
        (machine.specify / "attachments.csv").write_text(f"AttachmentID,AttachmentLocation\n{rows}")
        machine.run(copy)
        assert machine.run(copy).startswith("0 copied, 0 replaced, 3 there already")
        machine.run(end)
        machine.daemon.restart()
        for name in NAMES[:2]:
            assert (await client.original(name)).body == plain_picture(RED)
        assert (await client.original(NAMES[2])).status == 404

        machine.run(back)
        kept = {path.name: path.read_bytes() for path in (old.root / "originals").iterdir()}
    assert kept == {NAMES[0]: plain_picture(RED), NAMES[1]: plain_picture(RED), "new.jpg": plain_picture(BLUE)}


# -- the California Academy's server -----------------------------------------------------------------------------------


def row(name: str, redacted: int) -> str:
    values = (
        f"'IMG_{name}', 'http://x', 'http://x', '/mnt/{name}', {redacted}, '{name}', 'a note', '2019-05-06 07:08:09'"
    )
    return f"INSERT INTO `images` VALUES ({redacted + 1}, {values}, 'Botany', '{'0' * 32}');\n"


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_from_the_academys_directory_and_back(machine: Machine, tmp_path: Path, server: URL) -> None:
    there, _bucket, find, load = section("The California Academy's server")
    attachments = machine.specify / "attachments"
    for name, colour in {"0a1b2c3d.jpg": RED, "9f8e7d6c.jpg": BLUE}.items():
        put(attachments / "botany" / "originals" / name[:2] / name[2:4] / name, plain_picture(colour))
    settings = FORK.format(key=KEY, port=machine.daemon.port, base=str(attachments))
    put(machine.specify / "web-asset-server" / "settings.py", settings.encode())
    (machine.etc / "key").unlink()
    dump = "".join(row(name, redacted) for name, redacted in {"0a1b2c3d.jpg": 0, "9f8e7d6c.jpg": 1}.items())
    (machine.specify / "images.sql").write_text(IMAGES + dump)
    machine.run(there)
    machine.daemon.start()
    client = machine.client
    # Until the daemon has read what is private, everything is.
    for _ in range(300):
        answer = await client.original("0a1b2c3d.jpg", coll="Botany")
        if answer.status != 403:
            break
        await deferLater(reactor, 0.1)
    assert answer.body == plain_picture(RED)
    assert (await client.original("9f8e7d6c.jpg", coll="Botany")).status == 403
    listed = machine.specify / "originals.csv"
    await client.store("77777777.jpg", plain_picture(BLUE), coll="Botany")
    # The catalogue has it in a moment.
    eventually(lambda: machine.run(find) or "77777777" in listed.read_text(), "for the catalogue to have the upload")
    machine.daemon.stop()

    images = new_database(server)
    sql(images, (machine.specify / "images.sql").read_text())
    for _ in range(2):
        sql(images, machine.here(load))
    assert sql(images, "SELECT internal_filename, collection, redacted FROM images ORDER BY id") == [
        ["0a1b2c3d.jpg", "Botany", "0"],
        ["9f8e7d6c.jpg", "Botany", "1"],
        ["77777777.jpg", "Botany", "0"],
    ]
    stored = attachments / "botany" / "originals" / "77" / "77" / "77777777.jpg"
    assert stored.read_bytes() == plain_picture(BLUE)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_from_the_academys_bucket(machine: Machine) -> None:
    _there, table, _find, _load = section("The California Academy's server")
    (machine.etc / "s3-secret").write_text(SECRET_KEY)
    (machine.etc / "s3-secret").chmod(0o600)
    s3 = moto().start()
    try:
        machine.run(f"curl --fail --silent --request PUT {s3.url.rstrip('/')}/{BUCKET}")
        machine.replaced |= {
            "https://s3.example.org": s3.url.rstrip("/"),
            '"images"': f'"{BUCKET}"',
            "the access key": ACCESS_KEY,
        }
        table = machine.here(table)
        server = f'[server]\nlisten = ["tcp:{machine.daemon.port}:interface=127.0.0.1"]\nkey = "{KEY}"\n'
        machine.daemon.config_file.write_text(f'{server}[collections]\nmode = "auto"\n{table}', "utf-8")
        machine.daemon.start()
        await machine.client.store("0a1b2c3d.jpg", plain_picture(RED), coll="Botany")
        assert (await machine.client.original("0a1b2c3d.jpg", coll="Botany")).body == plain_picture(RED)
    finally:
        machine.daemon.stop()
        s3.remove()


@pytest.mark.slow
def test_the_old_server_may_be_only_read(machine: Machine, tmp_path: Path) -> None:
    begin, copy, *_ = section("The daemon in front of the old server")
    begin = begin.replace('8081"', '8081"\nread_only = true\ncollections = { Fish = "KUFishvoucher" }')
    old = BottledServer(tmp_path / "old", key=KEY, collections={"KUFishvoucher": "Fish"})
    with old.running():
        machine.replaced |= {
            OLD: old.url,
            'store = "main"': 'store = "main"\nmode = "map"\nmap.Fish = { directory = "Fish" }',
        }
        machine.run(begin)
        assert "POST" not in dict(old.requests)
        unnamed = machine.ran(copy.replace("--names /home/specify/attachments.csv", ""))
    assert "the store old cannot list what it has" in unnamed.stderr


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_in_front_of_the_academys_server(machine: Machine, tmp_path: Path) -> None:
    begin, copy, *_ = section("The daemon in front of the old server")
    old = AcademyServer(tmp_path / "old", key=KEY, in_s3=True, redacted={"9f8e7d6c.jpg"})
    for name in ("0a1b2c3d.jpg", "9f8e7d6c.jpg"):
        put(old.root / "originals" / name[:2] / name[2:4] / name, plain_picture(RED))
    with old.running():
        machine.replaced |= {OLD: old.url}
        machine.run(begin.partition("/opt/was-daemon/bin/was-daemon check-store")[0])
        (machine.specify / "attachments.csv").write_text("0a1b2c3d.jpg\n9f8e7d6c.jpg\n")
        assert machine.run(copy).startswith("2 copied")
    originals = tmp_path / "srv" / "attachments" / "originals"
    assert {path.name for path in originals.iterdir() if path.is_file()} == {"0a1b2c3d.jpg", "9f8e7d6c.jpg"}


# -- a folder of files named by catalogue number -----------------------------------------------------------------------


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_from_a_folder_of_files_and_back(machine: Machine, server: URL) -> None:
    names, adopt, records, compare, back = section("A folder of files named by catalogue number")
    folder = machine.specify / "photographs"
    files = {"000012345.jpg": RED, "2019/000012345_b.jpg": BLUE, "000012346.jpg": RED, "000099999.jpg": BLUE}
    for name, colour in files.items():
        put(folder / name, plain_picture(colour))
    (machine.etc / "key").unlink()
    assert machine.run(names) == ""
    machine.run(adopt)
    config = machine.daemon.config_file
    config.write_text(
        config.read_text("utf-8").replace('"tcp:8080"', f'"tcp:{machine.daemon.port}:interface=127.0.0.1"')
    )

    database = new_database(server)
    sql(database, SPECIFY)
    for _ in range(2):
        sql(database, machine.here(records))
    found = sql(
        database,
        "SELECT CatalogNumber, AttachmentLocation, MimeType, IsPublic FROM collectionobject"
        " JOIN collectionobjectattachment USING (CollectionObjectID) JOIN attachment USING (AttachmentID) ORDER BY 2",
    )
    assert found == [
        ["000012345", "000012345.jpg", "image/jpeg", "1"],
        ["000012345", "000012345_b.jpg", "image/jpeg", "1"],
        ["000012346", "000012346.jpg", "image/jpeg", "1"],
    ]
    rows = "".join(f"{number},{name}\n" for number, (_, name, *_) in enumerate(found, 1))
    (machine.specify / "attachments.csv").write_text(f"AttachmentID,AttachmentLocation\n{rows}")
    assert [line for line in machine.run(compare).splitlines() if line.startswith("orphaned")] != []
    assert "000099999.jpg" in machine.run(compare)

    machine.daemon.start()
    client = Client(machine.daemon.url, (machine.etc / "key").read_text().strip())
    assert (await client.original("000012345_b.jpg")).body == plain_picture(BLUE)
    await client.store("000012346.jpg", plain_picture(BLUE))
    await client.store("uploaded.jpg", plain_picture(RED))
    machine.daemon.stop()
    assert (folder / "000012346.jpg").read_bytes() == plain_picture(RED)
    assert sorted(Path(line).name for line in machine.run(back).splitlines()) == ["000012346.jpg", "uploaded.jpg"]

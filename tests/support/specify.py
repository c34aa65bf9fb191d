"""A database as Specify makes it, and the account of the daemon in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import attrs
from sqlalchemy import URL, Connection, create_engine, text

PASSWORD = "only/to:read@%"
GRANTED = (
    "AttachmentID, AttachmentLocation, TableID, OrigFilename, Title, IsPublic, License, CopyrightHolder, CopyrightDate,"
    " Credit, MimeType, TimestampCreated"
)

SPECIFY_7 = """
CREATE TABLE attachment (
    attachmentid INTEGER AUTO_INCREMENT NOT NULL PRIMARY KEY,
    AttachmentLocation VARCHAR(128) NULL, AttachmentStorageConfig LONGTEXT NULL, CaptureDevice VARCHAR(128) NULL,
    CopyrightDate VARCHAR(64) NULL, CopyrightHolder VARCHAR(64) NULL, Credit VARCHAR(64) NULL,
    DateImaged VARCHAR(64) NULL, FileCreatedDate DATETIME(6) NULL, GUID VARCHAR(128) NULL, IsPublic BOOL NOT NULL,
    License VARCHAR(64) NULL, LicenseLogoUrl VARCHAR(256) NULL, MetadataText VARCHAR(256) NULL,
    MimeType VARCHAR(1024) NULL, OrigFilename LONGTEXT NOT NULL, Remarks LONGTEXT NULL, ScopeID INTEGER NULL,
    ScopeType SMALLINT NULL, SubjectOrientation VARCHAR(64) NULL, Subtype VARCHAR(64) NULL, TableID SMALLINT NOT NULL,
    TimestampCreated DATETIME(6) NOT NULL, TimestampModified DATETIME(6) NULL, Title VARCHAR(255) NULL,
    Type VARCHAR(64) NULL, Version INTEGER NOT NULL DEFAULT 0, Visibility SMALLINT NULL, CreatorID INTEGER NULL,
    KEY TitleIDX (Title), KEY DateImagedIDX (DateImaged), KEY AttchScopeIDIDX (ScopeID),
    KEY AttchScopeTypeIDX (ScopeType), KEY AttchmentGuidIDX (GUID)
) ENGINE = InnoDB
"""
"""The table as Specify 7 makes it in a new database, with the types of its models."""

SPECIFY_6 = """
CREATE TABLE attachment (
    AttachmentID INT(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, TimestampCreated DATETIME NOT NULL,
    TimestampModified DATETIME DEFAULT NULL, Version INT(11) DEFAULT NULL,
    AttachmentLocation VARCHAR(128) DEFAULT NULL, CopyrightDate VARCHAR(64) DEFAULT NULL,
    CopyrightHolder VARCHAR(64) DEFAULT NULL, Credit VARCHAR(64) DEFAULT NULL, IsPublic BIT(1) NOT NULL DEFAULT b'1',
    License VARCHAR(64) DEFAULT NULL, MimeType VARCHAR(64) DEFAULT NULL, OrigFilename TEXT NOT NULL,
    Remarks TEXT DEFAULT NULL, TableID SMALLINT(6) NOT NULL, Title VARCHAR(255) DEFAULT NULL,
    Visibility TINYINT(4) DEFAULT NULL
) ENGINE = InnoDB
"""
"""The table of a database that Specify 6 has made, which Specify 7 goes on with."""

OLD = """
CREATE TABLE attachment (
    AttachmentID INT(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, TimestampCreated DATETIME NOT NULL,
    AttachmentLocation VARCHAR(128) DEFAULT NULL, MimeType VARCHAR(64) DEFAULT NULL, OrigFilename VARCHAR(128) NOT NULL,
    Title VARCHAR(64) DEFAULT NULL
) ENGINE = InnoDB
"""
"""The table of an old version, without licences, tables, and what is public."""

_DEFAULTS: dict[str, Any] = {
    "OrigFilename": "Käfer.jpg",
    "TableID": 1,
    "IsPublic": True,
    "TimestampCreated": datetime(2024, 5, 6, 7, 8, 9),
}


@attrs.frozen
class Specify:
    """A database of Specify. `url` is an administrator's; `reader` that of an account with the least rights."""

    url: URL
    reader: str

    def run(self, statement: str, *rows: dict[str, Any]) -> None:
        """Execute a statement as Specify, once for each row of parameters."""
        with self._begun() as connection:
            connection.execute(text(statement), list(rows) or None)

    def add(self, location: str | None, **values: Any) -> None:
        """Add an attachment; `values` are by the names of columns."""
        with self._begun() as connection:
            present = {row[0].lower() for row in connection.execute(text("SHOW COLUMNS FROM attachment"))}
            given = {**_DEFAULTS, "AttachmentLocation": location, **values}
            row = {name: value for name, value in given.items() if name.lower() in present}
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO attachment ({names}) VALUES ({places})"), row)

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def settings(self, directory: Path, **values: Any) -> dict[str, Any]:
        """The table `[specify.NAME]`; the file with the password is in `directory`."""
        path = directory / "specify-password"
        path.write_text(f"{PASSWORD}\n")
        path.chmod(0o600)
        return {"url": self.reader, "password_file": path, **values}


def new_specify(server: URL, table: str = SPECIFY_7, charset: str = "utf8mb3", granted: str = "") -> Specify:
    """Make a database with the table, in which an account may read the columns `granted`, or what the guide says."""
    name, user = f"specify_{uuid4().hex[:10]}", f"reader_{uuid4().hex[:10]}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    account = f"{user}@'127.0.0.1'"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET {charset}"))
        connection.execute(text(f"CREATE USER {account} IDENTIFIED BY '{PASSWORD.replace(':', chr(92) + ':')}'"))
        connection.execute(text(f"USE {name}"))
        if table:
            connection.execute(text(table))
            rights = f"SELECT ({granted})" if granted else "SELECT"
            connection.execute(text(f"GRANT {rights} ON {name}.attachment TO {account}"))
    engine.dispose()
    return Specify(server.set(database=name), f"mariadb://{user}@127.0.0.1:{server.port}/{name}")

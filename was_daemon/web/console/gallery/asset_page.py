"""The page of one original: picture, facts, Specify's records, who may see it, fixity, history, metadata, trash."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from was_daemon.model.interfaces import AssetStat
from was_daemon.model.media import is_recording, media_type
from was_daemon.model.sizes import readable
from was_daemon.specify.tables import table_name
from was_daemon.web.console.frame import Page
from was_daemon.web.console.gallery.holdings import Holdings
from was_daemon.web.console.gallery.markup import (
    NOTHING,
    Piece,
    address,
    badge,
    code,
    facts,
    isolated,
    link,
    moment,
    notice,
    problem,
    section,
    table,
)
from was_daemon.web.console.gallery.sheet import History, Sheet, Unknown
from was_daemon.web.console.gallery.trash_page import versions_table
from was_daemon.web.console.gallery.visibility_form import visibility_section
from was_daemon.web.console.guard import Visit

_PREVIEW = 1024
"""Scale of the picture on the page."""

_DIGEST_START = 16

_EVENT_HEAD = ("When", "What", "Size", "SHA-256", "Original name", "Client", "Notes")

_FAULTS = {
    "changed": "its bytes are not those that are recorded",
    "missing": "its store does not have it",
    "unreadable": "its store fails to read it",
}


def asset_page(holdings: Holdings, visit: Visit, sheet: Sheet, said: str) -> Page:
    """Return the page; `said` is what has been done by the form that led here."""
    sections = (
        _preview(holdings, sheet),
        _facts(sheet),
        _records(sheet),
        visibility_section(holdings, visit, sheet),
        _fixity(sheet),
        _trash(visit, sheet),
        _history(sheet),
        _metadata(sheet),
    )
    head = notice("good", said) if said else NOTHING
    return Page(
        sheet.exhibit.name,
        head + _problems(sheet) + Markup("").join(sections) + Markup('<p><a href="./">All originals</a></p>\n'),
        status=200 if sheet.is_known else 404,
    )


def _problems(sheet: Sheet) -> Markup:
    if isinstance(sheet.stat, Unknown):
        return problem("The store does not say whether it has this file", sheet.stat.why)
    if not sheet.is_known:
        return notice("warn", "Nothing is known of a file of this name in this collection.")
    return NOTHING if sheet.stat else notice("warn", "This file is not stored now.")


def _preview(holdings: Holdings, sheet: Sheet) -> Markup:
    if not isinstance(sheet.stat, AssetStat):
        return NOTHING
    exhibit, kind = sheet.exhibit, media_type(sheet.exhibit.name)
    original = address("look/fileget", {**exhibit.public_fields, "downloadname": sheet.download_name})
    if is_recording(kind):
        player = Markup('<{} controls preload="metadata" src="{}" aria-label="{}"></{}>')
        element = kind.partition("/")[0]
        shown = player.format(element, original, exhibit.name, element)
    else:
        scale = str(min(_PREVIEW, holdings.max_scale))
        shown = Markup('<a href="{}"><img src="{}" alt="{}"></a>').format(
            address("look/view", exhibit.public_fields),
            address("look/thumbnail", {**exhibit.public_fields, "scale": scale}),
            f"{exhibit.name}, opens in the zoom viewer",
        )
    return Markup(
        '<figure class="preview">\n{}\n<figcaption class="buttons">{} <a href="{}" download="{}">Original</a>'
        "</figcaption>\n</figure>\n"
    ).format(shown, link(address("look/view", exhibit.public_fields), "Zoom viewer"), original, sheet.download_name)


def _facts(sheet: Sheet) -> Markup:
    exhibit = sheet.exhibit
    row: Mapping[str, Any] = _asset(sheet) or {}
    stat = sheet.stat if isinstance(sheet.stat, AssetStat) else None
    size = stat.size if stat else row.get("size")
    return section(
        "facts",
        "File",
        facts(
            [
                ("Name", isolated(exhibit.name)),
                ("Collection", isolated(exhibit.collection)),
                ("Store", exhibit.place),
                ("Original name", isolated(row.get("file_name"))),
                ("Path at the client", isolated(row.get("file_path"))),
                ("Notes", isolated(row.get("notes"))),
                ("Type", row.get("media_type") or media_type(exhibit.name)),
                ("Size", "" if size is None else f"{readable(size)} ({size:,} bytes)"),
                ("Pixels", f"{row['width']} × {row['height']}" if row.get("width") else ""),
                ("Pages", str(row.get("pages") or "")),
                ("Taken", row.get("captured") or ""),
                ("Place", _place(row)),
                ("Stored", moment(row.get("changed"))),
                ("Sent by", row.get("address") or ""),
                ("SHA-256", code(row.get("sha256"))),
                ("MD5", code(row.get("md5"))),
                ("MD5 at the client", code(row.get("file_md5"))),
            ]
        )
        + _unknown(sheet.details),
    )


def _asset(sheet: Sheet) -> Mapping[str, Any] | None:
    return None if isinstance(sheet.details, Unknown) or not sheet.details else sheet.details.asset


def _place(row: Mapping[str, Any]) -> Piece:
    if row.get("latitude") is None or row.get("longitude") is None:
        return NOTHING
    place = f"{row['latitude']:.5f}, {row['longitude']:.5f}"
    near = f"{row['latitude']:.5f},{row['longitude']:.5f},5 km"
    return Markup("{} ({})").format(place, link(address("./", {"near": near}), "what is near"))


def _records(sheet: Sheet) -> Markup:
    details = sheet.details
    if isinstance(details, Unknown) or not details or not details.records:
        return NOTHING
    return section("records", "In Specify", Markup("").join(map(_record, details.records)))


def _record(record: Mapping[str, Any]) -> Markup:
    license_ = record["license"] or ""
    is_address = license_.startswith(("https://", "http://"))
    removed = notice("warn", "Specify no longer has this record.") if record["is_removed"] else NOTHING
    return removed + facts(
        [
            ("Record", f"{record['number']} of {record['source']}"),
            ("Table", table_name(record["table_number"])),
            ("Title", isolated(record["title"])),
            ("File name", isolated(record["file_name"])),
            ("Public", {True: "yes", False: "no", None: ""}[record["is_public"]]),
            ("License", link(license_, license_) if is_address else isolated(license_)),
            ("Copyright", isolated(_joined(record["copyright_date"], record["copyright_holder"]))),
            ("Credit", isolated(record["credit"])),
            ("Type", isolated(record["media_type"])),
            ("Date of the file", record["created"] or ""),
            ("Read", moment(record["changed"])),
        ]
    )


def _joined(*texts: str | None) -> str:
    return " ".join(text for text in texts if text)


def _fixity(sheet: Sheet) -> Markup:
    row = _asset(sheet)
    if not row:
        return NOTHING
    fault = row["fault"]
    told_fault = NOTHING
    if fault:
        remedy = Markup("<p><code>was-daemon fixity report</code> says what can be done.</p>\n")
        told_fault = problem("At fault", row["fault_detail"] or _FAULTS.get(fault, fault)) + remedy
    compared = badge("good", "as recorded") if row["checked"] else "not compared yet"
    state = badge("bad", "at fault") if fault else compared
    told = facts([("State", state), ("As recorded on", moment(row["checked"])), ("Last tried", moment(row["tried"]))])
    return section("fixity", "Fixity", told_fault + told)


def _trash(visit: Visit, sheet: Sheet) -> Markup:
    if isinstance(sheet.versions, Unknown):
        return section("trash", "In the trash", _unknown(sheet.versions))
    if not sheet.versions:
        return NOTHING
    is_stored = isinstance(sheet.stat, AssetStat)
    content = versions_table(visit, [(version, sheet.exhibit.collection) for version in sheet.versions], is_stored)
    return section("trash", "In the trash", content)


def _history(sheet: Sheet) -> Markup:
    history = sheet.history
    if isinstance(history, Unknown):
        return section("history", "History", _unknown(history))
    if not history or not history.events:
        return NOTHING
    events = table("History of the file", _EVENT_HEAD, map(_event, history.events))
    return section("history", "History", events + _later(sheet, history))


def _event(event: Mapping[str, Any]) -> Sequence[Piece]:
    return (
        moment(event["at"]),
        event["kind"],
        "" if event["size"] is None else readable(event["size"]),
        code((event["sha256"] or "")[:_DIGEST_START]),
        isolated(event["file_name"]),
        event["address"] or "",
        isolated(event["notes"]),
    )


def _later(sheet: Sheet, history: History) -> Markup:
    if not history.following:
        return NOTHING
    target = address("asset", {**sheet.exhibit.fields, "history": history.following})
    return Markup('<p><a href="{}#history" rel="next">Later events</a></p>\n').format(target)


def _metadata(sheet: Sheet) -> Markup:
    groups = sheet.metadata
    if groups is None:
        return NOTHING
    if isinstance(groups, Unknown):
        return section("metadata", "Metadata in the file", _unknown(groups))
    if not groups:
        return section("metadata", "Metadata in the file", Markup("<p>The file has none.</p>\n"))
    return section("metadata", "Metadata in the file", Markup("").join(map(_group, groups)))


def _group(group: Mapping[str, Any]) -> Markup:
    fields = facts((name, isolated(str(value))) for name, value in group["Fields"].items())
    return Markup("<details>\n<summary>{}</summary>\n{}</details>\n").format(group["Name"], fields)


def _unknown(part: object) -> Markup:
    return problem("This cannot be told now", part.why) if isinstance(part, Unknown) else NOTHING

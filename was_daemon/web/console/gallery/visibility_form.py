"""Who may see an original: what counts and why, and the form for decisions by hand."""

from typing import TYPE_CHECKING

from markupsafe import Markup

from was_daemon.model.errors import AssetNotFound, BadRequest, NotImplementedHere
from was_daemon.model.search_texts import is_text
from was_daemon.web.console.gallery.holdings import Exhibit, Holdings
from was_daemon.web.console.gallery.markup import (
    NOTHING,
    Piece,
    badge,
    hidden,
    isolated,
    moment,
    notice,
    problem,
    section,
)
from was_daemon.web.console.gallery.sheet import Sheet, Unknown, is_known
from was_daemon.web.console.guard import TOKEN_FIELD, Visit

if TYPE_CHECKING:
    from was_daemon.catalogue.visibility import Decision

MOST_REASON = 1000
"""Characters of a reason."""

PRIVATE, PUBLIC, BY_RECORD = "private", "public", "by-record"
CHOICES: dict[str, bool | None] = {PRIVATE: True, PUBLIC: False, BY_RECORD: None}
"""Values of the field `choice`: whether the original is private, None to take a decision back."""

SAID = {
    PRIVATE: "Decided: this file is private. It counts within seconds.",
    PUBLIC: "Decided: this file is public. It counts within seconds.",
    BY_RECORD: "The decision was taken back: what Specify says counts, within seconds.",
}
"""Sentences on what the form has done."""

_WITHOUT_EFFECT = Markup(
    'Decisions have no effect as long as <code>require_token_for_get</code> is not <code>"private"</code>: {}.'
)


async def decide(holdings: Holdings, exhibit: Exhibit, choice: str, reason: str) -> None:
    """Decide as `was-daemon visibility` does, but only about an original of which something is known.

    Raises `BadRequest`, `AssetNotFound` and `StoreUnavailable`.
    """
    if choice not in CHOICES:
        raise BadRequest("the form makes no choice: load the page again")
    is_private, reason = CHOICES[choice], reason.strip()
    if is_private is not None and not reason:
        raise BadRequest("a decision needs a reason, for those who ask later")
    if len(reason) > MOST_REASON or not is_text(reason):
        raise BadRequest(f"the reason is a text of at most {MOST_REASON} characters")
    if not holdings.catalogue:
        raise NotImplementedHere("decisions are kept in the catalogue, and there is none")
    if not await is_known(holdings, exhibit):
        raise AssetNotFound(
            "nothing is known of a file of this name in this collection, so nothing was decided: look for it in the "
            "gallery, or decide in advance with was-daemon visibility"
        )
    from was_daemon.jobs.visibility import decide_by_hand

    await decide_by_hand(holdings.catalogue, [exhibit.identity], is_private, reason or None)


def visibility_section(holdings: Holdings, visit: Visit, sheet: Sheet) -> Markup:
    """Return the part of the page about who may see the original; empty without a catalogue, or such an original."""
    if sheet.details is None or not sheet.is_known:
        return NOTHING
    if isinstance(sheet.details, Unknown):
        return section("visibility", "Who may see it", problem("This cannot be told now", sheet.details.why))
    return section(
        "visibility", "Who may see it", _state(holdings, sheet) + _forms(visit, sheet, sheet.details.decision)
    )


def _state(holdings: Holdings, sheet: Sheet) -> Markup:
    if holdings.tokens != "private":
        rule = "a token is needed for every file" if holdings.tokens else "who knows the name may read the file"
        return notice("warn", _WITHOUT_EFFECT.format(rule)) + _why(holdings, sheet)
    return _why(holdings, sheet)


def _why(holdings: Holdings, sheet: Sheet) -> Markup:
    details = sheet.details
    assert details is not None and not isinstance(details, Unknown)  # noqa: S101 - the caller has looked
    state = holdings.unknown if details.verdict is None else (PRIVATE if details.verdict else PUBLIC)
    why: Piece = "nobody has decided, and no record says anything"
    if details.decision:
        why = _decided(details.decision)
    elif details.verdict is not None:
        why = "as its record in Specify says"
    word = badge("warn" if state == PRIVATE else "good", state)
    return Markup("<p>{} {}</p>\n").format(word, why)


def _decided(decision: "Decision") -> Markup:
    reason = Markup(": {}").format(isolated(decision.reason)) if decision.reason else NOTHING
    return Markup("decided by hand on {}{}").format(moment(decision.at), reason)


def _forms(visit: Visit, sheet: Sheet, decision: "Decision | None") -> Markup:
    fields = hidden({TOKEN_FIELD: visit.token, **sheet.exhibit.fields})
    decide = Markup(
        '<form method="post" action="visibility" class="decision">\n{}'
        '<p><label for="reason">Reason, for those who ask later</label>\n'
        '<input id="reason" name="reason" required maxlength="{}" autocomplete="off"></p>\n'
        '<p class="buttons"><button type="submit" name="choice" value="{}">Make private</button>\n'
        '<button type="submit" name="choice" value="{}">Make public</button></p>\n</form>\n'
    ).format(fields, MOST_REASON, PRIVATE, PUBLIC)
    if not decision:
        return decide
    take_back = Markup(
        '<form method="post" action="visibility">\n{}'
        '<p><button type="submit" name="choice" value="{}">Take the decision back</button></p>\n</form>\n'
    ).format(fields, BY_RECORD)
    return decide + take_back

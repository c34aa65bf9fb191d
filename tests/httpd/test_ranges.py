"""Ranges and preconditions against RFC 9110, sections 13 and 14, and a small model of them."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from was_daemon.httpd.ranges import (
    Unsatisfiable,
    format_date,
    has_changed,
    is_unchanged,
    last_modified,
    parse_date,
    parse_range,
    range_applies,
)

patiently = settings(deadline=None)

sizes = st.integers(0, 30) | st.integers(0, 1 << 45)
positions = st.integers(0, 35) | st.integers(0, 1 << 46)
moments = st.integers(0, 4_102_444_799)
"""Unix seconds, until the end of 2099."""

tags = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), min_size=1, max_size=8)
FRIDAY = 1_753_443_045
FRIDAY_DATE = "Fri, 25 Jul 2025 11:30:45 GMT"
SATURDAY = FRIDAY + 86_400


def selected(first: int | None, last: int | None, size: int) -> list[int] | None:
    """The positions that section 14.1.2 selects, one by one; None when the range is invalid. For small sizes only."""
    if first is None:
        return list(range(size))[-last:] if last else []
    if last is not None and last < first:
        return None
    return [position for position in range(size) if first <= position and (last is None or position <= last)]


def header(first: int | None, last: int | None) -> str:
    return f"bytes={'' if first is None else first}-{'' if last is None else last}"


def satisfied(text: str, size: int) -> tuple[int, int] | str | None:
    """What the code makes of a header, with a word for 416."""
    try:
        return parse_range(text, size)
    except Unsatisfiable:
        return "unsatisfiable"


@settings(deadline=None, max_examples=500)
@given(st.none() | st.integers(0, 12), st.none() | st.integers(0, 12), st.integers(1, 10))
def test_a_single_range_selects_the_bytes_that_the_rfc_says(first: int | None, last: int | None, size: int) -> None:
    got = satisfied(header(first, last), size)
    if first is None and last is None:
        assert got is None
        return
    expected = selected(first, last, size)
    if expected is None:
        assert got is None
    elif not expected:
        assert got == "unsatisfiable"
    else:
        assert got == (expected[0], expected[-1] + 1)


@patiently
@given(positions, positions, sizes)
def test_a_range_with_both_ends_starts_where_it_says_and_ends_with_the_asset(first: int, last: int, size: int) -> None:
    got = satisfied(header(first, last), size)
    if last < first:
        assert got is None
    elif first >= size:
        assert got == "unsatisfiable"
    else:
        assert got == (first, min(last + 1, size))


@patiently
@given(positions, sizes)
def test_an_open_range_goes_to_the_end(first: int, size: int) -> None:
    assert satisfied(header(first, None), size) == ((first, size) if first < size else "unsatisfiable")


@patiently
@given(st.integers(1, 1 << 46), st.integers(1, 1 << 45))
def test_a_suffix_is_the_last_bytes_or_everything(length: int, size: int) -> None:
    assert satisfied(header(None, length), size) == (max(0, size - length), size)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_suffix_of_nothing_cannot_be_satisfied(size: int) -> None:
    assert satisfied("bytes=-0", size) == "unsatisfiable"


def test_of_an_empty_asset_no_position_can_be_satisfied_but_a_suffix_is_all_of_it() -> None:
    assert satisfied("bytes=0-", 0) == "unsatisfiable"
    assert satisfied("bytes=0-5", 0) == "unsatisfiable"
    # Section 14.1.2 calls it satisfiable, and no Content-Range can say so: the answer is the whole of nothing.
    assert satisfied("bytes=-5", 0) is None


@pytest.mark.parametrize("unit", ["bytes", "Bytes", "BYTES"])
def test_the_name_of_the_unit_is_case_insensitive(unit: str) -> None:
    assert parse_range(f"{unit}=2-5", 10) == (2, 6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=0x1-0x2",
        "bytes=1.0-2.0",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=0 1-2",
        "bytes=١-٢",
        "bytes:0-1",
        "lines=0-1",
        "bytes=0-1,3-4",
        "bytes=0-1, -1",
        "bytes 0-1/10",
    ],
)
def test_what_is_not_a_single_range_of_bytes_is_ignored(text: str) -> None:
    assert parse_range(text, 10) is None


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 100, "9" * 5000])
def test_enormous_numbers_are_understood_or_ignored_and_break_nothing(digits: str) -> None:
    assert satisfied(f"bytes={digits}-", 10) in ("unsatisfiable", None)
    assert satisfied(f"bytes=0-{digits}", 10) in ((0, 10), None)
    assert satisfied(f"bytes=-{digits}", 10) in ((0, 10), None)


@settings(deadline=None, max_examples=500)
@given(st.text() | st.text("bytes=0123456789-, ") | st.text("0123456789-, ").map("bytes=".__add__), sizes)
def test_whatever_the_header_says_the_range_lies_in_the_asset(text: str, size: int) -> None:
    got = satisfied(text, size)
    if isinstance(got, tuple):
        start, stop = got
        assert 0 <= start < stop <= size


@pytest.mark.parametrize("modified", [FRIDAY, FRIDAY + 0.001, FRIDAY + 0.999])
def test_a_date_is_written_as_imf_fixdate_without_the_fraction(modified: float) -> None:
    assert format_date(modified) == FRIDAY_DATE


@patiently
@given(moments)
def test_a_written_date_is_read_back(moment: int) -> None:
    assert parse_date(format_date(moment)) == moment


@patiently
@given(moments)
def test_all_three_formats_of_a_date_are_read(moment: int) -> None:
    when = datetime.fromtimestamp(moment, UTC)
    # Section 5.6.7: a recipient must read all three. asctime pads the day with a space.
    assert parse_date(f"{when:%a, %d %b %Y %H:%M:%S} GMT") == moment
    assert parse_date(f"{when:%a %b} {when.day:2} {when:%H:%M:%S %Y}") == moment
    if 1970 <= when.year < 2069:
        assert parse_date(f"{when:%A, %d-%b-%y %H:%M:%S} GMT") == moment


@settings(deadline=None, max_examples=500)
@given(st.text() | st.text("SunMoTueWdThFriat, 0123456789:+-GMT"))
@example("")
@example("Fri, 25 Jul 99999999999999999999 11:30:45 GMT")
@example("Fri, 25 Jul 2025 11:30:45 +9999999999")
@example("Fri, 99999999999999999999 Jul 2025 11:30:45 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Fri, 25 Jul 2025 11:30:-45 GMT")
@example("25 Jul")
@example(FRIDAY_DATE * 1000)
def test_no_text_whatever_breaks_the_reading_of_dates(text: str) -> None:
    assert parse_date(text) is None or isinstance(parse_date(text), int)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "0",
        "2025-07-25T11:30:45Z",
        "Fri, 32 Jul 2025 11:30:45 GMT",
        '"tag"',
        # What Python's int() and its dates of e-mail take, and HTTP does not (section 5.6.7).
        "Fri, 2_5 Jul 2025 11:30:45 GMT",
        "Fri, ٢٥ Jul 2025 11:30:45 GMT",
        "Fri, 25 Jul +2025 11:30:45 GMT",
        "Fri, 25 Jul 2025 11:30:45 -2359",
        "Fri, 25 Jul 2025 11:30:45",
        "fri, 25 jul 2025 11:30:45 gmt",
        "25 Jul 2025 11:30:45 GMT",
        f"{FRIDAY_DATE}, {FRIDAY_DATE}",
        "Fri, 25 Jul " + "9" * 4301 + " 11:30:45 GMT",
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_date(text) is None


def listed(entries: list[tuple[bool, str]], separators: list[str]) -> str:
    """An If-None-Match header, with the spaces and empty elements that section 5.6.1 allows."""
    written = [f'{"W/" if weak else ""}"{tag}"' for weak, tag in entries]
    return "".join(part + separator for part, separator in zip(written, separators, strict=False))


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.tuples(st.booleans(), tags), min_size=1, max_size=5),
    st.lists(st.sampled_from([",", ", ", " ,", ",,", "\t,\t", ", , "]), min_size=5, max_size=5),
    tags,
)
def test_a_copy_is_good_when_its_tag_is_in_the_list_weak_or_not(
    entries: list[tuple[bool, str]], separators: list[str], etag: str
) -> None:
    # Section 13.1.2: the weak comparison.
    expected = etag in [tag for _, tag in entries]
    assert is_unchanged(listed(entries, separators), None, etag, FRIDAY, SATURDAY) == expected
    assert is_unchanged(listed([*entries, (True, etag)], [*separators, ""]), None, etag, FRIDAY, SATURDAY)


@pytest.mark.parametrize(
    "if_none_match", ["", "tag", '"other"', '"ta", "g"', '"tag', 'tag"', '"TAG"', '"tag "', '"W/tag"', '"*"', "'tag'"]
)
def test_what_does_not_name_the_tag_does_not_match(if_none_match: str) -> None:
    assert not is_unchanged(if_none_match, None, "tag", FRIDAY, SATURDAY)


@pytest.mark.parametrize("if_none_match", ["*", " * "])
def test_an_asterisk_matches_whatever_there_is(if_none_match: str) -> None:
    assert is_unchanged(if_none_match, None, "tag", FRIDAY, SATURDAY)


def test_a_tag_with_a_comma_in_it_is_one_tag() -> None:
    assert is_unchanged('"a,b"', None, "a,b", FRIDAY, SATURDAY)
    assert not is_unchanged('"a,b"', None, "a", FRIDAY, SATURDAY)
    assert not is_unchanged('"a", "b"', None, ", ", FRIDAY, SATURDAY)


@patiently
@given(st.integers(-100, 100), st.floats(0, 0.999))
def test_without_tags_the_date_decides_from_the_end_of_the_versions_second_on(difference: int, fraction: float) -> None:
    since = format_date(FRIDAY + difference)
    assert is_unchanged(None, since, "tag", FRIDAY + fraction, SATURDAY) == (difference >= 1)


@st.composite
def versions_of_a_minute(draw: st.DrawFn) -> list[float]:
    """The times of several versions, one after the other."""
    return sorted(draw(st.lists(st.floats(FRIDAY, FRIDAY + 60), min_size=2, max_size=6, unique=True)))


@settings(deadline=None, max_examples=500)
@given(versions_of_a_minute(), st.data())
def test_no_date_takes_one_version_for_another(versions: list[float], data: st.DataObject) -> None:
    known = data.draw(st.integers(0, len(versions) - 2))
    told_at = data.draw(st.floats(versions[known], versions[known + 1], exclude_max=True))
    date = last_modified(versions[known], told_at)
    assert date is not None
    # RFC 9110, section 8.8.2.1: no date is later than the answer that tells it.
    assert date <= told_at
    # The date of the answer stands in where a cache has lost the other.
    for since in (format_date(date), format_date(told_at)):
        for later in versions[known + 1 :]:
            now = data.draw(st.floats(later, FRIDAY + 120))
            assert not is_unchanged(None, since, "tag", later, now)
            assert not range_applies(since, "tag", later, now)
            assert has_changed(None, since, "tag", later)


@patiently
@given(st.floats(FRIDAY, FRIDAY + 60))
def test_the_date_of_a_version_is_as_good_as_its_tag_when_its_second_is_over(modified: float) -> None:
    date = last_modified(modified, SATURDAY)
    assert date is not None
    assert 0 < date - modified <= 1
    assert is_unchanged(None, format_date(date), "tag", modified, SATURDAY)
    assert range_applies(format_date(date), "tag", modified, SATURDAY)
    assert not has_changed(None, format_date(date), "tag", modified)


@pytest.mark.parametrize("modified", [FRIDAY + 3600.5, FRIDAY + 1e12])
def test_a_version_of_the_future_is_told_apart_by_its_tag_only(modified: float) -> None:
    date = last_modified(modified, FRIDAY)
    assert date is not None
    assert date <= FRIDAY
    for since in (date, FRIDAY, int(modified) + 1):
        if since < 1e11:
            assert not is_unchanged(None, format_date(since), "tag", modified, FRIDAY)
            assert not range_applies(format_date(since), "tag", modified, FRIDAY)


@pytest.mark.parametrize("modified", [0.0, -1.5])
def test_a_version_without_a_time_is_told_apart_by_its_tag_only(modified: float) -> None:
    assert last_modified(modified, FRIDAY) is None
    assert not is_unchanged(None, FRIDAY_DATE, "tag", modified, SATURDAY)
    assert not range_applies("Thu, 01 Jan 1970 00:00:01 GMT", "tag", modified, SATURDAY)
    # Section 13.1.4: there is nothing to compare the date with.
    assert not has_changed(None, FRIDAY_DATE, "tag", modified)


def test_a_date_of_the_future_says_nothing_of_what_the_client_has() -> None:
    assert not is_unchanged(None, format_date(SATURDAY + 1), "tag", FRIDAY, SATURDAY)


@pytest.mark.parametrize("since", [None, "", "yesterday", "2025-07-25"])
def test_a_date_that_is_none_is_ignored(since: str | None) -> None:
    assert not is_unchanged(None, since, "tag", FRIDAY, SATURDAY)


def test_tags_outrank_the_date() -> None:
    # Section 13.1.3: If-Modified-Since is ignored when there is an If-None-Match.
    assert not is_unchanged('"other"', format_date(FRIDAY + 10), "tag", FRIDAY, SATURDAY)
    assert is_unchanged('"tag"', format_date(FRIDAY - 10), "tag", FRIDAY, SATURDAY)


@pytest.mark.parametrize("if_range", [None, '"tag"', ' "tag" ', format_date(FRIDAY + 1)])
def test_a_range_applies_to_the_version_the_client_knows(if_range: str | None) -> None:
    assert range_applies(if_range, "tag", FRIDAY + 0.25, SATURDAY)


@pytest.mark.parametrize(
    "if_range",
    [
        "",
        '"other"',
        'W/"tag"',
        "tag",
        '"tag", "other"',
        "*",
        "yesterday",
        FRIDAY_DATE,
        format_date(FRIDAY + 2),
        "Fri, 25 Jul 99999999999999999999 11:30:45 GMT",
    ],
)
def test_a_range_does_not_apply_to_any_other(if_range: str) -> None:
    # Section 13.1.5: the strong comparison, and the very date.
    assert not range_applies(if_range, "tag", FRIDAY, SATURDAY)


@pytest.mark.parametrize("if_match", [None, "*", '"tag"', '"other", "tag"', 'W/"other","tag"'])
def test_who_asks_for_this_version_gets_it(if_match: str | None) -> None:
    # Section 13.1.1: the strong comparison; If-Unmodified-Since is ignored when there is an If-Match.
    assert not has_changed(if_match, None if if_match is None else format_date(1), "tag", FRIDAY)


@pytest.mark.parametrize("if_match", ["", '"other"', 'W/"tag"', 'W/"tag","other"', "tag", '"ta", "g"'])
def test_who_asks_for_another_version_does_not_get_this_one(if_match: str) -> None:
    assert has_changed(if_match, format_date(SATURDAY), "tag", FRIDAY)


@pytest.mark.parametrize("since", ["", "yesterday", "Fri, 25 Jul 2025 11:30:45 -2359"])
def test_a_date_that_is_none_asks_for_no_version(since: str) -> None:
    assert not has_changed(None, since, "tag", FRIDAY)

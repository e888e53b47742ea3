from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petalflow import storage
from petalflow.errors import UsageError
from petalflow.source import NoMatch, SourcePattern
from petalflow.source.addresses import pin, unpin

SUNDAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
TELLING_DAYS = ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y%%", "%Y/%j", "%G-W%V-%u", "%Y/%b %d", "%Y/%B/%d.%m.%Y"]
TELLING_LESS = ["%Y", "%Y-%m", "%Y/%m", "%G", "%G-W%V", "%G/%V"]

days = st.dates(date(1970, 1, 1), date(2068, 12, 31))  # of two-digit years
formats = st.sampled_from(TELLING_DAYS)


def resolve(address: str, now: datetime, zone: str) -> str:
    return SourcePattern(address).at(now, zone).address


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


def fill(place: str, *folders: str) -> str:
    for folder in folders:
        storage.write_bytes(storage.join(place, folder, "roses", "1.jpg"), b"rose")
    return place


@settings(max_examples=50)
@given(days, st.sampled_from(TELLING_DAYS + TELLING_LESS), st.sampled_from(["{}", "50%-{}-50%/images"]))
def test_the_folder_of_today_is_the_latest(
    tmp_path_factory: pytest.TempPathFactory, day: date, format_: str, around: str
) -> None:
    place = tmp_path_factory.mktemp("place")
    today, latest = (str(place / around.format(f"{{{name}:{format_}}}")) for name in ("date", "latest"))
    resolved = resolve(today, noon(day), "UTC")
    Path(resolved).mkdir(parents=True)
    assert resolve(latest, noon(day), "UTC") == resolved


@settings(max_examples=50)
@given(st.sets(days, min_size=1, max_size=6), days, formats)
def test_the_latest_is_the_newest_that_is_not_after_today(
    tmp_path_factory: pytest.TempPathFactory, there: set[date], today: date, format_: str
) -> None:
    place = tmp_path_factory.mktemp("place")
    dated, latest = (str(place / f"{{{name}:{format_}}}") for name in ("date", "latest"))
    folders = {day: resolve(dated, noon(day), "UTC") for day in there}
    for name in (*folders.values(), str(place / "old" / "9999-99-99")):
        Path(name).mkdir(parents=True)
    past = [day for day in there if day <= today]
    if past:
        assert resolve(latest, noon(today), "UTC") == folders[max(past)]
    else:
        with pytest.raises(NoMatch):
            resolve(latest, noon(today), "UTC")


@given(days, formats)
def test_another_day_is_another_address(day: date, format_: str) -> None:
    def place(of: date) -> str:
        return resolve(f"gs://b/{{date:{format_}}}", noon(of), "UTC")

    assert place(day) != place(day + timedelta(days=1))


@pytest.mark.parametrize(
    ("pattern", "address"),
    [
        ("{date}", "2026-11-22"),
        ("photos-{date}", "photos-2026-11-22"),
        ("{date}/images/raw", "2026-11-22/images/raw"),
        ("year={date:%Y/month=%m/day=%d}", "year=2026/month=11/day=22"),
        ("{date:%G-W%V}", "2026-W47"),
        ("{{{date}}}-{{x}}", "{2026-11-22}-{x}"),
        ("{{date}}", "{date}"),
        ("plain/folder", "plain/folder"),
    ],
)
def test_what_an_address_means_on_a_day(pattern: str, address: str) -> None:
    for home in ("/data", "gs://bucket/photos", "{{x}}"):
        assert resolve(f"{home}/{pattern}", SUNDAY, "UTC") == f"{home.replace('{{x}}', '{x}')}/{address}"


def test_the_day_is_that_of_the_zone() -> None:
    late = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    resolved = {zone: resolve("/{date}", late, zone) for zone in ("UTC", "Europe/Berlin", "America/New_York")}
    assert resolved == {"UTC": "/2026-11-22", "Europe/Berlin": "/2026-11-23", "America/New_York": "/2026-11-22"}


def test_the_latest_folder_is_found_everywhere(place: str) -> None:
    fill(place, "2026-11-20", "2026-11-23", "2026-11-3", "2026-13-01", "newest", "2026-11-21.bak")
    storage.write_bytes(storage.join(place, "2026-11-22"), b"a file and no folder")
    assert resolve(f"{place}/{{latest}}/images", SUNDAY, "UTC") == f"{place}/2026-11-20/images"


def test_the_latest_folder_is_looked_for_level_by_level(place: str) -> None:
    fill(place, "2025/12/31", "2026/10/30", "2026/11/23", "2026/12/01", "2027/01/01", "2026/9/30", "2026/x")
    assert resolve(f"{place}/{{latest:%Y/%m/%d}}", SUNDAY, "UTC") == f"{place}/2026/10/30"  # 2026/11 leads to none


def test_a_folder_that_holds_a_month_twice_must_agree_with_itself(tmp_path: Path) -> None:
    fill(str(tmp_path), "2026-10/10.30", "2026-10/11.20")
    assert resolve(f"{tmp_path}/{{latest:%Y-%m/%m.%d}}", SUNDAY, "UTC") == f"{tmp_path}/2026-10/10.30"


def test_without_a_latest_folder_the_error_lists_those_that_exist(place: str) -> None:
    fill(place, "2026-11-23", "a", "b", "old")
    with pytest.raises(NoMatch) as failure:
        resolve(f"{place}/week-{{latest}}", SUNDAY, "UTC")
    for words in ("week-{latest}: ", "up to 2026-11-22, ", "like week-2026-11-22 ", "there: a, b, old)"):
        assert words in str(failure.value)
    with pytest.raises(NoMatch, match="there are no folders"):
        resolve(f"{place}/nowhere/{{latest}}", SUNDAY, "UTC")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/photos/{datum}", r"{datum} is not a placeholder; use {date} or {latest}, or write {{datum}} if"),
        ("/photos/{Latest:%Y}", r"{Latest:%Y} is not a placeholder"),
        ("/photos/{}", r"{} is not a placeholder"),
        ("/photos/{date!r}", r"{date!r} is not a placeholder"),
        ("/photos/{date}/{latest}", r"more than one date, {date} and {latest}; use one, like {date:%Y/%m/%d}"),
        ("/photos/{date:%Y}/{date:%m}", r"more than one date"),
        ("/photos/{date:}", r"the format of {date:} is empty"),
        ("/photos/{date:%Y//%m}", r"empty between slashes"),
        ("/photos/{date:%Y-%m-%dT%H}", r"has %H, which is not part of a date; use %Y, "),
        ("/photos/{date:%Y%}", r"has %, which is not part"),
        ("/photos/{date:photos}", r"leaves a gap in the date"),
        ("/photos/{date:%m-%d}", r"leaves a gap in the date; it must begin with the year"),
        ("/photos/{latest:%Y-%d}", r"leaves a gap"),
        ("/photos/{latest:%d/%m/%Y}", r"leaves a gap"),
        ("/photos/{date", r"a single '{'; double a brace in a name: {{"),
        ("/photos/2026}", r"a single '}'"),
        ("/photos/{{date}", r"a single '}'"),
        ("gs://{date}/photos", r"in the name of its bucket"),
        ("s3://photos-{latest}", r"in the name of its bucket"),
    ],
)
def test_an_invalid_address_is_an_error_of_one_line(address: str, message: str) -> None:
    looks: tuple[Callable[[SourcePattern], object], ...] = (
        lambda pattern: pattern.is_dated,
        lambda pattern: pattern.is_daily,
        lambda pattern: pattern.fixed_part,
        lambda pattern: pattern.at(SUNDAY, "UTC"),
    )
    for look in looks:
        with pytest.raises(UsageError, match=message) as failure:
            look(SourcePattern(address))
        assert address in str(failure.value)
        assert "\n" not in str(failure.value)


def test_a_day_may_come_before_its_month_if_nothing_is_searched() -> None:
    assert resolve("/{date:%d/%m/%Y}", SUNDAY, "UTC") == "/22/11/2026"


@pytest.mark.parametrize(
    ("address", "folder", "dated", "daily"),
    [
        ("/photos/{date}", "/photos", True, True),
        ("/photos/x-{latest}/images", "/photos", True, False),
        ("/pho{{t}}os/{date:%Y/%m}/images", "/pho{t}os", True, True),
        ("gs://bucket/{date}", "gs://bucket", True, True),
        ("memory://x/y/{latest}", "memory://x/y", True, False),
        ("/{date}", "/", True, True),
        ("{date}", ".", True, True),
        ("/photos/{{date}}", "/photos/{date}", False, False),
        ("gs://bucket/photos/", "gs://bucket/photos/", False, False),
    ],
)
def test_the_fixed_part_of_an_address_does_not_depend_on_the_date(
    address: str, folder: str, dated: bool, daily: bool
) -> None:
    pattern = SourcePattern(address)
    assert (pattern.fixed_part.address, pattern.is_dated, pattern.is_daily) == (folder, dated, daily)


@given(st.text(st.characters(codec="utf-8")))
def test_any_name_can_be_written_with_doubled_braces(name: str) -> None:
    written = f"/photos/{name}".replace("{", "{{").replace("}", "}}")
    assert not SourcePattern(written).is_dated
    assert resolve(written, SUNDAY, "UTC") == f"/photos/{name}"


def test_a_file_may_carry_the_date(place: str) -> None:
    for name in ("2026-11-20.zip", "2026-11-21.tar", "2026-11-21.zip", "2026-11-23.zip", "weeks/2026/47.csv"):
        storage.write_bytes(storage.join(place, name), b"it")
    assert resolve(f"{place}/{{latest}}.zip", SUNDAY, "UTC") == f"{place}/2026-11-21.zip"
    assert resolve(f"{place}/{{date}}.zip", SUNDAY, "UTC") == f"{place}/2026-11-22.zip"
    assert resolve(f"{place}/weeks/{{latest:%G/%V}}.csv", SUNDAY, "UTC") == f"{place}/weeks/2026/47.csv"
    with pytest.raises(NoMatch, match=r"folders or files there: 2026-11-21\.zip, 2026-11-23\.zip, weeks"):
        resolve(f"{place}/{{latest}}.jsonl", SUNDAY, "UTC")
    fill(place, "2026-11-22.zip")
    assert resolve(f"{place}/{{latest}}.zip", SUNDAY, "UTC") == f"{place}/2026-11-22.zip"


@given(st.text(min_size=1), st.text("0123456789abcdef", min_size=1))
def test_a_pinned_source_can_be_taken_apart(address: str, fingerprint: str) -> None:
    assert unpin(pin(address, fingerprint)) == (address, fingerprint)


@pytest.mark.parametrize("text", ["", "/photos", "@sha256:f00d", "/photos@sha256:"])
def test_a_source_that_is_not_pinned_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="has no fingerprint"):
        unpin(text)

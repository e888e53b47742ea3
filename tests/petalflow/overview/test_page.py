import re
import shutil
from datetime import timedelta
from pathlib import Path

from petalflow.overview import make_page, update, write_page
from petalflow.run import record
from tests.browser import needs_browser, opened
from tests.petalflow.overview.records import START, write_run, write_year

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\u202egpj.exe"


def written(records: Path, name: str = "flowers") -> str:
    entries = update(str(records), f"{records}-state")
    return Path(write_page(str(records), name, entries)).read_text()


def text(html: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", html.partition("</style>")[2]).replace("\u00a0", " ").split())


def test_the_page_names_releases_verdicts_reasons_and_classes_that_got_worse(tmp_path) -> None:
    write_run(tmp_path, 1, recalls={"roses": (30, 32)})
    write_run(tmp_path, 2, record.REFUSED, correct=80, recalls={"roses": (9, 32)}, why=("photos: 7 changed",))
    write_run(tmp_path, 3, record.SKIPPED)
    write_run(tmp_path, 4, record.FAILED, error="train: no space left")
    shown = text(written(tmp_path))
    for expected in (
        "4 runs since 2026-01-12",
        "Live release version 1 since 2026-01-12 Its accuracy 90.6 % 95 % interval 85.1 % to 94.2 % report",
        "Last run ✗ failed",
        "roses 93.8 % → 28.1 % (30 of 32 → 9 of 32)",
        "photos: 7 changed min_accuracy: measured it Got worse: roses",
        "skipped another run is active",
        "train: no space left",
    ):
        assert expected in shown


def test_links_lead_to_the_reports_also_in_a_copy_of_the_folder(tmp_path) -> None:
    run = write_run(tmp_path / "records", 1)
    written(tmp_path / "records")
    copy = shutil.copytree(tmp_path / "records", tmp_path / "a copy")
    addresses = set(re.findall('href="([^"]*)"', (copy / "history.html").read_text()))
    assert addresses == {f"{run}/report.html"}
    assert (copy / addresses.pop()).is_file()


def test_links_end_where_the_record_was_removed(tmp_path) -> None:
    first = write_run(tmp_path, 1)
    written(tmp_path)
    shutil.rmtree(tmp_path / first)
    assert "report.html" not in written(tmp_path)


def test_a_page_opened_elsewhere_has_full_addresses(tmp_path) -> None:
    run = write_run(tmp_path, 1)
    page = make_page("flowers", update(str(tmp_path), f"{tmp_path}-state"), reports="https://store/records/")
    assert f'href="https://store/records/{run}/report.html"' in page


def test_a_run_that_was_logged_to_mlflow_links_to_it(tmp_path) -> None:
    run = write_run(tmp_path, 1)
    record.write(str(tmp_path), run, record.MLFLOW, {"mlflow_run_id": "abc", "url": "https://m.example/#/runs/abc"})
    other = write_run(tmp_path, 2)
    record.write(str(tmp_path), other, record.MLFLOW, {"mlflow_run_id": "def", "url": ""})
    html = written(tmp_path)
    assert html.count('<a href="https://m.example/#/runs/abc">MLflow</a>') == 1
    assert html.count("MLflow") == 1


@needs_browser
def test_texts_of_records_are_never_markup(tmp_path) -> None:
    write_run(tmp_path, 1, recalls={HOSTILE: (30, 32)}, why=(HOSTILE,))
    run = write_run(tmp_path, 2, record.REFUSED, recalls={HOSTILE: (9, 32)}, why=(HOSTILE * 99,))
    write_run(tmp_path, 3, record.FAILED, error=HOSTILE)
    record.write(str(tmp_path), run, record.MLFLOW, {"url": "javascript:alert(1)"})
    html = written(tmp_path, HOSTILE)
    assert "\u202e" not in html
    assert "javascript:" not in html
    with opened(tmp_path / "history.html") as page:
        assert page.locator("script, img").count() == 0
        assert "<script>alert(1)</script>" in page.inner_text("h1")


def test_successive_runs_that_found_nothing_new_are_one_row(tmp_path) -> None:
    for number in range(3):
        write_run(tmp_path, number, record.NOTHING_NEW, began=START + timedelta(days=number))
    assert "2026-01-05 03:00 to 2026-01-07 03:00 3 runs found nothing new" in text(written(tmp_path))


def test_the_release_after_a_rollback_has_the_accuracy_of_the_run_that_made_it(tmp_path) -> None:
    write_run(tmp_path, 1, correct=144)
    write_run(tmp_path, 2, correct=128)
    back = write_run(tmp_path, 3)
    for part in (record.VERDICT, record.SNAPSHOT):
        (tmp_path / back / f"{part}.json").unlink()
    record.write(str(tmp_path), back, record.RELEASE, {"version": 3, "rolled_back_from": 1, "why": "too sure"})
    shown = text(written(tmp_path))
    assert "Live release version 3 since 2026-01-26 , rolled back to version 1 Its accuracy 90.0 %" in shown
    assert "back to version 1: too sure" in shown


@needs_browser
def test_300_runs_are_a_page_of_less_than_a_megabyte_with_the_newest_shown_first(tmp_path) -> None:
    write_year(str(tmp_path), 300)
    assert len(written(tmp_path).encode()) < 1_000_000
    with opened(tmp_path / "history.html", viewport={"width": 390, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.locator(".runs tbody tr:visible").count() == 30
        times = page.locator(".runs tbody th time:first-child")
        first, last = (times.nth(at).get_attribute("datetime") for at in (0, -1))
    assert first
    assert last
    assert first > last


def test_without_runs_the_page_says_so(tmp_path) -> None:
    assert "No run is recorded yet." in text(make_page("flowers", []))

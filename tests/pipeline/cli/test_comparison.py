from pathlib import Path

import pytest

from pipeline.comparison import compare, read_evaluation
from tests.components.conftest import make_dataset, make_evaluation, make_model, write_colours
from tests.e2e.command import petalflow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two evaluations, the second of a dataset without some of the first one's images."""
    home = tmp_path_factory.mktemp("compared")
    source = write_colours(home / "source")
    for name, most in (("all", None), ("fewer", 40)):
        dataset = make_dataset(source, home / name / "dataset", max_images_per_class=most)
        make_evaluation(make_model(dataset, home / name / "model"), dataset, home / name / "evaluation")
    return home


def test_two_evaluations_are_compared_in_a_table_and_a_page(home: Path, tmp_path: Path) -> None:
    folders = [str(home / name / "evaluation") for name in ("all", "fewer")]
    ended = petalflow("compare", *folders, cwd=tmp_path)
    assert (ended.code, ended.errors) == (0, "")
    comparison = compare(*map(read_evaluation, folders))
    lines = [" ".join(line.split()) for line in ended.output.splitlines()]
    accuracies = [one.metrics["proportions"]["accuracy"] for one in (comparison.first, comparison.second)]
    shown = [f"{one['value']:.4f} ({one['low']:.4f} to {one['high']:.4f})" for one in accuracies]
    assert f"accuracy {' '.join(shown)}" in lines
    assert comparison.only_first > 0
    assert any(line.startswith(f"both models were tested on {comparison.all.images} common images") for line in lines)
    apart = f"only A was tested on {comparison.only_first} images, only B on {comparison.only_second};"
    assert any(line.startswith(apart) for line in lines)
    assert lines[-1] == "page: comparison.html"
    assert "<h1>Comparison of A and B</h1>" in (tmp_path / "comparison.html").read_text()


def test_an_existing_page_is_not_overwritten(home: Path, tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    page.write_text("mine")
    folder = str(home / "all" / "evaluation")
    ended = petalflow("compare", folder, folder, cwd=tmp_path)
    assert (ended.code, ended.output) == (2, "")
    assert ended.errors == "petalflow: error: comparison.html already exists; remove it or choose another --out\n"
    assert page.read_text() == "mine"
    assert petalflow("compare", folder, folder, "--out", str(tmp_path / "other" / "page.html")).code == 0


def test_a_folder_that_is_not_an_evaluation_is_one_line(home: Path, tmp_path: Path) -> None:
    ended = petalflow("compare", str(home / "all" / "evaluation"), str(home / "all" / "model"), cwd=tmp_path)
    assert ended.code == 2
    assert ended.errors.startswith(f"petalflow: error: no report found in {home}/all/model; give the --out folder of")
    assert list(tmp_path.iterdir()) == []

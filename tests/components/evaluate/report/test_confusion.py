import numpy as np
from sklearn.metrics import confusion_matrix

from components.evaluate.report.confusion import cells, commonest
from tests.components.evaluate.samples import made_up


def test_each_cell_has_its_images_the_most_confident_first() -> None:
    answers = made_up(classes=5)
    counts = confusion_matrix(answers.labels, answers.predicted)
    found = cells(counts, answers, range(0, answers.images, 2))
    assert sum(cell.count for cell in found.values()) == answers.images
    for (actual, predicted), cell in found.items():
        inside = np.flatnonzero((answers.labels == actual) & (answers.predicted == predicted))
        assert cell.count == len(inside)
        assert cell.share == len(inside) / (answers.labels == actual).sum()
        assert sorted(cell.shown) == [at for at in inside if at % 2 == 0]
        assert (np.diff(answers.confidence[list(cell.shown)]) <= 0).all()
        assert cell.right == (actual == predicted)


def test_the_commonest_confusions_are_the_largest_cells_off_the_diagonal() -> None:
    answers = made_up(images=2000, classes=40, skill=1)
    counts = confusion_matrix(answers.labels, answers.predicted)
    some = commonest(cells(counts, answers, []))
    np.fill_diagonal(counts, 0)
    assert [cell.count for cell in some] == np.sort(counts.ravel())[::-1][:50].tolist()
    assert not any(cell.right for cell in some)

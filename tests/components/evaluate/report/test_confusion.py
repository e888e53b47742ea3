import numpy as np
from sklearn.metrics import confusion_matrix

from components.evaluate.report.confusion import cells, commonest
from tests.components.evaluate.samples import made_up


def test_each_cell_has_its_images_the_most_confident_first() -> None:
    predictions = made_up(classes=5)
    counts = confusion_matrix(predictions.label_indices, predictions.predicted_indices)
    found = cells(counts, predictions, range(0, predictions.images, 2))
    assert sum(cell.count for cell in found.values()) == predictions.images
    for (actual, predicted), cell in found.items():
        inside = np.flatnonzero((predictions.label_indices == actual) & (predictions.predicted_indices == predicted))
        assert cell.count == len(inside)
        assert cell.share == len(inside) / (predictions.label_indices == actual).sum()
        assert sorted(cell.shown) == [at for at in inside if at % 2 == 0]
        assert (np.diff(predictions.confidence[list(cell.shown)]) <= 0).all()
        assert cell.correct == (actual == predicted)


def test_the_commonest_confusions_are_the_largest_cells_off_the_diagonal() -> None:
    predictions = made_up(images=2000, classes=40, skill=1)
    counts = confusion_matrix(predictions.label_indices, predictions.predicted_indices)
    some = commonest(cells(counts, predictions, []))
    np.fill_diagonal(counts, 0)
    assert [cell.count for cell in some] == np.sort(counts.ravel())[::-1][:50].tolist()
    assert not any(cell.correct for cell in some)

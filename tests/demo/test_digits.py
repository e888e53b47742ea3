import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from demo.digits import write_digits


def test_the_digits_are_written_as_they_are(tmp_path) -> None:
    assert write_digits(tmp_path) == 1797
    digits = load_digits()
    for index in (0, 100, 1796):
        path = tmp_path / str(digits.target[index]) / f"{index:04d}.png"
        np.testing.assert_allclose(np.asarray(Image.open(path), float) * 16 / 255, digits.images[index], atol=0.04)

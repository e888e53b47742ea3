"""python demo/digits.py FOLDER

Writes scikit-learn's handwritten digits (1,797 real images of 8×8 pixels, inside its wheel)
as PNG files in class folders: FOLDER/0/0000.png ...
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(folder: Path) -> int:
    """Writes the digits and returns how many there are.

    Args:
        folder: Where the class folders go.
    """
    digits = load_digits()
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        target = folder / str(label)
        target.mkdir(parents=True, exist_ok=True)
        grey = np.round(pixels * (255 / 16)).astype(np.uint8)  # the set counts ink in 0..16
        Image.fromarray(grey).save(target / f"{index:04d}.png")
    return len(digits.images)


if __name__ == "__main__":
    print(f"{write_digits(Path(sys.argv[1]))} images in {sys.argv[1]}")

"""Checks early whether the published weights can be had that `auto` will choose, before minutes of work."""

import importlib.util
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from statistics import median_low
from typing import Any

from PIL import Image

from petalflow.errors import UsageError
from petalflow.model.choice import SMALL_NETWORK, choose_network
from petalflow.model.published import why_unavailable
from petalflow.source import Item, Listing, Reader

log = logging.getLogger(__name__)

_SAMPLE = 20
# The share of a source that trains, if it does not assign splits itself.
_TRAINING_SHARE = 0.8


def check_weights(train: Mapping[str, Any], listing: Listing, read: Reader) -> None:
    """Checks that the weights of the backbone that suits a source can be downloaded, if train chooses it itself.

    Args:
        train: The settings of train.
        listing: The listing of the source.
        read: Returns the bytes of an image of the listing.

    Raises:
        UsageError: If the weights are needed here and cannot be had.
    """
    if (train.get("backbone"), train.get("weights")) != ("auto", "imagenet"):
        return
    sides = list(_short_sides_px(listing.items, read))
    if not sides:
        return  # nothing in the sample can be read: convert reports it
    given_px = None if train["image_size_px"] == "auto" else train["image_size_px"]
    images_per_class = _TRAINING_SHARE * len(listing.items) / len(listing.classes)
    choice = choose_network(median_low(sides), images_per_class, image_size_px=given_px, channels=train["channels"])
    if choice.backbone == SMALL_NETWORK or not (why := why_unavailable(choice.backbone, choice.image_size_px)):
        return
    problem = (
        f"{choice.why}, but {why}; download the file elsewhere and set train.weights to its path, or set "
        f"train.backbone={SMALL_NETWORK} for a small network without pretraining, which is much less accurate on photos"
    )
    if importlib.util.find_spec("keras") is None:
        # Then train runs in another container image, which may contain the weights.
        log.warning("%s", problem)
    else:
        raise UsageError(problem)


def _short_sides_px(items: Sequence[Item], read: Reader) -> Iterator[int]:
    """Yields the shorter sides of images from all over a source; reads their headers only."""
    for item in items[:: max(1, len(items) // _SAMPLE)][:_SAMPLE]:
        try:
            with Image.open(io.BytesIO(read(item))) as image:
                yield min(image.size)
        except (OSError, ValueError, Image.DecompressionBombError):
            continue  # convert reports it

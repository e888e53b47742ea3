"""A look at a source before anything is built of it: classes, splits, sizes, duplicates, and what cannot be read."""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median_low

from PIL import Image, ImageOps

from components.convert.plan import Plan, make_plan
from components.convert.settings import ConvertSettings
from petalflow.imaging import Rejected, Rules, open_image
from petalflow.source import Item, Listing, Reader
from petalflow.splits import SPLITS, TEST, TRAIN

# With more images than this, a sample of as many is opened.
MOST_OPENED = 2_000
_THREADS = 8


@dataclass(frozen=True)
class Survey:
    """What a source holds.

    Attributes:
        kind: Its form, for people: "class folders".
        classes: Class -> images, before duplicates and rejects are left out.
        sizes: Split -> images.
        test: Class -> images in the test split.
        duplicates: Copies of an image that is kept.
        conflicts: Images whose content is under several labels.
        ignored: Files outside of the classes.
        missing: Images that the source names but that are not there.
        opened: How many images were opened to learn the rest.
        sides_px: The shorter sides of the images that were opened, smallest, typical and largest; None if none opens.
        unreadable: Reason -> the addresses of the images that cannot be used for it, among those that were opened.
        multi_label: True if images have several classes.
    """

    kind: str
    classes: Mapping[str, int]
    sizes: Mapping[str, int]
    test: Mapping[str, int]
    duplicates: int
    conflicts: int
    ignored: Sequence[str]
    missing: Sequence[str]
    opened: int
    sides_px: tuple[int, int, int] | None
    unreadable: Mapping[str, Sequence[str]]
    multi_label: bool

    @property
    def images(self) -> int:
        """Number of images in all."""
        return sum(self.sizes.values())

    @property
    def training_images_per_class(self) -> float:
        """Training images per class, on average."""
        return self.sizes.get(TRAIN, 0) / len(self.classes)

    @property
    def largest_share(self) -> float:
        """The share of the most common class in the test split, 0..1: the accuracy of always predicting it."""
        return max(self.test.values(), default=0) / max(1, self.sizes.get(TEST, 0))


def survey(listing: Listing, read: Reader, settings: ConvertSettings, opened: Callable[[], None]) -> Survey:
    """Returns what a source holds.

    Args:
        listing: The listing of the source.
        read: Returns the bytes of an image of the listing.
        settings: How the source will be converted.
        opened: Called after each image that was opened.
    """
    plan = make_plan(listing, settings)
    sides, unreadable = list[int](), dict[str, list[str]]()
    sample = spread(listing.items, MOST_OPENED)
    for item, (side_px, reason) in zip(sample, _open_all(sample, read, settings.rules(), opened), strict=True):
        if reason:
            unreadable.setdefault(reason, []).append(item.address)
        else:
            sides.append(side_px)
    return Survey(
        kind=listing.kind,
        classes=_count(listing.items),
        sizes={split: sum(len(shard.items) for shard in plan.shards if shard.split == split) for split in SPLITS},
        test=dict.fromkeys(listing.classes, 0) | _count(_items(plan, TEST)),
        duplicates=len(plan.duplicates),
        conflicts=len(plan.conflicts),
        ignored=listing.ignored,
        missing=[reject.address for reject in listing.rejects],
        opened=len(sample),
        sides_px=(min(sides), median_low(sides), max(sides)) if sides else None,
        unreadable=unreadable,
        multi_label=listing.multi_label,
    )


def sample_pixels(
    items: Sequence[Item], read: Reader, each: int, size_px: int, loaded: Callable[[], None]
) -> Iterator[tuple[Image.Image, Item]]:
    """Yields images of every class, upright, in RGB, resized to a square; broken ones are left out.

    Args:
        items: The images to choose from, of one class each.
        read: Returns the bytes of an image.
        each: The most images per class.
        size_px: Height and width of the result, in pixels.
        loaded: Called after each image that was loaded, or left out.
    """
    by_class: dict[str, list[Item]] = {}
    for item in items:
        by_class.setdefault(item.label, []).append(item)
    chosen = [item for of_class in by_class.values() for item in spread(of_class, each)]

    def load(item: Item) -> Image.Image | None:
        try:
            with Image.open(io.BytesIO(read(item))) as image:
                image.draft("RGB", (size_px, size_px))
                upright = ImageOps.exif_transpose(image).convert("RGB")
                return upright.resize((size_px, size_px), Image.Resampling.BILINEAR, reducing_gap=2.0)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        finally:
            loaded()

    with ThreadPoolExecutor(_THREADS) as pool:
        for item, image in zip(chosen, pool.map(load, chosen), strict=True):
            if image is not None:
                yield image, item


def spread(items: Sequence[Item], most: int) -> Sequence[Item]:
    """Returns at most so many items, from all over a sequence."""
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _open_all(
    items: Sequence[Item], read: Reader, rules: Rules, opened: Callable[[], None]
) -> Iterator[tuple[int, str]]:
    """Yields each image's shorter side in pixels and "", or 0 and why it cannot be used."""

    def examine(item: Item) -> tuple[int, str]:
        try:
            return min(open_image(read(item), rules).size), ""
        except Rejected as rejected:
            return 0, rejected.reason
        finally:
            opened()

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(examine, items)


def _items(plan: Plan, split: str) -> list[Item]:
    return [item for shard in plan.shards if shard.split == split for item in shard.items]


def _count(items: Sequence[Item]) -> dict[str, int]:
    return dict(sorted(Counter(label for item in items for label in item.labels).items()))

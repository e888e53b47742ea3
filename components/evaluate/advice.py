"""What would most likely help a candidate that was refused, from what is known about it: at most three pieces."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy import stats

from components.evaluate.checks import DROP
from components.evaluate.evaluation import Evaluation
from components.evaluate.mislabelled import Mislabelled
from components.evaluate.settings import EvaluateSettings
from petalflow.dataset import Dataset, typical_short_side_px
from petalflow.metrics.metrics import Metrics
from petalflow.model.choice import SMALL_NETWORK, choose_network, native_size
from petalflow.model.files import HISTORY_FILE
from petalflow.splits import TEST, TRAIN
from petalflow.verdict import (
    Advice,
    Check,
    images_for_accuracy_drop,
    images_for_min,
    percent,
    power_of_min,
    supported_threshold,
)

MOST = 3
# Below this share of a backbone's own input size, it sees clearly less than it could.
_MUCH_SMALLER = 0.75
# By how much the accuracy on training images exceeds that on validation images if a network memorizes.
_GAP = 0.15
# By how much the recall of a class is below that of the others, and how rarely by chance, if it is worth a look.
_FAR_WORSE, _SIGNIFICANCE = 0.2, 0.05
# A class with fewer training images than this share of the average is rare.
_RARE = 0.5
# Nobody collects more than this many times the images there are.
_IN_REACH = 20
_IMAGES, _TRAINING = "report.html#images", "report.html#training"


@dataclass(frozen=True)
class Known:
    """What the advice on a refused candidate rests on.

    Attributes:
        found: The scored candidate.
        checks: Its checks.
        settings: The settings of evaluate.
        mislabelled: The classes whose labels look wrong.
        history: Metric -> its value in each epoch of the training; empty if unknown.
    """

    found: Evaluation
    checks: Sequence[Check]
    settings: EvaluateSettings
    mislabelled: Sequence[Mislabelled]
    history: Mapping[str, Sequence[Any]]

    @property
    def info(self) -> Mapping[str, Any]:
        """What train recorded of the candidate."""
        return self.found.model.info

    @property
    def dataset(self) -> Dataset:
        """The dataset."""
        return self.found.dataset


def read_history(model_folder: str | Path) -> dict[str, Any]:
    """Returns the history of a training: metric -> its value in each epoch; empty if there is none."""
    path = Path(model_folder) / HISTORY_FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def make_advice(known: Known) -> list[Advice]:
    """Returns what would most likely help, the most helpful first; empty if no check failed."""
    if all(check.passed is not False for check in known.checks):
        return []
    # A model that is good enough as measured needs test images rather than training; wrong labels spoil everything.
    sources = (
        _advise_labels,
        _advise_size_of_test,
        _advise_nothing_learned,
        _advise_network,
        _advise_image_size,
        _advise_class,
        _advise_gap,
        _advise_longer,
    )
    return [advice for source in sources for advice in source(known)][:MOST]


def _advise_labels(known: Known) -> Iterator[Advice]:
    for one in known.mislabelled[:1]:
        yield Advice(one.sentence, f"open {_IMAGES}, correct the labels and run again")


def _advise_size_of_test(known: Known) -> Iterator[Advice]:
    """Yields what is measured as good enough, on too few images to show it."""
    for check in known.checks:
        if check.passed is not False or check.value is None or known.settings.on_value:
            continue
        if check.name == DROP and check.value >= check.threshold:
            yield _advise_comparison(known, check)
            return
        if check.name in ("min_accuracy", "min_recall") and check.value > check.threshold:
            yield _advise_threshold(known, check)
            return
    for check in known.checks:
        if check.name == "min_test_images" and check.passed is False:
            yield Advice(
                f"{check.value:.0f} test images are too few for any verdict", "add images of every class and run again"
            )


def _advise_threshold(known: Known, check: Check) -> Advice:
    metrics = known.found.evidence.metrics
    trials = metrics.recalls[check.slice].trials if check.slice else metrics.accuracy.trials
    value, of_what = check.value or 0.0, f"test images of {check.slice}" if check.slice else "test images"
    needed, power = images_for_min(value, check.threshold), power_of_min(value, trials, check.threshold)
    more = f"{needed:,} would accept" if needed else "more than a million would be needed to accept"
    lower = supported_threshold(value, trials)
    setting = f"evaluate.{check.name}={lower:g}"
    if check.slice:
        setting = f"'evaluate.{check.name}={json.dumps({check.slice: lower}, ensure_ascii=False)}'"
    return Advice(
        f"{trials} {of_what} accept a model this good in {percent(power, 0)} of runs; {more} one in four of five",
        f"add images{_in_all(known, needed)}, or lower the threshold to what {trials} can show: --set {setting}",
    )


def _in_all(known: Known, test_images: int | None) -> str:
    """Returns how many images the dataset needs for this many test images, or "" if that is out of reach."""
    records = sum(known.dataset.sizes.values())
    needed = (test_images or 0) * records / known.dataset.size(TEST)
    return f" (about {float(f'{needed:.2g}'):,.0f} in all)" if 0 < needed <= _IN_REACH * records else ""


def _advise_comparison(known: Known, check: Check) -> Advice:
    pairs = known.found.evidence.changes.accuracy if known.found.evidence.changes else None
    images = pairs.images if pairs else 0
    differ = (pairs.better + pairs.worse + 1) / (pairs.images + 2) if pairs else 1.0
    needed = images_for_accuracy_drop(-check.threshold, differ)
    more = f"{needed:,} would accept" if needed else "more than a million would be needed to accept"
    explicit = known.settings.max_accuracy_drop == -check.threshold
    remedy = f"; --set evaluate.{DROP}=auto suits the limit to their number" if explicit else ""
    return Advice(
        f"{images} test images are too few to compare with the release: {more} one as good in four of five runs",
        f"add images{_in_all(known, needed)} and run again{remedy}",
    )


def _advise_nothing_learned(known: Known) -> Iterator[Advice]:
    nothing, rate = known.info.get("nothing_learned"), known.info["settings"].get("learning_rate")
    if nothing and _is_cut_short(known):
        yield Advice(str(nothing), f"run again with --set train.max_epochs={max(40, 2 * known.info['epochs'])}")
    elif nothing:
        lower = f": --set train.learning_rate={rate / 10:g}" if rate else ""
        yield Advice(str(nothing), f"check that the folders are the classes, then try another learning rate{lower}")


def _advise_network(known: Known) -> Iterator[Advice]:
    """Yields advice for a network that was trained from scratch where a pretrained one suits the images better."""
    settings = known.info["settings"]
    if settings["backbone"] not in (SMALL_NETWORK, "dense") and settings.get("weights") != "none":
        return
    images = known.dataset.size(TRAIN)
    choice = choose_network(
        typical_short_side_px(known.dataset), images / len(known.dataset.classes), channels=settings.get("channels", 3)
    )
    if choice.backbone != SMALL_NETWORK:
        yield Advice(
            f"{images:,} training images are few to train {settings['backbone']} from scratch; pretraining helps",
            f"run again with --set train.backbone={choice.backbone} --set train.image_size_px={choice.image_size_px}"
            + (" --set train.weights=imagenet" if settings.get("weights") == "none" else ""),
        )


def _advise_image_size(known: Known) -> Iterator[Advice]:
    settings, size_px = known.info["settings"], known.info["image_size_px"]
    if settings["backbone"] in (SMALL_NETWORK, "dense"):
        return
    own_px, side_px = native_size(settings["backbone"]), typical_short_side_px(known.dataset)
    if size_px < _MUCH_SMALLER * own_px and side_px > size_px:
        yield Advice(
            f"{settings['backbone']} was pretrained at {own_px} px but sees the images, which have about {side_px} px, "
            f"at {size_px} px",
            f"run again with --set train.image_size_px={own_px}",
        )


def _advise_class(known: Known) -> Iterator[Advice]:
    """Yields the class that is far worse than the others together."""
    named = {name for one in known.mislabelled for name in one.classes}
    recalls = {name: one for name, one in _recalls(known.found.evidence.metrics).items() if name not in named}
    if len(recalls) < 2:
        return
    worst = min(recalls, key=lambda name: recalls[name][0] / recalls[name][1])
    correct, images = recalls[worst]
    others = [counts for name, counts in recalls.items() if name != worst]
    correct_others, images_others = (sum(counts) for counts in zip(*others, strict=True))
    table = [[correct, images - correct], [correct_others, images_others - correct_others]]
    by_chance = float(stats.fisher_exact(table, alternative="less").pvalue) * len(recalls)
    if correct_others / images_others - correct / images < _FAR_WORSE or by_chance > _SIGNIFICANCE:
        return
    counts = known.dataset.counts[TRAIN]
    is_rare = counts[worst] < _RARE * known.dataset.size(TRAIN) / len(counts)
    unbalanced = is_rare and known.info["settings"].get("balance") == "none"
    yield Advice(
        f"{worst} is far worse than the other classes: {correct} of {images} test images are correct, of the others "
        f"{percent(correct_others / images_others)}",
        f"look at its images ({_IMAGES}) and add more of them"
        + (", or --set train.balance=class_weights" if unbalanced else ""),
    )


def _recalls(metrics: Metrics) -> dict[str, tuple[int, int]]:
    return {name: (one.successes, one.trials) for name, one in metrics.recalls.items() if one.trials}


def _advise_gap(known: Known) -> Iterator[Advice]:
    """Yields advice for a network that memorizes its training images."""
    training, validation = _at_best(known, "accuracy"), known.info.get("validation_accuracy")
    if training is None or validation is None or training - validation < _GAP:
        return
    augment = known.info["settings"].get("augment", {})
    flip = ": --set train.augment.flip=horizontal --set train.augment.zoom_fraction=0.1"
    yield Advice(
        f"the network memorizes: {percent(training)} of the training images are correct, but {percent(validation)} of "
        "the validation images",
        "add images" + (f", or vary them{flip}" if augment.get("flip", "none") == "none" else ", or vary them more"),
    )


def _advise_longer(known: Known) -> Iterator[Advice]:
    if _is_cut_short(known) and not known.info.get("nothing_learned"):
        epochs = known.info["epochs"]
        yield Advice(
            f"training was still improving when it ended after {epochs} epochs ({_TRAINING})",
            f"run again with --set train.max_epochs={2 * epochs}",
        )


def _is_cut_short(known: Known) -> bool:
    epochs, limit = known.info.get("epochs"), known.info["settings"].get("max_epochs")
    return bool(epochs and limit and epochs >= limit and known.info.get("best_epoch") == epochs)


def _at_best(known: Known, metric: str) -> float | None:
    values, best = known.history.get(metric, ()), known.info.get("best_epoch") or 0
    return values[best - 1] if 0 < best <= len(values) else None

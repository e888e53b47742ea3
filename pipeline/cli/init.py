"""`petalflow init`: looks at photos, says what it sees, and writes a petalflow.yaml."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from components.evaluate.mislabelled import find_mislabelled
from components.train.probe import PIXELS_PX, FirstLook, look
from components.train.settings import AUTO, FROM_SCRATCH, IMAGENET, TrainSettings, named_backbone
from components.validate.settings import ValidateSettings
from petalflow import commandline, storage
from petalflow.errors import UsageError
from petalflow.model.choice import NetworkChoice, choose_network, choose_size
from petalflow.model.published import why_unavailable
from petalflow.registry import check_name
from petalflow.source import Item, Listing, Reader, open_source
from petalflow.splits import TEST
from pipeline.configuration import Configuration
from pipeline.project import FILE, name_after
from pipeline.project_file import project_text
from pipeline.proposal import Proposal, find_shortage, promise, propose, sentences
from pipeline.schema_file import head_line
from pipeline.survey import MOST_OPENED, Survey, sample_pixels, survey

# The most images that the first look takes; at least two of each class.
_LOOKED_AT = 300
_LISTED_CLASSES, _NAMED_FILES = 12, 3
# Where no threshold is known to suit, one that says something: above this share of the way from always predicting the
# most common class to perfect.
_MODEST = 0.5
_AS_SET = "as set"
_PLACEHOLDER = {"evaluate": {"min_accuracy": 0.5}}


def initialize(source: str, name: str | None, assignments: Sequence[str], *, replace: bool) -> None:
    """Looks at a source, prints what it sees and proposes, and writes petalflow.yaml into the working folder.

    Args:
        source: Folder or URI of the labelled images.
        name: The name of the model, or None for that of the source's folder.
        assignments: Settings that the user has chosen: "section.setting=value".
        replace: Replace the file if there is one.

    Raises:
        UsageError: If the source cannot be read, a setting is wrong, or there is a file already.
    """
    path = Path(FILE)
    if path.exists() and not replace:
        raise UsageError(f"{path.absolute()} exists; add --force to replace it")
    name = name or name_after(source)
    check_name("--name", name)
    given = commandline.read_settings(None, None, assignments)
    configuration = Configuration.of({**given, "evaluate": {**_PLACEHOLDER["evaluate"], **given.get("evaluate", {})}})
    opened = open_source(source, configuration.convert).absolute()
    console = Console(highlight=False, soft_wrap=True)
    with _status(console, f"listing {source}"):
        listing, read = opened.list(), opened.reader()
    with _bar(console, "opening images", min(MOST_OPENED, len(listing.items))) as count:
        found = survey(listing, read, configuration.convert, count)
    for line in _seen(name, found):
        console.print(line, markup=False)
    network = _network(configuration.train, found)
    first, obstacle = _first_look(console, configuration.train, network, listing, read)
    proposal = propose(found, network, first)
    for line in (*sentences(found, first, proposal), *filter(None, [obstacle])):
        console.print(line, markup=False)
    values = _values(given, configuration.train, proposal, found)
    comments = _comments(found, first, proposal)
    head = head_line(path.absolute().parent)
    text = project_text(source=_shown(source), name=name, values=values, comments=comments, head=head)
    path.write_text(text, encoding="utf-8")
    shortage = find_shortage(found, cast(ValidateSettings, configuration.sections[ValidateSettings.section]))
    then = f"before you type petalflow run: {shortage}" if shortage else "read it, then type: petalflow run"
    console.print(f"wrote {path}; {then}", markup=False)


def _network(train: TrainSettings, found: Survey) -> NetworkChoice:
    """Returns the network: what the user has set, completed by what suits the images."""
    side_px = found.sides_px[1] if found.sides_px else 0
    given_px = None if train.image_size_px == AUTO else train.size_px
    backbone = named_backbone(train)
    if backbone is None:
        return choose_network(side_px, found.training_images_per_class, image_size_px=given_px, channels=train.channels)
    return NetworkChoice(backbone, given_px or choose_size(backbone, side_px), _AS_SET)


def _first_look(
    console: Console, train: TrainSettings, network: NetworkChoice, listing: Listing, read: Reader
) -> tuple[FirstLook | None, str]:
    """Returns a first look, and what to see to before a run, or "": missing weights, labels that look wrong."""
    settings = train.model_copy(update={"backbone": network.backbone, "image_size_px": network.image_size_px})
    pretrained = network.backbone not in FROM_SCRATCH and train.weights != "none"
    if pretrained and train.weights == IMAGENET and (why := why_unavailable(network.backbone, network.image_size_px)):
        return (
            None,
            f"weights: {why}; download the file elsewhere, and write its path into {FILE}: train: weights: PATH",
        )
    if listing.multi_label:
        return None, ""
    size_px = network.image_size_px if pretrained else PIXELS_PX
    each = max(2, _LOOKED_AT // len(listing.classes))
    total = min(len(listing.items), each * len(listing.classes))
    with _bar(console, "reading images for a first look", total) as count:
        loaded = list(sample_pixels(listing.items, read, each, size_px, count))
    labels = np.array([listing.classes.index(item.label) for _, item in loaded], np.int64)
    if np.bincount(labels, minlength=len(listing.classes)).min() < 2:
        return None, ""
    pixels = np.stack([np.asarray(image, np.uint8) for image, _ in loaded])
    with _status(console, "a first look"):
        first = look(pixels, labels, settings if pretrained else settings.model_copy(update={"backbone": "cnn"}))
    return first, _doubt_labels(first, labels, [item for _, item in loaded], listing.classes)


class _Known(NamedTuple):
    """What is known of an image before it is converted."""

    filename: str
    group: str
    slices: Sequence[tuple[str, str]]


def _doubt_labels(first: FirstLook, labels: NDArray[np.int64], items: Sequence[Item], classes: Sequence[str]) -> str:
    """Returns which classes look mislabelled, as one line, or ""."""
    if first.scores is None:
        return ""
    known = [_Known(item.address, item.group or "", item.slices) for item in items]
    found = find_mislabelled(labels, first.scores, known, classes)
    if not found:
        return ""
    sentences = "; ".join(one.sentence for one in found)
    return f"labels: of the images looked at, {sentences} ({', '.join(found[0].files[:_NAMED_FILES])}, ...)"


def _seen(name: str, found: Survey) -> Iterator[str]:
    """Yields what a source holds, a line each."""
    yield f"{name}: {sum(found.classes.values()):,} images in {len(found.classes)} classes ({found.kind})"
    width = max(map(len, found.classes))
    by_size = sorted(found.classes, key=lambda one: (-found.classes[one], one))
    hidden = len(by_size) - _LISTED_CLASSES
    shown = by_size if hidden <= 1 else [*by_size[: _LISTED_CLASSES - 1], by_size[-1]]
    for label in shown:
        if hidden > 1 and label == by_size[-1]:
            yield f"  and {hidden} more; the smallest:"
        yield f"  {label:{width}}  {found.classes[label]:7,}, {found.test[label]:,} of them for testing"
    if found.sides_px:
        smallest, typical, largest = found.sides_px
        sides = f"{typical:,} px, from {smallest:,} to {largest:,}" if smallest != largest else f"{typical:,} px"
        yield f"shorter side: {sides}"
    sample = f" (of {found.opened:,} that were opened)" if found.opened < sum(found.classes.values()) else ""
    for count, what in (
        (found.duplicates, "duplicates, of which one each is kept"),
        (found.conflicts, "left out: the same image under several classes"),
    ):
        if count:
            yield f"{count:,} {what}"
    for what, addresses in (
        *((f"cannot be used ({reason.replace('_', ' ')}){sample}", some) for reason, some in found.unreadable.items()),
        ("missing, though the table names them", found.missing),
        ("outside the classes, ignored", found.ignored),
    ):
        if addresses:
            yield f"{len(addresses):,} {what}: {addresses[0]}{', ...' if len(addresses) > 1 else ''}"


def _values(
    given: dict[str, dict[str, object]], train: TrainSettings, proposal: Proposal, found: Survey
) -> dict[str, dict[str, object]]:
    """Returns the settings to write: what is proposed, and what the user has set."""
    network = proposal.network
    weights = {} if train.weights == IMAGENET else {"weights": _shown(train.weights)}
    chosen = {"backbone": network.backbone, "image_size_px": network.image_size_px, **weights}
    threshold: dict[str, object] = {"min_accuracy": _threshold(proposal, found)}
    if found.multi_label:
        threshold = {"min_macro_f1": _MODEST}
    rest = {section: settings for section, settings in given.items() if section not in ("train", "evaluate")}
    return {
        **rest,
        "train": {**given.get("train", {}), **chosen},
        "evaluate": {**threshold, **given.get("evaluate", {})},
    }


def _threshold(proposal: Proposal, found: Survey) -> float:
    if proposal.threshold is not None:
        return proposal.threshold
    return round(found.largest_share + _MODEST * (1 - found.largest_share), 2)


def _comments(found: Survey, first: FirstLook | None, proposal: Proposal) -> dict[str, list[str]]:
    reason = [] if proposal.network.why == _AS_SET else [f"Chosen: {proposal.network.why}."]
    threshold = ["What a model must reach to be released, by its lower 95 % bound. Set it to what you need."]
    if first:
        said = promise(found, first, proposal)
        threshold.append(f"Proposed: {said}." if proposal.threshold else f"A guess: {said}.")
    elif not found.multi_label:
        threshold.append(f"A guess, since there was no first look; there are {found.sizes.get(TEST, 0)} test images.")
    return {"train": reason, "evaluate": threshold}


def _shown(address: str) -> str:
    """Returns an address as the file should name it: relative, if it is below the working folder."""
    if not storage.is_local(address) or ":" in address:
        return address
    path = os.path.relpath(storage.absolute(address))
    return storage.absolute(address) if path.startswith("..") else path


@contextmanager
def _status(console: Console, text: str) -> Iterator[None]:
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield


@contextmanager
def _bar(console: Console, text: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows a progress bar on a terminal within the block; provides the function that counts."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=total)
        yield lambda: progress.advance(task)

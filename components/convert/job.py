"""What the workers of one conversion need to know."""

from dataclasses import dataclass

from components.convert.settings import ConvertSettings


@dataclass(frozen=True)
class Job:
    """What the workers of one conversion need to know; Beam ships it to them.

    Attributes:
        source: Address of the source.
        root: The dataset's folder.
        settings: How to convert.
        classes: Class names, in the order of the labels.
        slice_names: What every record says beside, "" where the source says nothing of an image.
        total: Images in all shards, for the progress shown.
        conversion: What tells this conversion from another in one process.
        previous: A dataset whose records may be taken where an image is the same; None if there is none.
    """

    source: str
    root: str
    settings: ConvertSettings
    classes: tuple[str, ...]
    slice_names: tuple[str, ...]
    total: int
    conversion: str
    previous: str | None = None

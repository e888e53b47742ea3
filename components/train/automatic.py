"""What `auto` means for a dataset: its backbone and image size."""

from components.train.settings import AUTO, TrainSettings, named_backbone
from petalflow.dataset import Dataset, typical_short_side_px
from petalflow.model.choice import choose_network, choose_size
from petalflow.splits import TRAIN


def settle_network(settings: TrainSettings, dataset: Dataset) -> tuple[TrainSettings, str]:
    """Returns the settings with a backbone and an image size, and the reason for them, or "" if both were given.

    Args:
        settings: The settings of train.
        dataset: The dataset to train on.

    Raises:
        UsageError: If the name of a weights file does not tell its backbone.
    """
    if AUTO not in (settings.backbone, settings.image_size_px):
        return settings, ""
    given_px = None if settings.image_size_px == AUTO else settings.size_px
    short_side_px = typical_short_side_px(dataset)
    backbone, why = named_backbone(settings), f"images of about {short_side_px} px"
    if backbone is None:
        images_per_class = dataset.size(TRAIN) / len(dataset.classes)
        backbone, _, why = choose_network(
            short_side_px, images_per_class, image_size_px=given_px, channels=settings.channels
        )
    size_px = given_px or choose_size(backbone, short_side_px)
    chosen = settings.model_copy(update={"backbone": backbone, "image_size_px": size_px})
    return chosen, f"chosen: {backbone} at {size_px} px ({why})"

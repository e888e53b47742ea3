"""A registry of releases: list them, find the live one, publish, roll back, prune.

```
<registry>/<name>/<version>/    saved_model.pb  variables/  ...    as TF Serving reads it
                                release.json                        lineage
                                dataset_statistics.json             statistics of its dataset
                                training_images.sha256              the images it was trained on
```

The highest version is live. A new version is always the highest; pruning removes the oldest.
"""

from petalflow.registry.pruning import prune
from petalflow.registry.publishing import check_name, expected_version, publish, released_by, roll_back
from petalflow.registry.releases import (
    DATASET_STATISTICS_FILE,
    MODEL_CARD_FILE,
    RELEASE_FILE,
    TRAINING_IMAGES_FILE,
    Release,
    find_release,
    live,
    open_release,
    read_training_hashes,
    releases,
    training_hashes_at,
    withdrawn,
    write_training_hashes,
)

__all__ = [
    "DATASET_STATISTICS_FILE",
    "MODEL_CARD_FILE",
    "RELEASE_FILE",
    "TRAINING_IMAGES_FILE",
    "Release",
    "check_name",
    "expected_version",
    "find_release",
    "live",
    "open_release",
    "prune",
    "publish",
    "read_training_hashes",
    "released_by",
    "releases",
    "roll_back",
    "training_hashes_at",
    "withdrawn",
    "write_training_hashes",
]

"""Releases: list them, find the live one, publish, roll back.

```
<registry>/<name>/<version>/    saved_model.pb  variables/  ...    as TF Serving reads it
                                release.json                        lineage
```

The highest version is live. Versions are only ever added.
"""

from petalflow.registry.publishing import check_name, publish, roll_back
from petalflow.registry.releases import RELEASE_FILE, Release, live, open_release, releases

__all__ = ["RELEASE_FILE", "Release", "check_name", "live", "open_release", "publish", "releases", "roll_back"]

"""Whether a run would release again what a rollback withdrew."""

from petalflow.errors import PetalflowError
from petalflow.run.rollback import find_withdrawal
from pipeline.request import Request

# The steps whose settings determine the model, given the photos.
_DETERMINING = ("convert", "train")


def warning(request: Request) -> str:
    """Returns a warning if a run would train and release again what a rollback withdrew; or ""."""
    if request.configuration.snapshot.if_changed:
        return ""  # then the same photos and settings are nothing new
    try:
        found = find_withdrawal(request.registry, request.name, request.record_uri)
    except PetalflowError:
        return ""  # the run will report it
    settings = {step: request.configuration.sections[step].model_dump(mode="json") for step in _DETERMINING}
    for release in found.releases if found else ():
        if all(release.lineage["settings"].get(step) == settings[step] for step in _DETERMINING):
            why = f": {found.why}" if found and found.why else ""
            return (
                f"version {release.version} of {request.name} was withdrawn{why}; with the same photos, this run can "
                "release its model again; add --set snapshot.if_changed=true to run only if something has changed"
            )
    return ""

"""The compiled pipeline: how it is made, and where the one that runs is."""

from pathlib import Path

from pipeline.build import Build

_HERE = Path(__file__).resolve().parent


def pipeline_file() -> Path:
    """Returns the compiled pipeline: of the checkout, or the one that was installed with the package."""
    installed = _HERE / "pipeline.yaml"
    return installed if installed.exists() else _HERE.parent / "pipeline.yaml"


def compile_pipeline(out: Path, build: Build | None = None) -> None:
    """Writes the compiled pipeline to a file.

    Args:
        out: The file; replaced only by one that obeys the rules of every backend.
        build: How to fit it to a place; None for the one that is committed.

    Raises:
        PetalflowError: If the pipeline breaks a rule of `pipeline.portable`.
    """
    import tempfile
    import warnings

    from kfp import compiler

    from petalflow import storage
    from pipeline.definition import build_pipeline
    from pipeline.portable import check_portable

    build = build or Build()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore", FutureWarning)  # kfp's, about its own next version
        aside = Path(folder) / "pipeline.yaml"
        components = {step: make() for step, make in build.components.items()}
        compiler.Compiler().compile(build_pipeline(build.dress, components, build.note), str(aside))
        text = aside.read_text()
    check_portable(text, documents=2 if build.customize else 1, googles_only=build.components)
    storage.write_bytes(str(out), text.encode())


def check_compiles(build: Build) -> None:
    """Compiles the pipeline to nowhere.

    Raises:
        UsageError: If it cannot be compiled, whatever Python says of that.
    """
    import tempfile

    from petalflow.errors import UsageError

    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_pipeline(Path(folder) / "pipeline.yaml", build)
        except Exception as error:  # of kfp, or of a definition that somebody has changed
            said = " ".join(str(error).split())[:300]
            raise UsageError(
                f"the pipeline does not compile ({type(error).__name__}: {said}); `petalflow compile` shows more"
            ) from error

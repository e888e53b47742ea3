"""Compiling the pipeline, and finding the compiled file."""

from pathlib import Path

from pipeline.build import Build

_HERE = Path(__file__).resolve().parent


def pipeline_file() -> Path:
    """Returns the path of the compiled pipeline: in the checkout, or installed with the package."""
    installed = _HERE / "pipeline.yaml"
    return installed if installed.exists() else _HERE.parent / "pipeline.yaml"


def compile_pipeline(out: Path, build: Build | None = None) -> None:
    """Writes the compiled pipeline to a file.

    Args:
        out: The file; replaced only if the new one obeys the rules of every backend.
        build: How to compile it for a target; None for the committed pipeline.yaml.

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
        warnings.simplefilter("ignore", FutureWarning)  # kfp warns about its own next version
        compiled = Path(folder) / "pipeline.yaml"
        components = {step: make() for step, make in build.components.items()}
        compiler.Compiler().compile(build_pipeline(build.apply, components, build.note), str(compiled))
        text = compiled.read_text()
    check_portable(text, documents=2 if build.customize else 1, googles_only=build.components)
    storage.write_bytes(str(out), text.encode())


def check_compiles(build: Build) -> None:
    """Checks that the pipeline compiles, without keeping the result.

    Raises:
        UsageError: If it does not compile, for any reason.
    """
    import tempfile

    from petalflow.errors import UsageError

    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_pipeline(Path(folder) / "pipeline.yaml", build)
        except Exception as error:  # from kfp, or from a definition that was changed
            message = " ".join(str(error).split())[:300]
            raise UsageError(
                f"the pipeline does not compile ({type(error).__name__}: {message}); "
                "`petalflow compile --debug` shows the traceback"
            ) from error

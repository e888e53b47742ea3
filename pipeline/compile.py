"""The compiled pipeline: how it is made, and where the one that runs is."""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def pipeline_file() -> Path:
    """Returns the compiled pipeline: of the checkout, or the one that was installed with the package."""
    installed = _HERE / "pipeline.yaml"
    return installed if installed.exists() else _HERE.parent / "pipeline.yaml"


def compile_pipeline(out: Path) -> None:
    """Writes the compiled pipeline, one YAML document, to the file `out`."""
    import warnings

    from kfp import compiler

    from pipeline.definition import petalflow_pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # kfp's, about its own next version
        out.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(petalflow_pipeline, str(out))

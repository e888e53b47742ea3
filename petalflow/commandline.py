"""What every command of Petalflow shares: how settings are given, and how errors are shown."""

import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from petalflow.errors import FAILED, PetalflowError, UnusableOutput, UsageError

_show_traceback = False


def _debug(value: bool) -> None:
    global _show_traceback
    _show_traceback = value


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_debug, is_eager=True)]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file of settings, a section a step.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="STEP.SETTING=VALUE", help="One setting; repeatable.")]


def new_app(help: str, **options: Any) -> typer.Typer:
    """Returns an app with our defaults: no completion commands, errors shown by `main`."""
    return typer.Typer(help=help, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, **options)


def main(app: typer.Typer, argv: Sequence[str] | None = None) -> None:
    """Runs an app; an error becomes one line on stderr and its exit code.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        app(args=argv)
    except UnusableOutput as error:
        _fail(error, f"--out {error}", error.exit_code)
    except PetalflowError as error:
        _fail(error, str(error), error.exit_code)
    except Exception as error:  # a defect: still one line, but it says how to see the rest
        first = str(error).splitlines()[0] if str(error) else ""
        _fail(error, f"{type(error).__name__}: {first} (--debug shows where)", FAILED)


def run_step(step: str, work: Callable[[], object]) -> None:
    """Runs a step's work with its log on the terminal."""
    from petalflow.run.execution import log_as

    log_as(step)
    try:
        work()
    except KeyboardInterrupt:
        print(f"petalflow: {step} was interrupted; nothing half-made is left, run it again", file=sys.stderr)
        raise


def read_settings(
    section: str | None, config: Path | None, assignments: Sequence[str] | None, groups: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the settings that the user gave, unvalidated.

    Args:
        section: A step's name: its settings alone are returned, and may be set without the
            prefix; None for all, by section.
        config: A YAML file, or None.
        assignments: "step.setting=value" strings, which win over the file.
        groups: The step's settings that hold settings, which may be set without the prefix too: "augment.flip=both".

    Raises:
        UsageError: If the file or an assignment cannot be read.
    """
    import yaml

    sections = _read_config(config) if config else {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        step, dot, setting = key.strip().partition(".")
        if section and (not dot or step in groups):
            step, dot, setting = section, ".", key.strip()
        if not (equals and dot and setting):
            raise UsageError(f"--set {assignment!r} must look like train.backbone=MobileNetV2")
        if section and step != section:
            raise UsageError(
                f"--set {assignment!r} is not of {section}, which takes {section}.SETTING=VALUE; "
                'names with values are given whole, as in SETTING={"name": 0.5}'
            )
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            read = value  # a pattern like {label}.* is meant as it stands
        _set(sections.setdefault(step, {}), setting, read)
    return dict(sections.get(section, {})) if section else sections


def _set(settings: dict[str, Any], name: str, value: Any) -> None:
    """Sets a setting; dots in its name lead into settings of settings, as in dataflow.region."""
    *above, last = name.split(".")
    for one in above:
        inner = settings.get(one)
        settings[one] = settings = dict(inner) if isinstance(inner, dict) else {}
    settings[last] = value


def _read_config(path: Path) -> dict[str, dict[str, Any]]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--config {path} is not UTF-8") from None
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path} is not YAML: {' '.join(str(error).split())}") from None
    if isinstance(values, dict):
        values = {section: {} if value is None else value for section, value in values.items()}
    if not isinstance(values, dict) or not all(
        isinstance(section, str) and isinstance(value, dict) for section, value in values.items()
    ):
        raise UsageError(f"--config {path} must hold sections of settings, like 'train: {{backbone: cnn}}'")
    return values


def _fail(error: BaseException, message: str, exit_code: int) -> None:
    if _show_traceback:
        import traceback

        traceback.print_exception(error)
    print(f"petalflow: error: {message}", file=sys.stderr)
    raise SystemExit(exit_code) from None

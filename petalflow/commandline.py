"""What all commands of Petalflow share: reading settings and reporting errors."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from petalflow.errors import FAILED, PetalflowError, UnusableOutput, UsageError

_show_traceback = False


def _debug(value: bool) -> None:
    global _show_traceback
    _show_traceback = value


Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback if the command fails.", callback=_debug, is_eager=True)
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file of settings by section; `petalflow settings` lists them.")
]
# For the command of a single step, whose section need not be named.
StepSet = Annotated[
    list[str] | None, typer.Option("--set", metavar="[STEP.]SETTING=VALUE", help="A single setting; can be repeated.")
]


def new_app(help: str, *, add_completion: bool = False, **options: Any) -> typer.Typer:
    """Returns an app with our defaults: errors are reported by `main`, shell completion is left to the main command."""
    return typer.Typer(
        help=help, add_completion=add_completion, pretty_exceptions_enable=False, no_args_is_help=True, **options
    )


def main(app: typer.Typer, argv: Sequence[str] | None = None) -> None:
    """Runs an app; reports an error as one line on stderr, or a line for each problem, and an exit code.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        app(args=argv)
    except UnusableOutput as error:
        _fail(error, [f"--out {error}"], error.exit_code)
    except PetalflowError as error:
        _fail(error, error.lines(), error.exit_code)
    except Exception as error:  # a bug: still one line, which says how to see the rest
        first = str(error).partition("\n")[0]
        _fail(error, [f"{type(error).__name__}: {first} (--debug shows the traceback)"], FAILED)


@contextlib.contextmanager
def option(name: str) -> Iterator[None]:
    """Puts the name of an option before the message of an error that its value causes in the block.

    Raises:
        UsageError: For a UsageError or ValueError in the block.
    """
    try:
        yield
    except (UsageError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from None


def run_step(step: str, work: Callable[[], object]) -> None:
    """Runs a step's work and shows its log on the terminal."""
    from petalflow.run.execution import log_as

    log_as(step)
    try:
        work()
    except KeyboardInterrupt:
        print(f"petalflow: {step} was interrupted and left nothing incomplete; run it again", file=sys.stderr)
        raise


def read_settings(
    section: str | None, config: Path | None, assignments: Sequence[str] | None, groups: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the user's settings, not validated.

    Args:
        section: A step's name, to return only its settings; they can then be set without the prefix. None returns
            all settings by section; what the user set without a section is returned under its own name.
        config: A YAML file, or None.
        assignments: "step.setting=value" strings, which take precedence over the file.
        groups: The step's settings that contain settings, which can be set without the prefix too: "augment.flip=both".

    Raises:
        UsageError: If the file or an assignment cannot be read.
    """
    # Not OmegaConf's dot lists: they treat ${...} and a[0] in patterns as syntax, and reject a value like {label}.*
    import yaml

    values = _read_config(config) if config else {}
    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        step, dot, setting = key.strip().partition(".")
        if section and (not dot or step in groups):
            step, dot, setting = section, ".", key.strip()
        if not (equals and step and bool(dot) == bool(setting)):
            raise UsageError(f"--set {assignment!r} must look like train.backbone=MobileNetV2")
        if section and step != section:
            raise UsageError(
                f"--set {assignment!r} is not a setting of {section}; use {section}.SETTING=VALUE, "
                'and give a mapping as a whole: SETTING={"name": 0.5}'
            )
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            read = value  # a pattern like {label}.* is taken literally
        _set(values, key.strip() if not section else f"{step}.{setting}", read)
    if not section:
        return values
    settings = values.get(section, {})
    if not isinstance(settings, dict):
        raise UsageError(f"--config {config}: {section} must contain settings, like 'train: {{backbone: cnn}}'")
    return settings


def _set(settings: dict[str, Any], name: str, value: Any) -> None:
    """Sets a setting; dots in its name lead into sections and nested settings, as in convert.dataflow.region."""
    *above, last = name.split(".")
    for one in above:
        inner = settings.get(one)
        settings[one] = settings = dict(inner) if isinstance(inner, dict) else {}
    settings[last] = value


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--config {path} is not UTF-8") from None
    except yaml.YAMLError as error:
        raise UsageError(f"--config {path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or not all(isinstance(section, str) for section in values):
        raise UsageError(f"--config {path} must contain sections of settings, like 'train: {{backbone: cnn}}'")
    return {section: {} if value is None else value for section, value in values.items()}


def _fail(error: BaseException, messages: Iterable[str], exit_code: int) -> None:
    if _show_traceback:
        import traceback

        traceback.print_exception(error)
    for message in messages:
        print(f"petalflow: error: {message}", file=sys.stderr)
    raise SystemExit(exit_code) from None

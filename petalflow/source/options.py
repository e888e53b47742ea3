"""How a source is read: what its address alone does not say.

A label pattern says where file names hold the class:

```
{label}.*                  cat.0.jpg
{label}_{number}.jpg       sea_lion_17.jpg
{label+}_*                 sea_lion_front.png
{split}/{label}.*          train/cat.0.jpg
*/{group}/{label}-*        ward 3/patient 12/ill-4.png
```

`{label}` is the shortest text with which the rest matches, `{label+}` the longest, `{number}` digits, `*` any text or
none; none of them holds a slash. A pattern with a slash is matched with the whole path below the source, any other with
the file's own name. A brace that belongs to a name is doubled, `{{` or `}}`.
"""

import functools
import json
import re
from itertools import pairwise
from typing import Final, Literal, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings
from petalflow.splits import SPLIT_NAMES

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|\*+|[^{}*]+")
_LABELS = ("label", "label+", "label-")
_SUGGESTED = ("label", "split", "group", "number")
_PLACEHOLDERS = {
    "label": "(?P<label>[^/]+?)",
    "label+": "(?P<label>[^/]+)",
    "label-": "(?P<label>[^/]+?)",
    "split": f"(?P<split>(?i:{'|'.join(SPLIT_NAMES)}))",
    "group": "(?P<group>[^/]+?)",
    "number": "[0-9]+",
}
# Endings of one kind of file.
_ENDINGS = [rf"(?i:\.{ending})" for ending in ("jpe?g", "tiff?", "hei[cf]", "png", "webp", "bmp", "gif", "avif")]

# What the top folders of a source are, as the setting says.
AUTO: Final = "auto"
CLASSES: Final = "classes"
SPLITS: Final = "splits"


class PathLabel(NamedTuple):
    """The class of a file, and more, as read from its path.

    Attributes:
        label: Its class.
        split: "train", "validation" or "test", or None if the path does not name one.
        group: Images of one group stay in one split; None if the path does not name one.
    """

    label: str
    split: str | None = None
    group: str | None = None


class LabelPattern:
    """A label pattern, ready to match.

    Attributes:
        text: The pattern as the user wrote it.

    Raises:
        UsageError: If the text is not a pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._regex = _compile(text)

    @property
    def may_cut(self) -> bool:
        """True if the pattern takes the shortest label and does not say that this is meant."""
        return "{label}" in _TOKEN.findall(self.text)

    def with_label(self, placeholder: str) -> str:
        """Returns the pattern with another placeholder for the class, as text."""
        tokens = _TOKEN.findall(self.text)
        return "".join(
            f"{{{placeholder}}}" if token[1:-1] in _LABELS and _is_placeholder(token) else token for token in tokens
        )

    def match(self, name: str) -> PathLabel | None:
        """Returns the label in a file's name, which is relative to the source; None if it does not match."""
        found = self._match(name)
        if found is None:
            return None
        groups = found.groupdict()
        split = groups.get("split")
        return PathLabel(groups["label"], SPLIT_NAMES[split.lower()] if split else None, groups.get("group"))

    def behind_label(self, name: str) -> str:
        """Returns what follows the label in the name of a file that matches; "" if the label is a folder's name."""
        found = self._match(name)
        rest = found.string[found.end("label") :] if found else ""
        return "" if "/" in rest else rest

    def _match(self, name: str) -> re.Match[str] | None:
        return self._regex.fullmatch(name if "/" in self.text else name.rpartition("/")[2])


@functools.cache
def _compile(text: str) -> re.Pattern[str]:
    tokens = _TOKEN.findall(text)
    _check(text, tokens)
    stem, ending = _split_ending(tokens[-1])
    return re.compile("".join([*map(_to_regex, tokens[:-1]), _to_regex(stem) if stem else "", ending]))


def _split_ending(token: str) -> tuple[str, str]:
    """Returns the last token of a pattern without an image's ending, and what matches that ending in any spelling."""
    for ending in _ENDINGS:
        if not _is_placeholder(token) and (found := re.search(f"{ending}\\Z", token)):
            return token[: found.start()], ending
    return token, ""


def _check(text: str, tokens: list[str]) -> None:
    for brace in ("{", "}"):
        if brace in tokens:
            raise UsageError(f"it has a single {brace!r}; double a brace in a name: {brace * 2}")
    names = [token[1:-1] for token in tokens if _is_placeholder(token)]
    for name in names:
        if name not in _PLACEHOLDERS:
            raise UsageError(f"{{{name}}} is not a placeholder: {did_you_mean(name, _SUGGESTED)}")
        if name != "number" and names.count(name) > 1:
            raise UsageError(f"it has {{{name}}} more than once")
    if sum(name in _LABELS for name in names) > 1:
        raise UsageError("it has {label} more than once")
    if not any(name in _LABELS for name in names):
        raise UsageError("it lacks {label}, which stands for the class; write it like {label}.* for cat.0.jpg")
    if not all(part not in ("", ".", "..") for part in text.split("/")):
        raise UsageError("it is not a path below the source; write it like {split}/{label}.*")
    for token, after in pairwise(tokens):
        if _is_text(token) and (_is_text(after) or after == "{split}" or after.startswith("*")):
            raise UsageError(f"nothing marks the end of {token} before {after}; put text between them")
        if (token, after) == ("{label+}", "{number}"):
            raise UsageError("{label+} takes all digits but the last; write {label}{number}")


def _is_text(token: str) -> bool:
    return _is_placeholder(token) and token[1:-1] in (*_LABELS, "group")


def _is_placeholder(token: str) -> bool:
    return token.startswith("{") and token.endswith("}")


def _to_regex(token: str) -> str:
    if _is_placeholder(token):
        return _PLACEHOLDERS[token[1:-1]]
    if token in ("{{", "}}"):
        return re.escape(token[0])
    return "[^/]*" if token.startswith("*") else re.escape(token)


class SourceOptions(StepSettings):
    """How a source is read: settings of convert, which snapshot uses too when it lists the source."""

    section = "convert"
    page = "docs/sources.md"

    label_pattern: str | None = Field(
        None,
        min_length=1,
        description="where file names contain the class: {label}.* for cat.0.jpg, {label}_{number}.jpg for "
        "sea_lion_12.jpg; * stands for any text",
    )
    layout: Literal["auto", "classes", "splits"] = Field(
        AUTO,
        description="top folders of a folder or an archive; classes: each is a class; splits: each contains the "
        "classes of a split; auto: whichever is clear",
    )
    multi_label: bool = Field(
        False, description="images may have several classes; implied if any image of the source has several"
    )
    image_column: str | None = Field(
        None,
        min_length=1,
        description="column of a table that holds the images; null: the one that is called image, filename, path, ...",
    )
    label_column: str | None = Field(
        None,
        min_length=1,
        description="column of a table that holds the classes; null: the one that is called label, class, target, ...",
    )
    tfds_data_dir: str | None = Field(
        None,
        min_length=1,
        description="folder in which TFDS keeps the datasets of sources like tfds:mnist; null: TFDS's default",
    )

    @field_validator("label_pattern")
    @classmethod
    def _is_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                LabelPattern(pattern)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return pattern

    @model_validator(mode="after")
    def _check_layout(self) -> Self:
        if self.label_pattern is not None and self.layout != AUTO:
            raise ValueError(f"layout={self.layout} has no effect with label_pattern; remove one of them")
        return self

    @classmethod
    def among(cls, convert_config: str) -> "SourceOptions":
        """Returns the options among all settings of convert, given as JSON."""
        values = json.loads(convert_config)
        return cls.of({name: values[name] for name in cls.model_fields if name in values})


# The options of a source that needs none.
PLAIN = SourceOptions.of({})

# What a user calls the options, for messages.
LABEL_PATTERN, LAYOUT, TFDS_DATA_DIR = map(SourceOptions.full_name, ("label_pattern", "layout", "tfds_data_dir"))

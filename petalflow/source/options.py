"""How a source is read: what its address alone does not say.

A label pattern says where file names hold the class:

```
{label}.*                  cat.0.jpg
{label}_*                  cat_17.png
{split}/{label}.*          train/cat.0.jpg
*/{group}/{label}-*        ward 3/patient 12/ill-4.png
```

`{label}` is the shortest text with which the rest matches, `*` is any text or none; neither holds a slash. A pattern
with a slash is matched with the whole path below the source, any other with the file's own name. A brace that belongs
to a name is doubled, `{{` or `}}`.
"""

import functools
import json
import re
from itertools import pairwise
from typing import NamedTuple

from pydantic import Field, field_validator

from petalflow.errors import UsageError, did_you_mean
from petalflow.settings import StepSettings
from petalflow.splits import SPLIT_NAMES

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|\*+|[^{}*]+")
_PLACEHOLDERS = {
    "label": "(?P<label>[^/]+?)",
    "split": f"(?P<split>(?i:{'|'.join(SPLIT_NAMES)}))",
    "group": "(?P<group>[^/]+?)",
}


class Told(NamedTuple):
    """What a file's path tells of it.

    Attributes:
        label: Its class.
        split: "train", "validation" or "test", or None if it does not say.
        group: What must not be torn apart by a split, or None.
    """

    label: str
    split: str | None = None
    group: str | None = None


class LabelPattern:
    """A pattern, ready to match.

    Attributes:
        text: As the user wrote it.

    Raises:
        UsageError: If it is no pattern.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._regex = _compiled(text)

    def match(self, name: str) -> Told | None:
        """Returns what the name of a file (relative to the source) tells, or None if it is not like the pattern."""
        found = self._regex.fullmatch(name if "/" in self.text else name.rpartition("/")[2])
        if found is None:
            return None
        told = found.groupdict()
        split = told.get("split")
        return Told(told["label"], SPLIT_NAMES[split.lower()] if split else None, told.get("group"))


@functools.cache
def _compiled(text: str) -> re.Pattern[str]:
    tokens = _TOKEN.findall(text)
    _check(text, tokens)
    return re.compile("".join(map(_regex_of, tokens)))


def _check(text: str, tokens: list[str]) -> None:
    for brace in ("{", "}"):
        if brace in tokens:
            raise UsageError(f"it has a lone {brace!r}; a brace in a name is written twice: {brace * 2}")
    names = [token[1:-1] for token in tokens if _is_placeholder(token)]
    for name in names:
        if name not in _PLACEHOLDERS:
            raise UsageError(f"{{{name}}} stands for nothing: {did_you_mean(name, _PLACEHOLDERS)}")
        if names.count(name) > 1:
            raise UsageError(f"it has {{{name}}} more than once")
    if "label" not in names:
        raise UsageError("it has no {label}, which stands for the class; write it like {label}.* for cat.0.jpg")
    if not all(part not in ("", ".", "..") for part in text.split("/")):
        raise UsageError("it is no path below the source; write it like {split}/{label}.*")
    for token, after in pairwise(tokens):
        if token in ("{label}", "{group}") and (_is_placeholder(after) or after.startswith("*")):
            raise UsageError(f"nothing says where {token} ends before {after}; put what stands between them")


def _is_placeholder(token: str) -> bool:
    return token.startswith("{") and token.endswith("}")


def _regex_of(token: str) -> str:
    if _is_placeholder(token):
        return _PLACEHOLDERS[token[1:-1]]
    if token in ("{{", "}}"):
        return re.escape(token[0])
    return "[^/]*" if token.startswith("*") else re.escape(token)


class SourceOptions(StepSettings):
    """How a source is read. They are settings of convert, which snapshot, who lists the source too, is told of."""

    section = "convert"

    label_pattern: str | None = Field(
        None,
        min_length=1,
        description="where file names hold the class, as {label}.* does for cat.0.jpg; * stands for anything",
    )
    multi_label: bool = Field(
        False, description="images may have several classes; a source in which any has several is so anyway"
    )
    tfds_data_dir: str | None = Field(
        None,
        min_length=1,
        description="where TFDS keeps the data sets of sources like tfds:mnist; its own default if none",
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

    @classmethod
    def among(cls, convert_config: str) -> "SourceOptions":
        """Returns the options among all settings of convert, as JSON."""
        values = json.loads(convert_config)
        return cls.of({name: values[name] for name in cls.model_fields if name in values})


# Of a source that says all by itself.
PLAIN = SourceOptions.of({})

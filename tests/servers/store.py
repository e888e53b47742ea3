"""An object store that runs locally."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.servers.proxy import Request


@dataclass(frozen=True)
class Store:
    """A running store.

    Attributes:
        scheme: The scheme of its addresses.
        url: Its URL.
        environment_at: Returns the variables that direct a process and its children to a URL, the store's or a proxy's.
        make_bucket: Creates a bucket with a name.
        written: Returns the name in its bucket of the object that a request writes; None for other requests.
    """

    scheme: str
    url: str
    environment_at: Callable[[str], Mapping[str, str]]
    make_bucket: Callable[[str], None]
    written: Callable[[Request], str | None]

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that direct a process and its children to it."""
        return self.environment_at(self.url)

    def new_bucket(self) -> str:
        """Creates a bucket with a unique name and returns its address."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.make_bucket(name)
        return f"{self.scheme}://{name}"

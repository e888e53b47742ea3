"""An object store that runs on this machine."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.servers.proxy import Request


@dataclass(frozen=True)
class Store:
    """A running store.

    Attributes:
        scheme: Of its addresses.
        url: Where it listens.
        environment_at: Gives what points a process and its children to a URL, of this or of a proxy before it.
        make_bucket: Makes a bucket of a name.
        written: Gives the name of the object that a request writes, in its bucket; None of other requests.
    """

    scheme: str
    url: str
    environment_at: Callable[[str], Mapping[str, str]]
    make_bucket: Callable[[str], None]
    written: Callable[[Request], str | None]

    @property
    def environment(self) -> Mapping[str, str]:
        """What points a process and its children to it."""
        return self.environment_at(self.url)

    def new_bucket(self) -> str:
        """Makes a bucket that nobody else uses and returns its address."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.make_bucket(name)
        return f"{self.scheme}://{name}"

"""Settings of notify: whom to tell, and what to keep."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from components.notify import secret
from petalflow.settings import StepSettings

# As petalflow.run.record words them, in one word each.
Outcome = Literal["accepted", "refused", "failed", "nothing_new", "skipped"]
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# What browsers take for an address (HTML, section 4.10.5.1.5).
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _several(value: Any) -> Any:
    """Lets one be given without brackets."""
    return (value,) if isinstance(value, str) else value


class NotifySettings(StepSettings):
    """Whom to tell how a run ended, and when; secrets are not among them, only where they are found."""

    section = "notify"

    outcomes: Annotated[tuple[Outcome, ...], BeforeValidator(_several)] = Field(
        ("accepted", "refused", "failed"),
        description="which ends of a run are told: accepted, refused, failed, nothing_new, skipped",
    )
    webhook: str | None = Field(
        None, description="where the URL to post to is found: env:NAME or file:ADDRESS; none: no webhook"
    )
    webhook_body: Literal["text", "full"] = Field(
        "text",
        description='what is posted: text for {"text": ...} alone, as Slack and its like take it; full for more fields',
    )
    email_to: Annotated[tuple[str, ...], BeforeValidator(_several)] = Field(
        (), description="who gets an e-mail: addresses"
    )
    email_from: str | None = Field(None, description="the address that e-mails come from")
    smtp_host: str | None = Field(None, description="the server that takes the e-mails, like smtp.example.com")
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="its port; none: 587 with starttls, 465 with tls, else 25"
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="how the connection is encrypted: after a greeting, from the start, or not at all"
    )
    smtp_user: str | None = Field(None, min_length=1, description="who logs in there; none: nobody")
    smtp_password: str | None = Field(None, description="where the password is found: env:NAME or file:ADDRESS")
    attempts: int = Field(4, ge=1, le=10, description="how often a server that may come back is tried")
    first_wait_s: float = Field(1, ge=0, le=60, description="seconds until the second attempt; doubled for each after")
    timeout_s: float = Field(10, gt=0, le=300, description="seconds to wait for a server's answer")

    @property
    def used(self) -> bool:
        """Whether anybody is told at all."""
        return bool(self.webhook or self.email_to)

    @property
    def port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or _PORTS[self.smtp_security]

    @property
    def secret_variables(self) -> list[str]:
        """The environment variables that hold secrets."""
        return [name for name in map(secret.variable, self._references()) if name]

    @property
    def secret_files(self) -> list[str]:
        """The addresses of the files that hold secrets."""
        return [address for address in map(secret.file, self._references()) if address]

    def _references(self) -> list[str]:
        return [reference for reference in (self.webhook, self.smtp_password) if reference]

    # Before all else, and of the whole: an error of a field repeats what the field holds.
    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, values: Any) -> Any:
        for setting in ("webhook", "smtp_password"):
            if values.get(setting) is not None:
                secret.check_reference(setting, values[setting])
        return values

    @field_validator("email_to", "email_from")
    @classmethod
    def _addresses(cls, given: Any) -> Any:
        for address in (given,) if isinstance(given, str) else given or ():
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no address like anna@example.com")
        return given

    @field_validator("smtp_host")
    @classmethod
    def _a_host(cls, host: str | None) -> str | None:
        if host is not None and not _HOST.fullmatch(host):
            raise ValueError("it must be a name like smtp.example.com; its port goes into notify.smtp_port")
        return host

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needed = {"email_to": self.email_to, "email_from": self.email_from, "smtp_host": self.smtp_host}
        absent = [setting for setting, value in needed.items() if not value]
        if absent and (len(absent) < len(needed) or self.smtp_user or self.smtp_password or self.smtp_port):
            raise ValueError(f"an e-mail needs {', '.join(needed)}; set {' and '.join(absent)} too")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("smtp_user and smtp_password go together; set both or none")
        if self.smtp_password and self.smtp_security == "none":
            raise ValueError("with smtp_security=none anybody on the way could read smtp_password; use starttls or tls")
        return self


class KeepSettings(StepSettings):
    """How much to keep of what piles up from run to run; none keeps all."""

    section = "keep"

    runs: int | None = Field(100, ge=1, description="records of so many runs, the newest")
    work: int | None = Field(
        10, ge=1, description="on this machine, what the steps of so many runs made, and what the cache needs of others"
    )
    states: int | None = Field(5, ge=1, description="trainings that were begun and not ended, and listings of sources")
    releases: int | None = Field(None, ge=2, description="released versions, the newest; the live one always stays")

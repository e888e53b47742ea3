"""Settings of notify: whom to notify, where to log runs, and what to keep."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from components.notify import secret
from petalflow.errors import UsageError
from petalflow.settings import StepSettings

# The outcomes of petalflow.run.record, each in one word.
Outcome = Literal["accepted", "refused", "failed", "nothing_new", "skipped"]
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# What browsers accept as an e-mail address (HTML, section 4.10.5.1.5).
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
# A server of MLflow, a database, or a folder on this machine.
_SERVER = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_LOCAL_STORE = re.compile(r"(sqlite:///|file://)/.+")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _as_tuple(value: Any) -> Any:
    """Allows a single value without brackets."""
    return (value,) if isinstance(value, str) else value


class NotifySettings(StepSettings):
    """Whom to notify of a run's outcome; secrets are only referred to."""

    section = "notify"
    page = "docs/notify.md"
    common: ClassVar[Mapping[str, Any]] = {
        "outcomes": ["refused", "failed"],
        "webhook": "env:SLACK_WEBHOOK",
        "email_to": "anna@example.com",
        "email_from": "petalflow@example.com",
        "smtp_host": "smtp.example.com",
    }

    outcomes: Annotated[
        tuple[Outcome, ...], BeforeValidator(_as_tuple, json_schema_input_type=tuple[Outcome, ...] | Outcome)
    ] = Field(
        ("accepted", "refused", "failed"),
        description="outcomes to notify people of: accepted, refused, failed, nothing_new, skipped",
    )
    webhook: str | None = Field(
        None, description="where the URL to post to is stored: env:NAME or file:ADDRESS; null: no webhook"
    )
    webhook_body: Literal["text", "full"] = Field(
        "text",
        description='what to post; text: only {"text": ...}, as Slack and others expect; full: more fields',
    )
    email_to: Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=tuple[str, ...] | str)] = (
        Field((), description="e-mail addresses of the recipients")
    )
    email_from: str | None = Field(None, description="e-mail address of the sender")
    smtp_host: str | None = Field(None, description="mail server, like smtp.example.com")
    smtp_port: int | None = Field(
        None, ge=1, le=65535, description="port of the mail server; null: 587 with starttls, 465 with tls, otherwise 25"
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="encryption of the connection: starttls (after the greeting), tls (from the start), or none",
    )
    smtp_user: str | None = Field(None, min_length=1, description="user name for the mail server; null: no login")
    smtp_password: str | None = Field(None, description="where the password is stored: env:NAME or file:ADDRESS")
    mlflow: str | None = Field(
        None,
        description="MLflow tracking server, like https://mlflow.example.com, to log every judged run to; or "
        "sqlite:////FILE; null: none",
    )
    mlflow_user: str | None = Field(
        None, min_length=1, description="user name for the tracking server; null: mlflow_password is a token"
    )
    mlflow_password: str | None = Field(
        None, description="where the password or token for the tracking server is stored: env:NAME or file:ADDRESS"
    )
    attempts: int = Field(4, ge=1, le=10, description="number of attempts to reach a server that is unavailable")
    first_wait_s: float = Field(
        1, ge=0, le=60, description="seconds before the second attempt; doubled for each further attempt"
    )
    timeout_s: float = Field(10, gt=0, le=300, description="seconds to wait for a server's response")

    @property
    def used(self) -> bool:
        """True if anybody is notified."""
        return bool(self.webhook or self.email_to)

    @property
    def uses_network(self) -> bool:
        """True if a server is contacted."""
        return self.used or self.mlflow is not None

    @property
    def port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or _PORTS[self.smtp_security]

    def check_reachable(self) -> None:
        """Checks that steps in containers or on other machines can reach the tracking server.

        Raises:
            UsageError: If they cannot.
        """
        if self.mlflow is not None and not _SERVER.fullmatch(self.mlflow):
            raise UsageError(
                f"notify.mlflow={self.mlflow!r} is on this machine, where the steps cannot reach it; use a tracking "
                "server (https://...)"
            )

    @property
    def secret_variables(self) -> list[str]:
        """The environment variables that contain secrets."""
        return [name for name in map(secret.variable, self._references()) if name]

    @property
    def secret_files(self) -> list[str]:
        """The addresses of the files that contain secrets."""
        return [address for address in map(secret.file, self._references()) if address]

    def _references(self) -> list[str]:
        return [reference for reference in (self.webhook, self.smtp_password, self.mlflow_password) if reference]

    # Validates the whole before its fields, since the error of a field quotes the field's value.
    @model_validator(mode="before")
    @classmethod
    def _refuse_secrets(cls, values: Any) -> Any:
        for setting in ("webhook", "smtp_password", "mlflow_password"):
            if values.get(setting) is not None:
                secret.check_reference(setting, values[setting])
        if "@" in str(values.get("mlflow")):
            raise ValueError("mlflow must not contain a user name or password; set mlflow_user and mlflow_password")
        return values

    @field_validator("email_to", "email_from")
    @classmethod
    def _check_addresses(cls, value: Any) -> Any:
        for address in (value,) if isinstance(value, str) else value or ():
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not an e-mail address like anna@example.com")
        return value

    @field_validator("smtp_host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        if host is not None and not _HOST.fullmatch(host):
            raise ValueError("it must be a host name like smtp.example.com; set the port in notify.smtp_port")
        return host

    @field_validator("mlflow")
    @classmethod
    def _check_tracking(cls, address: str | None) -> str | None:
        if address is not None and not _SERVER.fullmatch(address) and not _LOCAL_STORE.fullmatch(address):
            raise ValueError("it must be like https://mlflow.example.com, or like sqlite:////home/anna/mlflow.db")
        return address

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        if self.mlflow_user and not self.mlflow_password:
            raise ValueError("mlflow_user needs mlflow_password; set it too")
        if self.mlflow_password and (self.mlflow is None or not _SERVER.fullmatch(self.mlflow)):
            raise ValueError("mlflow_password needs mlflow, the address of the tracking server; set it too")
        return self

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        needed = {"email_to": self.email_to, "email_from": self.email_from, "smtp_host": self.smtp_host}
        absent = [setting for setting, value in needed.items() if not value]
        if absent and (len(absent) < len(needed) or self.smtp_user or self.smtp_password or self.smtp_port):
            raise ValueError(f"an e-mail needs {', '.join(needed)}; set {' and '.join(absent)} too")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("smtp_user and smtp_password belong together; set both or neither")
        if self.smtp_password and self.smtp_security == "none":
            raise ValueError("smtp_security=none would send smtp_password unencrypted; use starttls or tls")
        return self


class KeepSettings(StepSettings):
    """How much to keep of what runs leave behind; null keeps everything."""

    section = "keep"
    page = "docs/schedules.md"
    common: ClassVar[Mapping[str, Any]] = {"runs": 50, "releases": 10}
    former_names: ClassVar[Mapping[str, str]] = {"work": "outputs"}

    runs: int | None = Field(100, ge=1, description="number of newest runs whose records are kept; null: all")
    outputs: int | None = Field(
        10,
        ge=1,
        description="number of newest runs whose outputs are kept on this machine; what the cache needs is also kept; "
        "null: all",
    )
    states: int | None = Field(
        5, ge=1, description="number of newest unfinished trainings, and of newest source listings, to keep; null: all"
    )
    releases: int | None = Field(
        None, ge=2, description="number of newest releases to keep; the live one is always kept; null: all"
    )

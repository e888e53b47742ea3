import pytest

from components.notify.settings import NotifySettings
from petalflow.errors import UsageError

MAIL = {"email_to": "anna@example.com", "email_from": "petalflow@example.com", "smtp_host": "smtp.example.com"}
LOGIN = {"smtp_user": "petalflow", "smtp_password": "env:SMTP_PASSWORD"}
SECRET = "https://hooks.slack.com/services/T0/B0/s3cr3t"


def test_nobody_is_notified_by_default() -> None:
    settings = NotifySettings()
    assert not settings.used
    assert settings.outcomes == ("accepted", "refused", "failed")
    assert NotifySettings.from_json("{}") == settings


def test_a_single_value_needs_no_brackets_and_json_keeps_all_settings() -> None:
    settings = NotifySettings.of({**MAIL, **LOGIN, "outcomes": "refused", "webhook": "file:gs://secrets/slack"})
    assert (settings.email_to, settings.outcomes) == (("anna@example.com",), ("refused",))
    assert NotifySettings.from_json(settings.to_json()) == settings
    assert (settings.secret_variables, settings.secret_files) == (["SMTP_PASSWORD"], ["gs://secrets/slack"])


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_port_follows_from_the_encryption(security: str, port: int) -> None:
    assert NotifySettings.of({**MAIL, "smtp_security": security}).port == port
    assert NotifySettings.of({**MAIL, "smtp_security": security, "smtp_port": 2525}).port == 2525


@pytest.mark.parametrize("given", [SECRET, f"file:{SECRET}", "env:", "s3cr3t", "file:s3cr3t", 5337, "env:S3 s3cr3t"])
@pytest.mark.parametrize("setting", ["webhook", "smtp_password", "mlflow_password"])
def test_a_secret_as_a_setting_is_refused_and_not_quoted(setting: str, given: object) -> None:
    with pytest.raises(UsageError, match=f"notify: {setting} is a secret.* set {setting}=env:NAME") as refused:
        NotifySettings.of({setting: given})
    assert "s3cr3t" not in str(refused.value)
    assert "5337" not in str(refused.value)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"email_to": "anna@example.com"}, "notify: an e-mail needs email_to, email_from, smtp_host; set email_from"),
        ({"smtp_host": "smtp.example.com"}, "set email_to and email_from too"),
        (LOGIN, "set email_to and email_from and smtp_host too"),
        ({**MAIL, "smtp_user": "petalflow"}, "notify: smtp_user and smtp_password belong together"),
        ({**MAIL, **LOGIN, "smtp_security": "none"}, "would send smtp_password unencrypted"),
        ({**MAIL, "email_to": ["anna@example.com", "bob"]}, "'bob' is not an e-mail address like anna@example.com"),
        ({**MAIL, "email_from": "a@b\r\nBcc: eve@example.com"}, "is not an e-mail address"),
        ({**MAIL, "smtp_host": "smtp.example.com:587"}, "set the port in notify.smtp_port"),
        (
            {"mlflow": "https://anna:s3cr3t@mlflow.example.com"},
            "notify: mlflow must not contain a user name or password",
        ),
        ({"mlflow": "mlflow.example.com"}, "'mlflow.example.com': it must be like https://mlflow.example.com, or like"),
        ({"mlflow": "sqlite:///mlflow.db"}, "or like sqlite:////home/anna/mlflow.db"),
        ({"mlflow": "https://mlflow.example.com", "mlflow_user": "anna"}, "mlflow_user needs mlflow_password"),
        ({"mlflow_password": "env:TRACKING"}, "mlflow_password needs mlflow"),
        ({"outcomes": ["nothing new"]}, "notify.outcomes.0='nothing new': input should be 'accepted', 'refused'"),
        ({"webhok": SECRET}, "unknown setting notify.webhok: did you mean webhook or webhook_body?"),
    ],
)
def test_invalid_settings_are_reported_in_one_line(values: dict, error: str) -> None:
    with pytest.raises(UsageError) as refused:
        NotifySettings.of(values)
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_a_tracking_store_on_this_machine_is_out_of_reach_for_steps_elsewhere() -> None:
    server = NotifySettings.of({"mlflow": "http://mlflow:5000", "mlflow_password": "env:TRACKING"})
    server.check_reachable()
    assert (server.used, server.uses_network, server.secret_variables) == (False, True, ["TRACKING"])
    with pytest.raises(UsageError, match=r"notify\.mlflow='sqlite:////srv/mlflow\.db' is on this machine, where"):
        NotifySettings.of({"mlflow": "sqlite:////srv/mlflow.db"}).check_reachable()

from petalflow.verdict import percent, points
from petalflow.verdict.wording import metric_of


def test_shares_and_differences_are_written_in_one_style() -> None:
    assert (percent(0.86207), percent(0.8, 0), percent(1)) == ("86.2 %", "80 %", "100.0 %")
    assert [points(one) for one in (-0.05, 0.01, 0.0333)] == ["5 points", "1 point", "3.3 points"]


def test_settings_name_their_metric() -> None:
    assert [metric_of(name) for name in ("min_macro_f1", "max_ece", "max_log_loss")] == [
        "macro F1",
        "calibration error",
        "log loss",
    ]

"""The steps as single commands, each reading the folder that another made."""

from tests.e2e.command import QUICK, petalflow


def test_the_single_steps_together_do_what_a_run_does(digits, tmp_path) -> None:
    def step(*arguments: str, code: int = 0) -> str:
        ended = petalflow(*arguments, cwd=tmp_path)
        assert ended.code == code, ended.output + ended.errors
        assert "Traceback" not in ended.errors
        return ended.output

    train = [part for one in QUICK if one.startswith("train") for part in ("--set", one)]
    listed = step("snapshot", str(digits), "--out", "listing.jsonl")
    assert len((tmp_path / "listing.jsonl").read_text().splitlines()) == 1797
    assert len(listed.split()[-1]) == 64
    step("convert", str(digits), "--out", "dataset")
    step("validate", "--dataset", "dataset", "--out", "validation")
    step("validate", "--dataset", "dataset", "--out", "strict", "--set", "min_train_images=10000", code=1)
    step("train", "--dataset", "dataset", "--out", "model", *train)
    model = ("--model", "model", "--dataset", "dataset")
    step("evaluate", *model, "--out", "refused", "--set", "min_accuracy=0.9999", code=3)
    step("export", *model, "--evaluation", "refused", "--out", "export", code=1)
    step("evaluate", *model, "--out", "evaluation", "--set", "min_accuracy=0.8")
    judged = ("--dataset", "dataset", "--evaluation", "evaluation")
    step("export", "--model", "model", *judged, "--out", "export", "--set", "litert=false")
    home = ("--registry", "models", "--name", "digits", "--run-id", "by-hand")
    released = step("release", "--export", "export", *judged, *home)
    assert released.split()[-1].endswith("models/digits/1")
    photo = str(digits / "7" / "0007.png")
    file, label, score = step("predict", "models/digits", photo).split("\t")
    assert (file, label) == (photo, "7")
    assert 0.5 < float(score) <= 1

    # Train and evaluate again, starting from and comparing with the release.
    warm = step("train", "--dataset", "dataset", "--out", "warm", "--warm-start", "models/digits", *train)
    assert "warm start from digits/1: 10 classes kept" in warm
    step("export", "--model", "warm", *judged, "--out", "another", code=1)  # the verdict is about another model
    compared = step("evaluate", *model, "--out", "again", "--baseline", "models/digits/1", "--set", "min_accuracy=0.8")
    assert "accuracy against the baseline +0.0000" in compared
    # Existing output is not overwritten.
    assert petalflow("convert", str(digits), "--out", "dataset", cwd=tmp_path).code == 2

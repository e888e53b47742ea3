"""Steps that take the place of train, evaluate and export: a nearest neighbour, which needs no TensorFlow.

They have the inputs and outputs of the steps, read and write what those do where other steps, the registry or the
records rely on it, and decide by the same checks. What they make can be released, and judged against; it cannot be
served.
"""

from kfp import dsl

from petalflow.container_images import BASE


@dsl.component(base_image=BASE, install_kfp_package=False)
def train(
    dataset: dsl.Input[dsl.Dataset],
    warm_start_uri: str,
    state_uri: str,
    train_config: str,
    code_version: str,
    model: dsl.Output[dsl.Model],
) -> None:
    """Remembers the training images."""
    from petalflow.run.execution import running

    with running("train", state_uri):
        from components.train.checkpoints import remove_checkpoints, training_uri
        from petalflow.dataset import open_dataset
        from tests.stand_ins.nearest import learn

        learn(dataset.path, model.path)
        digest = open_dataset(dataset.path).digest()
        # A real training of the same settings may have been killed before this one.
        remove_checkpoints(training_uri(state_uri, digest, train_config, code_version, warm_start_uri))


@dsl.component(base_image=BASE, install_kfp_package=False)
def evaluate(
    model: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    registry: str,
    name: str,
    state_uri: str,
    record_uri: str,
    run_id: str,
    job_id: str,
    evaluate_config: str,
    evaluation: dsl.Output[dsl.Artifact],
    metrics: dsl.Output[dsl.Metrics],
    classification: dsl.Output[dsl.ClassificationMetrics],
    report: dsl.Output[dsl.HTML],
    summary: dsl.Output[dsl.Markdown],
) -> str:
    """Judges the accuracy, and by how much it is below that of the live release."""
    from petalflow.run.execution import running

    run = run_id or job_id
    with running("evaluate", state_uri, run):
        from components.evaluate.settings import EvaluateSettings
        from petalflow import storage
        from petalflow.model.serving import Serving
        from petalflow.registry import live
        from petalflow.run import record
        from tests.stand_ins.nearest import judge

        settings, baseline = EvaluateSettings.from_json(evaluate_config), live(registry, name, ignored_run=run)
        verdict = judge(model.path, dataset.path, evaluation.path, settings, baseline)
        record.write_report(record_uri, run, b"<html>report</html>")
        record.write(record_uri, run, record.VERDICT, {**verdict.to_json(), "evaluation": evaluation.uri})
        for page in (report, summary):
            storage.write_bytes(page.path, b"<html>report</html>")
    return Serving.of_verdict(verdict.to_json()).to_json() if verdict.accepted else ""


@dsl.component(base_image=BASE, install_kfp_package=False)
def export(
    model: dsl.Input[dsl.Model],
    dataset: dsl.Input[dsl.Dataset],
    serving: str,
    export_config: str,
    state_uri: str,
    code_version: str,
    exported: dsl.Output[dsl.Model],
) -> None:
    """Copies the model to where a release has it."""
    from petalflow.run.execution import running

    with running("export", state_uri):
        from petalflow.model.serving import Serving
        from tests.stand_ins.nearest import export as work

        work(model.path, Serving.from_json(serving), exported.path)

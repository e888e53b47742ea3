"""The KFP component of evaluate."""

from kfp import dsl

from petalflow.container_images import CPU


@dsl.component(base_image=CPU, install_kfp_package=False)
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
    """Returns how the candidate is to be served, as JSON, or "" if it is refused."""
    import json
    from pathlib import Path

    from components.evaluate.settings import EvaluateSettings
    from petalflow import storage
    from petalflow.dataset import PAGE_FILE
    from petalflow.model.serving import Serving
    from petalflow.registry import expected_version, live
    from petalflow.run import record
    from petalflow.run.execution import running
    from petalflow.verdict import METRICS_FILE, PREDICTIONS_FILE, REPORT_FILE

    run = run_id or job_id
    with running("evaluate", state_uri, run):
        from components.evaluate import artifacts
        from components.evaluate.evaluate import evaluate as work
        from components.evaluate.evaluation import Run
        from components.evaluate.report import without_neighbours

        # A run that is resumed after it released must not be compared with itself.
        baseline = live(registry, name, ignored_run=run)
        settings = EvaluateSettings.from_json(evaluate_config)
        facts = Run(name, run, expected_version(registry, name, run))
        verdict = work(model.path, dataset.path, evaluation.path, settings, baseline, facts)
        page = storage.read_bytes(storage.join(evaluation.path, REPORT_FILE))
        record.write_report(record_uri, run, page)
        if (Path(evaluation.path) / PAGE_FILE).exists():
            record.write_dataset_page(record_uri, run, (Path(evaluation.path) / PAGE_FILE).read_bytes())
        record.write(record_uri, run, record.VERDICT, {**verdict.to_json(), "evaluation": evaluation.uri})
        measured = storage.read_json(storage.join(evaluation.path, METRICS_FILE))
        settings = json.loads(evaluate_config)
        record.write(record_uri, run, record.METRICS, artifacts.for_record(model.path, measured, settings))
        # The same results for the web pages of the target.
        artifacts.log_metrics(metrics, measured)
        artifacts.log_classification(classification, measured, Path(evaluation.path) / PREDICTIONS_FILE)
        storage.write_bytes(report.path, without_neighbours(page))
        storage.write_bytes(summary.path, artifacts.summary(verdict.to_json(), measured).encode())
    evaluation.metadata["accepted"] = verdict.accepted
    return Serving.of_verdict(verdict.to_json()).to_json() if verdict.accepted else ""

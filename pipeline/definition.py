"""The pipeline: snapshot -> convert -> validate -> train -> evaluate -> export -> release, and notify.

source --> snapshot --[something new]--> convert --> validate --> train --> evaluate
                                                                               |
notify, whatever happens                       release <-- export <--[accepted]+
"""

from typing import NamedTuple

from kfp import dsl

from components.convert.component import convert
from components.evaluate.component import evaluate
from components.export.component import export
from components.notify.component import notify
from components.release.component import release
from components.snapshot.component import snapshot
from components.train.component import train
from components.validate.component import validate

NAME = "petalflow"
STEPS = ("snapshot", "convert", "validate", "train", "evaluate", "export", "release", "notify")
# kfp's name for what a component returns beside its artifacts.
_RETURNED = "Output"


class _Run(NamedTuple):
    """What identifies a run: the id that was fixed before it, or else the backend's own."""

    run_id: str
    job_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER


@dsl.pipeline(name=NAME, description="Retrain an image classifier; release it only if it is good.")
def petalflow_pipeline(
    source: str,
    registry: str,
    name: str,
    state_uri: str,
    record_uri: str,
    code_version: str,
    evaluate_config: str,
    snapshot_config: str = "{}",
    convert_config: str = "{}",
    validate_config: str = "{}",
    train_config: str = "{}",
    export_config: str = "{}",
    run_id: str = "",
) -> None:
    """Chains the steps.

    Args:
        source: Where the labelled images are.
        registry: Where releases go.
        name: The name to release under.
        state_uri: What must survive a run, the same for all runs of a name.
        record_uri: Where the records of runs go.
        code_version: Hash of the steps' code, so that a change of code is not answered from a cache.
        evaluate_config: Settings of evaluate as JSON; thresholds have no default.
        snapshot_config: Settings of snapshot as JSON.
        convert_config: Settings of convert as JSON.
        validate_config: Settings of validate as JSON.
        train_config: Settings of train as JSON.
        export_config: Settings of export as JSON.
        run_id: Names the run; "" takes the backend's id.
    """
    run = _Run(run_id)._asdict()
    settings = {
        "convert_config": convert_config,
        "validate_config": validate_config,
        "train_config": train_config,
        "evaluate_config": evaluate_config,
        "export_config": export_config,
    }
    home = {"registry": registry, "name": name, "record_uri": record_uri}

    notified = notify(name=name, record_uri=record_uri, **run)
    notified.set_caching_options(False)
    with dsl.ExitHandler(notified, name="run"):
        seen = snapshot(
            source=source, code_version=code_version, snapshot_config=snapshot_config, **settings, **home, **run
        )
        seen.set_caching_options(False)
        fingerprint = seen.outputs[_RETURNED]
        with dsl.If(fingerprint != "", name="something-new"):
            converted = convert(
                source=source, fingerprint=fingerprint, convert_config=convert_config, code_version=code_version
            )
            dataset = converted.outputs["dataset"]
            validated = validate(dataset=dataset, validate_config=validate_config, code_version=code_version)
            trained = train(dataset=dataset, state_uri=state_uri, train_config=train_config, code_version=code_version)
            trained.after(validated)
            model = trained.outputs["model"]
            evaluated = evaluate(model=model, dataset=dataset, evaluate_config=evaluate_config, **home, **run)
            evaluated.set_caching_options(False)
            with dsl.If(evaluated.outputs[_RETURNED] == True, name="accepted"):  # noqa: E712  (kfp builds a condition)
                exported = export(
                    model=model,
                    dataset=dataset,
                    evaluation=evaluated.outputs["evaluation"],
                    export_config=export_config,
                    code_version=code_version,
                )
                released = release(
                    exported=exported.outputs["exported"],
                    source=source,
                    code_version=code_version,
                    **settings,
                    **home,
                    **run,
                )
                released.set_caching_options(False)

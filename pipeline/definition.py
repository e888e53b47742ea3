"""The pipeline: snapshot -> convert -> validate -> train -> evaluate -> export -> release, and notify.

source --> snapshot --[something new]--> convert --> validate --> train --> evaluate
                                                                               |
notify, in any case                            release <-- export <--[accepted]+
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.convert.component import convert
from components.evaluate.component import evaluate
from components.export.component import export
from components.notify.component import notify
from components.release.component import release
from components.snapshot.component import snapshot
from components.train.component import train
from components.validate.component import validate

NAME = "petalflow"
_STEPS: Mapping[str, BaseComponent] = {
    step.name: step for step in (snapshot, convert, validate, train, evaluate, export, release, notify)
}
# All other steps run every time, because their result depends on more than their arguments.
_CACHED = ("convert", "train", "export")
# kfp's name for the return value of a component.
_RETURNED = "Output"
# Another output of snapshot, for train: the release to start from, or "".
_WARM_START_URI = "warm_start_uri"


class _Run(NamedTuple):
    """What identifies a run: an id that was fixed beforehand, or else the backend's own."""

    run_id: str
    job_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER


def build_pipeline(
    customize: Callable[[dsl.PipelineTask], None] = lambda task: None,
    components: Mapping[str, BaseComponent] | None = None,
    note: str = "",
) -> BaseComponent:
    """Returns the pipeline.

    Args:
        customize: Adapts the task of each step to the target it will run on: its container image, its machine.
            The chain of steps is the same everywhere.
        components: Replacements for steps, by the step's name; each has the step's name, inputs and outputs.
        note: Added to the pipeline's description.
    """
    steps = {**_STEPS, **(components or {})}
    description = f"Retrain an image classifier; release it only if it passes its checks. {note}".strip()

    def step(step: str, /, **inputs: object) -> dsl.PipelineTask:
        task = steps[step](**inputs)
        if step not in _CACHED:
            task.set_caching_options(False)
        customize(task)
        return task

    @dsl.pipeline(name=NAME, description=description)
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
        notify_config: str = "{}",
        keep_config: str = "{}",
        run_id: str = "",
        trigger: str = "by hand",
    ) -> None:
        """Connects the steps.

        Args:
            source: Where the labelled images are; snapshot fills in a date.
            registry: The model registry.
            name: Name of the model to release.
            state_uri: State that outlives a run; the same for all runs of a name.
            record_uri: Records of the runs.
            code_version: Hash of the steps' code, so that a change of it invalidates caches.
            evaluate_config: Settings of evaluate as JSON; thresholds have no default.
            snapshot_config: Settings of snapshot as JSON.
            convert_config: Settings of convert as JSON.
            validate_config: Settings of validate as JSON.
            train_config: Settings of train as JSON.
            export_config: Settings of export as JSON.
            notify_config: Settings of notify as JSON.
            keep_config: How much to keep of what accumulates, as JSON.
            run_id: The run's id; "" takes the backend's.
            trigger: Who or what started the run, for its record.
        """
        run = _Run(run_id)._asdict()
        settings = {
            "convert_config": convert_config,
            "validate_config": validate_config,
            "train_config": train_config,
            "evaluate_config": evaluate_config,
            "export_config": export_config,
        }
        code = {"code_version": code_version}
        home = {"registry": registry, "name": name, "state_uri": state_uri}
        record = {"record_uri": record_uri, **run}

        notified = step("notify", notify_config=notify_config, keep_config=keep_config, **home, **record)
        with dsl.ExitHandler(notified, name="run"):
            seen = step(
                "snapshot",
                source=source,
                trigger=trigger,
                snapshot_config=snapshot_config,
                **code,
                **settings,
                **home,
                **record,
            )
            pinned = seen.outputs[_RETURNED]
            with dsl.If(pinned != "", name="something-new"):
                converted = step("convert", source=pinned, convert_config=convert_config, **code, **home)
                dataset = converted.outputs["dataset"]
                validated = step("validate", dataset=dataset, validate_config=validate_config, **home)
                shared = {"state_uri": state_uri, **code}
                begin = {"dataset": dataset, _WARM_START_URI: seen.outputs[_WARM_START_URI]}
                trained = step("train", train_config=train_config, **begin, **shared)
                trained.after(validated)
                model = trained.outputs["model"]
                judged = {"model": model, "dataset": dataset, "evaluate_config": evaluate_config}
                evaluated = step("evaluate", **judged, **home, **record)
                serving = evaluated.outputs[_RETURNED]
                with dsl.If(serving != "", name="accepted"):
                    made = {"model": model, "dataset": dataset, "serving": serving}
                    exported = step("export", **made, export_config=export_config, **shared)
                    step(
                        "release",
                        exported=exported.outputs["exported"],
                        evaluation=evaluated.outputs["evaluation"],
                        dataset=dataset,
                        source=pinned,
                        **code,
                        **settings,
                        **home,
                        **record,
                    )

    return petalflow_pipeline

"""Having all shards written, by Apache Beam: in this process, or by workers elsewhere."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.convert.plan import Plan
from components.convert.shard import Job, ShardResult, ShardWriter
from petalflow.dataset import Summary
from petalflow.errors import PetalflowError
from petalflow.source import SPLITS, Reject


def write_shards(job: Job, plan: Plan) -> list[ShardResult]:
    """Writes all shards of a plan and returns what became of each, in order.

    Raises:
        PetalflowError: What a worker met, in its own words.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    # The results are small; a file brings them back from any runner that shares this folder.
    with tempfile.TemporaryDirectory(dir=Path(job.root).parent, prefix=".beam-") as scratch:
        path = str(Path(scratch) / "results.jsonl")
        options = PipelineOptions(list(job.settings.runner_options))
        with _plain_errors(), beam.Pipeline(runner=_runner(job.settings.runner), options=options) as pipeline:
            _ = (
                pipeline
                | "Shards" >> beam.Create(plan.shards, reshuffle=False)
                | "Write" >> beam.Map(ShardWriter(job))
                | "Encode" >> beam.Map(_to_json)
                | "Results" >> beam.io.WriteToText(path, shard_name_template="")
            )
        results = [_from_json(line) for line in Path(path).read_text().splitlines()]
    return sorted(results, key=lambda result: (SPLITS.index(result.split), result.index))


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Takes off what Beam adds to a worker's message: where in its graph it was."""
    try:
        yield
    except PetalflowError as error:
        raise type(error)(str(error).partition(" [while running")[0]) from None


def _runner(name: str) -> Any:
    # By name: "DirectRunner" would first try to download a runner written in Go.
    if name == "FnApiRunner":
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    return name


def _to_json(result: ShardResult) -> str:
    summaries = {name: summary.to_json() for name, summary in result.summaries.items()}
    return json.dumps({**vars(result), "summaries": summaries, "rejects": [asdict(one) for one in result.rejects]})


def _from_json(line: str) -> ShardResult:
    values = json.loads(line)
    summaries = {name: Summary.from_json(summary) for name, summary in values["summaries"].items()}
    rejects = tuple(Reject(**reject) for reject in values["rejects"])
    return ShardResult(**{**values, "summaries": summaries, "rejects": rejects})

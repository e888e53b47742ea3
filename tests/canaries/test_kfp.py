"""Canaries for what we use of kfp beyond its documented interface; a failure names the installed version."""

import contextlib
import inspect
import io
import logging
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from kfp import Client, components, dsl, local
from kfp.compiler import Compiler

from pipeline.targets.kfp_local import CACHE_HIT, COLOUR, FINISHED, STARTED
from pipeline.targets.outputs import RUN_FOLDER

KFP = f"kfp {version('kfp')}"


def test_the_client_shares_one_object_that_makes_all_calls() -> None:
    client = Client(host="http://127.0.0.1:9", namespace="none")
    changed = f"{KFP} changed `Client._run_api.api_client`, which pipeline/targets/kubeflow/api.py reads logs with"
    calls: Any = getattr(getattr(client, "_run_api", None), "api_client", None)
    assert calls is not None, changed
    assert all(group.api_client is calls for group in (client.runs, client.pipelines, client.healthzs)), changed
    assert "self.last_response = " in inspect.getsource(type(calls)), changed
    arguments = {"resource_path", "method", "query_params", "auth_settings", "_preload_content", "_request_timeout"}
    assert arguments <= set(inspect.signature(calls.call_api).parameters), changed


@dsl.component(install_kfp_package=False)
def tweet() -> str:
    return "tweet"


@dsl.pipeline(name="petalflow")
def canary() -> None:
    tweet()


def output_of_a_run(compiled: Path) -> str:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        logging.basicConfig(level=logging.INFO, stream=written, format="%(message)s", force=True)
        try:
            components.load_component_from_file(str(compiled))()
        finally:
            logging.basicConfig(force=True)
    return COLOUR.sub("", written.getvalue())


def test_kfp_local_prints_what_becomes_of_tasks(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    compiled = tmp_path / "pipeline.yaml"
    Compiler().compile(canary, str(compiled))
    (tmp_path / "workspace").mkdir()
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=str(tmp_path / "steps"),
        workspace_root=str(tmp_path / "workspace"),
        enable_caching=True,
        cache_root=str(tmp_path / "cache"),
    )
    first, second = output_of_a_run(compiled), output_of_a_run(compiled)
    changed = f"{KFP} prints something else than pipeline/targets/kfp_local.py looks for:\n"
    started, finished, hit = STARTED.search(first), FINISHED.search(first), CACHE_HIT.search(second)
    assert started, changed + first
    assert finished, changed + first
    assert hit, changed + second
    assert (started["step"], finished["step"], hit["step"]) == ("tweet", "tweet", "tweet"), changed + first + second
    assert finished["status"] == "SUCCESS", changed + first
    changed = f"{KFP} names its files differently from what pipeline/targets/outputs.py looks for"
    assert list((tmp_path / "cache").glob(f"{hit['key']}*.json")), changed
    for run in (tmp_path / "steps").iterdir():
        assert datetime.strptime(run.name, RUN_FOLDER), changed

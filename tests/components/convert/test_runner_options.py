import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options import pipeline_options as beam
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

from components.convert import runner_options
from components.convert.convert import convert
from components.convert.settings import ConvertSettings
from petalflow import commandline
from petalflow.errors import UsageError
from tests.servers.store import Store

ROOT = Path(__file__).resolve().parents[3]
# What the distribution is built from.
SCHEMA = "pipeline/petalflow.schema.json"
PACKED = {
    *("petalflow", "components", "pipeline", "pipeline.yaml", "petalflow.schema.json"),
    *("setup.py", "pyproject.toml", "VERSION", "README.md"),
}
NEEDED = {"project": "my-project", "region": "europe-west4", "temp_location": "gs://my-bucket/temp"}


class DataflowRunner:
    """The part of the runner that Beam's validator uses: its name and its default region."""

    def get_default_gcp_region(self) -> None:
        return None


def settings(**cloud: Any) -> ConvertSettings:
    return ConvertSettings.of({"runner": "DataflowRunner", "dataflow": {**NEEDED, **cloud}})


def options(**cloud: Any) -> beam.PipelineOptions:
    return beam.PipelineOptions(runner_options.dataflow_options(settings(**cloud), "0a1b"))


@pytest.mark.parametrize("absent", NEEDED)
def test_missing_settings_of_dataflow_are_named(absent: str) -> None:
    with pytest.raises(UsageError, match=f"DataflowRunner needs convert.dataflow.{absent}$"):
        settings(**{absent: None})


def test_other_runners_need_no_settings_of_dataflow() -> None:
    assert ConvertSettings.of({}).dataflow.missing() == list(NEEDED)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temp_location": "/tmp/x"},
        {"temp_location": "gs://bucket"},
        {"disk_gb": 1},
        {"regoin": "x"},
        {"autoscaling": "YES"},
    ],
)
def test_an_invalid_setting_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"convert\.dataflow\.{next(iter(wrong))}"):
        settings(**wrong)


def test_a_nested_setting_can_be_set_by_its_path() -> None:
    given = [f"convert.dataflow.{name}={value}" for name, value in NEEDED.items()]
    read = commandline.read_settings("convert", None, ["runner=DataflowRunner", *given])
    assert ConvertSettings.of(read) == settings()


def test_settings_survive_serialization() -> None:
    asked = settings(labels={"team": "flowers"}, max_workers=9)
    assert ConvertSettings.from_json(asked.to_json()) == asked


def test_beam_parses_all_options() -> None:
    asked = options(
        machine_type="e2-standard-8",
        disk_gb=77,
        workers=2,
        max_workers=9,
        autoscaling="NONE",
        worker_container_image="europe-docker.pkg.dev/p/petalflow/worker:1",
        service_account="me@my-project.iam.gserviceaccount.com",
        network="net",
        subnetwork="regions/europe-west4/subnetworks/sub",
        public_ips=False,
        labels={"team": "flowers", "cost": "7"},
    )
    cloud, workers = asked.view_as(beam.GoogleCloudOptions), asked.view_as(beam.WorkerOptions)
    setup, debug = asked.view_as(beam.SetupOptions), asked.view_as(beam.DebugOptions)
    assert (cloud.project, cloud.region, cloud.job_name) == ("my-project", "europe-west4", "petalflow-convert-0a1b")
    assert (cloud.temp_location, cloud.staging_location) == ("gs://my-bucket/temp", "gs://my-bucket/temp/staging")
    assert (cloud.service_account_email, cloud.labels) == (
        "me@my-project.iam.gserviceaccount.com",
        ["team=flowers", "cost=7"],
    )
    assert (workers.machine_type, workers.disk_size_gb, workers.use_public_ips) == ("e2-standard-8", 77, False)
    assert (workers.num_workers, workers.max_num_workers, workers.autoscaling_algorithm) == (2, 9, "NONE")
    assert (workers.network, workers.subnetwork) == ("net", "regions/europe-west4/subnetworks/sub")
    assert workers.sdk_container_image == "europe-docker.pkg.dev/p/petalflow/worker:1"
    assert (setup.setup_file, setup.extra_packages, setup.requirements_file) == (None, None, None)
    assert setup.save_main_session is False
    assert debug.number_of_worker_harness_threads == 1


def test_unset_options_are_left_to_beam() -> None:
    workers = options().view_as(beam.WorkerOptions)
    assert workers.num_workers is workers.max_num_workers is workers.network is workers.use_public_ips is None
    assert options().view_as(beam.GoogleCloudOptions).service_account_email is None


@pytest.mark.parametrize("image", [None, "europe-docker.pkg.dev/p/petalflow/worker:1"])
def test_beams_own_validator_accepts_the_options(gs: Store, monkeypatch: pytest.MonkeyPatch, image: str | None) -> None:
    for name, value in gs.environment.items():  # the validator accesses the bucket
        monkeypatch.setenv(name, value)
    asked = options(worker_container_image=image, temp_location=f"{gs.new_bucket()}/temp")
    assert PipelineOptionsValidator(asked, DataflowRunner()).validate() == []


def test_a_checkout_provides_its_setup_file_and_gcsfs() -> None:
    setup = options().view_as(beam.SetupOptions)
    assert Path(setup.setup_file) == ROOT / "setup.py"
    assert (Path(setup.requirements_file).read_text(), setup.requirements_cache) == ("gcsfs>=2026.1\n", "skip")
    assert "gcsfs>=2026.1" in (ROOT / "setup.py").read_text()


def test_a_wheel_rebuilt_from_the_installed_package_can_be_installed(tmp_path: Path) -> None:
    def pip(*arguments: str) -> None:
        quiet = ["install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", *quiet, *arguments], check=True, capture_output=True)

    checkout = tmp_path / "checkout"  # building leaves files in the source tree
    shutil.copytree(ROOT, checkout, ignore=lambda at, names: {*names} - PACKED if at == str(ROOT) else {"__pycache__"})
    shutil.copy(ROOT / "LICENSE", checkout)
    pip("--target", str(tmp_path / "installed"), str(checkout))
    code = (
        "from pathlib import Path; from components.convert import runner_options\n"
        "print(runner_options.package_options()[-1].partition('=')[0], runner_options.build_wheel(Path()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "installed"), "PYTHONSAFEPATH": "1", "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    option, wheel = done.stdout.split()
    assert (option, done.stderr) == ("--extra_package", "")
    pip("--target", str(tmp_path / "again"), str(tmp_path / wheel))
    for name in (
        "components/convert/worker.py",
        "components/convert/dataset.html.j2",
        "pipeline/pipeline.yaml",
        SCHEMA,
    ):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "installed" / name).read_bytes()


def test_a_bucket_mounted_by_vertex_gets_its_gs_address() -> None:
    assert runner_options.gs_address("source", "/gcs/my-bucket/flowers") == "gs://my-bucket/flowers"
    assert runner_options.gs_address("source", "gs://my-bucket/flowers") == "gs://my-bucket/flowers"


@pytest.mark.parametrize(("source", "out"), [("{}", "gs://bucket/dataset"), ("gs://bucket/flowers", "{}/out")])
def test_an_address_without_access_for_workers_is_refused_before_any_work(
    source: str, out: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"{tmp_path}.*Dataflow's workers have no access to it; use a gs:// address"):
        convert(source.format(tmp_path), out.format(tmp_path), settings())

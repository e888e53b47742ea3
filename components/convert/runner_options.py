"""Beam's options for the runners that have work done elsewhere: Apache Flink and Google Cloud Dataflow."""

import atexit
import shutil
import socket
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from components.convert.settings import ConvertSettings
from petalflow import storage
from petalflow.errors import UsageError

_ANSWERS_WITHIN_S = 5


def flink_options(settings: ConvertSettings, conversion: str) -> list[str]:
    """Returns Beam's options.

    Args:
        settings: How to convert.
        conversion: The conversion's id.

    Raises:
        UsageError: If no job server answers: Beam would download one, and start it for this conversion alone.
    """
    flink = settings.flink
    host, _, port = flink.job_server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError):
        raise UsageError(
            f"no Flink job server answers at {flink.job_server}; start one with docker/flink/job-server start, "
            "or say where it is (convert.flink.job_server=HOST:PORT)"
        ) from None
    loopback = flink.workers == "loopback"
    workers = ["--environment_type=LOOPBACK"] if loopback else _pool(flink.workers)
    parallelism = [f"--parallelism={flink.parallelism}"] if flink.parallelism else []
    return [f"--job_endpoint={flink.job_server}", *workers, *parallelism]


def _pool(address: str) -> list[str]:
    return ["--environment_type=EXTERNAL", f"--environment_config={address}"]


# Where Vertex AI mounts the buckets that a step may write.
_MOUNT = "/gcs/"
_PACKAGE = "petalflow"
_STORE = "gcsfs>=2026.1"


def in_cloud(what: str, address: str) -> str:
    """Returns the gs:// address of a source or dataset; Vertex AI's mounts of buckets are known.

    Raises:
        UsageError: If Dataflow's workers cannot see it.
    """
    if address.startswith(_MOUNT):
        return "gs://" + address.removeprefix(_MOUNT)
    if not address.startswith("gs://"):
        raise UsageError(f"{what} {address}: Dataflow's workers cannot see this; give a gs:// address")
    return address


def dataflow_options(settings: ConvertSettings, conversion: str) -> list[str]:
    """Returns Beam's options.

    Args:
        settings: How to convert; what Dataflow cannot do without is in them.
        conversion: The conversion's id.
    """
    cloud = settings.dataflow
    staging = cloud.staging_location or storage.join(str(cloud.temp_location), "staging")
    values = {
        "project": cloud.project,
        "region": cloud.region,
        "job_name": f"petalflow-convert-{conversion}",
        "temp_location": cloud.temp_location,
        "staging_location": staging,
        "machine_type": cloud.machine_type,
        "disk_size_gb": cloud.disk_gb,
        "num_workers": cloud.workers,
        "max_num_workers": cloud.max_workers,
        "autoscaling_algorithm": cloud.autoscaling,
        "service_account_email": cloud.service_account,
        "network": cloud.network,
        "subnetwork": cloud.subnetwork,
        # A shard at a time in each of a worker's processes; the threads are within it.
        "number_of_worker_harness_threads": 1,
    }
    flags = ["--no_save_main_session", *([] if cloud.public_ips else ["--no_use_public_ips"])]
    labels = [f"--labels={name}={value}" for name, value in cloud.labels.items()]
    code = [f"--sdk_container_image={cloud.worker_image}"] if cloud.worker_image else our_code()
    return [*(f"--{name}={value}" for name, value in values.items() if value is not None), *flags, *labels, *code]


def our_code() -> list[str]:
    """Returns the options that bring this package to the workers: a checkout's setup.py, or a wheel made anew.

    Beside it goes what the package itself does without, but these workers not: the way to gs://.
    """
    folder = Path(tempfile.mkdtemp(prefix="petalflow-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # Beam uploads it after we return
    (folder / "requirements.txt").write_text(f"{_STORE}\n")
    # "skip": each worker gets them from its package index, rather than from here.
    options = [f"--requirements_file={folder / 'requirements.txt'}", "--requirements_cache=skip"]
    setup = Path(__file__).resolve().parents[2] / "setup.py"
    return [*options, f"--setup_file={setup}" if setup.is_file() else f"--extra_package={build_wheel(folder)}"]


def build_wheel(folder: Path) -> Path:
    """Writes the installed package into a wheel again, which is a zip file of just what is installed.

    Args:
        folder: Where to write it.
    """
    installed = metadata.distribution(_PACKAGE)
    wheel = folder / f"{_PACKAGE}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in installed.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:  # the commands are made anew
                archive.write(str(file.locate()), str(file))
    return wheel

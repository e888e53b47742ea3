"""Beam's options for the runners that work on other machines: Apache Flink and Google Cloud Dataflow."""

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

_CONNECT_TIMEOUT_S = 5


def flink_options(settings: ConvertSettings, conversion: str) -> list[str]:
    """Returns Beam's options for Flink's job server.

    Args:
        settings: How to convert.
        conversion: Id of the conversion.

    Raises:
        UsageError: If no job server answers; Beam itself would download and start one for every conversion.
    """
    flink = settings.flink
    host, _, port = flink.job_server.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError):
        raise UsageError(
            f"no Flink job server answers at {flink.job_server}; start one with docker/flink/job-server start, "
            "or set convert.flink.job_server=HOST:PORT"
        ) from None
    loopback = flink.workers == "loopback"
    external = ["--environment_type=EXTERNAL", f"--environment_config={flink.workers}"]
    workers = ["--environment_type=LOOPBACK"] if loopback else external
    parallelism = [f"--parallelism={flink.parallelism}"] if flink.parallelism else []
    return [f"--job_endpoint={flink.job_server}", *workers, *parallelism]


# Vertex AI mounts buckets here.
_MOUNT = "/gcs/"
_PACKAGE = "petalflow"
_STORE = "gcsfs>=2026.1"


def gs_address(what: str, address: str) -> str:
    """Returns the gs:// address of a source or dataset, also for a bucket that Vertex AI mounts.

    Args:
        what: What the address is of, for the message.
        address: The address.

    Raises:
        UsageError: If Dataflow's workers have no access to it.
    """
    if address.startswith(_MOUNT):
        return "gs://" + address.removeprefix(_MOUNT)
    if not address.startswith("gs://"):
        raise UsageError(f"{what} {address}: Dataflow's workers have no access to it; use a gs:// address")
    return address


def dataflow_options(settings: ConvertSettings, conversion: str) -> list[str]:
    """Returns Beam's options for Dataflow.

    Args:
        settings: How to convert; the required settings of Dataflow are set.
        conversion: Id of the conversion.
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
        # Each process of a worker writes one shard at a time, with convert.threads threads.
        "number_of_worker_harness_threads": 1,
    }
    flags = ["--no_save_main_session", *([] if cloud.public_ips else ["--no_use_public_ips"])]
    labels = [f"--labels={name}={value}" for name, value in cloud.labels.items()]
    code = (
        [f"--sdk_container_image={cloud.worker_container_image}"] if cloud.worker_container_image else package_options()
    )
    return [*(f"--{name}={value}" for name, value in values.items() if value is not None), *flags, *labels, *code]


def package_options() -> list[str]:
    """Returns the options that install this package on the workers, from a checkout's setup.py or a rebuilt wheel.

    They also install gcsfs, which the workers need to access gs://.
    """
    folder = Path(tempfile.mkdtemp(prefix="petalflow-code-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # Beam uploads it later
    (folder / "requirements.txt").write_text(f"{_STORE}\n")
    # "skip": the workers download them from their package index; they are not uploaded from here.
    options = [f"--requirements_file={folder / 'requirements.txt'}", "--requirements_cache=skip"]
    setup = Path(__file__).resolve().parents[2] / "setup.py"
    return [*options, f"--setup_file={setup}" if setup.is_file() else f"--extra_package={build_wheel(folder)}"]


def build_wheel(folder: Path) -> Path:
    """Rebuilds a wheel, which is a zip file, from the files of the installed package, and returns its path.

    Args:
        folder: Folder to write the wheel to.
    """
    installed = metadata.distribution(_PACKAGE)
    wheel = folder / f"{_PACKAGE}-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in installed.files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:  # pip generates the commands again
                archive.write(str(file.locate()), str(file))
    return wheel

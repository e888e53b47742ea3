"""Apache Flink: Beam's options for its job server, which must be there (docker/flink/job-server)."""

import socket

from components.convert.settings import ConvertSettings
from petalflow.errors import UsageError

_ANSWERS_WITHIN_S = 5


def options(settings: ConvertSettings, conversion: str) -> list[str]:
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

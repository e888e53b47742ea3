"""The images, built and run: any user, no capabilities, no network, nothing writable but the work."""

import json
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from petalflow import __version__
from petalflow.container_images import BASE, CPU, container_image
from pipeline.code_version import source_hash

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("container_images")]
ROOT = Path(__file__).resolve().parents[2]
CONTENT_TAG = runpy.run_path(str(ROOT / "docker" / "content_tag.py"))
UID = "4321"


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def inspected(name: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", name))
    return dict(found)


@pytest.fixture(scope="module")
def work(make_flowers, tmp_path_factory) -> Iterator[Path]:
    """A folder with a few photos, and one that is named like our package."""
    folder = tmp_path_factory.mktemp("work")
    make_flowers(folder / "photos", each=30)
    (folder / "components").mkdir()
    (folder / "components" / "__init__.py").write_text("raise SystemExit('this is not ours')")
    folder.chmod(0o777)
    yield folder
    # Whoever runs the tests must be able to remove what the other user made.
    docker("run", "--rm", "--user", "0", "--volume", f"{folder}:/work", BASE, "chmod", "-R", "a+rwX", "/work")


def run(name: str, work: Path, script: str) -> str:
    """Runs lines of shell in a container as the pipeline's steps are run on a careful cluster; returns the output."""
    confined = ("--user", f"{UID}:{UID}", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "--network", "none")
    here = ("--volume", f"{work}:/work", "--workdir", "/work")
    return docker("run", "--rm", *confined, *here, name, "sh", "-euc", script)


@pytest.mark.parametrize("target", ["base", "cpu"])
def test_a_container_image_is_labelled(target) -> None:
    tag = CONTENT_TAG["content_tag"](ROOT)
    found = inspected(container_image(target))
    assert found["Id"] == inspected(container_image(target, tag=tag))["Id"]
    expected = {
        "org.opencontainers.image.title": "Petalflow",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": tag,
        "petalflow.source-hash": source_hash(),
    }
    assert found["Config"]["Labels"].items() >= expected.items()
    assert found["Config"]["User"] not in ("", "0", "root")


def test_cpu_has_the_libraries_of_base_and_more() -> None:
    base, cpu = (inspected(name)["RootFS"]["Layers"] for name in (BASE, CPU))
    assert cpu[: len(base) - 1] == base[:-1], "all but our own code is pulled once"


@pytest.fixture(scope="module")
def dataset(work) -> str:
    """The name of the dataset that base made."""
    run(
        BASE,
        work,
        """
        python -m components.snapshot photos --out listing.jsonl
        python -m components.convert photos --out dataset
        python -m components.validate --dataset dataset --out validation \
            --set min_train_images=1 --set min_test_images=1
        """,
    )
    return "dataset"


def test_base_converts_photos_to_a_dataset(dataset, work) -> None:
    assert len((work / "listing.jsonl").read_text().splitlines()) == 90
    assert (work / "validation" / "validation.json").is_file()
    assert (work / dataset / "features.json").stat().st_uid == int(UID)


def test_cpu_trains_and_exports_and_base_releases(dataset, work) -> None:
    output = run(
        CPU,
        work,
        f"""
        python -m petalflow.accelerators
        python -m components.train --dataset {dataset} --out model \
            --set backbone=dense --set image_size_px=16 --set max_epochs=3
        python -m components.evaluate --model model --dataset {dataset} --out evaluation --set min_accuracy=0.01 \
            --set min_test_images=1
        python -m components.export --model model --dataset {dataset} --evaluation evaluation --out export \
            --set litert=false
        """,
    )
    assert output.startswith("TensorFlow computes on CPU:0\n")
    made_from = f"--export export --evaluation evaluation --dataset {dataset}"
    release = f"python -m components.release {made_from} --registry models --name flowers --run-id by-hand"
    notify = "mkdir -p records/by-hand; python -m components.notify --record records --run-id by-hand --name flowers"
    run(BASE, work, f"{release}\n{notify}")
    assert (work / "models" / "flowers" / "1" / "saved_model.pb").is_file()


@pytest.mark.parametrize(("name", "tensorflow"), [(BASE, False), (CPU, True)])
def test_the_contents_of_a_container_image(name, tensorflow, work) -> None:
    output = run(
        name,
        work,
        """
        pip --python /opt/petalflow/bin/python check
        python -m pipeline.code_version
        cd "$(python -c 'import petalflow; print(*petalflow.__path__)')/.."
        ls -d tensorflow 2>/dev/null || echo without
        find components petalflow pipeline -type f ! -name '*.pyc'
        find components petalflow pipeline -name '*.pyc' | wc -l
        """,
    )
    sound, source, has_tensorflow, *files, compiled = output.splitlines()
    assert sound == "No broken requirements found."
    assert source == source_hash()
    assert has_tensorflow == ("tensorflow" if tensorflow else "without")
    # The content tag is made of these.
    ours = [str(path.relative_to(ROOT)) for path in CONTENT_TAG["ingredients"](ROOT)]
    in_packages = [path for path in ours if path.split("/")[0] in ("components", "petalflow", "pipeline")]
    assert sorted(files) == sorted([*in_packages, "pipeline/pipeline.yaml", "pipeline/petalflow.schema.json"])
    assert int(compiled) == len([path for path in ours if path.endswith(".py") and "/" in path])

"""The distribution `petalflow`. Beam workers are set up from this file too (`--setup_file`)."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithPipeline(build_py):
    """Puts the generated files into the package `pipeline`, where an installed Petalflow finds them."""

    def run(self) -> None:
        """Builds the package and adds the compiled pipeline and the schema of its configuration."""
        super().run()
        for name in ("pipeline.yaml", "petalflow.schema.json") if not self.editable_mode else ():
            self.copy_file(name, f"{self.build_lib}/pipeline/{name}")


# Without TensorFlow: enough for snapshot, convert, validate, release and notify.
BASE = [
    "apache-beam>=2.77,<3",
    "cronsim>=2.6",
    "fsspec>=2026.1",
    "google-cloud-storage>=3.4",
    "google-crc32c>=1.6",
    "imagehash>=4.3",
    "importlib-resources>=6",  # tensorflow-datasets imports it without naming it
    "jinja2>=3.1",
    "kfp>=2.17,<3",
    "numpy>=2",
    "pillow>=11",
    "protobuf>=6.31",
    "pyarrow>=18",
    "pydantic>=2.10",
    "pyyaml>=6",
    "rich>=14",
    "scipy>=1.14",
    "setuptools>=75",  # to build this package for the workers of a Beam runner
    "tensorflow-datasets>=4.9.10",
    "typer>=0.20",
    "tzdata>=2025.1",  # for systems without a time zone database
    "urllib3>=2.5",
]

# An environment can hold only one of these: they all install the module `tensorflow`.
CPU = ["tensorflow-cpu==2.21.*; sys_platform != 'darwin'", "tensorflow==2.21.*; sys_platform == 'darwin'"]
GPU = ["tensorflow[and-cuda]==2.21.*"]
TPU = ["tensorflow-tpu==2.20.*", "libtpu==0.0.14"]  # with a later libtpu, importing TensorFlow aborts
# What train, evaluate and export need besides TensorFlow.
LEARNING = ["keras>=3.12,<4", "matplotlib>=3.9", "scikit-learn>=1.6"]

setup(
    name="petalflow",
    version=Path(__file__).with_name("VERSION").read_text().strip(),
    description="Retrain image classifiers and release only the ones that pass",
    long_description=Path(__file__).with_name("README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(
        include=[f"{name}{rest}" for name in ("petalflow", "components", "pipeline") for rest in ("", ".*")]
    ),
    package_data={"": ["*.j2"]},
    cmdclass={"build_py": BuildWithPipeline},
    install_requires=BASE,
    extras_require={
        "cpu": CPU + LEARNING,
        "gpu": GPU + LEARNING,
        "tpu": TPU + LEARNING,
        # Lets `petalflow predict` start without TensorFlow.
        "litert": ["ai-edge-litert>=2.1,<3"],
        # Object stores: gs:// and s3://. The container images contain both.
        "gcs": ["gcsfs>=2026.1"],
        "s3": ["s3fs>=2026.1"],
        # HEIC and HEIF photos, as phones take them.
        "heic": ["pi-heif>=1.4"],
        # Lets notify log runs to a tracking server (notify.mlflow).
        "mlflow": ["mlflow-skinny>=3.1,<4"],
        # Google Cloud Dataflow as the runner of convert; the other runners need no extra.
        "dataflow": ["apache-beam[gcp]>=2.77,<3", "gcsfs>=2026.1"],
        # The targets that need more packages; local needs none.
        "docker": ["docker>=7.1"],
        "kubeflow": ["kfp-kubernetes>=2.17,<3"],
        "vertex": [
            "google-cloud-aiplatform>=1.120,<2",
            "google-cloud-logging>=3.12",
            "google-cloud-pipeline-components>=2.20,<3",
        ],
        "dev": [
            "aiosmtpd",
            "flask",  # moto's server is made of these two
            "flask-cors",
            "gcp-storage-emulator",
            "hypothesis",
            "import-linter",
            "jsonschema",  # checks configs/ against petalflow.schema.json
            "mlflow-skinny>=3.1,<4",
            "moto[s3]",
            "mypy",
            "pi-heif>=1.4",
            "playwright>=1.55",  # drives Debian's Chromium
            "pytest",
            "pytest-xdist",
            "ruff",
            "tensorboard>=2.20",  # opens the event files that train writes
            "types-PyYAML",
            "uv",
        ],
    },
    entry_points={"console_scripts": ["petalflow=pipeline.cli:main"]},
)

# make demo and make test install everything they need on a fresh machine.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The first Python for which TensorFlow has wheels; override it with make PYTHON=...
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
# Where this is set, every process compiles all modules that it imports, and TensorFlow has thousands of them.
export PYTHONDONTWRITEBYTECODE :=
DEMO := runs/demo
TEST_PROCESSES := 2

.PHONY: demo test lint lock pipeline.yaml petalflow.schema.json container-images container-images-all clean help

help:  ## list the targets
	@grep -E '^[a-z.-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 24

demo: $(VENV)/.cpu  ## run the whole pipeline on handwritten digits
	$(BIN)/python demo/digits.py runs/digits
	$(BIN)/petalflow run runs/digits --config configs/digits.yaml --out $(DEMO) --registry models --name digits

# Two processes share the tests by group (tests/groups.py); those that need Docker are one of the groups.
test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder

lint: $(VENV)/.dev  ## check style, types, layers, and that the generated files are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/petalflow compile -o $(VENV)/pipeline.yaml
	diff -u pipeline.yaml $(VENV)/pipeline.yaml
	$(BIN)/petalflow settings --schema | diff -u petalflow.schema.json -

pipeline.yaml: $(VENV)/.cpu  ## compile the pipeline
	$(BIN)/petalflow compile -o $@

petalflow.schema.json: $(VENV)/.cpu  ## generate the JSON schema of the configuration
	$(BIN)/petalflow settings --schema > $@

# With hashes and without index addresses: whoever installs them decides where packages come from.
LOCK = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links
STORES = setup.py --extra gcs --extra s3
lock: $(VENV)/.dev  ## pin the requirements again (UPGRADE=--upgrade for newer versions)
	$(LOCK) $(UPGRADE) $(STORES) -o requirements/base.txt
	$(LOCK) $(UPGRADE) $(STORES) --extra cpu -c requirements/base.txt -o requirements/cpu.txt
	$(LOCK) $(UPGRADE) $(STORES) --extra gpu -c requirements/base.txt -o requirements/gpu.txt
	$(LOCK) $(UPGRADE) $(STORES) --extra tpu -c requirements/base.txt -o requirements/tpu.txt
	$(LOCK) $(UPGRADE) $(STORES) --extra cpu --extra docker --extra kubeflow --extra vertex --extra dev \
		-c requirements/base.txt -o requirements/dev.txt
	echo uv | $(LOCK) $(UPGRADE) -c requirements/dev.txt -o requirements/uv.txt -

# CONTAINER_REPOSITORY=REGISTRY/PREFIX names the container images; DOCKER_BUILD adds options to docker build.
CONTAINER_REPOSITORY := petalflow
DOCKER_BUILD :=
container-images: container-image-base container-image-cpu  ## build the container images that pipeline.yaml names

container-images-all: container-images container-image-tpu container-image-gpu  ## build the container images for TPU and GPU too

container-image-%:
	version=$$(cat VERSION) && tag=$$(python3 docker/content_tag.py) && hash=$$(python3 -m pipeline.code_version) && \
	docker build $(DOCKER_BUILD) -f docker/Dockerfile --target $* \
		--label org.opencontainers.image.version=$$version --label org.opencontainers.image.revision=$$tag \
		--label petalflow.source-hash=$$hash -t $(CONTAINER_REPOSITORY)/$*:$$version -t $(CONTAINER_REPOSITORY)/$*:$$tag .

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) runs models build dist *.egg-info

# uv takes seconds where pip takes minutes. It does not read pip's configuration, so it is given the index that pip would
# use (exported, since an address may hold a password); where that is not enough, pip installs. The files pin every
# package, so pip needs no resolver (--no-deps): that of old pips rejects extras of pinned packages.
INDEX := $(UV_DEFAULT_INDEX)
$(VENV)/.%: export VIRTUAL_ENV = $(VENV)
$(VENV)/.%: export UV_DEFAULT_INDEX = $(or $(INDEX),$(PIP_INDEX_URL),$(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null))
$(VENV)/.%: requirements/%.txt setup.py VERSION
	@test -n "$(PYTHON)" || { echo "petalflow needs Python 3.11, 3.12 or 3.13 with venv (Debian: python3-venv); make PYTHON=/path/to/python" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install -q --require-hashes -r requirements/$*.txt || \
		$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements/$*.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

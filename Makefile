# `make demo` and `make test` need git, make and a python3 with venv; everything else they set up themselves, inside
# this folder: nothing global, nothing as root. `make help` lists the rest.

# The Python that brings up uv. The tests' own is 3.11 where there is one, else the first from 3.10 to 3.13 (the
# Pythons that chatterbox-tts runs on); choose another with `make clean test VENV_PYTHON=3.12`.
PYTHON ?= python3
VENV_PYTHON ?=
UV_VERSION := 0.13.9

UV := .venv-uv/bin/uv
BIN := .venv/bin
DOCS_PYTHON := .venv-docs/bin/python

# The Pythons and certificates are the machine's own.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := 1

FIND_PYTHON = set -e; \
  if [ -n "$(VENV_PYTHON)" ]; then found=$$($(UV) python find --system "$(VENV_PYTHON)"); \
  else found=$$($(UV) python find --system 3.11 2>/dev/null || $(UV) python find --system ">=3.10,<3.14"); fi

.DEFAULT_GOAL := help
.PHONY: help setup demo docs test quick faults fuzz fleet programs ray page matrix bench bench-gpu bench-programs bench-quick check lint bare constraints clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

setup: .venv/.ready ## build .venv; again only when pyproject.toml or constraints.txt changed

demo: .venv/.ready ## hear and time the cache; VOICE=my.wav takes your own voice, DEMO_ARGS adds options
	$(BIN)/chatterbox-cached demo $(if $(VOICE),--voice "$(VOICE)") $(DEMO_ARGS)

# First what is made from the code, then the site: links and anchors must lead somewhere, and nothing of it may come
# from another host.
docs: .venv-docs/.ready ## write anew what docs/ has from the code, and build site/ from README.md and docs/
	mkdir -p build
	$(DOCS_PYTHON) -m chatterbox_cached.cli.reference > build/command-line.md && mv build/command-line.md docs
	$(DOCS_PYTHON) -m docs.tools.rooms
	rm -rf build/pages site && mkdir -p build/pages/docs build/pages/benchmarks
	cp README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE build/pages
	cp -r docs/*.md docs/*.svg docs/*.png docs/*.json docs/plots build/pages/docs
	cp benchmarks/README.md build/pages/benchmarks
	.venv-docs/bin/zensical build --clean --strict
	$(DOCS_PYTHON) -m docs.tools.own site
	@echo "Open site/index.html; to search in it as well: python3 -m http.server --directory site"

# Two at a time, each file in one of them: a process holds a model of some GB, and two keep two cores busy. In their
# order, which ends with the quick ones: else files of few long tests come last, and one core waits for the other.
test: .venv/.ready ## run all tests but those that have a target of their own; ARGS="tests/unit -k memory" goes to pytest
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/fleet \
	  --ignore tests/page --ignore tests/programs $(ARGS)

# In three processes: they wait for timeouts and for other machines more than they work.
fleet: .venv/.ready ## run the tests of stores that machines share, on real servers, in about two minutes
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile tests/fleet $(ARGS)

programs: .venv/.bench ## run whole programs: the audiobook, and the benchmarks, in about three minutes
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/programs $(ARGS)

quick: .venv/.ready ## run the unit and contract tests only, in less than a minute
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/unit tests/contract $(ARGS)

# The property tests of what reads other people's bytes and of the key, each with many examples.
FUZZ_EXAMPLES ?= 2000
FUZZ_SECONDS ?= 120
fuzz: .venv/.ready ## many made-up entries, headers and calls; FUZZ_SECONDS=60 FUZZ_EXAMPLES=1000 is quick
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) timeout 600 $(BIN)/python -m pytest tests/unit/test_entry_format.py \
	  tests/unit/test_any_call.py tests/unit/test_fields.py
	@if $(UV) pip install --quiet --python $(BIN)/python atheris; \
	then set -x; $(BIN)/python -m tests.fuzz.entries -max_total_time=$(FUZZ_SECONDS); \
	else echo "atheris does not install here; hypothesis was all"; fi

faults: .venv/.ready ## break everything there is to break, and count what was tried
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile tests/faults tests/contract tests/unit/test_entry_format.py $(ARGS)

ray: .venv-ray/.ready ## run the examples for Ray and `warm --ray` on a cluster of two nodes, in about three minutes
	.venv-ray/bin/python -m pytest tests/on_ray $(ARGS)

page: .venv/.page ## try the page in the Chromium that is installed, in about four minutes; CHROMIUM names another one
	$(BIN)/python -m pytest tests/page $(ARGS)

# What is laid out stays in build/matrix. Where GitHub is out of reach, MAIN_FROM="git+file:///a/clone" has newest main.
PYTHONS ?=
WIDE ?=
matrix: .venv/.ready $(PYTHONS:%=build/matrix/python-%/.ready) $(WIDE:%=build/matrix/wide-%/.ready) ## run every published Chatterbox with the cache; PYTHONS="3.10 3.13" runs the newest there, too, WIDE="3.13 3.14" main with newest PyTorch
	$(BIN)/python -m tests.matrix --uv $(UV) $(PYTHONS:%=--python build/matrix/python-%/bin/python) \
	  $(WIDE:%=--main build/matrix/wide-%/bin/python) $(ARGS)

bench: .venv/.bench ## measure everything, about 45 minutes; ARGS="memory_hit disk_hit" measures parts
	$(BIN)/python -m benchmarks $(ARGS)

bench-gpu: .venv/.ready ## measure on one NVIDIA GPU in six minutes; ARGS="--device cpu --small" only shows that it runs
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# Beside what `make bench` has measured, where it has run before.
bench-programs: .venv/.bench ## measure a server, a crowd before it and an audiobook, without the cache and with it, in six minutes
	$(BIN)/python -m benchmarks --keep $(ARGS) server clients book

bench-quick: .venv/.ready ## measure the hits in three minutes and compare with benchmarks/reference.json
	$(BIN)/python -m benchmarks --quick $(ARGS)

check: lint bare ## everything short of the tests: ruff, mypy, and importing without torch

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# enable() promises to load neither torch nor chatterbox, so it must work where there is neither.
bare: .venv-bare/.ready
	cache=$$(mktemp -d) && trap 'rm -rf "$$cache"' EXIT && XDG_CACHE_HOME="$$cache" .venv-bare/bin/python -W error -c "\
	import chatterbox_cached, sys; \
	chatterbox_cached.enable(); \
	assert not {'torch', 'chatterbox'} & set(sys.modules), 'enable() loaded torch or chatterbox'; \
	chatterbox_cached.disable(); \
	print('enable() and disable() work without torch and chatterbox')"

# Pins for every Python from 3.10 to 3.13 at once, hence the markers. Keeps the pins that still fit the requirements;
# `make constraints ARGS=--upgrade` moves them all, ARGS="--upgrade-package NAME" one.
constraints: $(UV) ## resolve the requirements of pyproject.toml into constraints.txt
	UV_CUSTOM_COMPILE_COMMAND="make constraints" $(UV) pip compile --quiet --universal --python-version 3.10 \
	  --extra chatterbox --extra dev --extra bench --extra docs --extra ray --extra page \
	  --extra browser --no-annotate $(ARGS) \
	  pyproject.toml --output-file constraints.txt

clean: ## remove what make set up and what the tools left
	rm -rf .venv .venv-bare .venv-docs .venv-ray .venv-uv build dist site .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp inside each environment says that it was finished.
$(UV):
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

# Compiled at once: where PYTHONDONTWRITEBYTECODE is set, each of the many processes of the tests would do it anew.
# What Python loads as it starts is copied into the environment.
.venv/.ready: pyproject.toml constraints.txt $(wildcard chatterbox_cached/patching/startup/*.p*) | $(UV)
	@$(FIND_PYTHON); set -x; $(UV) venv --quiet --clear --python "$$found" .venv
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --constraints constraints.txt \
	  --editable ".[chatterbox,dev]"
	@touch $@

.venv/.page: .venv/.ready
	$(UV) pip install --quiet --python $(BIN)/python --constraints constraints.txt --editable ".[browser]"
	@touch $@

.venv/.bench: .venv/.ready
	$(UV) pip install --quiet --python $(BIN)/python --constraints constraints.txt --editable ".[bench]"
	@touch $@

# An environment of its own: Ray brings 40 packages that nothing else needs, and moves some that Chatterbox has.
.venv-ray/.ready: pyproject.toml constraints.txt | $(UV)
	@$(FIND_PYTHON); set -x; $(UV) venv --quiet --clear --python "$$found" .venv-ray
	$(UV) pip install --quiet --compile-bytecode --python .venv-ray/bin/python --constraints constraints.txt \
	  --editable ".[chatterbox,ray,dev]"
	@touch $@

.venv-docs/.ready: pyproject.toml constraints.txt | $(UV)
	@$(FIND_PYTHON); set -x; $(UV) venv --quiet --clear --python "$$found" .venv-docs
	echo torch | $(UV) pip install --quiet --python $(DOCS_PYTHON) --constraints constraints.txt \
	  --excludes - --editable ".[docs]"
	@touch $@

build/matrix/python-%/.ready: pyproject.toml constraints.txt | $(UV)
	$(UV) venv --quiet --clear --python "$$($(UV) python find --system $*)" build/matrix/python-$*
	$(UV) pip install --quiet --compile-bytecode --python build/matrix/python-$*/bin/python \
	  --constraints constraints.txt --editable ".[chatterbox,dev]"
	@touch $@

# Newest main's own requirements without the pins of constraints.txt, and the newest PyTorch wherever it runs.
build/matrix/wide-%/.ready: pyproject.toml tests/matrix/wide.txt tests/matrix/distributions.py .venv/.ready | $(UV)
	$(UV) venv --quiet --clear --python "$$($(UV) python find --system $*)" build/matrix/wide-$*
	$(UV) pip install --quiet --compile-bytecode --python build/matrix/wide-$*/bin/python \
	  --overrides tests/matrix/wide.txt --editable ".[dev]" \
	  "$$($(BIN)/python -c 'from tests.matrix import distributions; print(distributions.MAIN_ITSELF.requirement)')"
	@touch $@

.venv-bare/.ready: pyproject.toml constraints.txt | $(UV)
	@$(FIND_PYTHON); set -x; $(UV) venv --quiet --clear --python "$$found" .venv-bare
	echo torch | $(UV) pip install --quiet --python .venv-bare/bin/python --constraints constraints.txt \
	  --excludes - --editable .
	@touch $@

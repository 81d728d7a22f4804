# `make up` and `make down` are all that a user needs; CONTRIBUTING.md explains the others.
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) tools/bootstrap.py

.PHONY: up down status test bench lint lock images clean

up:
	@$(BOOTSTRAP) -- kpl-lab up

down:
	@if [ -x .venv/bin/kpl-lab ]; then .venv/bin/kpl-lab down; else echo "Nothing was ever started here."; fi

status:
	@.venv/bin/kpl-lab status

test:
	@$(BOOTSTRAP) --dev -- python tools/check.py

lint:
	@$(BOOTSTRAP) --dev -- python tools/check.py --only lint

bench:
	@$(BOOTSTRAP) --dev -- python -m benchmarks

# Looks over all images, builds and tries some: `make images IMAGES="base pytorch-cpu"`; further
# words for tools/images.py in OPTIONS.
images:
	@$(BOOTSTRAP) --dev -- python -m tools.images $(IMAGES) $(OPTIONS)

# Chooses the newest versions that pyproject.toml allows and pins them all.
lock:
	@$(BOOTSTRAP) --dev -- python tools/lock.py

clean: down
	rm -rf .venv node_modules lib kpl_lab/labextension dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

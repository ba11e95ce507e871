# The one way in. Each target calls a script; the scripts say more.
SHELL := /bin/bash
.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## the whole system on this machine; Ctrl-C stops it (DETACH=1 returns when ready)
	@deploy/local/run.sh

.PHONY: stop
stop: ## stop what `make run` started
	@deploy/local/stop.sh

.PHONY: token
token: ## print an access token (USER=agent@acme.example)
	@deploy/local/token.sh $(if $(filter command,$(firstword $(origin USER))),$(USER))

.PHONY: clean-data
clean-data: ## stop and remove databases, secrets and logs of `make run`
	@deploy/local/stop.sh --remove-data

.PHONY: test
test: ## all tests on servers of their own (ARGS="-p portal-db" narrows)
	@deploy/local/test.sh run $(ARGS)

.PHONY: chaos
chaos: ## faults under load in their long form (CHAOS_SECONDS=60 each, CHAOS_SEED=n again, ARGS="f5_ f6_" narrows)
	@deploy/local/test.sh chaos $(ARGS)

.PHONY: bench
bench: ## what it costs and how fast it is, in a release build (reports in target/bench-*.md)
	@deploy/local/test.sh bench $(ARGS)

.PHONY: servers
servers: ## keep test servers up, for `. .local/test.env && cargo nextest run`
	@deploy/local/test.sh servers

.PHONY: servers-stop
servers-stop: ## stop those
	@deploy/local/test.sh servers-stop

.PHONY: lint
lint: ## every check that is not a test (ARGS="sql yaml" narrows)
	@deploy/checks/lint.sh $(ARGS)

.PHONY: schema
schema: ## write the diesel schema anew from the migrations
	@deploy/local/schema.sh

.PHONY: fmt
fmt: ## format the code
	@cargo fmt --all

# Everything that a person or the integration service runs. `make demo` and `make test` need nothing else than a Debian 12
# machine with the Rust toolchain; what else they need they install, or ask for.

CARGO ?= cargo

.PHONY: help demo test lint unit e2e test-api test-hostile test-cluster explore sim sim-soak bench-rollout bench-audit bench-link bench-agent bench-api bench-console bench-hostile bench-smoke fuzz kill-soak mutants packages test-packages test-packages-quick test-packages-foreign test-vm test-reproducible repository test-repository screenshots trace deny doc tools test-tools bench-tools hostile-tools vm-tools clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: tools ## the main job on 10 hospitals and 40 devices, under a minute after the build (KEEP=1 leaves it running)
	$(CARGO) build --workspace --exclude mdfm-postgres --locked
	target/debug/mdfm-demo

test: tools lint unit e2e sim bench-smoke ## everything that must pass before a change lands

lint: tools ## formatting and clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# One build for all of it: the end-to-end tests start the programs that this builds.
unit: tools ## unit and property tests beside the code, and the house rules
	$(CARGO) build --workspace --all-targets --locked
	$(CARGO) test --workspace --locked --lib --bins --test tidy

e2e: test-tools ## the real programs: MQTT, TLS, processes, kill -9 (MDFM_SEED=n repeats a run)
	$(CARGO) build --workspace --all-targets --locked
	$(CARGO) test --workspace --locked --test e2e -- --test-threads 2
	MDFM_BROKER=mosquitto $(CARGO) test --workspace --locked --test e2e -- --test-threads 2 front_door main_job fleet_link

test-api: hostile-tools ## the API against what schemathesis makes of its own document (SECONDS=n for each of three roles)
	$(CARGO) build --workspace --all-targets --locked
	test -x target/schemathesis/bin/schemathesis || { python3 -m venv target/schemathesis && target/schemathesis/bin/pip install --quiet 'schemathesis==4.32.5'; }
	target/debug/mdfm-test-api target/schemathesis/bin/schemathesis

test-hostile: test-tools ## every attack that has a test in one run, with a table of what was tried
	tests/hostile/attacks

test-cluster: tools ## where a cluster's log becomes durable: a real PostgreSQL 15 with a standby (skipped by name where it is not installed)
	$(CARGO) test --locked --package mdfm-postgres -- --test-threads 2 --nocapture

# Two threads take what they find; one more level of depth takes about thirty times as long.
explore: ## the installer in every order of inputs, losses, cuts and clock steps to a depth (DEPTH=n; docs/proofs.md)
	MDFM_DEPTH=$(or $(DEPTH),4) $(CARGO) test --release --locked --package mdfm-agent-core --lib -- explore --nocapture

SEEDS ?= 1000
FROM ?= 0
FRESH ?= 100
# The fixed worlds, then some that were never run before; their first seed is printed, and the command that runs them again.
sim: tools ## a thousand worlds in virtual time, the safety rules asked after every event; then new ones (SEEDS=n FROM=n FRESH=n)
	$(CARGO) build --workspace --all-targets --locked
	target/debug/mdfm-sim world --seeds $(SEEDS) --first-seed $(FROM)
	target/debug/mdfm-sim world --hostile --seeds 300 --first-seed $(FROM)
	target/debug/mdfm-sim world --set-back --seeds 50 --first-seed $(FROM)
	target/debug/mdfm-sim world --ward --seeds 50 --first-seed $(FROM)
	target/debug/mdfm-sim world --held --seeds 50 --first-seed $(FROM)
	target/debug/mdfm-sim world --witnesses --seeds 50 --first-seed $(FROM)
	target/debug/mdfm-sim world --fresh --seeds $(FRESH)
	target/debug/mdfm-sim world --fresh --hostile --seeds 30

# Variables given on the command line stand above these.
sim-soak: SEEDS = 100000
sim-soak: FIRST = $(if $(filter command line,$(origin FROM)),--first-seed $(FROM),--fresh)
sim-soak: tools ## a hundred thousand worlds that were never run before, with the optimised program (SEEDS=n FROM=n)
	$(CARGO) build --release --locked --package mdfm-simulators
	target/release/mdfm-sim world --seeds $(SEEDS) $(FIRST)
	target/release/mdfm-sim world --hostile --seeds $$(( $(SEEDS) / 10 )) $(FIRST)
	target/release/mdfm-sim world --witnesses --seeds $$(( $(SEEDS) / 10 )) $(FIRST)
	target/release/mdfm-sim world --ward --seeds $$(( $(SEEDS) / 10 )) $(FIRST)
	target/release/mdfm-sim world --set-back --seeds $$(( $(SEEDS) / 10 )) $(FIRST)
	target/release/mdfm-sim world --mixed --seeds $$(( $(SEEDS) / 10 )) $(FIRST)
	target/release/mdfm-sim world --held --seeds $$(( $(SEEDS) / 10 )) $(FIRST)

bench-rollout: tools ## the rollout engine on a million devices, two rounds (docs/benchmarks.md)
	$(CARGO) build --release --locked --package mdfm-simulators
	target/release/mdfm-sim scale --hospitals 200 --gateways 10000 --devices 100000
	target/release/mdfm-sim scale
	target/release/mdfm-sim scale --seed 2

bench-audit: tools ## the audit store with ten million records beside a plain file and sled (RECORDS=n)
	BENCH_DIR=$(CURDIR)/target/bench-audit $(CARGO) bench --locked --package mdfm-audit --bench audit

bench-link: test-tools ## the link to 5,000 gateways with real TLS and MQTT beside Mosquitto in front (GATEWAYS=n SECONDS=n ONLY=door)
	$(CARGO) build --release --locked --workspace --bins
	target/release/mdfm-bench-link

bench-agent: bench-tools ## the agent beside its floor: an image into a slot, idle, error to rollback; patches beside bsdiff, xdelta3, zstd (MIB=n ROUNDS=n DEVICES=n SECONDS=n ONLY=delta)
	$(CARGO) build --release --locked --workspace --bins
	target/release/mdfm-bench-agent

bench-api: tools ## the API with a hundred thousand devices: writes, reads, an upload beside dd (DEVICES=n SECONDS=n MIB=n)
	$(CARGO) build --release --locked --workspace --bins
	target/release/mdfm-bench-api

bench-console: test-tools ## the console with a hundred thousand devices and twenty readers: pages, bytes, first paint (DEVICES=n SECONDS=n BROWSER=0)
	$(CARGO) build --release --locked --workspace --bins
	target/release/mdfm-bench-console

bench-hostile: tools ## heartbeats, sign-ins and pauses beside each flood, and what it leaves (SECONDS=n ONLY=name CHECK=1)
	$(CARGO) build --release --locked --workspace --bins
	target/release/mdfm-bench-hostile

# The debug programs: their numbers mean nothing; tested is that each runs to its end. bench-audit and bench-api are not here yet.
bench-smoke: test-tools ## four benchmarks in a small form, under a minute after the build: that they run, not how fast
	$(CARGO) build --workspace --bins --locked
	target/debug/mdfm-sim scale --hospitals 10 --gateways 50 --devices 500
	SMOKE=1 GATEWAYS=20 SECONDS=1 HEARTBEATS=100 BATCHES=20 ONLY=door target/debug/mdfm-bench-link
	MIB=1 ROUNDS=1 ONLY=install target/debug/mdfm-bench-agent
	SECONDS=1 ONLY='wrong sign-ins' target/debug/mdfm-bench-hostile

FUZZ_SECONDS ?= 60
fuzz: tools ## every decoder of the agent and the wire against made-up bytes, a minute each (FUZZ_SECONDS=n); finds are kept in tests/fuzz
	@PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin"; command -v cargo-fuzz >/dev/null || $(CARGO) install --quiet --locked cargo-fuzz
	@PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin"; set -e; for target in documents log device state gateway packets patch parts; do \
	  cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none $$target tests/fuzz/corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -print_final_stats=1 || exit 1; \
	done

kill-soak: tools ## two hundred kill -9 at random moments among coordinator, agents and devices (MDFM_SEED=n repeats a run)
	$(CARGO) build --workspace --all-targets --locked
	MDFM_KILLS=200 $(CARGO) test --locked --package mdfm-tests --test e2e -- kill_anything

mutants: tools ## changes every condition of gates, triggers and engine and looks whether a test notices; takes long
	@PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin"; command -v cargo-mutants >/dev/null || $(CARGO) install --quiet --locked cargo-mutants
	PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin" CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 \
	  $(CARGO) mutants --package mdfm-coordinator-core --output target/mutants --timeout 60 \
	  --file coordinator/core/src/rollout/gate.rs --file coordinator/core/src/rollout/trigger.rs \
	  --file coordinator/core/src/rollout/step.rs --file coordinator/core/src/rollout/tally.rs -- --lib

packages: tools ## .deb and .rpm of every program for x86-64, arm64 and armhf, into target/packages (the release builds take their time)
	packaging/scripts/packages

test-packages: tools ## installs, upgrades and removes the packages in fresh roots, with systemd where it boots; as root
	tests/packages/run

test-packages-quick: tools ## the same life with .deb of the programs in target/debug, under three minutes after the build; as root
	$(CARGO) build --workspace --all-targets --locked
	tests/packages/run quick

test-packages-foreign: tools ## the agents of target/packages, each in a root of its architecture, from enrolment to rollback; as root
	$(CARGO) build --workspace --all-targets --locked
	tests/packages/foreign

test-vm: vm-tools ## the agent in a virtual machine whose power goes at random moments of installs and rollbacks, on ext4 (CUTS=n MDFM_SEED=n; docs/proofs.md)
	$(CARGO) build --workspace --exclude mdfm-postgres --bins --locked
	target/debug/mdfm-test-vm target/vm-kernel

repository: ## signed apt and dnf repositories out of target/packages, in target/repository (MDFM_REPOSITORY_KEY= MDFM_REPOSITORY_URL=)
	packaging/scripts/repository

test-repository: ## installs and upgrades from such repositories over HTTPS in fresh roots, and what must be refused; as root, after test-packages
	tests/packages/repository

test-reproducible: test-tools ## builds the last commit's packages in two folders, at two dates, as two users: the same bytes; as root (MDFM_ARCHES= MDFM_NAMES=)
	tests/packages/reproduce

screenshots: test-tools ## takes the pictures of the console for the documents, in a real browser (docs/pictures)
	$(CARGO) build --workspace --bins --locked
	target/debug/mdfm-screenshots

trace: tools ## writes docs/validation.md (requirement -> tests) docs/cli-reference.md and docs/start-record.md, lowers the numbers of tests/tidy/words.txt
	MDFM_WRITE=1 $(CARGO) test --workspace --locked --test tidy -- validation only_go_down
	MDFM_WRITE=1 $(CARGO) test --workspace --locked --bin mdfm-pages reference
	MDFM_WRITE=1 $(CARGO) test --workspace --locked --test e2e -- cli_27_the_real_path

deny: ## licences, sources and forbidden crates among the dependencies
	$(CARGO) fetch --locked
	@PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin"; command -v cargo-deny >/dev/null || { echo "installing cargo-deny (once, some minutes)"; $(CARGO) install --quiet --locked cargo-deny; }
	PATH="$$PATH:$${CARGO_HOME:-$$HOME/.cargo}/bin" $(CARGO) deny --offline check licenses bans sources

doc: ## the documentation of the code, private items too
	$(CARGO) doc --workspace --no-deps --document-private-items

# A C compiler links Rust programs and builds the one C library among the dependencies (ring).
tools:
	@packaging/scripts/tools

test-tools:
	@packaging/scripts/tools test

hostile-tools:
	@packaging/scripts/tools hostile

vm-tools:
	@packaging/scripts/tools vm

bench-tools:
	@packaging/scripts/tools bench

clean: ## removes what was built and what the demonstration left
	$(CARGO) clean
	@if [ -f demo-run/.mdfm-demo ]; then rm -rf demo-run; elif [ -e demo-run ]; then echo "demo-run was not made by the demonstration: left alone"; fi

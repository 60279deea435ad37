# `make demo` and `make test` need Rust and, on Debian, nothing else: what is missing is installed.

CARGO ?= cargo
FUZZ_SECONDS ?= 30
ICECORE_THRASH_SECONDS ?= 3600
ICECORE_SIMULATION_SEEDS ?= 10000
ICECORE_MANY_TABLES ?= 10000
ICECORE_MANY_ROWS ?= 25000000

.PHONY: help demo build test test-long lint format fuzz bench clean

help:
	@echo 'make demo    build icecore and show the main job on a SQLite database'
	@echo 'make test    run all tests'
	@echo 'make test-long  let many processes use one store for an hour while some are killed; ICECORE_THRASH_SEED=7 for another hour'
	@echo '             then restore ten thousand tables, and one of 25 million rows; before, simulate machines by 10,000 seeds'
	@echo 'make lint    formatting and clippy, warnings denied'
	@echo 'make fuzz    look for inputs that break a decoder or a scanner, 30 s for each; FUZZ_SECONDS=600 for longer'
	@echo 'make bench   compare with other tools on this machine; ICECORE_BENCH_FILES="night0 night1" for your own files'

demo: build
	$(CARGO) run --release --locked --quiet -p icecore-cli -- demo

build:
	scripts/install-packages build
	$(CARGO) build --release --locked -p icecore-cli

# Many tests wait for servers: twice as many at a time as there are cores keep those busy.
test: export RUST_TEST_THREADS ?= $(shell expr 2 '*' $$(nproc))
test:
	scripts/install-packages build test
	$(CARGO) test --workspace --locked

test-long:
	scripts/install-packages build test
	ICECORE_SIMULATION_SEEDS=$(ICECORE_SIMULATION_SEEDS) \
		$(CARGO) test --release --locked -p icecore-store --test it simulation:: -- --nocapture
	ICECORE_THRASH_SECONDS=$(ICECORE_THRASH_SECONDS) \
		$(CARGO) test --release --locked -p icecore-cli --test it test_thrash:: -- --nocapture
	ICECORE_MANY_TABLES=$(ICECORE_MANY_TABLES) ICECORE_MANY_ROWS=$(ICECORE_MANY_ROWS) \
		$(CARGO) test --release --locked -p icecore-cli --test it test_postgres::many:: -- --nocapture

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

format:
	$(CARGO) fmt --all

fuzz:
	scripts/install-packages build fuzz
	fuzz/run --all $(FUZZ_SECONDS)

bench: build
	scripts/install-packages bench
	$(CARGO) build --release --locked -p icecore-testkit --features s3 --example generate --example s3_server
	benches/compare.sh --output target/comparison.md
	benches/s3.sh --output target/s3.md

clean:
	$(CARGO) clean

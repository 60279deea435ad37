#!/bin/sh
# One night of a generated dump, by what happens to its rows and to how many of them: what it adds to a store that has the night before, and what
# a patch of the whole file would take. Each night is stored beside the first one alone.
#
#   benches/kinds.sh [SIZE]
set -eu
size=${1:-300MB}
cd "$(dirname "$0")/.."
cargo build --release --quiet --locked -p icecore-cli
cargo build --release --quiet --locked -p icecore-testkit --example generate
target=${CARGO_TARGET_DIR:-$PWD/target}/release
icecore=$target/icecore
work=$(mktemp -d "${ICECORE_BENCH_DIR:-/tmp}/icecore-kinds.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

generate() { "$target/examples/generate" --dialect postgres --size "$size" --seed 1 "$@"; }
# Stores a file in a store; says what it added, and how long it took.
create() {
    said=$("$icecore" --store "$1" --json create "$2" --name dump)
    added=$(field stored_bytes)
    took=$(field duration_ms)
}
field() { echo "$said" | sed "s/.*\"$1\":\([0-9]*\).*/\1/" | grep -E '^[0-9]+$'; }

generate --output "$work/night0.sql"
"$icecore" --store "$work/first" -q init > "$work/said"
create "$work/first" "$work/night0.sql"
first=$added
awk -v size="$(wc -c < "$work/night0.sql")" -v first="$first" -v took="$took" -v today="$(date -u +%F)" 'BEGIN {
    printf "A generated dump of %.1f MB, %s; its first snapshot takes %.1f MB and %.2f s.\n\n", size / 1e6, today, first / 1e6, took / 1e3 }'
printf '| rows | of them | added MB | patch-from MB | ratio | of the first | s |\n|---|---|---|---|---|---|---|\n'
for kind in inplace moved inserted; do
    for share in 0.001 0.01 0.05; do
        generate --night "$kind:$share" --output "$work/night1.sql"
        rm -rf "$work/store"
        cp -a "$work/first" "$work/store"
        create "$work/store" "$work/night1.sql"
        patch=$(zstd -q -3 --long=31 --patch-from="$work/night0.sql" "$work/night1.sql" -c | wc -c)
        awk -v kind="$kind" -v share="$share" -v added="$added" -v patch="$patch" -v first="$first" -v took="$took" 'BEGIN {
            printf "| %s | %.1f %% | %.3f | %.3f | %.2f | %.2f %% | %.2f |\n",
                kind, 100 * share, added / 1e6, patch / 1e6, added / patch, 100 * added / first, took / 1e3 }'
    done
done

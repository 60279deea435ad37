#!/bin/sh
# Thirty nights of a generated dump, of which 1 % of the rows changes every night: how large the store becomes, in units of its first
# snapshot, and how fast nights are given back, in units of the first one's speed. Each is read in turn with the first one, the best of six
# each: on a machine that others share, runs one after the other swing by a fifth.
#
#   benches/nights.sh [inplace|moved|inserted] [SIZE]
set -eu
kind=${1:-moved}
size=${2:-100MB}
nights=${ICECORE_BENCH_NIGHTS:-30}
cd "$(dirname "$0")/.."
cargo build --release --quiet --locked -p icecore-cli
cargo build --release --quiet --locked -p icecore-testkit --example generate
target=${CARGO_TARGET_DIR:-$PWD/target}/release
icecore=$target/icecore
generate=$target/examples/generate
work=$(mktemp -d "${ICECORE_BENCH_DIR:-/tmp}/icecore-nights.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

stored() { "$icecore" --store "$work/store" --json stats | sed 's/.*"stored_bytes": *\([0-9]*\).*/\1/' | grep -E '^[0-9]+$'; }
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
# The wall time of a restore, in tenths of a millisecond.
restore() {
    rm -f "$work/back"
    start=$(date +%s%N)
    "$icecore" --store "$work/store" -q restore "dump@night-$1" --to "$work/back" > "$work/said"
    echo $((($(date +%s%N) - start) / 100000))
}
least() { if [ -z "$1" ] || [ "$2" -lt "$1" ]; then echo "$2"; else echo "$1"; fi; }

"$icecore" --store "$work/store" -q init > "$work/said"
changes=
printf '%s nights of %s, %s: 1 %% of the rows %s every night\n\n' "$nights" "$size" "$(date -u +%F)" "$kind"
printf '| night | added | store in all | of the first |\n|---|---|---|---|\n'
night=0
before=0
first=
while [ "$night" -le "$nights" ]; do
    # shellcheck disable=SC2086 # one word each
    "$generate" --size "$size" --seed 1 $changes --output "$work/dump.sql"
    "$icecore" --store "$work/store" -q create "$work/dump.sql" --name dump --tag "night-$night" > "$work/said"
    now=$(stored)
    first=${first:-$now}
    case $night in 0 | 1 | *[05]) printf '| %s | %s | %s | %s |\n' "$night" $((now - before)) "$now" "$(ratio "$now" "$first")" ;; esac
    before=$now
    changes="$changes --night $kind:0.01"
    night=$((night + 1))
done
printf '\n| night | restore ms | night 0 meanwhile | speed, of the first | deltas |\n|---|---|---|---|---|\n'
for night in 1 5 10 20 "$nights"; do
    best=
    first=
    for _ in 1 2 3 4 5 6; do
        first=$(least "$first" "$(restore 0)")
        best=$(least "$best" "$(restore "$night")")
    done
    deep=$("$icecore" --store "$work/store" show "dump@night-$night" | sed -n 's/^Deltas *//p')
    printf '| %s | %s | %s | %s | %s |\n' "$night" "$((best / 10))" "$((first / 10))" "$(ratio "$first" "$best")" "${deep:-none}"
done

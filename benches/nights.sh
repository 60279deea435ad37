#!/bin/sh
# Thirty nights of a generated dump, of which 1 % of the rows changes every night: how large the store becomes, in units of its first
# snapshot, and how fast nights are given back, in units of the first one's speed (the best of five each).
#
#   benches/nights.sh [inplace|moved|inserted] [SIZE]
set -eu
kind=${1:-moved}
size=${2:-100MB}
nights=${ICECORE_BENCH_NIGHTS:-30}
cd "$(dirname "$0")/.."
cargo build --release --quiet --locked -p icecore-cli
cargo build --release --quiet --locked -p icecore-testkit --example generate
icecore=$PWD/target/release/icecore
generate=$PWD/target/release/examples/generate
work=$(mktemp -d "${ICECORE_BENCH_DIR:-/tmp}/icecore-nights.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

stored() { "$icecore" --store "$work/store" --json stats | sed 's/.*"stored_bytes": *\([0-9]*\).*/\1/' | grep -E '^[0-9]+$'; }
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
# The best wall time of a restore, in milliseconds, and the most memory of any, in KiB.
restore() {
    best=
    for _ in 1 2 3 4 5; do
        rm -f "$work/back"
        start=$(date +%s%N)
        "$icecore" --store "$work/store" -q restore "dump@night-$1" --to "$work/back" > "$work/said"
        took=$((($(date +%s%N) - start) / 100000))
        if [ -z "$best" ] || [ "$took" -lt "$best" ]; then best=$took; fi
    done
    echo "$best"
}

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
printf '\n| night | restore ms | speed, of the first | deltas |\n|---|---|---|---|\n'
fastest=
for night in 0 1 5 10 20 "$nights"; do
    took=$(restore "$night")
    fastest=${fastest:-$took}
    deep=$("$icecore" --store "$work/store" show "dump@night-$night" | sed -n 's/^Deltas *//p')
    printf '| %s | %s | %s | %s |\n' "$night" "$((took / 10))" "$(ratio "$fastest" "$took")" "${deep:-none}"
done

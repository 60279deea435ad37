#!/usr/bin/env bash
# Verifying and collecting while four others write. What is measured stands in README.md beside.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
icecore=$(realpath -m -- "${ICECORE:-$root/target/release/icecore}")
generate=$root/target/release/examples/generate
size=${ICECORE_BENCH_SIZE:-300MB}
runs=${ICECORE_BENCH_RUNS:-3}
work=$(mktemp -d "${ICECORE_BENCH_DIR:-${TMPDIR:-/tmp}}/icecore-busy-XXXXXX")
writers=()
trap 'stop_writers; rm -rf -- "$work"' EXIT

say() { echo "busy.sh: $*" >&2; }

for i in 1 2 3 4; do
    "$generate" --dialect postgres --size "$size" --seed "$i" --output "$work/dump$i"
done

# One writer: the same dump over and over, with a new modification time, so that it is read each time, and a small change.
write_for_ever() {
    local tool=$1 number=$2 round=0
    while true; do
        round=$((round + 1))
        echo "-- round $round of $number" >>"$work/dump$number"
        "create_$tool" "$number" >/dev/null 2>&1 || echo "$tool $number" >>"$work/failed"
    done
}

start_writers() {
    for i in 1 2 3 4; do
        write_for_ever "$1" "$i" &
        writers+=($!)
    done
    sleep 2
}

stop_writers() {
    for pid in "${writers[@]}"; do
        pkill -TERM -P "$pid" 2>/dev/null || true
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    writers=()
}

export RESTIC_REPOSITORY=$work/restic RESTIC_PASSWORD=benchmark RESTIC_CACHE_DIR=$work/restic-cache
create_icecore() { "$icecore" --store "$work/icecore" create "$work/dump$1" --name "source$1"; }
create_restic() { restic backup "$work/dump$1"; }
verify_icecore() { "$icecore" --store "$work/icecore" verify; }
verify_restic() { restic check --read-data --no-lock; }
collect_icecore() { "$icecore" --store "$work/icecore" gc --fence-after 24h; }

# timed WHAT COMMAND...: prints WHAT, seconds and kilobytes.
timed() {
    local what=$1
    shift
    if /usr/bin/time -f '%e %M' -o "$work/time" -- bash -c "$(declare -p icecore work RESTIC_REPOSITORY RESTIC_PASSWORD RESTIC_CACHE_DIR); $(declare -f "$1"); $1" >"$work/log" 2>&1; then
        echo "$what $(cat "$work/time")"
    else
        say "$what failed: $(tail -n 3 "$work/log")"
        echo "$what - -"
    fi
}

tools=(icecore)
command -v restic >/dev/null && tools+=(restic)
"$icecore" --store "$work/icecore" init >/dev/null
[ "${tools[-1]}" = icecore ] || restic init >/dev/null
for tool in "${tools[@]}"; do
    for i in 1 2 3 4; do "create_$tool" "$i" >/dev/null 2>&1; done
done

for run in $(seq "$runs"); do
    for tool in "${tools[@]}"; do
        timed "verify-idle-$tool" "verify_$tool"
        start_writers "$tool"
        timed "verify-busy-$tool" "verify_$tool"
        if [ "$tool" = icecore ]; then
            # The writers make snapshots all the time; the oldest goes.
            "$icecore" --store "$work/icecore" delete "source$((run % 4 + 1))~1" --yes >/dev/null 2>&1 || true
            timed "gc-busy-$tool" "collect_$tool"
        fi
        stop_writers
    done
done | tee "$work/results"
[ ! -s "$work/failed" ] || say "writers that failed: $(sort "$work/failed" | uniq -c | tr '\n' ';')"

echo
echo "| what | median s | RSS MB |"
echo "|---|---|---|"
cut -d' ' -f1 "$work/results" | sort -u | while read -r what; do
    grep "^$what " "$work/results" | sort -k2n | awk '{ s[NR] = $2; m[NR] = $3 } END { h = int((NR + 1) / 2); printf "| %s | %s | %.0f |\n", $1, s[h], m[h] * 1024 / 1e6 }'
done

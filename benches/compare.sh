#!/usr/bin/env bash
# Whole processes against other tools, on two nights of one dump. What is measured stands in README.md beside.
set -euo pipefail

usage() {
    cat <<'END'
Usage: benches/compare.sh [--output FILE]

Prints Markdown tables, and writes them to FILE.

ICECORE              the binary [target/release/icecore]
ICECORE_BENCH_FILES  "night0 night1": your own files instead of generated ones
ICECORE_BENCH_SIZE   how large the generated ones are [300MB]
ICECORE_BENCH_NIGHT  how their rows change in the night: inplace, moved or inserted, and how many of them [moved:0.01]
ICECORE_BENCH_RUNS   runs of each tool; medians are shown [3]
ICECORE_BENCH_DIR    where to work, on the disk to measure; about 8 times the size of a night is needed [a temporary directory]
END
}

say() { echo "compare.sh: $*" >&2; }
die() { say "$*"; exit 1; }

output=
while [ $# -gt 0 ]; do
    case $1 in
        --output) [ $# -ge 2 ] || { usage >&2; exit 2; }; output=$(realpath -m -- "$2"); shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
icecore=$(realpath -m -- "${ICECORE:-$root/target/release/icecore}")
generate=$root/target/release/examples/generate
size=${ICECORE_BENCH_SIZE:-300MB}
night=${ICECORE_BENCH_NIGHT:-moved:0.01}
runs=${ICECORE_BENCH_RUNS:-3}
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "ICECORE_BENCH_RUNS must be a number above 0, not $runs"
[ -x /usr/bin/time ] || die "/usr/bin/time is missing (Debian: time)"
[ -z "$output" ] || : >>"$output" || die "cannot write to $output"
nights=()
if [ -n "${ICECORE_BENCH_FILES:-}" ]; then
    read -r -a nights <<<"$ICECORE_BENCH_FILES"
    [ ${#nights[@]} -eq 2 ] || die 'ICECORE_BENCH_FILES must name two files: "night0 night1"'
    for i in 0 1; do
        [ -r "${nights[i]}" ] || die "cannot read ${nights[i]}"
        nights[i]=$(realpath -- "${nights[i]}")
    done
else
    [ -x "$generate" ] || die "$generate is missing: cargo build --release -p icecore-testkit --example generate"
fi

# Which tools

tools=()
absent=()
if [ -x "$icecore" ]; then
    tools+=(icecore icecore-encrypted)
else
    say "$icecore does not exist; comparing the others only"
    absent+=(icecore)
fi
for tool in restic rustic borg bupstash; do
    if command -v "$tool" >/dev/null; then tools+=("$tool"); else absent+=("$tool"); fi
done
if command -v zstd >/dev/null; then tools+=(zstd zstd-patch); else absent+=(zstd); fi
[ ${#tools[@]} -gt 0 ] || die "there is nothing to compare"

# Where to work; nothing of the user's own configuration, caches or keys is used

[ -z "${ICECORE_BENCH_DIR:-}" ] || mkdir -p -- "$ICECORE_BENCH_DIR"
work=$(mktemp -d -- "$(realpath -- "${ICECORE_BENCH_DIR:-${TMPDIR:-/tmp}}")/compare.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT TERM
for name in $(compgen -e); do
    case $name in RESTIC_* | RUSTIC_* | BORG_* | BUPSTASH_* | ICECORE_* | ZSTD_*) unset "$name" ;; esac
done
input=$work/input/dump.sql
repo=$work/repo
restored=$work/restored
home=$work/home
log=$work/log
results=$work/results
mkdir "$work/input"
: >"$results"
export LC_ALL=C XDG_CACHE_HOME=$home/cache XDG_CONFIG_HOME=$home/config XDG_DATA_HOME=$home/data
export XDG_STATE_HOME=$home/state
export RESTIC_CACHE_DIR=$home/restic RESTIC_REPOSITORY=$repo RESTIC_PASSWORD=benchmark
export RUSTIC_CACHE_DIR=$home/rustic RUSTIC_REPOSITORY=$repo RUSTIC_PASSWORD=benchmark
export BORG_BASE_DIR=$home/borg BORG_REPO=$repo BORG_PASSPHRASE=benchmark
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
export BUPSTASH_REPOSITORY=$repo BUPSTASH_KEY=$home/bupstash.key
export BUPSTASH_SEND_LOG=$home/bupstash.sendlog BUPSTASH_QUERY_CACHE=$home/bupstash.qcache

if [ ${#nights[@]} -eq 0 ]; then
    nights=("$work/night0.sql" "$work/night1.sql")
    data="generated PostgreSQL dump, a night of $night"
    say "generating two nights of $size"
    "$generate" --dialect postgres --size "$size" --seed 1 --output "${nights[0]}"
    "$generate" --dialect postgres --size "$size" --seed 1 --night "$night" --output "${nights[1]}"
else
    data="$(basename -- "${nights[0]}") and $(basename -- "${nights[1]}")"
fi

# Measuring

bytes_of() { du -sb --exclude='index.redb' -- "$1" | cut -f1; }

# A cache, as those of the others are, which the tables leave out; that of the last run is told below them.
note_index() { find "$repo" -name index.redb -printf '%s\n' >"$work/index_len"; }

# A command that is not timed, and only heard if it fails.
quietly() {
    "$@" >"$log" 2>&1 || { say "$tool: failed: $*"; tail -n 20 -- "$log" >&2; return 1; }
}

# measure OPERATION COMMAND...: the command's standard output goes to $stdout.
measure() {
    local operation=$1 before after
    shift
    before=$(bytes_of "$repo")
    sync
    if ! /usr/bin/time -f '%e %U %S %M' -o "$work/time" -- "$@" >"${stdout:-/dev/null}" 2>"$log"; then
        say "$tool: failed: $*"
        tail -n 20 -- "$log" >&2
        return 1
    fi
    after=$(bytes_of "$repo")
    # tool, operation, wall, cpu, KiB of memory, bytes added
    awk -v tool="$tool" -v operation="$operation" -v added=$((after - before)) \
        '{ printf "%s %s %s %.2f %s %s\n", tool, operation, $1, $2 + $3, $4, added }' "$work/time" >>"$results"
}

# The next night's dump takes the place of the last one's, as it would.
bring() { cp -- "${nights[$1]}" "$input"; }

same() {
    local file
    file=$(find "$restored" -type f)
    cmp -- "${nights[0]}" "$file" || { say "$tool: what was restored differs"; return 1; }
    rm -rf -- "$restored"
}

# One run of a tool: init, create NIGHT, restore of the first night, check.
run_icecore() {
    quietly "$icecore" --store "$repo" init "$@"
    bring 0
    measure first "$icecore" --store "$repo" create "$input" --name dump --tag first
    touch -- "$input"
    measure unchanged "$icecore" --store "$repo" create "$input" --name dump
    bring 1
    measure night1 "$icecore" --store "$repo" create "$input" --name dump
    measure restore "$icecore" --store "$repo" restore dump@first --to "$restored/dump.sql"
    same
    measure check "$icecore" --store "$repo" verify
    note_index
}

run_icecore-encrypted() {
    export ICECORE_PASSWORD=benchmark
    run_icecore --encrypt
}

run_restic() {
    quietly restic init
    cd -- "$work/input"
    bring 0
    measure first restic backup --tag first dump.sql
    touch -- "$input"
    measure unchanged restic backup dump.sql
    bring 1
    measure night1 restic backup dump.sql
    measure restore restic restore latest --tag first --target "$restored"
    same
    measure check restic check --read-data
}

run_rustic() {
    local id
    quietly rustic init
    cd -- "$work/input"
    bring 0
    measure first rustic backup dump.sql
    id=$(rustic snapshots --json 2>/dev/null | grep -oE '"id": *"[0-9a-f]{64}"' | grep -oE '[0-9a-f]{64}' | sed -n 1p)
    touch -- "$input"
    measure unchanged rustic backup dump.sql
    bring 1
    measure night1 rustic backup dump.sql
    measure restore rustic restore "$id" "$restored"
    same
    measure check rustic check --read-data
}

run_borg() {
    quietly borg init -e repokey-blake2
    cd -- "$work/input"
    bring 0
    measure first borg create ::first dump.sql
    touch -- "$input"
    measure unchanged borg create ::unchanged dump.sql
    bring 1
    measure night1 borg create ::night1 dump.sql
    cd -- "$restored"
    measure restore borg extract ::first
    cd -- "$work"
    same
    measure check borg check --verify-data
}

run_bupstash() {
    quietly bupstash init
    quietly bupstash new-key -o "$BUPSTASH_KEY"
    bring 0
    stdout=$work/id measure first bupstash put --quiet "$input"
    touch -- "$input"
    measure unchanged bupstash put --quiet "$input"
    bring 1
    measure night1 bupstash put --quiet "$input"
    stdout=$restored/dump.sql measure restore bupstash get --quiet "id=$(cat -- "$work/id")"
    same
}

run_zstd() {
    mkdir "$repo"
    bring 0
    measure first zstd -q -3 -T2 "$input" -o "$repo/first.zst"
    touch -- "$input"
    measure unchanged zstd -q -3 -T2 "$input" -o "$repo/unchanged.zst"
    bring 1
    measure night1 zstd -q -3 -T2 "$input" -o "$repo/night1.zst"
    measure restore zstd -q -d "$repo/first.zst" -o "$restored/dump.sql"
    same
    measure check zstd -q -t "$repo/first.zst" "$repo/unchanged.zst" "$repo/night1.zst"
}

# Needs the last night's dump uncompressed beside it, and has no first snapshot.
run_zstd-patch() {
    mkdir "$repo"
    bring 0
    measure unchanged zstd -q -3 --patch-from="${nights[0]}" "$input" -o "$repo/unchanged.patch"
    bring 1
    measure night1 zstd -q -3 --patch-from="${nights[0]}" "$input" -o "$repo/night1.patch"
}

load=$(cut -d' ' -f1 /proc/loadavg)
failed=()
for ((run = 1; run <= runs; run++)); do
    for tool in "${tools[@]}"; do
        [[ " ${failed[*]} " != *" $tool "* ]] || continue
        say "run $run of $runs: $tool"
        rm -rf -- "$repo" "$restored" "$home"
        mkdir "$restored" "$home"
        # Not in a condition: there, bash would go on after an error.
        set +e
        (set -e; trap - EXIT; cd -- "$work"; "run_$tool")
        status=$?
        set -e
        [ $status -ne 130 ] || exit 130
        [ $status -eq 0 ] || { say "$tool: left out"; failed+=("$tool"); }
    done
done

# The report

version_of() {
    case $1 in
        icecore) "$icecore" --version ;;
        restic) restic version | cut -d' ' -f1,2 ;;
        rustic | borg | bupstash) "$1" --version ;;
        zstd) zstd --version | grep -oE 'v[0-9.]+' | sed 's/^v/zstd /' ;;
    esac 2>/dev/null | head -n 1
}

versions=()
for tool in "${tools[@]}"; do
    version=$(version_of "$tool" || true)
    [ -z "$version" ] || versions+=("$version")
done
joined() { local IFS=, list; list=$*; echo "${list//,/, }"; }

report() {
    local night0 night1
    night0=$(stat -c %s -- "${nights[0]}")
    night1=$(stat -c %s -- "${nights[1]}")
    echo "# Comparison with other tools"
    echo
    awk -v a="$night0" -v b="$night1" -v data="$data" 'BEGIN { printf "Data: %s; %.1f and %.1f MB.\n", data, a / 1e6, b / 1e6 }'
    echo "Medians of $runs; $(nproc) cores, $(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo) of memory," \
        "$(df --output=fstype -- "$work" | tail -n 1), $(sed -n 's/^PRETTY_NAME="\(.*\)"$/\1/p' /etc/os-release), $(date +%F)."
    echo "Load average before the first run: $load. Of a busy machine, believe the sizes only."
    echo "Tools: $(joined "${versions[@]}")."
    [ ${#absent[@]} -eq 0 ] || echo "Not installed, and left out: $(joined "${absent[@]}")."
    [ ${#failed[@]} -eq 0 ] || echo "Failed, and left out: $(joined "${failed[@]}")."
    awk -v tools="${tools[*]}" -v failed="${failed[*]}" -v input="$night0" -v night1="$night1" '
        function median(key,    i, j, n, swap, values) {
            n = split(all[key], values, " ")
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && values[j - 1] + 0 > values[j] + 0; j--) {
                    swap = values[j]; values[j] = values[j - 1]; values[j - 1] = swap
                }
            lowest = values[1]; highest = values[n]
            return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
        }
        # Seconds, MB of memory, MB of the repository.
        function shown(measure, value) {
            return measure <= 2 ? sprintf("%.2f", value) : measure == 3 ? sprintf("%.0f", value * 1024 / 1e6) : \
                sprintf("%.2f", value / 1e6)
        }
        function ratio(tool, operation, measure, best) {
            if (!((tool, operation) in seen)) return "- | -"
            own = median(tool SUBSEP operation SUBSEP measure)
            return shown(measure, own) " | " (best > 0 ? sprintf("%.2f", own / best) : "-")
        }
        {
            for (i = 3; i <= 6; i++) all[$1, $2, i - 2] = all[$1, $2, i - 2] " " $i
            seen[$1, $2] = 1
        }
        END {
            split(failed, names, " ")
            for (i in names) for (key in seen) if (index(key, names[i] SUBSEP) == 1) delete seen[key]
            tool_count = split(tools, tool, " ")
            split("first unchanged night1 restore check", operation, " ")
            title["first"] = "First snapshot, into an empty repository"
            title["unchanged"] = "The same file again, read again"
            title["night1"] = "The next night"
            title["restore"] = "Restore of the first snapshot to a file"
            title["check"] = "Check that reads all data"
            split("wall s|cpu s|RSS MB|added MB", label, "|")
            for (o = 1; o <= 5; o++) {
                name = operation[o]; stores = o <= 3
                printf "\n## %s\n\n", title[name]
                print "| tool | wall s | min-max | " (o <= 4 ? "MB/s | " : "") "cpu s | RSS MB |" (stores ? " added MB |" : "")
                print "|---|---|---|---|---|" (o <= 4 ? "---|" : "") (stores ? "---|" : "")
                for (t = 1; t <= tool_count; t++) {
                    if (!((tool[t], name) in seen)) continue
                    key = tool[t] SUBSEP name SUBSEP
                    wall = median(key 1)
                    printf "| %s | %.2f | %.2f-%.2f | ", tool[t], wall, lowest, highest
                    if (o <= 4) printf "%s | ", (wall > 0 ? sprintf("%.0f", (name == "night1" ? night1 : input) / 1e6 / wall) : "-")
                    printf "%s | %s |", shown(2, median(key 2)), shown(3, median(key 3))
                    print (stores ? " " shown(4, median(key 4)) " |" : "")
                }
            }
            print "\n## icecore against the fastest, or smallest, peer\n"
            print "Below 1 is better than every peer. zstd is no peer: it keeps no snapshots.\n"
            print "| operation | measure | best peer | its value | icecore | ratio | encrypted | ratio |"
            print "|---|---|---|---|---|---|---|---|"
            for (o = 1; o <= 5; o++) for (m = 1; m <= (o <= 3 ? 4 : 3); m++) {
                best_tool = ""
                for (t = 1; t <= tool_count; t++) {
                    if (tool[t] ~ /^(icecore|zstd)/ || !((tool[t], operation[o]) in seen)) continue
                    value = median(tool[t] SUBSEP operation[o] SUBSEP m)
                    if (best_tool == "" || value < best) { best = value; best_tool = tool[t] }
                }
                if (best_tool == "") best = 0
                printf "| %s | %s | %s | %s | %s | %s |\n", operation[o], label[m], (best_tool == "" ? "-" : best_tool), \
                    (best_tool == "" ? "-" : shown(m, best)), ratio("icecore", operation[o], m, best), \
                    ratio("icecore-encrypted", operation[o], m, best)
            }
        }' "$results"
    [ ! -s "$work/index_len" ] || awk -v len="$(<"$work/index_len")" \
        'BEGIN { printf "\nThe index of icecore, which is left out of *added*: %.2f MB after both nights.\n", len / 1e6 }'
}

report | if [ -n "$output" ]; then tee -- "$output"; else cat; fi
[ ${#failed[@]} -eq 0 ] || exit 1

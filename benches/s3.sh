#!/usr/bin/env bash
# Push, pull and restore, beside what rclone needs to copy the same packs to and from the same server.
set -euo pipefail

usage() {
    cat <<'END'
Usage: benches/s3.sh [--output FILE]

Prints a Markdown table, and writes it to FILE.

ICECORE            the binary [target/release/icecore]
ICECORE_BENCH_SIZE how many bytes to store; they cannot be compressed [1G]
ICECORE_BENCH_RUNS runs of each; the table shows their medians [3]
ICECORE_BENCH_DIR  where to work; about 5 times the size is needed [a temporary directory]
END
}

say() { echo "s3.sh: $*" >&2; }
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
server=$root/target/release/examples/s3_server
size=${ICECORE_BENCH_SIZE:-1G}
runs=${ICECORE_BENCH_RUNS:-3}
[[ $runs =~ ^[1-9][0-9]*$ ]] || die "ICECORE_BENCH_RUNS must be a number above 0, not $runs"
[ -x "$icecore" ] || die "$icecore is missing: make build"
[ -x "$server" ] || die "$server is missing: cargo build --release -p icecore-testkit --features s3 --example s3_server"
for tool in rclone /usr/bin/time; do
    command -v "$tool" >/dev/null || die "$tool is missing: scripts/install-packages bench"
done

[ -z "${ICECORE_BENCH_DIR:-}" ] || mkdir -p -- "$ICECORE_BENCH_DIR"
work=$(mktemp -d -- "$(realpath -- "${ICECORE_BENCH_DIR:-${TMPDIR:-/tmp}}")/s3.XXXXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT TERM
for name in $(compgen -e); do
    case $name in ICECORE_* | RCLONE_* | AWS_* | *_proxy | *_PROXY) unset "$name" ;; esac
done
export LC_ALL=C HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config
mkdir -p "$HOME" "$XDG_CONFIG_HOME/rclone"

# As many requests at once as icecore makes, one for each file, and no second look at what was copied.
plain=(rclone copy --transfers 16 --checkers 16 --multi-thread-streams 0 --s3-upload-cutoff 200M --s3-no-check-bucket --s3-no-head
    --ignore-checksum)
cat >"$XDG_CONFIG_HOME/rclone/rclone.conf" <<'END'
[server]
type = s3
provider = Other
env_auth = true
force_path_style = true
list_version = 2
END

# timed NAME COMMAND...: adds a line of NAME, seconds, processor seconds and KiB of memory.
timed() {
    local name=$1
    shift
    sync
    /usr/bin/time -f "$name %e %U %S %M" -a -o "$work/times" "$@" >"$work/log" 2>&1 || {
        say "failed: $*"
        tail -n 20 "$work/log" >&2
        exit 1
    }
}
quietly() { "$@" >"$work/log" 2>&1 || { say "failed: $*"; tail -n 20 "$work/log" >&2; exit 1; }; }

push() { (cd "$work/here" && timed push "$icecore" push s3://bench/store); }
upload() { timed upload "${plain[@]}" "$work/here/.icecore/packs" server:bench/plain; }
pull() {
    mkdir "$work/there"
    (cd "$work/there" && quietly "$icecore" init --from s3://bench/store && timed pull "$icecore" pull origin)
}
# A pull ends when each pack is durable: so does this.
download() { timed download sh -c 'to=$1; shift; "$@" "$to" && find "$to" -type f -exec sync {} +' download "$work/downloaded" "${plain[@]}" server:bench/plain; }
restore() {
    rm -rf "$XDG_CACHE_HOME"
    timed restore "$icecore" --store s3://bench/store restore noise --to "$work/restored"
    cmp "$work/noise" "$work/restored" || die "what was restored is not what was stored"
}
in_turn() { if [ $((run % 2)) -eq 1 ]; then "$1" && "$2"; else "$2" && "$1"; fi; }

serve() {
    coproc SERVER { exec "$server" --dir "$work" --bucket bench; }
    local line
    for _ in 1 2 3 4 5 6 7; do
        read -r line <&"${SERVER[0]}" || die "the server did not start"
        export "${line?}"
    done
    export RCLONE_S3_ENDPOINT=$AWS_ENDPOINT_URL
}
stop_serving() {
    local pid=$SERVER_PID
    eval "exec ${SERVER[1]}>&-"
    wait "$pid"
}

say "making a store with $size that cannot be compressed"
mkdir "$work/here"
# The same bytes each time.
head -c "$size" /dev/zero | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 -nosalt 2>/dev/null >"$work/noise" || true
(cd "$work/here" && quietly "$icecore" init && quietly "$icecore" create "$work/noise")
bytes=$(du -sb "$work/here/.icecore/packs" | cut -f1)
for ((run = 1; run <= runs; run++)); do
    say "run $run of $runs"
    serve
    in_turn push upload
    in_turn pull download
    restore
    rm -rf "$work/there" "$work/downloaded" "$work/restored"
    stop_serving
done

median() { sort -n | awk '{ values[NR] = $1 } END { print values[int((NR + 1) / 2)] }'; }
of() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$work/times" | median; }
ratio() {
    paste <(awk -v name="$1" '$1 == name { print $2 }' "$work/times") <(awk -v name="$2" '$1 == name { print $2 }' "$work/times") |
        awk '{ print $2 / $1 }' | median
}
row() {
    local seconds
    seconds=$(of "$1" 2)
    awk -v what="$2" -v bytes="$bytes" -v seconds="$seconds" -v user="$(of "$1" 3)" -v sys="$(of "$1" 4)" -v memory="$(of "$1" 5)" -v ratio="$3" \
        'BEGIN { printf "| %s | %.2f s | %.0f MB/s | %.1f s | %.0f MiB | %s |\n", what, seconds, bytes / 1e6 / seconds, user + sys, memory / 1024, ratio }'
}
{
    echo "$(du -sb --apparent-size "$work/noise" | cut -f1) bytes in $(find "$work/here/.icecore/packs" -type f | wc -l) packs; medians of $runs runs."
    echo
    echo "| | time | speed | processor | memory | of the plain copy's speed |"
    echo "|---|---:|---:|---:|---:|---:|"
    row upload "upload of the packs, rclone" ""
    row push "icecore push" "$(ratio push upload)"
    row download "download of the packs, rclone and sync" ""
    row pull "icecore pull" "$(ratio pull download)"
    row restore "icecore restore from S3, no cache" "$(ratio restore download)"
} | if [ -n "$output" ]; then tee -- "$output"; else cat; fi

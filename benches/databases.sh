#!/usr/bin/env bash
# Two nights of real databases: private PostgreSQL, MariaDB and Redis servers are filled, dumped by their own tools, changed, and dumped again;
# Redis is restarted in between, which puts its keys into another order.
# What is measured stands in README.md beside.
set -euo pipefail
size=${ICECORE_BENCH_SIZE:-300MB}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
cargo build --release --quiet --locked -p icecore-cli
cargo build --release --quiet --locked -p icecore-testkit --example generate
icecore=$root/target/release/icecore
generate=$root/target/release/examples/generate
work=$(mktemp -d "${ICECORE_BENCH_DIR:-/tmp}/icecore-databases.XXXXXX")
chmod 755 "$work"
server=
# Servers refuse to be run by root.
plain=()
[ "$(id -u)" -ne 0 ] || plain=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
stop() { [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; }; }
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
say() { echo "databases.sh: $*" >&2; }

# The first of several places where a program may be.
program() {
    local path
    for path in "$@"; do
        [ ! -x "$path" ] || { echo "$path"; return; }
    done
    say "$(basename "$1") is missing: scripts/install-packages databases"
    exit 1
}

own() { mkdir -p "$1"; [ "$(id -u)" -ne 0 ] || chown nobody:nogroup "$1"; }
wait_for() { for _ in $(seq 300); do "$@" >"$work/ping" 2>&1 && return; sleep 0.1; done; cat "$work/ping" >&2; return 1; }

start_postgres() {
    local bin
    bin=$(dirname "$(program /usr/lib/postgresql/*/bin/initdb /usr/bin/initdb)")
    own "$work/pg"
    "${plain[@]}" "$bin/initdb" -D "$work/pg" -U postgres -A trust -E UTF8 --no-sync >"$work/initdb.log"
    "${plain[@]}" "$bin/postgres" -D "$work/pg" -k "$work/pg" -c listen_addresses= -c fsync=off -c max_wal_size=4GB >"$work/pg.log" 2>&1 &
    server=$!
    wait_for psql -h "$work/pg" -U postgres -c 'SELECT 1'
}
fill_postgres() { sql_postgres <"$work/fill.sql"; }
change_postgres() { changes | sql_postgres; }
same_postgres() { cmp "$1" "$2"; }
sql_postgres() { psql -q -v ON_ERROR_STOP=1 -h "$work/pg" -U postgres -d postgres "$@"; }
dump_postgres() { pg_dump -h "$work/pg" -U postgres postgres; }

start_mariadb() {
    own "$work/maria"
    "${plain[@]}" "$(program /usr/bin/mariadb-install-db)" --datadir="$work/maria" --auth-root-authentication-method=normal \
        --skip-test-db >"$work/install.log" 2>&1
    "${plain[@]}" "$(program /usr/sbin/mariadbd)" --no-defaults --datadir="$work/maria" --socket="$work/maria/socket" --skip-networking \
        --innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=512M --pid-file="$work/maria/pid" >"$work/maria.log" 2>&1 &
    server=$!
    wait_for mariadb --no-defaults -S "$work/maria/socket" -u root -e 'SELECT 1'
    mariadb --no-defaults -S "$work/maria/socket" -u root -e 'CREATE DATABASE shop'
}
fill_mariadb() { sql_mariadb <"$work/fill.sql"; }
change_mariadb() { changes | sql_mariadb; }
same_mariadb() { cmp "$1" "$2"; }
sql_mariadb() { mariadb --no-defaults -S "$work/maria/socket" -u root shop; }
dump_mariadb() { mariadb-dump --no-defaults -S "$work/maria/socket" -u root --single-transaction shop; }

start_redis() {
    own "$work/redis"
    "${plain[@]}" "$(program /usr/bin/redis-server)" --port 0 --unixsocket "$work/redis/socket" --dir "$work/redis" --save '' \
        --enable-debug-command yes >"$work/redis.log" 2>&1 &
    server=$!
    wait_for redis_loaded
}
redis() { redis-cli -s "$work/redis/socket" "$@"; }
redis_loaded() { redis PING | grep -qx PONG; }
# Every line of the filling as a key; those of which the awk condition is true.
keys() {
    LC_ALL=C awk -v prefix="$2" "$1"' && length($0) < 100000 {
        key = "row:" NR; value = prefix $0
        printf "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", length(key), key, length(value), value
    }' "$work/fill.sql"
}
fill_redis() { keys 1 '' | redis --pipe; }
change_redis() {
    redis SHUTDOWN NOSAVE || true
    stop
    start_redis
    keys 'NR % 100 == 17' 'Changed: ' | redis --pipe >"$work/said"
}
dump_redis() { redis SAVE >"$work/said" && cat "$work/redis/dump.rdb"; }
# Loads what came back: the same keys and values, in whatever order.
same_redis() {
    local saved loaded
    cp "$1" "$work/redis/dump.rdb" && start_redis && saved=$(redis DEBUG DIGEST) && stop
    cp "$2" "$work/redis/dump.rdb" && start_redis && loaded=$(redis DEBUG DIGEST) && stop
    [ "$saved" = "$loaded" ]
}

# One row of a hundred in each table, all over it.
changes() {
    cat <<END
UPDATE articles SET title = concat('Changed: ', title), updated_at = '2026-11-21 03:00:00' WHERE id % 100 = 17;
UPDATE customers SET balance = balance + 1.5, city = 'Elsewhere' WHERE id % 100 = 17;
UPDATE events SET attempts = attempts + 1, handled_at = '2026-11-21 03:00:00' WHERE id % 100 = 17;
UPDATE order_lines SET quantity = quantity + 1, updated_at = '2026-11-21 03:00:00' WHERE id % 100 = 17;
UPDATE orders SET total = total + 1, updated_at = '2026-11-21 03:00:00' WHERE id % 100 = 17;
UPDATE products SET stock = stock + 1, price = price + 0.1 WHERE id % 100 = 17;
END
}

stored() { du -sb --exclude='index*' "$work/store" | cut -f1; }
timed() { /usr/bin/time -f %e -o "$work/took" "$@" >"$work/said"; }

measure() {
    local engine=$1 before first night patch took_first took_night
    say "$engine: filling"
    "start_$engine"
    "$generate" --dialect "$2" --size "$size" --seed 1 --output "$work/fill.sql"
    "fill_$engine" >"$work/said"
    say "$engine: dumping twice"
    "dump_$engine" >"$work/night0.sql"
    "change_$engine"
    "dump_$engine" >"$work/night1.sql"
    stop
    rm -rf "$work/store"
    "$icecore" --store "$work/store" -q init >"$work/said"
    before=$(stored)
    cp "$work/night0.sql" "$work/dump.sql"
    timed "$icecore" --store "$work/store" -q create "$work/dump.sql" && took_first=$(<"$work/took")
    first=$(($(stored) - before))
    cp "$work/night1.sql" "$work/dump.sql"
    timed "$icecore" --store "$work/store" -q create "$work/dump.sql" && took_night=$(<"$work/took")
    night=$(($(stored) - before - first))
    "$icecore" --store "$work/store" -q restore dump.sql --to "$work/back.sql" >"$work/said"
    "same_$engine" "$work/night1.sql" "$work/back.sql"
    rm "$work/back.sql"
    patch=$(zstd -q -3 --long=31 --patch-from="$work/night0.sql" "$work/night1.sql" -c | wc -c)
    awk -v e="$engine" -v d="$(stat -c %s "$work/night1.sql")" -v f="$first" -v n="$night" -v p="$patch" -v tf="$took_first" -v tn="$took_night" \
        'BEGIN { printf "| %s | %.1f | %.2f | %.3f | %.2f %% | %.3f | %.2f | %s | %s |\n", e, d / 1e6, f / 1e6, n / 1e6, 100 * n / f, p / 1e6, n / p, tf, tn }' \
        >>"$work/table"
}

measure postgres postgres
measure mariadb mariadb
measure redis postgres
printf 'Dumps of real servers, 1 %% of the rows of every table changed by UPDATE between them, or 1 %% of the keys by SET after a restart; %s.\n\n' "$(date -u +%F)"
printf '| database | dump MB | first MB | night MB | of the first | patch-from MB | of patch-from | first s | night s |\n|---|---|---|---|---|---|---|---|---|\n'
cat "$work/table"

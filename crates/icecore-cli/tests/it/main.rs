//! The program as its users meet it: every test runs the real binary in an environment of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod small_disk;
mod support;
mod thrash;

mod test_bad_input;
mod test_base_backup;
mod test_busy;
mod test_check;
mod test_client;
mod test_completions;
mod test_create;
mod test_damage;
mod test_delete;
mod test_demo;
mod test_docs;
mod test_forgotten;
mod test_full_disk;
mod test_gc;
mod test_golden;
mod test_init;
mod test_interrupt;
mod test_key;
mod test_limits;
mod test_list;
mod test_mysql;
mod test_mysql_swap;
mod test_nights;
mod test_output;
mod test_parity;
mod test_postgres;
mod test_postgres_table;
mod test_read_only;
mod test_redis;
mod test_restore;
mod test_show;
mod test_snapshot_alias;
mod test_sqlite;
mod test_stats;
mod test_tag;
mod test_terminal;
mod test_thrash;
mod test_tls;
mod test_unchanged;
mod test_verify;

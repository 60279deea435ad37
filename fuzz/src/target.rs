//! The list of targets, and the bounds that hold for all of them.

use peak_alloc::PeakAlloc;

use crate::{catalog, dump, names, objects, pack, parity, records, select, stream, tree, units_target};

/// Counts what is in use, in whatever program this library is part of.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a target may take for itself, in bytes: buffers of a fixed size.
const MEMORY_MIN: usize = 16 << 20;
/// What it may take for each byte of input.
const MEMORY_PER_BYTE: usize = 64;

/// A piece of the program, and what must hold of it for every input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As `fuzz/run` and the folders of the corpus call it.
    pub name: &'static str,
    check: fn(&[u8]),
}

impl Target {
    /// The target with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Runs the code on `input`.
    ///
    /// # Panics
    /// If it panics, if something does not hold that should, or if more memory was in use than the input can justify.
    /// What other threads take meanwhile is counted too.
    pub fn run(&self, input: &[u8]) {
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        (self.check)(input);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        let allowed = MEMORY_MIN + MEMORY_PER_BYTE * input.len();
        assert!(taken <= allowed, "{taken} bytes of memory for {} bytes of input", input.len());
    }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "catalog", check: catalog::parts },
    Target { name: "claim", check: objects::claim },
    Target { name: "condemned", check: objects::condemned },
    Target { name: "config", check: objects::config },
    Target { name: "duration", check: units_target::duration },
    Target { name: "epoch", check: objects::epoch },
    Target { name: "index_record", check: records::pack_record },
    Target { name: "key_file", check: objects::key_file },
    Target { name: "label", check: objects::label },
    Target { name: "manifest", check: objects::manifest },
    Target { name: "mysql_script", check: dump::mysql_script },
    Target { name: "names", check: names::object_names },
    Target { name: "object", check: objects::any_object },
    Target { name: "pack", check: pack::whole },
    Target { name: "pack_header", check: pack::header },
    Target { name: "pack_table", check: pack::table },
    Target { name: "pack_trailer", check: pack::trailer },
    Target { name: "parity", check: parity::heal },
    Target { name: "part_name", check: names::part_name },
    Target { name: "pg_script", check: dump::script },
    Target { name: "policy", check: select::policy },
    Target { name: "rdb", check: stream::rdb },
    Target { name: "residue", check: pack::residue },
    Target { name: "scan_any", check: dump::any },
    Target { name: "scan_mysqldump", check: dump::mysqldump },
    Target { name: "scan_pg_dump", check: dump::pg_dump },
    Target { name: "scan_pg_dumpall", check: dump::pg_dumpall },
    Target { name: "scan_tar", check: dump::tar },
    Target { name: "selector", check: select::selector },
    Target { name: "settings", check: select::settings },
    Target { name: "share", check: units_target::share },
    Target { name: "size", check: units_target::size },
    Target { name: "source", check: select::source },
    Target { name: "stream", check: stream::capture },
    Target { name: "time_point", check: select::time_point },
    Target { name: "tree_node", check: tree::node },
];

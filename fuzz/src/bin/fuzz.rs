//! One target under libFuzzer: `ICECORE_FUZZ_TARGET` names it, the arguments are libFuzzer's own. See `fuzz/run`.
#![no_main]

use std::sync::LazyLock;

use icecore_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("ICECORE_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).unwrap_or_else(|| panic!("ICECORE_FUZZ_TARGET names no target: {name:?}"))
});

fuzz_target!(|input: &[u8]| TARGET.run(input));

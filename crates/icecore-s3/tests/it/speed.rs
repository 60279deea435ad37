//! How fast bytes move; for whoever wants to know: `cargo test -p icecore-s3 --test it speed -- --ignored --nocapture`.

use std::thread;
use std::time::Instant;

use icecore_storage::{PutMode, Storage as _};

use crate::support::{Place, noise};

#[test]
#[ignore = "a measurement"]
fn speed_of_packs() {
    let place = Place::new();
    let storage = place.storage();
    let pack = noise(32 << 20);
    let count = 16;
    for threads in [1, 2, 4] {
        let mib = f64::from(32 * count);
        let begun = Instant::now();
        each(threads, count, |at| {
            storage.put(&format!("packs/{threads}-{at}"), &pack, PutMode::CreateNew).unwrap();
        });
        let put = mib / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        each(threads, count, |at| {
            assert_eq!(storage.get(&format!("packs/{threads}-{at}")).unwrap().len(), pack.len());
        });
        let get = mib / begun.elapsed().as_secs_f64();
        println!("{threads} at once: put {put:.0} MiB/s, get {get:.0} MiB/s");
    }
}

fn each(threads: i32, count: i32, work: impl Fn(i32) + Sync) {
    thread::scope(|scope| {
        for first in 0..threads {
            let work = &work;
            scope.spawn(move || (first..count).step_by(usize::try_from(threads).unwrap()).for_each(work));
        }
    });
}

//! Chunks through as many deltas as it takes.
//!
//! Nothing is decoded for the sake of what is coded on it. A range of a chunk that lies deep is followed through the deltas, part by part,
//! down to literals of residues and to runs that are plain; only there bytes are copied, once. A night's changes so cost a few more parts,
//! not another pass over the data.
//!
//! A base lies less deep than what is coded on it, and a part has a byte at least: that bounds the recursion and the work.

use std::cell::{Cell, LazyCell, OnceCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use icecore_format::{Base, PackId, Segment, ShortId, TocChunk};

use crate::index::{ChunkPlace, IndexReader};
use crate::pack::{ChunkSpan, DeltaRun, Frame, OpenPack};
use crate::store::Store;
use crate::{Result, StoreError};

/// Bytes of frames that are remembered from one chunk to the next; nearly all of them are in the cache as well.
const HELD_MAX: usize = 32 << 20;
/// Bytes of frames that one chunk may need: far more than anybody writes in earnest.
const HELD_FOR_ONE_MAX: usize = 512 << 20;
/// What a listing takes for each chunk.
const LISTED_LEN: usize = 36;
/// How often a pack that something is coded on may be gone when it is read.
const GONE_MAX: u32 = 5;

/// Reads chunks of neighbouring runs, and remembers what they are coded on. For a few runs: what it has seen it keeps.
#[derive(Debug)]
pub(crate) struct Assembler<'s> {
    store: &'s Store,
    views: HashMap<(PackId, usize), Rc<View>>,
    /// Bytes of all frames in `views`.
    held: usize,
}

/// A run that something is read from.
#[derive(Debug)]
struct View {
    pack: Arc<OpenPack>,
    run: usize,
    frame: Frame,
    /// If it is a delta, once it was asked for.
    delta: OnceCell<DeltaView>,
    /// What the table lists before the run's body, once it was asked for.
    listing: OnceCell<Vec<u8>>,
}

/// A run that is a delta.
#[derive(Debug)]
struct DeltaView {
    delta: Arc<DeltaRun>,
    /// For each base its run, once it was asked for.
    bases: Vec<OnceCell<Rc<View>>>,
    /// The copy and the base that were used last: the next range is likely to start there.
    copy: Cell<usize>,
    base: Cell<usize>,
}

impl<'s> Assembler<'s> {
    pub(crate) fn new(store: &'s Store) -> Self {
        Self { store, views: HashMap::new(), held: 0 }
    }

    /// Lets a body be read from a frame that is at hand.
    pub(crate) fn seed(&mut self, pack: &Arc<OpenPack>, run: usize, frame: Frame) {
        self.add(Arc::clone(pack), run, frame);
    }

    /// A chunk's bytes, checked by its id. The error names what is damaged, be it something that the chunk is coded on.
    pub(crate) fn chunk(&mut self, pack: &Arc<OpenPack>, span: &ChunkSpan) -> Result<Bytes> {
        let mut gone = 0;
        if self.held > HELD_MAX {
            self.let_go();
        }
        loop {
            match self.try_chunk(pack, span) {
                // A collection rewrote a pack that this one is coded on.
                Err(Failure::Gone(id, _)) if id != pack.id && gone < GONE_MAX => {
                    gone += 1;
                    self.let_go();
                    self.store.packs.forget(&id);
                    self.store.forget_if_gone(&id)?;
                }
                Ok(bytes) => return Ok(bytes),
                Err(Failure::Nonsense) => return Err(pack.damaged()),
                Err(Failure::Gone(_, error) | Failure::Error(error)) => return Err(error),
            }
        }
    }

    fn try_chunk(&mut self, pack: &Arc<OpenPack>, span: &ChunkSpan) -> Read<Bytes> {
        let id = pack.chunk_at(span).ok_or(Failure::Nonsense)?.id;
        let view = self.view(pack, span.run)?;
        let bytes = match &view.frame {
            Frame::Plain(plain) => {
                let end = span.offset.saturating_add(span.len).min(plain.len());
                plain.slice(span.offset.min(end)..end)
            }
            Frame::Residue(_) => {
                let mut out = Joined(Vec::with_capacity(span.len));
                match self.follow(&view, range_of(span), &mut out) {
                    // What was read so far is wrong then, and somebody is to blame.
                    Ok(()) | Err(Failure::Nonsense) => out.0.into(),
                    Err(failure) => return Err(failure),
                }
            }
            Frame::Rotten => Bytes::new(),
        };
        if self.store.key.chunk_id(&bytes) == id {
            return Ok(bytes);
        }
        self.blame(&view, span)?;
        Err(Failure::chunk(pack, span))
    }

    /// How many bytes of a run come from which plain chunks, directly or not. A base that `is_end` of a chain counts as an origin as well,
    /// whatever it is coded on.
    pub(crate) fn origins<E>(&mut self, pack: &Arc<OpenPack>, number: usize, is_end: E) -> Result<Vec<Origin>>
    where
        E: Fn(&PackId, u32) -> bool,
    {
        let mut origins = Origins { is_end, found: Vec::new(), known: HashMap::new() };
        for span in pack.spans(number) {
            let followed =
                self.view(pack, number).and_then(|view| self.follow(&view, range_of(&span), &mut origins));
            match followed {
                Ok(()) => (),
                Err(Failure::Nonsense) => return Err(pack.damaged()),
                Err(Failure::Gone(_, error) | Failure::Error(error)) => return Err(error),
            }
        }
        Ok(origins.found)
    }

    /// Gives `out` a range of a run, part by part.
    fn follow(&mut self, view: &Rc<View>, range: Range<u32>, out: &mut impl Parts) -> Read<()> {
        let residue = match &view.frame {
            Frame::Plain(plain) => return out.plain(view, plain, range),
            Frame::Residue(residue) => residue,
            Frame::Rotten => return Err(Failure::Nonsense),
        };
        let delta = self.delta(view)?;
        let mut segments = delta.delta.layout.segments(range, delta.copy.get()).ok_or(Failure::Nonsense)?;
        for segment in &mut segments {
            match segment {
                Segment::Literal { from, len } => out.literals(residue.literals(), from, len)?,
                Segment::Base { from, len } => self.follow_base(view, delta, from, len, out)?,
            }
        }
        delta.copy.set(segments.near());
        Ok(())
    }

    /// Gives `out` a range of a run's bases.
    fn follow_base(
        &mut self,
        of: &View,
        view: &DeltaView,
        mut from: u32,
        mut len: u32,
        out: &mut impl Parts,
    ) -> Read<()> {
        let DeltaView { delta, bases, .. } = view;
        while len > 0 {
            let Some((number, base)) = delta.base_at(from, view.base.get()) else {
                // Behind the last base comes the listing.
                if of.listing.get().is_none() {
                    self.held += of.pack.toc.chunk_count() * LISTED_LEN;
                }
                let at = from.checked_sub(delta.bases_len).ok_or(Failure::Nonsense)?;
                return out.literals(of.listing(), at as usize, len);
            };
            view.base.set(number);
            let (Some((pack, span)), Some(known)) = (&base.found, bases.get(number)) else {
                return Err(StoreError::ChunkMissing { chunk: base.id }.into());
            };
            let now = len.min(base.start + base.len - from);
            if out.ends_at(pack, span, now) {
                from += now;
                len -= now;
                continue;
            }
            let run = match known.get() {
                Some(run) => run,
                None => {
                    let run = self.view(pack, span.run)?;
                    if matches!(run.frame, Frame::Rotten) {
                        return Err(Failure::chunk(pack, span));
                    }
                    known.get_or_init(|| run)
                }
            };
            let start = to_u32(span.offset).saturating_add(from - base.start);
            match self.follow(run, start..start.saturating_add(now), out) {
                // It is the base that makes no sense.
                Err(Failure::Nonsense) => return Err(Failure::chunk(pack, span)),
                followed => followed?,
            }
            from += now;
            len -= now;
        }
        Ok(())
    }

    /// An error that names the base because of which a chunk is not what it should be, if there is one.
    fn blame(&mut self, view: &Rc<View>, span: &ChunkSpan) -> Read<()> {
        let Frame::Residue(_) = view.frame else { return Ok(()) };
        let delta = match self.delta(view) {
            Ok(delta) => Arc::clone(&delta.delta),
            Err(Failure::Nonsense) => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let Some(segments) = delta.layout.segments(range_of(span), 0) else { return Ok(()) };
        let of_base = |segment| match segment {
            Segment::Base { from, len } => Some(from..from.saturating_add(len)),
            Segment::Literal { .. } => None,
        };
        let mut used = BTreeSet::new();
        for range in segments.filter_map(of_base) {
            let first = delta.bases.partition_point(|base| base.start + base.len <= range.start);
            let met = delta.bases.iter().enumerate().skip(first);
            used.extend(met.take_while(|(_, base)| base.start < range.end).map(|(number, _)| number));
        }
        for base in used.into_iter().filter_map(|number| delta.bases.get(number)) {
            if let Some((pack, span)) = &base.found {
                self.try_chunk(pack, span)?;
            }
        }
        Ok(())
    }

    /// A run as a delta.
    fn delta<'v>(&mut self, view: &'v View) -> Read<&'v DeltaView> {
        if let Some(delta) = view.delta.get() {
            return Ok(delta);
        }
        let (Frame::Residue(residue), Some((place, _))) = (&view.frame, view.pack.run(view.run)) else {
            return Err(Failure::Nonsense);
        };
        let delta = match self.store.packs.known_delta(&view.pack.id, view.run) {
            Some(delta) => delta,
            None => {
                self.held += residue.layout_weight(place.within);
                if self.held > HELD_FOR_ONE_MAX {
                    return Err(Failure::Nonsense);
                }
                let layout = residue.layout(place.within).ok_or(Failure::Nonsense)?;
                self.store.delta_run(&view.pack, view.run, layout)?
            }
        };
        let bases = delta.bases.iter().map(|_| OnceCell::new()).collect();
        let made = DeltaView { delta, bases, copy: Cell::new(0), base: Cell::new(0) };
        Ok(view.delta.get_or_init(|| made))
    }

    fn view(&mut self, pack: &Arc<OpenPack>, run: usize) -> Read<Rc<View>> {
        if let Some(view) = self.views.get(&(pack.id, run)) {
            return Ok(Rc::clone(view));
        }
        let (place, _) = pack.run(run).ok_or(Failure::Nonsense)?;
        match self.store.packs.frame(pack, place.body) {
            Ok(_) if self.held > HELD_FOR_ONE_MAX => Err(Failure::Nonsense),
            Ok(frame) => Ok(self.add(Arc::clone(pack), run, frame)),
            Err(error) if error.is_gone() => Err(Failure::Gone(pack.id, error)),
            Err(error) => Err(error.into()),
        }
    }

    fn add(&mut self, pack: Arc<OpenPack>, run: usize, frame: Frame) -> Rc<View> {
        self.held += match &frame {
            Frame::Plain(plain) => plain.len(),
            Frame::Residue(residue) => residue.len(),
            Frame::Rotten => 0,
        };
        let id = pack.id;
        let view = View { pack, run, frame, delta: OnceCell::new(), listing: OnceCell::new() };
        let view = Rc::new(view);
        self.views.insert((id, run), Rc::clone(&view));
        view
    }

    fn let_go(&mut self) {
        self.views.clear();
        self.held = 0;
    }
}

impl View {
    fn listing(&self) -> &[u8] {
        self.listing.get_or_init(|| {
            let place = self.pack.run(self.run).filter(|(_, run)| run.is_listed).map(|(place, _)| place);
            place.map_or_else(Vec::new, |place| self.pack.toc.listing(place.body))
        })
    }
}

/// Takes what a range is made from, front to back.
trait Parts {
    /// So many bytes of these.
    fn literals(&mut self, bytes: &[u8], from: usize, len: u32) -> Read<()>;
    /// A range of a plain run.
    fn plain(&mut self, run: &View, bytes: &[u8], range: Range<u32>) -> Read<()>;
    /// Whether so many bytes of a base are not to be followed any further.
    fn ends_at(&mut self, _pack: &OpenPack, _base: &ChunkSpan, _len: u32) -> bool {
        false
    }
}

/// All of it, one after the other.
struct Joined(Vec<u8>);

impl Parts for Joined {
    fn literals(&mut self, bytes: &[u8], from: usize, len: u32) -> Read<()> {
        let range = bytes.get(from..).and_then(|rest| rest.get(..len as usize)).ok_or(Failure::Nonsense)?;
        // What was promised is never exceeded.
        if range.len() > self.0.capacity() - self.0.len() {
            return Err(Failure::Nonsense);
        }
        self.0.extend_from_slice(range);
        Ok(())
    }

    fn plain(&mut self, _: &View, bytes: &[u8], range: Range<u32>) -> Read<()> {
        self.literals(bytes, range.start as usize, range.end - range.start)
    }
}

/// A chunk that a chain starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) chunk: TocChunk,
    /// How many bytes come from it.
    pub(crate) given: u64,
}

/// What chains start from, in the order in which it was met.
struct Origins<E> {
    is_end: E,
    found: Vec<Origin>,
    /// Where in `found` a chunk is, by its pack and ordinal.
    known: HashMap<(PackId, u32), usize>,
}

impl<E> Origins<E> {
    fn add(&mut self, pack: PackId, ordinal: u32, chunk: TocChunk, len: u32) {
        let next = self.found.len();
        let number = *self.known.entry((pack, ordinal)).or_insert(next);
        if number == next {
            self.found.push(Origin { chunk, given: 0 });
        }
        if let Some(origin) = self.found.get_mut(number) {
            origin.given += u64::from(len);
        }
    }
}

impl<E: Fn(&PackId, u32) -> bool> Parts for Origins<E> {
    fn literals(&mut self, _: &[u8], _: usize, _: u32) -> Read<()> {
        Ok(())
    }

    fn plain(&mut self, run: &View, _: &[u8], range: Range<u32>) -> Read<()> {
        for (ordinal, chunk, len) in run.pack.chunks_at(run.run, range) {
            self.add(run.pack.id, ordinal, *chunk, len);
        }
        Ok(())
    }

    fn ends_at(&mut self, pack: &OpenPack, base: &ChunkSpan, len: u32) -> bool {
        let Some((ordinal, chunk)) = pack.ordinal_of(base).zip(pack.chunk_at(base)) else { return false };
        let is_end = (self.is_end)(&pack.id, ordinal);
        if is_end {
            self.add(pack.id, ordinal, *chunk, len);
        }
        is_end
    }
}

fn range_of(span: &ChunkSpan) -> Range<u32> {
    to_u32(span.offset)..to_u32(span.offset.saturating_add(span.len))
}

type Read<T> = std::result::Result<T, Failure>;

/// Why a chunk cannot be read.
enum Failure {
    /// This pack is not there any more.
    Gone(PackId, StoreError),
    /// What is said of it cannot be.
    Nonsense,
    Error(StoreError),
}

impl Failure {
    /// A chunk that is not what it should be.
    fn chunk(pack: &OpenPack, span: &ChunkSpan) -> Self {
        let damaged = |chunk: &TocChunk| StoreError::ChunkDamaged { pack: pack.id, chunk: chunk.id };
        pack.chunk_at(span).map_or(Self::Nonsense, |chunk| damaged(chunk).into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

/// Where a chunk was found.
type Found = (Arc<OpenPack>, ChunkSpan);
/// A pack, and where in it a chunk lies.
type Located = (Arc<OpenPack>, ChunkPlace);

fn to_u32(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Store {
    /// A run that is a delta, with the places of its bases from the index.
    fn delta_run(
        &self,
        pack: &OpenPack,
        number: usize,
        layout: icecore_format::Layout,
    ) -> Result<Arc<DeltaRun>> {
        let (_, run) = pack.run(number).ok_or_else(|| pack.damaged())?;
        let found = self.locate_bases(&run.bases, run.depth, &pack.base_packs())?;
        let mut last = None;
        for (base_pack, _) in found.iter().flatten() {
            if last.replace(base_pack.id) != Some(base_pack.id) {
                pack.remember_base_pack(base_pack.id);
            }
        }
        let delta = Arc::new(DeltaRun::new(layout, &run.bases, found));
        // What is missing may come again.
        if delta.bases.iter().all(|base| base.found.is_some()) {
            self.packs.remember_delta(&pack.id, number, &delta);
        }
        Ok(delta)
    }

    /// For each base of a run that lies at `depth` where it is; nothing if no pack holds it, or another chunk of that name. It is looked
    /// for in `likely` packs before the index is asked.
    fn locate_bases(&self, bases: &[Base], depth: u8, likely: &[PackId]) -> Result<Vec<Option<Found>>> {
        // Opened as they are needed. If one cannot be read, the index knows another, or nobody.
        let likely: Vec<_> = likely.iter().map(|id| LazyCell::new(|| self.packs.open(id).ok())).collect();
        let in_likely = |base: &Base| {
            let mut packs = likely.iter().filter_map(|pack| pack.as_ref());
            packs.find_map(|pack| Some((Arc::clone(pack), pack.find(&base.id, depth)?.0)))
        };
        let mut found: Vec<_> = bases.iter().map(in_likely).collect();
        let sought: Vec<ShortId> =
            bases.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(base, _)| base.id).collect();
        if !sought.is_empty() {
            let mut located = self.locate_each(&sought, depth)?.into_iter();
            for found in found.iter_mut().filter(|found| found.is_none()) {
                *found = located.next().flatten();
            }
        }
        let fits =
            |(base, found): (&Base, Option<Found>)| found.filter(|(_, span)| span.len == base.len as usize);
        Ok(bases.iter().zip(found).map(fits).collect())
    }

    /// As [`Store::locate`], but what is missing is just that.
    fn locate_each(&self, ids: &[ShortId], below: u8) -> Result<Vec<Option<Found>>> {
        let located = match self.locate(ids, below) {
            Ok(located) => located.into_iter().map(Some).collect(),
            Err(StoreError::ChunkMissing { .. }) => self.locate_some(ids, below)?,
            Err(error) => return Err(error),
        };
        let span = |found: Option<Located>| {
            let (pack, place) = found?;
            let (span, _) = pack.locate(place.ordinal)?;
            Some((pack, span))
        };
        Ok(located.into_iter().map(span).collect())
    }

    /// Some were not found, and the index has been brought up to date meanwhile: what it does not know now is missing.
    fn locate_some(&self, ids: &[ShortId], below: u8) -> Result<Vec<Option<Located>>> {
        let nowhere = HashSet::new();
        let look = |index: &IndexReader| {
            ids.iter().map(|id| index.holds(id, below, &nowhere)).collect::<Result<Vec<bool>>>()
        };
        let mut is_known = self.index.read(look)?;
        if let Some(beside) = &self.beside {
            let there = beside.index.read(look)?;
            is_known.iter_mut().zip(there).for_each(|(known, there)| *known |= there);
        }
        let known = ids.iter().zip(&is_known).filter(|(_, is_known)| **is_known).map(|(id, _)| *id);
        let known: Vec<ShortId> = known.collect();
        let mut located = match self.locate(&known, below) {
            Ok(located) => located.into_iter().map(Some).collect::<Vec<_>>(),
            // A pack is gone. One by one: what is not needed may be missing.
            Err(StoreError::ChunkMissing { .. }) => {
                let each = known.iter().map(|id| match self.locate(std::slice::from_ref(id), below) {
                    Ok(located) => Ok(located.into_iter().next()),
                    Err(StoreError::ChunkMissing { .. }) => Ok(None),
                    Err(error) => Err(error),
                });
                each.collect::<Result<_>>()?
            }
            Err(error) => return Err(error),
        }
        .into_iter();
        Ok(is_known.iter().map(|is_known| is_known.then(|| located.next().flatten()).flatten()).collect())
    }

    /// The bytes of the bases of a run that lies at `depth`, one after the other, every chunk checked. They are looked for in `likely` packs
    /// first.
    pub(crate) fn base_bytes(&self, bases: &[Base], depth: u8, likely: &[PackId]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(bases.iter().map(|base| base.len as usize).sum());
        let mut assembler = Assembler::new(self);
        for (base, found) in bases.iter().zip(self.locate_bases(bases, depth, likely)?) {
            let (pack, span) = found.ok_or(StoreError::ChunkMissing { chunk: base.id })?;
            bytes.extend_from_slice(&assembler.chunk(&pack, &span)?);
        }
        Ok(bytes)
    }

    /// What can be read of a run: for each chunk its bytes, or what is damaged.
    pub(crate) fn run_chunks(&self, pack: &Arc<OpenPack>, number: usize) -> Vec<Result<Bytes>> {
        let mut assembler = Assembler::new(self);
        pack.spans(number).map(|span| assembler.chunk(pack, &span)).collect()
    }
}

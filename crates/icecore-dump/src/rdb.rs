//! What an RDB file of Redis or Valkey is made of.
//!
//! Keys lie in it in the order of a hash table, which is another one after every restart, and so do the members of large sets and hashes.
//! [`walk`] cuts the file into pieces, each with its [`Place`]: whoever sorts the pieces by place, key and element gets an RDB with the same
//! data, and whenever the data is the same it is the same, but for what is said of the file (when it was written, how much memory was used) and
//! how often keys were used.
//!
//! The format is that of `rdb.c` and `rdb.h` in Redis, up to [`VERSION_MAX`].

/// The newest version of the format that is understood: what a number means may be another matter in the next.
pub const VERSION_MAX: u32 = 12;
/// The oldest version with a checksum.
pub const CHECKSUM_SINCE: u32 = 5;
/// `REDIS` and four digits, or `VALKEY` and three.
const MAGIC_LEN: usize = 9;

mod op {
    pub(super) const SLOT_INFO: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const RESIZE: u8 = 251;
    pub(super) const EXPIRE_MS: u8 = 252;
    pub(super) const EXPIRE: u8 = 253;
    pub(super) const SELECT: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// The version of the RDB that begins like this, if it is one. Since Valkey 9 those of Valkey count on by themselves, from 80.
pub fn version(head: &[u8]) -> Option<u32> {
    let of = |magic: &[u8]| head.get(..MAGIC_LEN)?.strip_prefix(magic);
    let digits = of(b"REDIS").or_else(|| of(b"VALKEY"))?;
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    Some(digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

/// The version of the server that wrote the RDB that begins like this.
pub fn server_version(head: &[u8]) -> Option<String> {
    let named = |name: &[u8]| {
        let at = memchr::memmem::find(head, name)? + name.len();
        let len = *head.get(at).filter(|len| **len < 0x40)?;
        let text = str::from_utf8(head.get(at + 1..at + 1 + usize::from(len))?).ok()?;
        let is_sane = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        is_sane.then(|| text.to_owned())
    };
    named(b"\xfa\x09redis-ver").or_else(|| named(b"\xfa\x0avalkey-ver"))
}

/// Where a piece belongs. Pieces of one place come in the order of their keys, then of their elements, then as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// What comes before the databases: the magic, what is said about the file.
    Head,
    /// A library of functions, by its bytes.
    Function,
    /// In a database, by its number.
    Database(u32, Within),
    /// What modules say after the databases.
    Tail,
    /// The end marker and, since version 5, the checksum of all that comes before it: CRC-64 of Jones, eight bytes, least first; zero
    /// for none.
    End,
}

/// Where in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within {
    /// What names the database.
    Selection,
    /// How much room to make for it.
    Size,
    /// The same for a slot of a cluster, by its bytes.
    Slot,
    /// A key with what it holds; or its beginning, and one for each element.
    Record,
}

/// Why a walk did not come to the end.
#[derive(Debug)]
pub enum Obstacle<E> {
    /// The visitor stopped it.
    Visitor(E),
    /// Something is there that nobody has told us about.
    Unknown(&'static str),
}

impl<E> From<E> for Obstacle<E> {
    fn from(error: E) -> Self {
        Self::Visitor(error)
    }
}

/// Gives a walk its bytes, and gets the pieces.
pub trait Visitor {
    /// What ends the walk.
    type Error;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Self::Error>;

    /// Passes the next `len` bytes.
    fn pass(&mut self, len: u64) -> Result<(), Self::Error>;

    /// A name begins here.
    fn begin_name(&mut self);

    /// It ends here, and is the key of the record that is being read, as it is encoded.
    fn end_key(&mut self);

    /// It ends here, and tells the element that is being read from others of its key, as it is encoded.
    fn end_element(&mut self);

    /// A piece ends here; it began where the last one ended.
    fn piece(&mut self, place: Place) -> Result<(), Self::Error>;
}

/// Goes through the RDB that `visitor` gives, from its magic to its end marker.
pub fn walk<V: Visitor>(version: u32, visitor: &mut V) -> Result<(), Obstacle<V::Error>> {
    if version > VERSION_MAX {
        return Err(Obstacle::Unknown("its version"));
    }
    visitor.pass(MAGIC_LEN as u64)?;
    visitor.piece(Place::Head)?;
    Walk { visitor, database: 0, stage: Stage::Head }.run(version)
}

struct Walk<'v, V> {
    visitor: &'v mut V,
    database: u32,
    stage: Stage,
}

/// How far a walk has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    Databases,
    Tail,
}

/// Whatever is said between keys may be said about them.
const OUT_OF_ORDER: &str = "the order of its parts";

/// How long something is, or how it is encoded instead.
enum Length {
    Plain(u64),
    Encoded(u8),
}

type Walked<V, T = ()> = Result<T, Obstacle<<V as Visitor>::Error>>;

impl<V: Visitor> Walk<'_, V> {
    fn run(mut self, version: u32) -> Walked<V> {
        // Whether something came that belongs to the key that follows.
        let mut is_prefixed = false;
        loop {
            let code = self.visitor.byte()?;
            let is_prefix = matches!(code, op::IDLE | op::FREQUENCY | op::EXPIRE_MS | op::EXPIRE);
            if is_prefixed && code >= op::SLOT_INFO && !is_prefix {
                return Err(Obstacle::Unknown(OUT_OF_ORDER));
            }
            is_prefixed = is_prefix;
            match code {
                op::IDLE => drop(self.len()?),
                op::FREQUENCY => self.visitor.pass(1)?,
                op::EXPIRE_MS => self.visitor.pass(8)?,
                op::EXPIRE => self.visitor.pass(4)?,
                op::SELECT => {
                    let number = u32::try_from(self.len()?);
                    self.database = number.map_err(|_| Obstacle::Unknown("the number of a database"))?;
                    self.within(Within::Selection)?;
                }
                op::RESIZE => {
                    self.lens(2)?;
                    self.within(Within::Size)?;
                }
                op::SLOT_INFO => {
                    self.lens(3)?;
                    self.within(Within::Slot)?;
                }
                op::AUX => {
                    self.strings(2)?;
                    self.aside()?;
                }
                op::MODULE_AUX => {
                    self.module()?;
                    self.aside()?;
                }
                op::FUNCTION if self.stage == Stage::Head => {
                    self.string()?;
                    self.visitor.piece(Place::Function)?;
                }
                op::END => {
                    if version >= CHECKSUM_SINCE {
                        self.visitor.pass(8)?;
                    }
                    return Ok(self.visitor.piece(Place::End)?);
                }
                kind => self.record(kind)?,
            }
        }
    }

    fn within(&mut self, within: Within) -> Walked<V> {
        if self.stage == Stage::Tail {
            return Err(Obstacle::Unknown(OUT_OF_ORDER));
        }
        self.stage = Stage::Databases;
        Ok(self.visitor.piece(Place::Database(self.database, within))?)
    }

    /// A piece that belongs to no database, if no more of these follow.
    fn aside(&mut self) -> Walked<V> {
        if self.stage == Stage::Head {
            return Ok(self.visitor.piece(Place::Head)?);
        }
        self.stage = Stage::Tail;
        Ok(self.visitor.piece(Place::Tail)?)
    }

    fn record(&mut self, kind: u8) -> Walked<V> {
        if !matches!(kind, 0..=5 | 7 | 9..=21 | 24 | 25) {
            return Err(Obstacle::Unknown("the type of a key"));
        }
        self.visitor.begin_name();
        self.string()?;
        self.visitor.end_key();
        match kind {
            // Strings, and what is encoded as one: zip maps and lists, sets of numbers, list packs.
            0 | 9..=13 | 16 | 17 | 20 => self.string()?,
            1 | 14 => {
                let count = self.len()?;
                self.strings(count)?;
            }
            2 => self.elements(Self::name)?,
            3 => self.each(|walk| {
                walk.string()?;
                walk.score()
            })?,
            4 => self.elements(|walk| {
                walk.name()?;
                walk.string()
            })?,
            5 => self.each(|walk| {
                walk.string()?;
                Ok(walk.visitor.pass(8)?)
            })?,
            7 => self.module()?,
            18 => self.each(|walk| {
                walk.len()?;
                walk.string()
            })?,
            15 | 19 | 21 => self.stream(kind)?,
            24 => {
                self.visitor.pass(8)?;
                self.elements(|walk| {
                    walk.len()?;
                    walk.name()?;
                    walk.string()
                })?;
            }
            25 => {
                self.visitor.pass(8)?;
                self.string()?;
            }
            _ => (),
        }
        self.within(Within::Record)
    }

    /// Elements without an order, each a piece: the count ends the one before the first, and whoever asked ends the last.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Walked<V>) -> Walked<V> {
        let count = self.len()?;
        for _ in 0..count {
            self.within(Within::Record)?;
            element(self)?;
        }
        Ok(())
    }

    /// What an element is told from others by.
    fn name(&mut self) -> Walked<V> {
        self.visitor.begin_name();
        self.string()?;
        self.visitor.end_element();
        Ok(())
    }

    fn each(&mut self, mut one: impl FnMut(&mut Self) -> Walked<V>) -> Walked<V> {
        let count = self.len()?;
        (0..count).try_for_each(|_| one(self))
    }

    /// A score as text.
    fn score(&mut self) -> Walked<V> {
        match self.visitor.byte()? {
            253..=255 => Ok(()),
            len => Ok(self.visitor.pass(u64::from(len))?),
        }
    }

    /// What a module says, in a form that can be passed without it.
    fn module(&mut self) -> Walked<V> {
        self.len()?;
        loop {
            match self.len()? {
                0 => return Ok(()),
                1 | 2 => drop(self.len()?),
                3 => self.visitor.pass(4)?,
                4 => self.visitor.pass(8)?,
                5 => self.string()?,
                _ => return Err(Obstacle::Unknown("what a module wrote")),
            }
        }
    }

    fn stream(&mut self, kind: u8) -> Walked<V> {
        // Nodes of entries, each with its first id.
        let nodes = self.len()?;
        for _ in 0..nodes {
            self.strings(2)?;
        }
        // How many, and the last id; since the second form the first id, the largest that was deleted, and how many there ever were.
        self.lens(if kind == 15 { 3 } else { 8 })?;
        self.each(|group| {
            group.string()?;
            group.lens(if kind == 15 { 2 } else { 3 })?;
            group.each(|pending| {
                pending.visitor.pass(16 + 8)?;
                pending.lens(1)
            })?;
            group.each(|consumer| {
                consumer.string()?;
                consumer.visitor.pass(if kind == 21 { 16 } else { 8 })?;
                consumer.each(|pending| Ok(pending.visitor.pass(16)?))
            })
        })
    }

    fn lens(&mut self, count: u32) -> Walked<V> {
        (0..count).try_for_each(|_| self.len().map(drop))
    }

    fn len(&mut self) -> Walked<V, u64> {
        match self.length()? {
            Length::Plain(len) => Ok(len),
            Length::Encoded(_) => Err(Obstacle::Unknown("a length")),
        }
    }

    fn length(&mut self) -> Walked<V, Length> {
        let first = self.visitor.byte()?;
        let low = u64::from(first & 0x3f);
        Ok(match (first >> 6, first) {
            (0, _) => Length::Plain(low),
            (1, _) => Length::Plain(low << 8 | u64::from(self.visitor.byte()?)),
            (_, 0x80) => Length::Plain(self.number(4)?),
            (_, 0x81) => Length::Plain(self.number(8)?),
            (3, _) => Length::Encoded(first & 0x3f),
            _ => return Err(Obstacle::Unknown("a length")),
        })
    }

    /// A number of so many bytes, the greatest first.
    fn number(&mut self, len: u32) -> Walked<V, u64> {
        let mut number = 0;
        for _ in 0..len {
            number = number << 8 | u64::from(self.visitor.byte()?);
        }
        Ok(number)
    }

    fn strings(&mut self, count: u64) -> Walked<V> {
        (0..count).try_for_each(|_| self.string())
    }

    fn string(&mut self) -> Walked<V> {
        let len = match self.length()? {
            Length::Plain(len) => len,
            Length::Encoded(bytes @ 0..=2) => 1 << bytes,
            // Compressed: what it takes, then what it is.
            Length::Encoded(3) => {
                let len = self.len()?;
                self.len()?;
                len
            }
            Length::Encoded(_) => return Err(Obstacle::Unknown("how a string is encoded")),
        };
        Ok(self.visitor.pass(len)?)
    }
}

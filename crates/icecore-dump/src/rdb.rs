//! What an RDB file of Redis or Valkey is made of.
//!
//! Keys lie in it in the order of a hash table, which is another one after every restart, and so do the members of large sets and hashes.
//! [`walk`] cuts the file into pieces, each with its [`Place`]: whoever sorts the pieces by place, key and element gets an RDB with the same
//! data that is the same whenever the data is the same.
//!
//! The format is that of `rdb.c` and `rdb.h` in Redis, up to [`VERSION_MAX`].

/// The newest version of the format that is understood: what a number means may be another matter in the next.
pub const VERSION_MAX: u32 = 12;
/// The oldest version with a checksum.
const CHECKSUM_SINCE: u32 = 5;
/// `REDIS` and four digits.
const MAGIC_LEN: u64 = 9;
/// What keeps no database apart.
const DATABASE_MAX: u64 = u32::MAX as u64;

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

/// The version of the RDB that begins like this, if it is one.
pub fn version(head: &[u8]) -> Option<u32> {
    let digits = head.strip_prefix(b"REDIS")?.get(..4)?;
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
    /// What comes before the databases: the magic, what is said about the file, functions.
    Head,
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
    Hint,
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

    /// How many bytes have been given and passed.
    fn position(&self) -> u64;

    /// The key of the record that is being read begins at `from` and ends here, as it is encoded.
    fn key(&mut self, from: u64) -> Result<(), Self::Error>;

    /// The element that is being read is told from others of its key by what begins at `from` and ends here, as it is encoded.
    fn element(&mut self, from: u64) -> Result<(), Self::Error>;

    /// A piece ends here; it began where the last one ended.
    fn piece(&mut self, place: Place) -> Result<(), Self::Error>;
}

/// Goes through the RDB that `visitor` gives, from its magic to its end marker.
pub fn walk<V: Visitor>(version: u32, visitor: &mut V) -> Result<(), Obstacle<V::Error>> {
    if version > VERSION_MAX {
        return Err(Obstacle::Unknown("its version"));
    }
    visitor.pass(MAGIC_LEN)?;
    visitor.piece(Place::Head)?;
    Walk { visitor, database: 0, has_databases: false }.run(version)
}

struct Walk<'v, V> {
    visitor: &'v mut V,
    database: u32,
    has_databases: bool,
}

/// How long something is, or how it is encoded instead.
enum Length {
    Plain(u64),
    Encoded(u8),
}

type Walked<V, T = ()> = Result<T, Obstacle<<V as Visitor>::Error>>;

impl<V: Visitor> Walk<'_, V> {
    fn run(mut self, version: u32) -> Walked<V> {
        // What comes before a key and belongs to it.
        let mut is_record = false;
        loop {
            let code = self.visitor.byte()?;
            let before_key = matches!(code, op::IDLE | op::FREQUENCY | op::EXPIRE_MS | op::EXPIRE);
            let opcode = code >= op::SLOT_INFO;
            if is_record && opcode && !before_key {
                return Err(Obstacle::Unknown("the order of its parts"));
            }
            is_record = before_key;
            match code {
                op::IDLE => drop(self.len()?),
                op::FREQUENCY => self.visitor.pass(1)?,
                op::EXPIRE_MS => self.visitor.pass(8)?,
                op::EXPIRE => self.visitor.pass(4)?,
                op::SELECT => {
                    let number = self.len()?;
                    let number = u32::try_from(number).ok().filter(|_| number < DATABASE_MAX);
                    self.database = number.ok_or(Obstacle::Unknown("the number of a database"))?;
                    self.within(Within::Selection)?;
                }
                op::RESIZE => {
                    self.lens(2)?;
                    self.within(Within::Hint)?;
                }
                op::SLOT_INFO => {
                    self.lens(3)?;
                    self.within(Within::Hint)?;
                }
                op::AUX => {
                    self.strings(2)?;
                    self.apart()?;
                }
                op::FUNCTION => {
                    self.string()?;
                    self.apart()?;
                }
                op::MODULE_AUX => {
                    self.module()?;
                    self.apart()?;
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
        self.has_databases = true;
        Ok(self.visitor.piece(Place::Database(self.database, within))?)
    }

    /// A piece that belongs to no database.
    fn apart(&mut self) -> Walked<V> {
        Ok(self.visitor.piece(if self.has_databases { Place::Tail } else { Place::Head })?)
    }

    fn record(&mut self, kind: u8) -> Walked<V> {
        let from = self.visitor.position();
        self.string()?;
        self.visitor.key(from)?;
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
            _ => return Err(Obstacle::Unknown("the type of a key")),
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
        let from = self.visitor.position();
        self.string()?;
        Ok(self.visitor.element(from)?)
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

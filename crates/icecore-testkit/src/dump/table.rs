//! The tables of the shop, and what stands in their rows.
//!
//! A row is a function of (seed, table, id, version). What a version changes is what an application
//! would change: a status, a number, the time of the update, now and then a sentence; the rest of the
//! row stays as it was.

use super::history::RowState;
use super::rng::Rng;
use super::row::{RowText, push_hex, push_int, push_padded, push_uuid};
use super::time::Timestamp;
use super::vocabulary::Vocabulary;

const YEARS_3: u64 = 3 * 365 * 86_400;
const ORDER_STATES: [&str; 7] = ["delivered", "shipped", "packed", "paid", "returned", "cancelled", "new"];
const EVENT_KINDS: [&str; 9] = [
    "page.view",
    "product.view",
    "search",
    "cart.add",
    "cart.remove",
    "checkout.start",
    "order.paid",
    "login",
    "mail.open",
];
const ARTICLE_STATES: [&str; 4] = ["published", "archived", "review", "draft"];
const AGENTS: [(&str, &str); 6] = [
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/",
        " Safari/537.36",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 Version/",
        " Mobile/15E148",
    ),
    (
        "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/",
        " Mobile Safari/537.36",
    ),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/", ""),
    ("ShopApp/", " (Android)"),
    ("curl/8.", ""),
];

/// In the order in which both dump tools write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Articles,
    Customers,
    Events,
    OrderLines,
    Orders,
    Products,
}

impl Table {
    pub(super) const ALL: [Self; 6] =
        [Self::Articles, Self::Customers, Self::Events, Self::OrderLines, Self::Orders, Self::Products];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Articles => "articles",
            Self::Customers => "customers",
            Self::Events => "events",
            Self::OrderLines => "order_lines",
            Self::Orders => "orders",
            Self::Products => "products",
        }
    }

    /// How much of a hundred bytes of the dump belongs to this table.
    pub(super) fn percent_of_bytes(self) -> u64 {
        match self {
            Self::Articles => 34,
            Self::Customers => 9,
            Self::Events => 21,
            Self::OrderLines => 14,
            Self::Orders => 10,
            Self::Products => 12,
        }
    }
}

/// All that the rows are made from.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) seed: u64,
    pub(super) vocabulary: Vocabulary,
    /// Rows in the first dump, by [`Table`].
    pub(super) rows: [u64; Table::ALL.len()],
}

/// Where the values of one row come from.
struct Source<'a> {
    content: &'a Content,
    id: u64,
    version: u64,
    /// What stays the same in all versions.
    lasting: Rng,
    /// What differs from version to version.
    passing: Rng,
    created: Timestamp,
}

impl Content {
    pub(super) fn push_row(&self, table: Table, row: RowState, out: &mut RowText) {
        let RowState { id, version } = row;
        let mut lasting = Rng::of(&[self.seed, table as u64, id]);
        let step = YEARS_3 * 1_000_000 / self.rows[table as usize].max(1);
        let created = Timestamp::FIRST_DUMP
            .minus_seconds(YEARS_3)
            .plus_micros(id.saturating_sub(1) * step + lasting.below(step.max(1)));
        let passing = Rng::of(&[self.seed, table as u64, id, version + 1]);
        let mut source = Source { content: self, id, version, lasting, passing, created };
        match table {
            Table::Articles => source.article(out),
            Table::Customers => source.customer(out),
            Table::Events => source.event(out),
            Table::OrderLines => source.order_line(out),
            Table::Orders => source.order(out),
            Table::Products => source.product(out),
        }
    }

    fn any(&self, table: Table, rng: &mut Rng) -> u64 {
        1 + rng.below(self.rows[table as usize].max(1))
    }

    /// In hundredths; a product costs the same in every order.
    fn price(&self, product: u64) -> u64 {
        let mut rng = Rng::of(&[self.seed, 0x0070_7269_6365, product]);
        let magnitude = [10, 50, 100, 1000][rng.skewed(4)];
        let price = rng.between(1, 30) * magnitude;
        if rng.percent(60) { price * 10 - 1 } else { price * 10 - 5 }
    }
}

impl Source<'_> {
    fn article(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        out.int(self.id);
        let title = self.lasting.clone();
        let title_words = self.lasting.between(3, 7);
        out.plain_with(|bytes| {
            let start = bytes.len();
            words.push_title(bytes, &mut title.clone(), title_words);
            for byte in &mut bytes[start..] {
                *byte = if *byte == b' ' { b'-' } else { byte.to_ascii_lowercase() };
            }
            bytes.push(b'-');
            push_int(bytes, self.id);
        });
        out.text_with(|bytes| words.push_title(bytes, &mut title.clone(), title_words));
        out.int(1 + self.lasting.skewed(400) as u64);
        out.plain(ARTICLE_STATES[self.passing.skewed(4)]);
        let sentences = self.lasting.between(6, 44);
        let edited = (self.version > 0 && self.passing.percent(40)).then(|| self.passing.below(sentences));
        out.text_with(|bytes| {
            for i in 0..sentences {
                let len = self.lasting.between(6, 18);
                let sentence = bytes.len();
                words.push_sentence(bytes, &mut self.lasting, len);
                if edited == Some(i) {
                    bytes.truncate(sentence);
                    words.push_sentence(bytes, &mut self.passing, len);
                }
                let separator: &[u8] = match self.lasting.below(40) {
                    0..6 => b"\n\n",
                    6 => b"\n\t",
                    7 => b" \"",
                    8 => b" (\\) ",
                    _ => b" ",
                };
                if i + 1 < sentences {
                    bytes.extend_from_slice(separator);
                }
            }
        });
        if self.lasting.percent(80) {
            out.hash(&mut self.passing, 16);
        } else {
            out.null();
        }
        if self.lasting.percent(85) {
            out.time(self.created);
        } else {
            out.null();
        }
        out.time(self.updated());
    }

    fn customer(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        let (first, last) = (words.first_name(&mut self.lasting), words.last_name(&mut self.lasting));
        out.int(self.id);
        out.plain_with(|bytes| push_uuid(bytes, &mut self.lasting));
        out.plain_with(|bytes| {
            let letters = first
                .bytes()
                .chain(*b".")
                .chain(last.bytes())
                .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
            bytes.extend(letters.map(|byte| byte.to_ascii_lowercase()));
            push_int(bytes, self.id);
            bytes.extend_from_slice(
                self.lasting
                    .pick(&["@example.com", "@mail.example.org", "@post.example.net", "@example.de"])
                    .as_bytes(),
            );
        });
        out.text_with(|bytes| bytes.extend_from_slice(format!("{first} {last}").as_bytes()));
        if self.lasting.percent(70) {
            out.plain_with(|bytes| {
                bytes.push(b'+');
                push_int(bytes, self.lasting.between(30, 49));
                bytes.push(b' ');
                push_int(bytes, self.lasting.between(100, 999));
                bytes.push(b' ');
                push_padded(bytes, self.lasting.below(10_000_000), 7);
            });
        } else {
            out.null();
        }
        out.text_with(|bytes| {
            bytes.extend_from_slice(words.last_name(&mut self.lasting).as_bytes());
            bytes.extend_from_slice(
                self.lasting.pick(&[" Street ", " Road ", "straße ", " Lane ", " Avenue "]).as_bytes(),
            );
            push_int(bytes, 1 + self.lasting.skewed(180) as u64);
        });
        out.plain_with(|bytes| push_padded(bytes, self.lasting.between(1000, 98_999), 5));
        out.plain(words.city(&mut self.lasting));
        out.plain(words.country(&mut self.lasting));
        let spends = self.lasting.percent(45) || self.version > 0;
        out.decimal(if spends { self.passing.below(90_000) } else { 0 }, 2);
        if self.lasting.percent(75) {
            self.preferences(out);
        } else {
            out.null();
        }
        out.time(self.created);
        out.time(self.updated());
    }

    /// PostgreSQL orders the keys of its jsonb by length; so does this.
    fn preferences(&mut self, out: &mut RowText) {
        out.text_with(|bytes| {
            bytes.extend_from_slice(b"{\"lang\": \"");
            bytes.extend_from_slice(self.lasting.pick(&["en", "de", "fr", "es", "it"]).as_bytes());
            bytes.extend_from_slice(b"\", \"theme\": \"");
            bytes.extend_from_slice(self.lasting.pick(&["light", "dark", "system"]).as_bytes());
            bytes.extend_from_slice(b"\", \"recent\": [");
            for i in 0..self.lasting.below(6) {
                if i > 0 {
                    bytes.extend_from_slice(b", ");
                }
                push_int(bytes, self.content.any(Table::Products, &mut self.lasting));
            }
            bytes.extend_from_slice(b"], \"newsletter\": ");
            bytes.extend_from_slice(self.passing.pick(&["true", "false", "null"]).as_bytes());
            bytes.push(b'}');
        });
    }

    fn event(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        let kind = EVENT_KINDS[self.lasting.skewed(9)];
        out.int(self.id);
        out.time(self.created);
        out.plain(kind);
        if self.lasting.percent(60) {
            out.int(self.content.any(Table::Customers, &mut self.lasting));
        } else {
            out.null();
        }
        // Some visitors stay for more than one event.
        let mut session =
            Rng::of(&[self.content.seed, 0x0073_6573, self.id - self.lasting.below(24).min(self.id)]);
        out.plain_with(|bytes| push_uuid(bytes, &mut session));
        out.plain_with(|bytes| {
            push_int(bytes, session.between(11, 220));
            for _ in 0..3 {
                bytes.push(b'.');
                push_int(bytes, session.below(256));
            }
        });
        out.text_with(|bytes| {
            bytes.push(b'/');
            bytes.extend_from_slice(
                self.lasting
                    .pick(&["products/", "articles/", "search?q=", "account/orders/", "c/"])
                    .as_bytes(),
            );
            bytes.extend_from_slice(words.noun(&mut self.lasting).as_bytes());
            bytes.push(b'-');
            push_int(bytes, self.content.any(Table::Products, &mut self.lasting));
        });
        let (before, after) = AGENTS[session.skewed(AGENTS.len())];
        out.plain_with(|bytes| {
            bytes.extend_from_slice(before.as_bytes());
            push_int(bytes, session.between(100, 131));
            bytes.extend_from_slice(b".0");
            bytes.extend_from_slice(after.as_bytes());
        });
        if self.lasting.percent(65) {
            self.payload(out);
        } else {
            out.null();
        }
        out.int(if self.version > 0 { self.version } else { self.lasting.skewed(4) as u64 });
        let handled = self.version > 0 || self.lasting.percent(70);
        if handled { out.time(self.updated()) } else { out.null() }
    }

    fn payload(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        out.text_with(|bytes| {
            bytes.extend_from_slice(b"{\"ms\": ");
            push_int(bytes, self.lasting.skewed(3000) as u64);
            if self.lasting.percent(40) {
                bytes.extend_from_slice(b", \"query\": \"");
                let quoted = self.lasting.percent(10);
                let quote: &[u8] = if quoted { b"\\\"" } else { b"" };
                bytes.extend_from_slice(quote);
                bytes.extend_from_slice(words.word(&mut self.lasting).as_bytes());
                bytes.push(b' ');
                bytes.extend_from_slice(words.noun(&mut self.lasting).as_bytes());
                bytes.extend_from_slice(quote);
                bytes.push(b'"');
            }
            bytes.extend_from_slice(b", \"trace\": \"");
            push_hex(bytes, &mut self.lasting, 16);
            bytes.extend_from_slice(b"\", \"status\": ");
            bytes.extend_from_slice(["200", "304", "302", "404", "500"][self.lasting.skewed(5)].as_bytes());
            bytes.push(b'}');
        });
    }

    fn order_line(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        let rows = &self.content.rows;
        let order =
            (self.id - 1) * rows[Table::Orders as usize] / rows[Table::OrderLines as usize].max(1) + 1;
        let product = self.content.any(Table::Products, &mut self.lasting);
        out.int(self.id);
        out.int(order);
        out.int(product);
        out.int(1 + self.passing.skewed(12) as u64);
        out.decimal(self.content.price(product), 2);
        if self.lasting.percent(12) {
            out.decimal(self.lasting.between(1, 50) * 100, 4);
        } else {
            out.null();
        }
        if self.lasting.percent(9) || self.version > 0 && self.passing.percent(20) {
            out.text_with(|bytes| {
                let len = self.passing.between(2, 9);
                words.push_sentence(bytes, &mut self.passing, len);
            });
        } else {
            out.null();
        }
        out.time(self.updated());
    }

    fn order(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        out.int(self.id);
        out.plain_with(|bytes| {
            bytes.extend_from_slice(b"SO-");
            push_padded(bytes, self.id, 9);
            bytes.push(b'-');
            push_padded(bytes, self.lasting.below(100), 2);
        });
        out.int(self.content.any(Table::Customers, &mut self.lasting));
        out.plain(ORDER_STATES[self.passing.skewed(7)]);
        out.decimal(self.lasting.between(3, 400) * [10, 50, 95, 99][self.lasting.index(4)], 2);
        out.plain(["EUR", "USD", "GBP", "CHF"][self.lasting.skewed(4)]);
        if self.lasting.percent(22) {
            out.text_with(|bytes| {
                let len = self.lasting.between(3, 14);
                words.push_sentence(bytes, &mut self.lasting, len);
            });
        } else {
            out.null();
        }
        out.time(self.created);
        if self.lasting.percent(80) {
            out.time(self.created.plus_micros(self.lasting.below(4 * 86_400_000_000)));
        } else {
            out.null();
        }
        out.time(self.updated());
    }

    fn product(&mut self, out: &mut RowText) {
        let words = &self.content.vocabulary;
        out.int(self.id);
        out.plain_with(|bytes| {
            bytes.extend_from_slice(
                self.lasting.pick(&["HOM-", "GAR-", "TEC-", "TOY-", "BOK-", "CLO-"]).as_bytes(),
            );
            push_padded(bytes, self.lasting.below(1_000_000), 6);
            bytes.push(b'-');
            push_int(bytes, self.id);
        });
        let name_words = self.lasting.between(2, 4);
        out.text_with(|bytes| words.push_title(bytes, &mut self.lasting, name_words));
        let sentences = self.lasting.between(1, 7);
        out.text_with(|bytes| {
            for i in 0..sentences {
                if i > 0 {
                    bytes.push(b' ');
                }
                let len = self.lasting.between(5, 16);
                words.push_sentence(bytes, &mut self.lasting, len);
            }
        });
        out.decimal(self.content.price(self.id), 2);
        out.int(self.passing.skewed(2000) as u64);
        if self.lasting.percent(80) {
            out.float(self.lasting.between(20, 30_000), 3);
        } else {
            out.null();
        }
        if self.lasting.percent(70) {
            out.plain_with(|bytes| {
                push_padded(bytes, 4_000_000_000_000 + self.lasting.below(999_999_999_999), 13);
            });
        } else {
            out.null();
        }
        out.text_with(|bytes| {
            bytes.extend_from_slice(b"{\"tags\": [\"");
            bytes.extend_from_slice(words.noun(&mut self.lasting).as_bytes());
            bytes.extend_from_slice(b"\", \"");
            bytes.extend_from_slice(words.noun(&mut self.lasting).as_bytes());
            bytes.extend_from_slice(b"\"], \"color\": \"");
            bytes.extend_from_slice(
                self.lasting.pick(&["black", "white", "red", "blue", "green", "grey"]).as_bytes(),
            );
            bytes.extend_from_slice(b"\", \"material\": \"");
            bytes.extend_from_slice(
                self.lasting.pick(&["steel", "oak", "cotton", "plastic", "glass"]).as_bytes(),
            );
            bytes.extend_from_slice(b"\", \"warranty_months\": ");
            push_int(bytes, 12 * self.lasting.between(0, 5));
            bytes.push(b'}');
        });
        if self.lasting.percent(50) {
            out.hash(&mut self.lasting, 16);
        } else {
            out.null();
        }
        out.time(self.updated());
    }

    /// In the night that wrote this version; for the first one, some time after the row was created.
    fn updated(&mut self) -> Timestamp {
        match self.version {
            0 => self
                .created
                .plus_micros(self.passing.below(1 << [24, 30, 36][self.passing.clone().skewed(3)])),
            night => {
                Timestamp::FIRST_DUMP.plus_days(night - 1).plus_micros(self.passing.below(86_400_000_000))
            }
        }
    }
}

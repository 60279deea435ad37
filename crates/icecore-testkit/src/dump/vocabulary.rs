//! Words, and texts made of them.
//!
//! A few thousand words, common English ones first and made-up ones after them, drawn by Zipf's law;
//! now and then a whole phrase, because people repeat themselves. What matters is that a compressor
//! finds about as much in it as in what people write.

use super::rng::Rng;

const WORD_COUNT: usize = 6000;
const PHRASE_COUNT: usize = 6000;
/// A share of a hundred: steps of a text that are phrases and not single words.
const PHRASE_PERCENT: u64 = 52;
const COMMON: &str = "the of and to a in is that for it was on with as be by at from or this are an not which have but \
    had they one you were all her she there would their we him been has when who will more no if out so said what up \
    its about into than them can only other new some could time these two may then do first any my now such like our \
    over man me even most made after also did many before must through back years where much your way well down should \
    because each just those people how too little state good very make world still own see men work long get here \
    between both life being under never day same another know while last might us great old year off come since against \
    go came right used take three order delivery customer price quality product box arrived ordered recommend returned \
    refund size colour fits small large shipping week month store online service support please thanks kitchen garden \
    steel wood cotton leather battery cable screen light water warm cold soft hard light heavy easy simple perfect \
    broken missing wrong quickly slowly again always never often sometimes really quite rather instead however although";
const ONSETS: &str =
    "b c d f g h j k l m n p r s t v w z br ch cl cr dr fl fr gr pl pr sc sh sl sp st str th tr";
const NUCLEI: &str = "a e i o u a e i o ai ea ee ie oo ou";
const CODAS: &str = "- - - - n r s t l m nd ng nt rt st ck x";
const ENDINGS: &str = "- - - - ing ed er ion ly ment able ness al ity ous ive es s";
const FIRST_NAMES: &str = "Anna Ben Clara David Emma Felix Greta Hannah Ivan Julia Karl Lena Martin Nora Oscar Paula \
    Quentin Rosa Simon Theresa Ulrich Vera Walter Xenia Yusuf Zoë Aisha Bruno Carmen Diego Elena Farid Gabriel Hugo Ines \
    Jonas Katrin Liam Mia Noah Olivia Peter Rachel Sofia Thomas Uma Victor Wendy Akira Bela Chloé Dmitri Esther Fatima \
    George Hiro Ingrid Jack Kofi Lucía Mateo Nadia Owen Priya Ravi Sven Tara Umberto Viktória William Yara Zane Andrew \
    Barbara Charles Dorothy Edward Frances Gordon Helen Isaac Janet Kenneth Laura Michael Nancy Patrick Rebecca Stephen";
const COUNTRIES: &str = "DE AT CH FR IT ES PT NL BE GB IE US CA SE NO DK FI PL CZ JP";

/// The words of all tables; the same for every seed.
#[derive(Debug)]
pub(super) struct Vocabulary {
    words: Vec<String>,
    /// Word indices, each as often as the word is used.
    zipf_words: Vec<u16>,
    phrases: Vec<String>,
    zipf_phrases: Vec<u16>,
    first_names: Vec<&'static str>,
    last_names: Vec<String>,
    cities: Vec<String>,
    countries: Vec<&'static str>,
}

impl Vocabulary {
    pub(super) fn new() -> Self {
        let mut rng = Rng::of(&[0x0077_6f72_6473]);
        let mut words: Vec<String> = COMMON.split_whitespace().map(str::to_owned).collect();
        while words.len() < WORD_COUNT {
            let word = made_up_word(&mut rng);
            if word.len() > 3 {
                words.push(word);
            }
        }
        let zipf_words = zipf(words.len(), 6000, 3);
        let phrases = (0..PHRASE_COUNT)
            .map(|_| {
                let len = rng.between(2, 5);
                let parts: Vec<&str> = (0..len)
                    .map(|_| words[usize::from(zipf_words[rng.index(zipf_words.len())])].as_str())
                    .collect();
                parts.join(" ")
            })
            .collect();
        let last_names = (0..900)
            .map(|_| match rng.below(20) {
                0 => format!("O'{}", capitalised(&made_up_word(&mut rng))),
                1 => format!("{}ström", capitalised(&made_up_word(&mut rng))),
                2 => format!(
                    "{}-{}",
                    capitalised(&made_up_word(&mut rng)),
                    capitalised(&made_up_word(&mut rng))
                ),
                _ => capitalised(&made_up_word(&mut rng)),
            })
            .collect();
        let cities = (0..700)
            .map(|_| {
                let suffix =
                    rng.pick(&["", "", "ton", "burg", "ville", "stad", "field", "ford", "münde", " Bay"]);
                format!("{}{suffix}", capitalised(&made_up_word(&mut rng)))
            })
            .collect();
        Self {
            words,
            zipf_words,
            phrases,
            zipf_phrases: zipf(PHRASE_COUNT, 6000, 100),
            first_names: FIRST_NAMES.split_whitespace().collect(),
            last_names,
            cities,
            countries: COUNTRIES.split_whitespace().collect(),
        }
    }

    pub(super) fn word(&self, rng: &mut Rng) -> &str {
        &self.words[usize::from(self.zipf_words[rng.index(self.zipf_words.len())])]
    }

    /// One of the rarer words: names of things.
    pub(super) fn noun(&self, rng: &mut Rng) -> &str {
        &self.words[180 + rng.skewed(self.words.len() - 180)]
    }

    pub(super) fn first_name(&self, rng: &mut Rng) -> &str {
        self.first_names[rng.skewed(self.first_names.len())]
    }

    pub(super) fn last_name(&self, rng: &mut Rng) -> &str {
        &self.last_names[rng.skewed(self.last_names.len())]
    }

    pub(super) fn city(&self, rng: &mut Rng) -> &str {
        &self.cities[rng.skewed(self.cities.len())]
    }

    pub(super) fn country(&self, rng: &mut Rng) -> &str {
        self.countries[rng.skewed(self.countries.len())]
    }

    /// A few words that name something, like `Soft Stelling garden`.
    pub(super) fn push_title(&self, bytes: &mut Vec<u8>, rng: &mut Rng, words: u64) {
        for i in 0..words {
            if i > 0 {
                bytes.push(b' ');
            }
            let start = bytes.len();
            bytes.extend_from_slice(self.noun(rng).as_bytes());
            if i < 2 {
                bytes[start].make_ascii_uppercase();
            }
        }
    }

    /// A sentence of about this many words, with its full stop.
    pub(super) fn push_sentence(&self, bytes: &mut Vec<u8>, rng: &mut Rng, words: u64) {
        let start = bytes.len();
        let mut left = words;
        while left > 0 {
            let draw = rng.next();
            if draw % 100 < PHRASE_PERCENT {
                let phrase = self.zipf_phrases[index_of(draw >> 32, self.zipf_phrases.len())];
                bytes.extend_from_slice(self.phrases[usize::from(phrase)].as_bytes());
                left = left.saturating_sub(3);
            } else {
                let word = self.zipf_words[index_of(draw >> 32, self.zipf_words.len())];
                bytes.extend_from_slice(self.words[usize::from(word)].as_bytes());
                left -= 1;
            }
            match (left, draw >> 8 & 127) {
                (0, _) => (),
                (_, 0..8) => bytes.extend_from_slice(b", "),
                (_, 8) => bytes.extend_from_slice(b" \xe2\x80\x93 "),
                (_, 9) => bytes.extend_from_slice(b"'s "),
                _ => bytes.push(b' '),
            }
        }
        bytes[start].make_ascii_uppercase();
        bytes.push(b".....!?."[rng.index(8)]);
    }
}

/// Which of `len` things a draw of 32 bits means.
fn index_of(draw: u64, len: usize) -> usize {
    usize::try_from((draw * len as u64) >> 32).expect("it is below a usize")
}

/// Indices below `count`; the one of rank r as often as `1 / (r + flattened)`, times `scale`. In whole
/// numbers only, so that it comes out the same everywhere.
fn zipf(count: usize, scale: usize, flattened: usize) -> Vec<u16> {
    let mut indices = Vec::new();
    for rank in 0..u16::try_from(count).expect("few words") {
        let times = scale / (usize::from(rank) + flattened) + 1;
        indices.extend(std::iter::repeat_n(rank, times));
    }
    indices
}

fn made_up_word(rng: &mut Rng) -> String {
    let parts = |list: &'static str| list.split_whitespace().collect::<Vec<_>>();
    let (onsets, nuclei, codas, endings) = (parts(ONSETS), parts(NUCLEI), parts(CODAS), parts(ENDINGS));
    let mut word = String::new();
    for _ in 0..=rng.skewed(2) {
        word += rng.pick(&onsets);
        word += rng.pick(&nuclei);
        word += rng.pick(&codas);
    }
    word += rng.pick(&endings);
    word.replace('-', "")
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

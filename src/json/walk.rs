//! The walk along a shape: every fault of a text, and every integer that is written with zeros behind a point.
//!
//! Nothing of the text is kept: arrays and objects are looked at value by value, as they come. No value is looked at more often than it
//! lies deep, and shapes are not deep.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use super::shape::{Field, Needed, Shape};
use super::{FAULTS_MAX, Fault, Faults};

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) faults: Faults,
    /// What is to be left out of the text so that its integers are plain: where it begins, and how long it is, ascending.
    zeros: Vec<(usize, usize)>,
}

/// The most characters of a value that a fault repeats.
const ECHO_CHARS_MAX: usize = 64;

/// Walks through a text; an error if it is no JSON.
pub(super) fn walk(text: &str, shape: &Shape) -> Result<Walked, serde_json::Error> {
    let value: &RawValue = serde_json::from_str(text)?;
    let mut walk = Walk { whole: text, path: Vec::new(), places: Vec::new(), walked: Walked::default() };
    walk.value(value.get(), shape)?;
    let Walk { mut places, mut walked, .. } = walk;
    places.sort_by(|(one, _), (other, _)| one.cmp(other));
    walked.faults.first = places.into_iter().map(|(_, fault)| fault).collect();
    Ok(walked)
}

impl Walked {
    /// The same text, its integers plain.
    pub(super) fn without_zeros(&self, text: &str) -> String {
        let mut plain = String::with_capacity(text.len());
        let mut from = 0;
        for (begin, length) in &self.zeros {
            plain.push_str(&text[from..*begin]);
            from = begin + length;
        }
        plain + &text[from..]
    }
}

struct Walk<'t> {
    whole: &'t str,
    path: Vec<Segment>,
    /// The faults, with their places, by which they are ordered in the end.
    places: Vec<(Vec<usize>, Fault)>,
    walked: Walked,
}

enum Segment {
    /// A field, and where it stands in its shape: behind all others if it is not of it.
    Name(String, usize),
    Index(usize),
}

impl<'t> Walk<'t> {
    /// Looks at one value, which is JSON.
    fn value(&mut self, value: &'t str, shape: &Shape) -> Result<(), serde_json::Error> {
        match shape {
            Shape::Any => {}
            Shape::Integer { min, max, but_zero, .. } => {
                let within = |number: &i64| (min..=max).contains(&number) && !(*but_zero && *number == 0);
                match Decimal::of(value) {
                    Some(Decimal { number: Some(number), zeros }) if within(&number) => {
                        if zeros > 0 {
                            self.walked.zeros.push((self.end_of(value) - zeros, zeros));
                        }
                    }
                    _ => self.refuse(value, shape),
                }
            }
            Shape::Boolean if matches!(value, "true" | "false") => {}
            Shape::Text(check) => match text(value) {
                Some(Ok(text)) => check(&text).unwrap_or_else(|detail| self.fault(|| detail)),
                Some(Err(HalfACharacter)) => self.fault(|| HalfACharacter.to_string()),
                None => self.refuse(value, shape),
            },
            Shape::Choice(choices) => match text(value) {
                Some(Ok(text)) if choices.contains(&text.as_str()) => {}
                _ => self.refuse(value, shape),
            },
            Shape::Lines(of) if value.starts_with('[') => {
                let lines = (&mut serde_json::Deserializer::from_str(value))
                    .deserialize_seq(Elements { of, walk: self })?;
                if lines == 0 {
                    self.fault(|| "must have at least one line".to_owned());
                }
            }
            Shape::Object(fields) if value.starts_with('{') => {
                (&mut serde_json::Deserializer::from_str(value))
                    .deserialize_map(Entries { fields, walk: self })?;
            }
            Shape::Boolean | Shape::Lines(_) | Shape::Object(_) => self.refuse(value, shape),
        }
        Ok(())
    }

    fn refuse(&mut self, value: &str, shape: &Shape) {
        // What it is, for it may not be what its sender believes to have sent.
        self.fault(|| format!("{}; it is {}", shape.words(), kind(value)));
    }

    /// Something is wrong with the value at the path.
    fn fault(&mut self, detail: impl FnOnce() -> String) {
        self.walked.faults.total += 1;
        if self.places.len() < FAULTS_MAX {
            let pointer = self.path.iter().fold(String::new(), |pointer, segment| match segment {
                Segment::Name(name, _) => pointer + "/" + &name.replace('~', "~0").replace('/', "~1"),
                Segment::Index(index) => format!("{pointer}/{index}"),
            });
            let place = self.path.iter().map(|segment| match segment {
                Segment::Name(_, at) | Segment::Index(at) => *at,
            });
            self.places.push((place.collect(), Fault { pointer, detail: detail() }));
        }
    }

    /// Where a part of the whole text ends in it.
    fn end_of(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.whole.as_ptr().addr() + part.len()
    }

    fn at<T>(&mut self, segment: Segment, look: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(segment);
        let seen = look(self);
        self.path.pop();
        seen
    }
}

/// The elements of an array, each of one shape; their number.
struct Elements<'w, 't, 's> {
    of: &'s Shape,
    walk: &'w mut Walk<'t>,
}

impl<'t> Visitor<'t> for Elements<'_, 't, '_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut elements: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while let Some(element) = elements.next_element::<&'t RawValue>()? {
            let look = |walk: &mut Walk<'t>| walk.value(element.get(), self.of);
            self.walk.at(Segment::Index(count), look).map_err(A::Error::custom)?;
            count += 1;
        }
        Ok(count)
    }
}

/// The entries of an object with these fields.
struct Entries<'w, 't> {
    fields: &'static [Field],
    walk: &'w mut Walk<'t>,
}

impl<'t> Visitor<'t> for Entries<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = vec![false; self.fields.len()];
        while let Some(name) = entries.next_key::<&'t RawValue>()? {
            let value: &'t RawValue = entries.next_value()?;
            // A name that is no text is no field's.
            let name = match text(name.get()) {
                Some(Ok(name)) => name,
                Some(Err(HalfACharacter)) | None => name.get().to_owned(),
            };
            let field = self.fields.iter().position(|field| field.name == name);
            let look = |walk: &mut Walk<'t>| {
                match field {
                    None => walk.fault(|| unknown(self.fields)),
                    Some(at) if std::mem::replace(&mut seen[at], true) => {
                        walk.fault(|| "is there twice".to_owned());
                    }
                    Some(at) => {
                        let Field { needed, shape, .. } = &self.fields[at];
                        if *needed != Needed::Optional || value.get() != "null" {
                            return walk.value(value.get(), shape);
                        }
                    }
                }
                Ok(())
            };
            let at = field.unwrap_or(self.fields.len());
            self.walk.at(Segment::Name(name, at), look).map_err(A::Error::custom)?;
        }
        for (at, field) in self.fields.iter().enumerate() {
            if !seen[at] && field.needed == Needed::Always {
                let name = Segment::Name(field.name.to_owned(), at);
                self.walk.at(name, |walk| walk.fault(|| "is missing".to_owned()));
            }
        }
        Ok(())
    }
}

fn unknown(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
    format!("is not a field of this object, which has {}", names.join(", "))
}

/// A number as it is written, if it is an integer.
struct Decimal {
    /// `None` if it is far out of any range.
    number: Option<i64>,
    /// The length of a point and the zeros behind it.
    zeros: usize,
}

impl Decimal {
    fn of(value: &str) -> Option<Self> {
        let (whole, zeros) = value.split_once('.').map_or((value, 0), |(whole, fraction)| {
            (whole, if fraction.bytes().all(|digit| digit == b'0') { 1 + fraction.len() } else { usize::MAX })
        });
        let digits = whole.strip_prefix('-').unwrap_or(whole);
        let is_integer =
            zeros < usize::MAX && !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        // Minus nothing is no number of anything.
        is_integer.then(|| Self { number: whole.parse().ok().filter(|_| whole != "-0"), zeros })
    }
}

/// A string of which an escape is half of a character that takes two. That is JSON (RFC 8259, section 8.2), and no text.
#[derive(Debug, Error)]
#[error(
    "must be text; an escape in it (\\ud800 to \\udfff) is half of a character whose other half is missing"
)]
struct HalfACharacter;

/// The string that a value is, if it is one.
fn text(value: &str) -> Option<Result<String, HalfACharacter>> {
    // The value is JSON, so nothing else can be wrong with it.
    value.starts_with('"').then(|| serde_json::from_str(value).map_err(|_| HalfACharacter))
}

/// What a value is, in words.
fn kind(value: &str) -> String {
    match value.as_bytes().first() {
        Some(b'{') => "an object".to_owned(),
        Some(b'[') => "an array".to_owned(),
        Some(b'"') => format!("the string {}", echo(value)),
        _ => echo(value),
    }
}

fn echo(value: &str) -> String {
    match value.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

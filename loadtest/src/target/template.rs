//! Texts with placeholders in braces, such as `/items/{sku}`: parsed once, filled in for each request.
//!
//! What is filled in is escaped as the place demands, so that no name can change what a request means.

use std::fmt;

use percent_encoding::utf8_percent_encode;

use crate::catalogue::RESERVED;

/// What can be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Sku,
    Location,
    Quantity,
    Delta,
    Version,
    From,
    To,
    Key,
}

impl Slot {
    /// All of them.
    pub(super) const ALL: [Self; 8] = [
        Self::Sku,
        Self::Location,
        Self::Quantity,
        Self::Delta,
        Self::Version,
        Self::From,
        Self::To,
        Self::Key,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Sku => "sku",
            Self::Location => "location",
            Self::Quantity => "quantity",
            Self::Delta => "delta",
            Self::Version => "version",
            Self::From => "from",
            Self::To => "to",
            Self::Key => "key",
        }
    }
}

/// As it is written.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

/// How what is filled in is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// In a path, a query, or a form: percent-encoded.
    Percent,
    /// Within a JSON string.
    Json,
    /// Not at all.
    Raw,
}

/// What is filled in. What a template does not name need not be there.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values<'a> {
    /// `{sku}`
    pub(super) sku: &'a str,
    /// `{location}`
    pub(super) location: &'a str,
    /// `{from}`
    pub(super) from: &'a str,
    /// `{to}`
    pub(super) to: &'a str,
    /// `{key}`
    pub(super) key: &'a str,
    /// `{quantity}`
    pub(super) quantity: u64,
    /// `{delta}`
    pub(super) delta: i64,
    /// `{version}`
    pub(super) version: u64,
}

/// A placeholder that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{{{0}}}` is no placeholder: use {list}", list = Slot::ALL.map(|slot| slot.to_string()).join(" "))]
pub(super) struct UnknownSlot(String);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Slot(Slot),
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    escape: Escape,
}

impl Template {
    /// Parses a text. Braces around anything but a single lower-case word are text, so that JSON needs no escaping.
    pub(super) fn parse(text: &str, escape: Escape) -> Result<Self, UnknownSlot> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        let mut plain = String::new();
        while let Some(open) = rest.find('{') {
            let (before, braced) = rest.split_at(open);
            plain.push_str(before);
            let Some(name) = word(&braced[1..]) else {
                plain.push('{');
                rest = &braced[1..];
                continue;
            };
            let slot = Slot::ALL.into_iter().find(|slot| slot.name() == name);
            let slot = slot.ok_or_else(|| UnknownSlot(name.to_owned()))?;
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Slot(slot));
            rest = &braced[name.len() + 2..];
        }
        plain.push_str(rest);
        pieces.push(Piece::Text(plain));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self { pieces, escape })
    }

    /// The placeholders it has.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(*slot),
            Piece::Text(_) => None,
        })
    }

    /// The text with everything filled in.
    pub(super) fn render(&self, values: &Values<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Slot(slot) => self.fill(*slot, values, &mut out),
            }
        }
        out
    }

    fn fill(&self, slot: Slot, values: &Values<'_>, out: &mut String) {
        let text = match slot {
            Slot::Sku => values.sku,
            Slot::Location => values.location,
            Slot::From => values.from,
            Slot::To => values.to,
            Slot::Key => values.key,
            Slot::Quantity => return out.push_str(itoa::Buffer::new().format(values.quantity)),
            Slot::Delta => return out.push_str(itoa::Buffer::new().format(values.delta)),
            Slot::Version => return out.push_str(itoa::Buffer::new().format(values.version)),
        };
        match self.escape {
            Escape::Percent => out.extend(utf8_percent_encode(text, RESERVED)),
            Escape::Json => {
                // As a string, without its quotes.
                let quoted = serde_json::Value::from(text).to_string();
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Escape::Raw => out.push_str(text),
        }
    }
}

/// The lower-case word that a text begins with, if a closing brace follows.
fn word(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('}')?;
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then_some(name)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str, escape: Escape, values: &Values<'_>) -> String {
        Template::parse(text, escape).expect("a template").render(values)
    }

    #[test]
    fn placeholders_are_filled_in_and_other_braces_are_text() {
        let values = Values { sku: "a b", quantity: 7, delta: -3, version: 2, ..Values::default() };
        assert_eq!(render("/items/{sku}?n={quantity}", Escape::Percent, &values), "/items/a%20b?n=7");
        let body = r#"{"a":{"sku":"{sku}","list":[{}]},"delta":{delta},"if":{version}}"#;
        let filled = render(body, Escape::Json, &values);
        assert_eq!(filled, r#"{"a":{"sku":"a b","list":[{}]},"delta":-3,"if":2}"#);
        assert_eq!(render("{", Escape::Raw, &values), "{");
        assert_eq!(render("{sku", Escape::Raw, &values), "{sku");
        assert_eq!(render("", Escape::Raw, &values), "");
    }

    #[test]
    fn a_placeholder_that_there_is_not_is_named() {
        let error = Template::parse("/items/{item}", Escape::Percent).unwrap_err().to_string();
        assert!(error.starts_with("`{item}` is no placeholder: use {sku} {location} "), "{error}");
    }

    #[test]
    fn a_template_knows_what_it_names() {
        let template = Template::parse("/{sku}/{location}/{sku}", Escape::Percent).unwrap();
        assert_eq!(template.slots().collect::<Vec<_>>(), [Slot::Sku, Slot::Location, Slot::Sku]);
    }

    proptest! {
        /// Whatever a name is, a path has it as one segment, and decodes to it.
        #[test]
        fn a_name_in_a_path_stays_one_segment(sku in any::<String>(), location in any::<String>()) {
            let values = Values { sku: &sku, location: &location, ..Values::default() };
            let path = render("/items/{sku}/x?location={location}", Escape::Percent, &values);
            let uri: hyper::Uri = path.parse().expect("a path");
            let segments: Vec<&str> = uri.path().split('/').collect();
            prop_assert_eq!(segments.len(), 4, "{}", path);
            prop_assert_eq!(percent_decode_str(segments[2]).decode_utf8().unwrap(), sku);
            let query = uri.query().expect("a query").strip_prefix("location=").expect("its name");
            prop_assert_eq!(percent_decode_str(query).decode_utf8().unwrap(), location);
        }

        /// Whatever a name is, a JSON body is JSON, and has it.
        #[test]
        fn a_name_in_a_body_stays_one_string(sku in any::<String>(), quantity in any::<u64>(), delta in any::<i64>()) {
            let values = Values { sku: &sku, quantity, delta, ..Values::default() };
            let text = r#"{"lines":[{"sku":"{sku}","n":{quantity}}],"by":{delta},"note":"of {sku}"}"#;
            let body: serde_json::Value = serde_json::from_str(&render(text, Escape::Json, &values)).expect("JSON");
            prop_assert_eq!(body["lines"][0]["sku"].as_str(), Some(sku.as_str()));
            prop_assert_eq!(body["lines"][0]["n"].as_u64(), Some(quantity));
            prop_assert_eq!(body["by"].as_i64(), Some(delta));
            let note = format!("of {sku}");
            prop_assert_eq!(body["note"].as_str(), Some(note.as_str()));
        }

        /// Whatever a name is, a form has it as one value.
        #[test]
        fn a_name_in_a_form_stays_one_value(sku in any::<String>()) {
            let values = Values { sku: &sku, quantity: 5, ..Values::default() };
            let form = render("sku={sku}&quantity={quantity}", Escape::Percent, &values);
            let (sku_part, quantity) = form.split_once('&').expect("two values");
            prop_assert_eq!(quantity, "quantity=5");
            let value = sku_part.strip_prefix("sku=").expect("its name");
            prop_assert_eq!(percent_decode_str(value).decode_utf8().unwrap(), sku);
        }
    }
}

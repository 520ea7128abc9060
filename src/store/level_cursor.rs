//! [`LevelCursor`]: a place in the order of the levels, as text that means nothing to whoever holds it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::query::NotACursor;
use crate::stock::{Location, Sku, StockKey};

/// Where a walk over the levels is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelCursor(pub(in crate::store) StockKey);

impl fmt::Display for LevelCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.text()))
    }
}

impl FromStr for LevelCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let decode = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            StockKey::from_text(&text).or_else(|| of_earlier_version(&text)).map(Self)
        };
        decode().ok_or(NotACursor)
    }
}

/// The key in a cursor as it was before names could have more characters: a walk that was begun then goes on. No key's text is like
/// it, since that has a separator.
fn of_earlier_version(text: &str) -> Option<StockKey> {
    let (sku, location) =
        text.split_once('/').filter(|_| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
    Some(StockKey::new(&Sku::parse(sku).ok()?, &Location::parse(location).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_whatever_the_names() {
        let names = ["A-1", "a/b", "BANK CHARGES", "1/2\" \u{e4}", "\\"];
        for (sku, location) in names.into_iter().zip(names.into_iter().rev()) {
            let (sku, location) = (Sku::parse(sku).unwrap(), Location::parse(location).unwrap());
            let level = LevelCursor(StockKey::new(&sku, &location));
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        let level = LevelCursor(StockKey::new(&Sku::parse("A-1").unwrap(), &Location::DEFAULT));
        assert_eq!(URL_SAFE_NO_PAD.encode("A-1/main").parse(), Ok(level), "as an earlier version told it");
        for wrong in ["", "x", "AAAA", "%", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(wrong.parse::<LevelCursor>(), Err(NotACursor), "{wrong}");
        }
    }
}

//! What texts may look like, as regular expressions that the dialects of JSON Schema, JavaScript, Python and Rust read alike: classes and
//! counts only, no look-around. Each says what its parser takes, which tests hold together; it never parses anything itself.
//!
//! What no such expression can say is left to the parser, and told in words: a name is bounded in bytes, not in characters.

use crate::alerts::Event;
use crate::store::MovementKind;

/// No control character.
const INSIDE: &str = r"[^\x00-\x1f\x7f-\x9f]";
/// Nor white space, as Unicode has it.
const AT_AN_END: &str = r"[^\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";
/// Nor a dot.
const NO_DOT: &str = r"[^\x00-\x20\x2e\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A lineage: 16 digits of a number of base 16.
pub(super) const LINEAGE: &str = "^[0-9a-f]{16}$";
/// The number of a movement, perhaps with its lineage.
pub(super) const NUMBERED: &str = "^[0-9]{1,19}(?:-[0-9a-f]{16})?$";
/// A UUID as it is told.
pub(super) const ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// A secret of 24 to 64 bytes in base64.
pub(super) const SECRET: &str = "^whsec_(?:(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/][AQgw]==)?|\
                                 (?:[A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$";
/// A URL that messages can be posted to. It may have a port, a path and a query; no user, no password and no fragment.
pub(super) const URL: &str = "^https?://(?:[A-Za-z0-9][A-Za-z0-9._~-]*|\\[[0-9A-Fa-f:.]+\\])\
                              (?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?\
                              (?:[/?][!$-;=?-Z_a-z~]*)?$";
/// A key, bare or in quotes.
pub(super) const IDEMPOTENCY_KEY: &str = r#"^(?:[!#-\[\]-~]{1,255}|"[!#-\[\]-~]{1,255}")$"#;
/// `*`, or one entity tag. As every list in a header, it may have white space and empty elements besides (RFC 9110, section 5.6.1).
pub(super) const ONE_TAG: &str = r#"^(?:\*|(?:W/)?"[!#-~]*")$"#;
/// `*`, or any number of entity tags; none is a list, too.
pub(super) const TAGS: &str = r#"^(?:\*|(?:(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*)?)$"#;

/// The name of a key of the service: 1 to 64 characters, and not what may be a key, which begins with `inv_`.
const KEY_NAME: &str = "(?:[A-Za-hj-z0-9._@-][A-Za-z0-9._@-]{0,63}|i(?:[A-Za-mo-z0-9._@-][A-Za-z0-9._@-]{0,62})?|\
                                   in(?:[A-Za-uw-z0-9._@-][A-Za-z0-9._@-]{0,61})?|inv(?:[A-Za-z0-9.@-][A-Za-z0-9._@-]{0,60})?)";
/// The name of a backup, which is that of a folder.
pub(super) const BACKUP_NAME: &str = "^[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}$";

/// The key of a stock level, in base64 for URLs.
pub(super) const LEVEL_CURSOR: &str = "^[A-Za-z0-9_-]{2,}$";

/// A place in the stream of events: base64 of 8 bytes, or of a mark and 8; either perhaps with a mark and a lineage before it.
const PLACE: &str = "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]|A[g-v][A-Za-z0-9_-]{10}|\
                     A[Q-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]|A[Q-f][A-Za-z0-9_-]{10}A[g-v][A-Za-z0-9_-]{10}";
/// A place in the history of one level: base64 of 16 bytes; perhaps with a mark and a lineage before it.
const PLACE_OF_LEVEL: &str = "[A-Za-z0-9_-]{21}[AQgw]|A[Q-f][A-Za-z0-9_-]{31}[AQgw]";

const YEAR: &str = "(?:19[7-9][0-9]|[2-9][0-9]{3})";
const LEAP_YEAR: &str = "(?:19(?:7[26]|8[048]|9[26])|[2-9][0-9](?:0[48]|[2468][048]|[13579][26])|\
                         (?:[2468][048]|[3579][26])00)";
const DAY: &str = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|\
                   02-(?:0[1-9]|1[0-9]|2[0-8]))";
const TIME: &str = r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?(?:Z|\+00:00)";

/// A sku.
pub(super) fn sku() -> String {
    // All but `.` and `..`: what begins with no dot, or with one and goes on with something else.
    format!(r"^(?:{NO_DOT}(?:{INSIDE}*{AT_AN_END})?|\.(?:{NO_DOT}|{INSIDE}+{AT_AN_END}))$")
}

/// The beginning of a sku.
pub(super) fn sku_prefix() -> String {
    format!("^(?:{AT_AN_END}{INSIDE}*)?$")
}

/// A location.
pub(super) fn location() -> String {
    format!("^{AT_AN_END}(?:{INSIDE}*{AT_AN_END})?$")
}

/// Who makes a change: the name of a key, or of the subject of a token.
pub(super) fn actor() -> String {
    format!("^(?:{KEY_NAME}|jwt:{INSIDE}{{1,60}})$")
}

/// A place in the stream of events.
pub(super) fn place() -> String {
    format!("^(?:{PLACE})$")
}

/// What the stream of events goes on after: a place, or the number of a movement.
pub(super) fn place_or_number() -> String {
    format!("^(?:[0-9]{{1,19}}(?:-[0-9a-f]{{16}})?|{PLACE})$")
}

/// The same of a header, which may be there and empty.
pub(super) fn last_event_id() -> String {
    format!("^(?:[0-9]{{1,19}}(?:-[0-9a-f]{{16}})?|{PLACE})?$")
}

/// A place in a list of movements.
pub(super) fn movement_cursor() -> String {
    format!("^(?:{PLACE}|{PLACE_OF_LEVEL})$")
}

/// A time in UTC, or a date.
pub(super) fn time() -> String {
    format!("^(?:{})(?:{TIME})?$", date())
}

/// A time, or the number of a movement.
pub(super) fn moment() -> String {
    format!("^(?:[0-9]{{1,19}}(?:-[0-9a-f]{{16}})?|(?:{})(?:{TIME})?)$", date())
}

/// Kinds of movements, with commas between them.
pub(super) fn kinds() -> String {
    list(&MovementKind::ALL.map(MovementKind::name))
}

/// Kinds of events, with commas between them.
pub(super) fn events() -> String {
    list(&Event::all().map(Event::name).collect::<Vec<_>>())
}

fn date() -> String {
    format!("{YEAR}-{DAY}|{LEAP_YEAR}-02-29")
}

fn list(names: &[&str]) -> String {
    let one = names.join("|").replace('.', r"\.");
    format!("^(?:{one})(?:,(?:{one}))*$")
}

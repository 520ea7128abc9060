//! [`Conditions`]: `If-Match` and `If-None-Match` (RFC 9110, section 13.1).
//!
//! A level's entity tag is its version in quotes, and after a restore the lineage with it: a tag of a history that was taken back
//! matches nothing. Tags are compared strongly where a change depends on them, so a
//! weak tag (`W/"3"`) never matches there; a read compares weakly.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::IDEMPOTENCY_KEY;
use super::query::Query;
use crate::http::problem::{Problem, ProblemKind};
use crate::http::{HttpState, lookup};
use crate::stock::{Known, Level, Precondition, Quantity, Until, VERSION_MAX};
use crate::store::{Lineage, Numbered, Store as _};

/// The conditional headers of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match`.
    pub if_none_match: Option<EntityTags>,
    /// Whether a PUT and a DELETE must have one, whatever is there.
    pub required: bool,
}

/// `*` or a list of tags.
#[derive(Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// Any version of a level that exists.
    Any,
    /// One of these.
    List(Vec<EntityTag>),
}

/// One tag. A tag this service cannot have given out in this lineage has no version and matches nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct EntityTag {
    version: Option<u64>,
    weak: bool,
}

impl Conditions {
    /// What a change of one level demands, where only `If-Match` makes sense.
    pub fn if_match_only(&self) -> Result<Precondition, Problem> {
        if self.if_none_match.is_some() {
            return Err(invalid(&header::IF_NONE_MATCH, "has no meaning for this request"));
        }
        self.if_match()
    }

    /// That there are none, of a request for which they have no meaning.
    pub fn none(&self) -> Result<(), Problem> {
        let names = [(&header::IF_MATCH, &self.if_match), (&header::IF_NONE_MATCH, &self.if_none_match)];
        match names.into_iter().find(|(_, condition)| condition.is_some()) {
            Some((name, _)) => Err(invalid(name, "has no meaning for a level as it was")),
            None => Ok(()),
        }
    }

    /// What a DELETE demands: the version that is meant, or that there is nothing to lose.
    pub fn for_delete(&self) -> Result<Precondition, Problem> {
        match self.if_match_only()? {
            Precondition::Any if self.required => {
                Err(missing("If-Match with the entity tag of the level, or *"))
            }
            Precondition::Any => Ok(Precondition::Empty),
            demanded => Ok(demanded),
        }
    }

    /// What a read demands of the level it shows.
    pub fn if_match(&self) -> Result<Precondition, Problem> {
        self.if_match.as_ref().map_or(Ok(Precondition::Any), demanded)
    }

    /// What a PUT demands: `If-Match` to overwrite, `If-None-Match: *` to create only, or neither.
    pub fn for_put(&self) -> Result<Precondition, Problem> {
        match (&self.if_match, &self.if_none_match) {
            (None, None) if self.required => Err(missing(
                "If-None-Match: * to create a level, If-Match with its entity tag, or *, to overwrite it",
            )),
            (_, None) => self.if_match_only(),
            (None, Some(EntityTags::Any)) => Ok(Precondition::Absent),
            (None, Some(_)) => Err(invalid(&header::IF_NONE_MATCH, "must be * on a PUT")),
            (Some(_), Some(_)) => Err(invalid(&header::IF_NONE_MATCH, "cannot be combined with If-Match")),
        }
    }

    /// What a reader that sent these waits for, if it is willing to: that it is told something new ([`Conditions::not_modified`]), and, if it says so,
    /// that so many units are available; for as long as its `If-Match` holds. `None` where there is nothing to wait for.
    pub fn until(&self, min_available: Option<Quantity>) -> Result<Option<Until>, Problem> {
        let demanded = self.if_match()?;
        let other_than = self.if_none_match.as_ref().map(|tags| match tags {
            EntityTags::Any => Known::Existing,
            EntityTags::List(tags) => Known::Versions(tags.iter().filter_map(|tag| tag.version).collect()),
        });
        let waits = min_available.is_some() || other_than.is_some();
        Ok(waits.then_some(Until { demanded, other_than, min_available }))
    }

    /// Whether a reader that sent these already has this level.
    pub fn not_modified(&self, level: Level) -> bool {
        match &self.if_none_match {
            None => false,
            Some(EntityTags::Any) => level.exists(),
            Some(EntityTags::List(tags)) => tags.iter().any(|tag| tag.version == Some(level.version())),
        }
    }
}

/// A change that takes no conditions: a client that sends some believes that they count.
#[derive(Debug)]
pub struct NoConditions;

/// A change that takes neither conditions nor parameters: a client that sends some believes that they count.
#[derive(Debug)]
pub struct Unconditional;

impl<S: Sync> FromRequestParts<S> for Unconditional {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::parse(&parts.uri, &[])?;
        NoConditions::from_request_parts(parts, state).await?;
        Ok(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for NoConditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        for name in [&header::IF_MATCH, &header::IF_NONE_MATCH] {
            if lookup::has(&parts.headers, name) {
                return Err(invalid(name, "has no meaning for this request"));
            }
        }
        Ok(Self)
    }
}

/// A change that is not a POST. A client that sends it with a key relies on its taking effect once, and is told that
/// preconditions are what this method has for that, before anything happens.
#[derive(Debug)]
pub struct Unkeyed;

/// A change that is no change of stock. A client that sends it with a key relies on its taking effect once, and is told how it can look.
#[derive(Debug)]
pub struct NeverKeyed;

impl<S: Sync> FromRequestParts<S> for NeverKeyed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if lookup::has(&parts.headers, &IDEMPOTENCY_KEY) {
            let detail = "the header idempotency-key is for changes of stock; list what there is to see whether a request took effect; nothing was changed";
            return Err(Problem::new(ProblemKind::InvalidRequest, detail));
        }
        Ok(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for Unkeyed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if lookup::has(&parts.headers, &IDEMPOTENCY_KEY) {
            let detail = "the header idempotency-key is for POST; use If-Match or If-None-Match here; nothing was changed";
            return Err(Problem::new(ProblemKind::InvalidRequest, detail));
        }
        Ok(Self)
    }
}

impl FromRequestParts<&'static HttpState> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &&'static HttpState) -> Result<Self, Problem> {
        let lineage = state.store()?.lineage();
        Ok(Self {
            if_match: tags(&parts.headers, &header::IF_MATCH, lineage)?,
            if_none_match: tags(&parts.headers, &header::IF_NONE_MATCH, lineage)?,
            required: state.policy.precondition,
        })
    }
}

/// A change happens against one version: of several tags, no more than one could match, and a client that
/// sends several does not know which it read.
fn demanded(if_match: &EntityTags) -> Result<Precondition, Problem> {
    /// No level has it, so it never matches.
    const NO_VERSION: u64 = VERSION_MAX + 1;
    match if_match {
        EntityTags::Any => Ok(Precondition::Exists),
        EntityTags::List(tags) => match tags.as_slice() {
            [EntityTag { version: Some(version), weak: false }] => Ok(Precondition::Version(*version)),
            [_] => Ok(Precondition::Version(NO_VERSION)),
            _ => Err(invalid(&header::IF_MATCH, "must be * or one entity tag")),
        },
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName, lineage: Lineage) -> Result<Option<EntityTags>, Problem> {
    if !lookup::has(headers, name) {
        return Ok(None);
    }
    let mut stars = 0;
    let mut list = Vec::new();
    // Several fields of one name are one list (RFC 9110, section 5.3).
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| invalid(name, "must be ASCII"))?;
        for item in elements(text) {
            if item == "*" {
                stars += 1;
                continue;
            }
            list.push(
                tag(item, lineage).ok_or_else(|| invalid(name, "must be * or entity tags such as \"3\""))?,
            );
        }
    }
    match stars {
        0 => Ok(Some(EntityTags::List(list))),
        1 if list.is_empty() => Ok(Some(EntityTags::Any)),
        _ => Err(invalid(name, "must be * alone, or entity tags")),
    }
}

/// The elements of a list of entity tags. A comma within quotes is a part of its tag, and an empty element is none (RFC 9110, sections 8.8.3
/// and 5.6.1).
pub(super) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let elements = list.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    elements.map(str::trim).filter(|element| !element.is_empty())
}

fn tag(text: &str, lineage: Lineage) -> Option<EntityTag> {
    let (weak, text) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
    let opaque = text.strip_prefix('"')?.strip_suffix('"')?;
    // Nothing that two tags without a comma between them would be (RFC 9110, section 8.8.3).
    let is_opaque = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    if !opaque.bytes().all(is_opaque) {
        return None;
    }
    // Exactly as it was given out: "03" or "+3" is a tag, but not one of ours.
    let numbered = opaque.parse::<Numbered>().ok().filter(|numbered| numbered.to_string() == opaque);
    let version = numbered.filter(|numbered| numbered.lineage == lineage).map(|numbered| numbered.number);
    Some(EntityTag { version, weak })
}

fn missing(what: &str) -> Problem {
    let detail = format!(
        "this service takes no PUT or DELETE of a level without a precondition: send {what}; nothing was changed"
    );
    Problem::new(ProblemKind::PreconditionRequired, detail)
}

fn invalid(name: &HeaderName, detail: &str) -> Problem {
    Problem::new(ProblemKind::InvalidRequest, format!("the header {name} {detail}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn if_match(value: &str) -> Result<Option<EntityTags>, ProblemKind> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        tags(&headers, &header::IF_MATCH, Lineage::FIRST).map_err(|problem| problem.kind())
    }

    #[test]
    fn tags_are_versions_in_quotes() {
        let list = |version, weak| Ok(Some(EntityTags::List(vec![EntityTag { version, weak }])));
        assert_eq!(if_match("\"3\""), list(Some(3), false));
        assert_eq!(if_match("W/\"3\""), list(Some(3), true));
        assert_eq!(if_match("\"03\""), list(None, false));
        assert_eq!(if_match("\"abc\""), list(None, false));
        assert_eq!(if_match("\"3-00000000000000a1\""), list(None, false), "of another lineage");
        assert_eq!(if_match(" * "), Ok(Some(EntityTags::Any)));
        assert_eq!(if_match("\"3\", *"), Err(ProblemKind::InvalidRequest));
        assert_eq!(if_match("*, *"), Err(ProblemKind::InvalidRequest));
        for malformed in ["3", "\"3", "3\"", "w/\"3\"", "\"", "\"3\"\"4\"", "\"3\" \"4\"", "\"3 \""] {
            assert_eq!(if_match(malformed), Err(ProblemKind::InvalidRequest), "{malformed}");
        }
    }

    /// P6: after a restore a tag names its lineage, and no other matches.
    #[test]
    fn a_tag_is_of_one_lineage() {
        let restored: Numbered = "3-00000000000000a1".parse().unwrap();
        let version = |text: &str, lineage| tag(text, lineage).unwrap().version;
        assert_eq!(version("\"3-00000000000000a1\"", restored.lineage), Some(3));
        for other in ["3", "3-00000000000000a2", "3-a1", "3-00000000000000A1", "03-00000000000000a1"] {
            assert_eq!(version(&format!("\"{other}\""), restored.lineage), None, "{other}");
        }
    }

    /// A wait is over exactly where a reader that does not wait is told something new.
    #[test]
    fn what_is_waited_for_is_what_is_new() {
        let levels = [
            Level::ABSENT,
            Level::existing(1, 0, 1).unwrap(),
            Level::existing(0, 0, 2).unwrap(),
            Level::tombstone(3).unwrap(),
        ];
        assert_eq!(Conditions::default().until(None).map_err(|problem| problem.kind()), Ok(None));
        for value in ["*", "\"0\"", "\"1\"", "\"2\", W/\"3\"", "\"1-00000000000000a1\"", "\"x\"", ""] {
            let conditions = Conditions {
                if_match: None,
                if_none_match: if_match(value).unwrap(),
                ..Conditions::default()
            };
            let until = conditions.until(None).map_err(|problem| problem.kind()).unwrap().unwrap();
            for level in levels {
                assert_eq!(until.is_met(level), !conditions.not_modified(level), "{value}: {level:?}");
            }
        }
    }

    #[test]
    fn a_change_is_made_against_one_strong_tag() {
        let demand = |value| demanded(&if_match(value).unwrap().unwrap()).map_err(|problem| problem.kind());
        assert_eq!(demand("\"3\""), Ok(Precondition::Version(3)));
        assert_eq!(demand("*"), Ok(Precondition::Exists));
        assert_eq!(demand("W/\"3\""), Ok(Precondition::Version(VERSION_MAX + 1)));
        assert_eq!(demand("\"3\", \"4\""), Err(ProblemKind::InvalidRequest));
    }
}

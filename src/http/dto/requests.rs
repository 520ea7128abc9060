//! The bodies of requests.

use std::sync::{Arc, OnceLock};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::{Delta, MovedUnits, Object, Text, Units};
use crate::http::extract::read_part;
use crate::http::problem::{FieldError, Problem, ProblemKind, clip};
use crate::stock::{
    Change, Entry, IfMissing, Location, Operation, REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Remark, Sku,
    StockKey, Transaction, TransactionError,
};
use crate::store::EachLine;

/// The most lines one request may have.
const LINES_MAX: usize = 10_000;

/// The most field errors that are listed of all the lines of one body together. Of a line past that only the first is told, and how
/// many more there are: an answer must not be many times the size of its request.
const ERRORS_OF_LINES_MAX: usize = 1_000;

/// How many units there are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutRequest<'a> {
    /// The units on hand.
    #[schema(value_type = u64, maximum = 1_099_511_627_775_u64, example = 100)]
    pub on_hand: Units,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64, example = "stocktaking")]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// A relative change of one level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustRequest<'a> {
    /// The units to add, or to take where it is negative. Not 0.
    #[schema(value_type = i64, minimum = -1_099_511_627_775_i64, maximum = 1_099_511_627_775_i64, example = -3)]
    pub delta: Delta,
    /// What becomes of it where there is no such level.
    #[serde(default)]
    pub if_missing: Missing,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64, example = "sold")]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128, example = "order 4711")]
    reference: Option<Text<'a>>,
}

/// Relative changes of several levels.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdjustmentsRequest<'a> {
    /// Whether the lines stand or fall together.
    #[serde(default)]
    pub mode: Mode,
    /// The changes. Lines that name the same level are one change of it in `atomic` mode, one each in
    /// `independent` mode.
    #[serde(borrow)]
    #[schema(value_type = Vec<Line<'static>>, min_items = 1, max_items = 10_000)]
    pub lines: Vec<Object<Line<'a>>>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What they belong to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// The same request, of which not every line is one: those of an independent batch are judged one by one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LooseAdjustmentsRequest<'a> {
    /// Whether the lines stand or fall together.
    #[serde(default)]
    pub mode: Mode,
    /// The lines, as they are.
    #[serde(borrow)]
    lines: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    reference: Option<Text<'a>>,
}

/// A line of an independent batch that is not as it must be.
#[derive(Debug)]
pub struct WrongLine {
    /// The sku it names, if it names one.
    pub sku: Option<String>,
    /// The location.
    pub location: Option<String>,
    /// What is wrong.
    pub problem: Box<Problem>,
}

/// Whether the lines of a batch stand or fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Mode {
    /// All lines or none.
    #[default]
    Atomic,
    /// Each line on its own, as if it were a request of its own.
    Independent,
}

/// A relative change of one level.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Line<'a> {
    /// The sku.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "85123A")]
    sku: Text<'a>,
    /// The location; `main` where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 32)]
    location: Option<Text<'a>>,
    /// The units to add, or to take where it is negative. Not 0.
    #[schema(value_type = i64, minimum = -1_099_511_627_775_i64, maximum = 1_099_511_627_775_i64, example = -3)]
    pub delta: Delta,
    /// What becomes of it where there is no such level. Of several lines that name one level, one that creates it is enough.
    #[serde(default)]
    if_missing: Missing,
}

/// What becomes of a change of a level that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Missing {
    /// It is refused: `stock-not-found`.
    #[default]
    Refuse,
    /// The level begins with no units: a receipt of something new.
    Create,
}

/// Units to move between locations.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransfersRequest<'a> {
    /// The moves: all or none.
    #[serde(borrow)]
    #[schema(value_type = Vec<TransferLine<'static>>, min_items = 1, max_items = 10_000)]
    pub lines: Vec<Object<TransferLine<'a>>>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What they belong to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// One move.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"sku": "85123A", "from": "main", "to": "shop", "quantity": 3}))]
#[serde(deny_unknown_fields)]
pub struct TransferLine<'a> {
    /// The sku.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 64, example = "85123A")]
    sku: Text<'a>,
    /// The location to take the units from.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 32, example = "main")]
    from: Text<'a>,
    /// The location to bring them to; its level is created where it is missing.
    #[serde(borrow)]
    #[schema(value_type = String, max_length = 32, example = "shop")]
    to: Text<'a>,
    /// The units, at least 1.
    #[schema(value_type = u64, minimum = 1, maximum = 1_099_511_627_775_u64, example = 3)]
    quantity: MovedUnits,
}

/// By hand: a derived one takes `{"atomic":null}` as well, and calls a number a syntax error.
impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Text::deserialize(deserializer)?.0.as_ref() {
            "atomic" => Ok(Self::Atomic),
            "independent" => Ok(Self::Independent),
            other => Err(D::Error::unknown_variant(other, &["atomic", "independent"])),
        }
    }
}

/// By hand, as [`Mode`] is.
impl<'de> Deserialize<'de> for Missing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Text::deserialize(deserializer)?.0.as_ref() {
            "refuse" => Ok(Self::Refuse),
            "create" => Ok(Self::Create),
            other => Err(D::Error::unknown_variant(other, &["refuse", "create"])),
        }
    }
}

impl From<Missing> for IfMissing {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Refuse => Self::Refuse,
            Missing::Create => Self::Create,
        }
    }
}

impl PutRequest<'_> {
    /// Checks what the types cannot, and takes the reason and the reference out.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }
}

impl AdjustRequest<'_> {
    /// What is to happen to the level.
    pub fn operation(&self) -> Operation {
        Operation::Adjust { delta: self.delta.0, if_missing: self.if_missing.into() }
    }

    /// Checks what the types cannot, and takes the reason and the reference out.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }
}

impl AdjustmentsRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// All lines as one transaction.
    pub fn transaction(&self) -> Result<Transaction, Problem> {
        check_count(self.lines.len(), LINES_MAX)?;
        let keys = each_line(&self.lines, |index, Object(line), errors| line.key(index, errors))?;
        let entries = keys.into_iter().zip(&self.lines).enumerate().map(|(line, (key, Object(wanted)))| {
            adjustment(key, wanted.delta.0, wanted.if_missing.into(), line)
        });
        Transaction::of_lines(entries).map_err(|error| not_a_transaction(&error))
    }

    /// Each line by itself.
    pub fn each(&self) -> Result<Vec<Result<EachLine, WrongLine>>, Problem> {
        check_count(self.lines.len(), LINES_MAX)?;
        Ok(self.lines.iter().enumerate().map(|(index, Object(line))| line.alone(index)).collect())
    }
}

impl<'a> LooseAdjustmentsRequest<'a> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// Each line by itself, also where it is none.
    pub fn each(&self) -> Result<Vec<Result<EachLine, WrongLine>>, Problem> {
        check_count(self.lines.len(), LINES_MAX)?;
        let mut errors_left = ERRORS_OF_LINES_MAX;
        let line = |(index, text): (usize, &&'a RawValue)| {
            let plain = OnceLock::new();
            let alone = |Object(line): Object<Line<'_>>| line.alone(index).map_err(|wrong| *wrong.problem);
            let read = read_part(text.get(), &plain, &place(index), alone);
            read.map_err(|mut problem| {
                errors_left -= problem.list_at_most(errors_left.max(1)).min(errors_left);
                WrongLine::of(text, Box::new(problem))
            })
        };
        Ok(self.lines.iter().enumerate().map(line).collect())
    }
}

impl WrongLine {
    fn of(text: &RawValue, problem: Box<Problem>) -> Self {
        /// What a line says of these two, whatever else is wrong with it.
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow, default)]
            sku: Option<&'a RawValue>,
            #[serde(borrow, default)]
            location: Option<&'a RawValue>,
        }
        // Nothing is named by what is no object, or names one of them twice.
        let Some(Object(Named { sku, location })) = serde_json::from_str(text.get()).ok() else {
            return Self { sku: None, location: None, problem };
        };
        let named = |value: &RawValue| serde_json::from_str(value.get()).ok().as_ref().map(clipped);
        let location = location.map_or_else(|| Some(Location::DEFAULT.to_string()), named);
        Self { sku: sku.and_then(named), location, problem }
    }
}

impl Line<'_> {
    /// The level that the line names; if it names none, what is wrong goes to `errors`.
    fn key(&self, index: usize, errors: &mut Vec<FieldError>) -> Option<StockKey> {
        let sku = field(errors, index, "sku", Sku::parse(&self.sku.0));
        let location = self.location.as_ref().map_or(Ok(Location::DEFAULT), |text| Location::parse(&text.0));
        let location = field(errors, index, "location", location);
        Some(StockKey::new(&sku?, &location?))
    }

    /// The line by itself.
    pub(super) fn alone(&self, index: usize) -> Result<EachLine, WrongLine> {
        let mut errors = Vec::new();
        let operation = Operation::Adjust { delta: self.delta.0, if_missing: self.if_missing.into() };
        let change = Change::unconditional(operation);
        match self.key(index, &mut errors) {
            Some(key) => Ok(EachLine { key, change }),
            None => Err(WrongLine {
                sku: Some(clipped(&self.sku)),
                location: Some(self.location.as_ref().map_or_else(|| Location::DEFAULT.to_string(), clipped)),
                problem: Box::new(Problem::fields(errors)),
            }),
        }
    }
}

impl TransfersRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// All moves as one transaction.
    pub fn transaction(&self) -> Result<Transaction, Problem> {
        check_count(self.lines.len(), LINES_MAX)?;
        let moves = each_line(&self.lines, TransferLine::check)?;
        let entries = moves.into_iter().enumerate().flat_map(|(line, (from, to, units))| {
            [
                adjustment(from, -units, IfMissing::Refuse, line),
                adjustment(to, units, IfMissing::Create, line),
            ]
        });
        Transaction::of_lines(entries).map_err(|error| not_a_transaction(&error))
    }
}

impl TransferLine<'_> {
    fn check(
        index: usize,
        Object(line): &Object<Self>,
        errors: &mut Vec<FieldError>,
    ) -> Option<(StockKey, StockKey, i64)> {
        let sku = field(errors, index, "sku", Sku::parse(&line.sku.0));
        let from = field(errors, index, "from", Location::parse(&line.from.0));
        let to = field(errors, index, "to", Location::parse(&line.to.0));
        let units = line.quantity.0.units().cast_signed();
        let (sku, from, to) = (sku?, from?, to?);
        if from == to {
            errors.push(line_error(index, "to", "must be another location than from"));
        }
        Some((StockKey::new(&sku, &from), StockKey::new(&sku, &to), units))
    }
}

/// A text that an answer repeats.
fn clipped(text: &Text<'_>) -> String {
    let mut text = text.0.to_string();
    clip(&mut text);
    text
}

fn adjustment(key: StockKey, delta: i64, if_missing: IfMissing, line: usize) -> Entry {
    Entry { key, change: Change::unconditional(Operation::Adjust { delta, if_missing }), line }
}

pub(super) fn check_count(lines: usize, lines_max: usize) -> Result<(), Problem> {
    match lines {
        0 => Err(Problem::field("/lines", "must have at least one line")),
        many if many <= lines_max => Ok(()),
        many => {
            let detail = format!("the request has {many} lines, more than {lines_max}");
            Err(Problem::new(ProblemKind::TooManyLines, detail))
        }
    }
}

/// Reason and reference, if there is any, checked.
pub(super) fn remark(
    reason: Option<&Text<'_>>,
    reference: Option<&Text<'_>>,
) -> Result<Option<Arc<Remark>>, Problem> {
    let fields = [("/reason", reason, REASON_CHARS_MAX), ("/reference", reference, REFERENCE_CHARS_MAX)];
    for (pointer, text, chars_max) in fields {
        if text.is_some_and(|text| text.0.chars().nth(chars_max).is_some()) {
            return Err(Problem::field(pointer, format!("must be at most {chars_max} characters long")));
        }
    }
    if reason.is_none() && reference.is_none() {
        return Ok(None);
    }
    let owned = |text: Option<&Text<'_>>| text.map(|text| text.0.to_string()).unwrap_or_default();
    Ok(Some(Arc::new(Remark { reason: owned(reason), reference: owned(reference) })))
}

/// What `check` makes of each line; if any line has an error, all errors.
pub(super) fn each_line<L, T>(
    lines: &[L],
    mut check: impl FnMut(usize, &L, &mut Vec<FieldError>) -> Option<T>,
) -> Result<Vec<T>, Problem> {
    let mut errors = Vec::new();
    let mut checked = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        checked.extend(check(index, line, &mut errors));
    }
    if errors.is_empty() { Ok(checked) } else { Err(Problem::fields(errors)) }
}

pub(super) fn field<T>(
    errors: &mut Vec<FieldError>,
    line: usize,
    name: &str,
    parsed: Result<T, crate::stock::NameError>,
) -> Option<T> {
    parsed.map_err(|error| errors.push(line_error(line, name, &error.to_string()))).ok()
}

pub(super) fn line_error(line: usize, name: &str, detail: &str) -> FieldError {
    FieldError {
        pointer: Some(format!("{}/{name}", place(line))),
        parameter: None,
        line: None,
        detail: detail.to_owned(),
    }
}

fn place(line: usize) -> String {
    format!("/lines/{line}")
}

pub(super) fn not_a_transaction(error: &TransactionError) -> Problem {
    Problem::field("/lines", error.to_string())
}

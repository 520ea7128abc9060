//! What means the same wherever it stands: names, quantities, times, cursors. Each is said once here, as a schema of its own, and every
//! field and every parameter that is one refers to it. Which is which its name says, so a new field of such a name is told well without
//! anybody thinking of it.
//!
//! Tests hold these schemas equal to what reads them. Nothing here reads anything.

use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, OneOf, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};

use super::patterns;
use crate::outgoing::url;
use crate::stock::name::{LOCATION_BYTES_MAX, SKU_BYTES_MAX};
use crate::stock::{QUANTITY_MAX, REASON_CHARS_MAX, REFERENCE_CHARS_MAX, VERSION_MAX};

/// All parts, by name.
pub(super) fn all() -> Vec<(&'static str, Schema)> {
    let mut parts = texts();
    parts.extend(numbers());
    parts
}

/// The part that a field is, if it is one: a field of that name and type, of the schema of that name.
#[expect(clippy::match_same_arms, reason = "the first that fits counts, and so they are read")]
pub(super) fn of_field(schema: &str, name: &str, kind: &Type) -> Option<&'static str> {
    match (schema, name, kind) {
        // As a line names them that may be wrong.
        ("LineResult", "sku" | "location", _) => None,
        // Sums, and what no level has.
        ("Totals", ..) | ("ImportLine", "reserved", _) => None,
        ("OrdersAnswer" | "ReservationsAnswer", "next_cursor", _) => Some("Id"),
        ("MovementsAnswer", "next_cursor", _) => Some("MovementCursor"),
        (_, "next_cursor", _) => Some("LevelCursor"),
        (_, "event_cursor" | "position", _) => Some("EventCursor"),
        (_, "sku", _) => Some("Sku"),
        (_, "location" | "from" | "to", Type::String) => Some("Location"),
        (_, "reason", _) => Some("Reason"),
        (_, "reference", _) => Some("Reference"),
        (_, "id" | "reservation" | "order", Type::String) => Some("Id"),
        (_, "lineage", _) => Some("Lineage"),
        (_, "secret", _) => Some("Secret"),
        (_, "url", _) => Some("Url"),
        ("AdjustRequest" | "Line", "delta", _) => Some("Delta"),
        ("QuantityLine" | "ReturnedLine" | "TransferLine", "quantity", _) => Some("PositiveQuantity"),
        (_, "on_hand" | "reserved" | "available" | "low_at" | "quantity" | "left", Type::Integer) => {
            Some("Quantity")
        }
        (_, "version", Type::Integer) => Some("Version"),
        (_, time, Type::String) if is_time(time) => Some("Time"),
        _ => None,
    }
}

/// What a parameter is, if its name says it: the parameter of that place and name, of the route of that path.
#[expect(clippy::match_same_arms, reason = "the first that fits counts, and so they are read")]
pub(super) fn of_parameter(path: &str, place: &str, name: &str) -> Option<RefOr<Schema>> {
    let part = |name: &str| Some(Ref::from_schema_name(name).into());
    let text = |pattern: String| Some(matching(pattern).into());
    match (place, name, path) {
        (_, "sku", _) => part("Sku"),
        (_, "location", _) => part("Location"),
        ("path", "id", _) => part("Id"),
        (_, "sku_prefix", _) => Some(matching(patterns::sku_prefix()).max_length(Some(SKU_BYTES_MAX)).into()),
        // No movement has an empty one.
        (_, "reference", "/v1/movements" | "/v1/events") => {
            Some(plain(Type::String).min_length(Some(1)).max_length(Some(REFERENCE_CHARS_MAX)).into())
        }
        (_, "reason", _) => part("Reason"),
        (_, "reference", _) => part("Reference"),
        (_, "cursor", "/v1/stock") => part("LevelCursor"),
        (_, "cursor", "/v1/movements") => part("MovementCursor"),
        (_, "cursor", _) => part("Id"),
        (_, "state", "/v1/orders") => part("OrderStateAnswer"),
        (_, "state", _) => part("ReservationStateAnswer"),
        (_, "after", "/v1/events") => text(patterns::place_or_number()),
        (_, "after", _) => text(patterns::NUMBERED.to_owned()),
        (_, "kind", "/v1/events") => text(patterns::events()),
        (_, "kind", _) => text(patterns::kinds()),
        (_, "from" | "to", _) => text(patterns::time()),
        (_, "at", _) => text(patterns::moment()),
        (_, "format", _) => Some(plain(Type::String).enum_values(Some(["ndjson", "csv"])).into()),
        (_, "actor", _) => text(patterns::actor()),
        ("path", "name", "/v1/backups/{name}") => text(patterns::BACKUP_NAME.to_owned()),
        (_, "Last-Event-ID", _) => text(patterns::last_event_id()),
        (_, "Idempotency-Key", _) => text(patterns::IDEMPOTENCY_KEY.to_owned()),
        (_, "If-Match", _) => text(patterns::ONE_TAG.to_owned()),
        _ => None,
    }
}

/// What the header `If-None-Match` may be, which depends on the method.
pub(super) fn if_none_match(is_read: bool) -> RefOr<Schema> {
    let tags = matching(patterns::TAGS.to_owned());
    if is_read { tags.into() } else { plain(Type::String).enum_values(Some(["*"])).into() }
}

/// The same, or null.
pub(super) fn or_null(part: &str, description: Option<String>) -> OneOf {
    let part = Ref::from_schema_name(part);
    OneOfBuilder::new().item(part).item(plain(Type::Null)).description(description).build()
}

fn texts() -> Vec<(&'static str, Schema)> {
    let name = |pattern, chars_max| matching(pattern).min_length(Some(1)).max_length(Some(chars_max));
    let free = |chars_max| plain(Type::String).max_length(Some(chars_max));
    let like = |pattern: &str| matching(pattern.to_owned());
    let format = |format: &str| Some(SchemaFormat::Custom(format.to_owned()));
    let sku = "What something is called: at most 64 bytes of UTF-8 in Unicode's normal form C, without control characters \
               and without white space at either end; not `.` or `..`. Case matters";
    let location = "Where it lies: the same, of at most 32 bytes. `main` where none is named";
    let id = like(patterns::ID).format(format("uuid"));
    let time = plain(Type::String).format(format("date-time"));
    let url = like(patterns::URL).format(format("uri")).max_length(Some(url::BYTES_MAX));
    [
        ("Sku", name(patterns::sku(), SKU_BYTES_MAX), sku, "85123A"),
        ("Location", name(patterns::location(), LOCATION_BYTES_MAX), location, "main"),
        ("Reason", free(REASON_CHARS_MAX), "Why: free text", "sold"),
        (
            "Reference",
            free(REFERENCE_CHARS_MAX),
            "What it belongs to, in the client's own books: free text",
            "order 4711",
        ),
        (
            "Id",
            id,
            "A UUID in lower case; they sort by the time of their making",
            "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e",
        ),
        ("Time", time, "RFC 3339, in UTC, with milliseconds", "2026-11-22T14:05:00.123Z"),
        (
            "Lineage",
            like(patterns::LINEAGE),
            "The history that versions and movements are of, after a restore",
            "00c0ffee00c0ffee",
        ),
        (
            "LevelCursor",
            like(patterns::LEVEL_CURSOR),
            "A place in a list of levels, as an answer told it",
            "ODUxMjNBIG1haW4",
        ),
        (
            "MovementCursor",
            matching(patterns::movement_cursor()),
            "A place in a list of movements, as an answer told it",
            "AAAAAAAAEmc",
        ),
        (
            "EventCursor",
            matching(patterns::place()),
            "A place in the stream of events, as an answer told it",
            "AAAAAAAAEmc",
        ),
        (
            "Secret",
            like(patterns::SECRET),
            "What signs messages: `whsec_` and 24 to 64 bytes in base64",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        (
            "Url",
            url,
            "Where messages are posted to: `https`, or `http`; no user, no password, no fragment",
            "https://shop.example/stock-changed",
        ),
    ]
    .map(|(part, schema, said, example)| {
        (part, schema.description(Some(said)).examples([json!(example)]).into())
    })
    .into()
}

fn numbers() -> Vec<(&'static str, Schema)> {
    let units_max = QUANTITY_MAX.cast_signed();
    let from_to = |min: i64, max: i64| {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        plain(Type::Integer).format(Some(format)).minimum(Some(min)).maximum(Some(max))
    };
    let delta = OneOfBuilder::new()
        .item(from_to(-units_max, -1))
        .item(from_to(1, units_max))
        .description(Some("Units to add, or to take where it is negative; not 0"))
        .examples([json!(-3)]);
    let mut parts: Vec<(&'static str, Schema)> = [
        ("Quantity", from_to(0, units_max), "Units: at most 2^40 - 1", 100),
        ("PositiveQuantity", from_to(1, units_max), "Units, at least one", 3),
        ("Version", from_to(0, VERSION_MAX.cast_signed()), "How many changes a level has seen", 1),
    ]
    .map(|(part, schema, said, example)| {
        (part, schema.description(Some(said)).examples([json!(example)]).into())
    })
    .into();
    parts.push(("Delta", Schema::OneOf(delta.build())));
    parts
}

fn is_time(name: &str) -> bool {
    name == "time" || ["_at", "_until", "_since"].iter().any(|end| name.ends_with(end))
}

fn plain(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(kind))
}

fn matching(pattern: String) -> ObjectBuilder {
    plain(Type::String).pattern(Some(pattern))
}

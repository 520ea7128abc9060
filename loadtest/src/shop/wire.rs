//! What goes over the wire, and what it means.

use history::shop::{
    Answer, Ask, HoldSeen, HoldState, Line, Name, OrderSeen, OrderState, Seen, Shortage, Why,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::names::Names;

/// A request, but for the server that it goes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// `GET` and so on.
    pub method: reqwest::Method,
    /// Path and query.
    pub path: String,
    /// The body, if there is one.
    pub body: Option<Value>,
}

/// What an answer means for who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// That.
    Answer(Answer),
    /// It is to be asked again.
    Again,
}

/// An answer, of any kind; what is not there is left out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    sku: Option<String>,
    on_hand: Option<u64>,
    reserved: Option<u64>,
    version: Option<u64>,
    id: Option<String>,
    state: Option<String>,
    committed: Vec<BodyLine>,
    returned: Vec<BodyLine>,
    lines: Vec<BodyLine>,
    problem: Option<Box<Body>>,
    #[serde(rename = "type")]
    kind: Option<String>,
    applied: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BodyLine {
    sku: String,
    quantity: Option<u64>,
    requested: Option<u64>,
    available: Option<u64>,
    left: Option<u64>,
    version: Option<u64>,
}

/// Why an answer does not fit the contract.
type Breach = String;

/// The request that asks for it.
pub fn request(names: &Names, number: u64, ask: &Ask) -> Request {
    use reqwest::Method;
    let reference = names.reference(number);
    let post = |path: String, body: Value| Request { method: Method::POST, path, body: Some(body) };
    let get = |path: String| Request { method: Method::GET, path, body: None };
    let lines = |lines: &[Line]| {
        let line = |line: &Line| json!({"sku": names.sku(line.level), "quantity": line.units});
        Value::Array(lines.iter().map(line).collect())
    };
    let some_lines = |some: &Option<Vec<Line>>| match some {
        Some(some) => json!({"lines": lines(some), "reference": reference}),
        None => json!({"reference": reference}),
    };
    let seconds = |ns: u64| ns / 1_000_000_000;
    match ask {
        Ask::Open { level, on_hand } => Request {
            method: Method::PUT,
            path: format!("/v1/stock/{}", names.sku(*level)),
            body: Some(json!({"on_hand": on_hand, "reference": reference})),
        },
        Ask::Adjust { level, delta } => {
            let body = json!({"delta": delta, "reference": reference});
            post(format!("/v1/stock/{}/adjust", names.sku(*level)), body)
        }
        Ask::Read { level } => get(format!("/v1/stock/{}", names.sku(*level))),
        Ask::Reserve { lines: held, ttl_ns } => {
            let body = json!({"lines": lines(held), "ttl_seconds": seconds(*ttl_ns), "reference": reference});
            post("/v1/reservations".to_owned(), body)
        }
        Ask::Commit { of, lines } => post(format!("/v1/reservations/{of}/commit"), some_lines(lines)),
        Ask::Release { of } => {
            post(format!("/v1/reservations/{of}/release"), json!({"reference": reference}))
        }
        Ask::Extend { of, ttl_ns } => {
            let body = json!({"ttl_seconds": seconds(*ttl_ns), "reference": reference});
            post(format!("/v1/reservations/{of}/extend"), body)
        }
        Ask::SeeHold { of } => get(format!("/v1/reservations/{of}")),
        Ask::Order { lines: wanted, priority, backorder } => {
            let body = json!({
                "lines": lines(wanted), "priority": priority, "backorder": backorder, "reference": reference
            });
            post("/v1/orders".to_owned(), body)
        }
        Ask::Cancel { of } => Request {
            method: Method::DELETE,
            path: format!("/v1/orders/{of}?reference={reference}"),
            body: None,
        },
        Ask::Return { of, lines } => post(format!("/v1/orders/{of}/returns"), some_lines(lines)),
        Ask::SeeOrder { of } => get(format!("/v1/orders/{of}")),
    }
}

/// What an answer means.
pub fn meaning(names: &Names, ask: &Ask, status: u16, body: &[u8]) -> Result<Meaning, Breach> {
    if status == 204 && matches!(ask, Ask::Cancel { .. }) {
        return Ok(Meaning::Answer(Answer::Cancelled));
    }
    let parsed: Body = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        // A proxy, or a server on its way out, may answer in words of its own.
        Err(_) if status >= 500 => return Ok(Meaning::Again),
        Err(error) => return Err(error.to_string()),
    };
    let read = Reader { names, ask };
    match status {
        200..=299 => read.success(status, &parsed).map(Meaning::Answer),
        _ => read.problem(status, &parsed),
    }
}

/// Whether an answer leaves open what became of the question: `"applied": "unknown"`.
pub fn is_unknown(body: &[u8]) -> bool {
    let parsed: Result<Body, _> = serde_json::from_slice(body);
    parsed.is_ok_and(|body| body.applied.as_deref() == Some("unknown"))
}

struct Reader<'a> {
    names: &'a Names,
    ask: &'a Ask,
}

impl Reader<'_> {
    fn success(&self, status: u16, body: &Body) -> Result<Answer, Breach> {
        let expected: &[u16] = match self.ask {
            Ask::Open { .. } | Ask::Reserve { .. } => &[201],
            Ask::Order { .. } => &[200, 202],
            _ => &[200],
        };
        if !expected.contains(&status) {
            return Err(format!("{expected:?} expected"));
        }
        match self.ask {
            Ask::Open { level, .. } | Ask::Adjust { level, .. } | Ask::Read { level } => {
                let seen = Seen {
                    level: self.level(body.sku.as_deref().ok_or("no sku")?)?,
                    on_hand: body.on_hand.ok_or("no on_hand")?,
                    reserved: body.reserved.ok_or("no reserved")?,
                    version: body.version.ok_or("no version")?,
                };
                if seen.level == *level { Ok(Answer::Level(seen)) } else { Err("another level".to_owned()) }
            }
            Ask::Reserve { .. }
            | Ask::Commit { .. }
            | Ask::Release { .. }
            | Ask::Extend { .. }
            | Ask::SeeHold { .. } => Ok(Answer::Hold(HoldSeen {
                id: name(body)?,
                state: hold_state(body.state.as_deref().ok_or("no state")?).ok_or("no such state")?,
                committed: self.lines(&body.committed)?,
            })),
            Ask::Order { .. } | Ask::Return { .. } | Ask::SeeOrder { .. } => Ok(Answer::Order(OrderSeen {
                id: name(body)?,
                state: order_state(body.state.as_deref().ok_or("no state")?).ok_or("no such state")?,
                returned: self.lines(&body.returned)?,
                why: body.problem.as_deref().map(|problem| self.why(problem)).transpose()?,
            })),
            Ask::Cancel { .. } => Err("204 expected".to_owned()),
        }
    }

    fn problem(&self, status: u16, body: &Body) -> Result<Meaning, Breach> {
        let kind = body.kind.as_deref().unwrap_or_default();
        let kind = kind.strip_prefix("/problems/").ok_or("no type of problem")?;
        let answer = match (status, kind) {
            (503, "queue-full") => Answer::Full,
            (408 | 429 | 503, _) | (409, "idempotency-key-in-progress") => return Ok(Meaning::Again),
            (404, "reservation-not-found" | "order-not-found") => Answer::Missing,
            (409, "insufficient-stock") => Answer::Short(self.short(&body.lines)?),
            (409, "returned-already") => {
                let left = |line: &BodyLine| {
                    Ok(Line { level: self.level(&line.sku)?, units: line.left.ok_or("no units left")? })
                };
                Answer::Left(body.lines.iter().map(left).collect::<Result<_, Breach>>()?)
            }
            // It says that it is not, and not what it is.
            (409, "order-not-fulfilled") => Answer::OrderIs(OrderState::Queued),
            (409, _) => {
                let hold = kind.strip_prefix("reservation-").and_then(hold_state).map(Answer::HoldIs);
                let order = || kind.strip_prefix("order-").and_then(order_state).map(Answer::OrderIs);
                hold.or_else(order).ok_or_else(|| format!("{kind} is not expected"))?
            }
            _ => return Err(format!("{kind} is not expected")),
        };
        Ok(Meaning::Answer(answer))
    }

    fn why(&self, problem: &Body) -> Result<Why, Breach> {
        match problem.kind.as_deref() {
            Some("/problems/insufficient-stock") => Ok(Why::Short(self.short(&problem.lines)?)),
            Some("/problems/stock-promised") => {
                Ok(Why::Promised(self.level(&problem.lines.first().ok_or("no line")?.sku)?))
            }
            other => Err(format!("an order rejected for {other:?}")),
        }
    }

    fn short(&self, lines: &[BodyLine]) -> Result<Vec<Shortage>, Breach> {
        let short = |line: &BodyLine| {
            Ok(Shortage {
                level: self.level(&line.sku)?,
                requested: line.requested.ok_or("no requested units")?,
                available: line.available.ok_or("no available units")?,
                version: line.version.ok_or("no version")?,
            })
        };
        lines.iter().map(short).collect()
    }

    fn lines(&self, lines: &[BodyLine]) -> Result<Vec<Line>, Breach> {
        let line = |line: &BodyLine| {
            Ok(Line { level: self.level(&line.sku)?, units: line.quantity.ok_or("no quantity")? })
        };
        lines.iter().map(line).collect()
    }

    fn level(&self, sku: &str) -> Result<usize, Breach> {
        self.names.level(sku).ok_or_else(|| format!("sku {sku} was not asked for"))
    }
}

fn name(body: &Body) -> Result<Name, Breach> {
    let id = body.id.as_deref().ok_or("no id")?;
    parse_name(id).ok_or_else(|| format!("{id} is no UUID"))
}

/// A UUID as it is written.
pub fn parse_name(text: &str) -> Option<Name> {
    let dashes = [8, 13, 18, 23];
    let is_one =
        text.len() == 36 && text.bytes().enumerate().all(|(at, byte)| (byte == b'-') == dashes.contains(&at));
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    is_one.then(|| u128::from_str_radix(&hex, 16).ok().map(Name)).flatten()
}

fn hold_state(text: &str) -> Option<HoldState> {
    use HoldState::{Committed, Expired, Pending, Released};
    [Pending, Committed, Released, Expired].into_iter().find(|state| state.name() == text)
}

fn order_state(text: &str) -> Option<OrderState> {
    use OrderState::{Backordered, Cancelled, Fulfilled, Queued, Rejected};
    [Queued, Backordered, Fulfilled, Rejected, Cancelled].into_iter().find(|state| state.name() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a21cb3-7d52-7f90-b1c4-2a6e8d10c377";

    fn means(ask: &Ask, status: u16, body: &Value) -> Result<Meaning, Breach> {
        meaning(&Names::new("p-", 3), ask, status, body.to_string().as_bytes())
    }

    fn id() -> Name {
        parse_name(ID).unwrap()
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        assert_eq!(id().to_string(), ID);
        for wrong in ["", "01a21cb3", "01a21cb37d527f90b1c42a6e8d10c377-----", &ID.replace('7', "g")] {
            assert_eq!(parse_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_order_says_what_it_is_and_why() {
        let line = json!({"sku": "p-1", "location": "main", "quantity": 2});
        let short =
            json!({"pointer": "/lines/0", "sku": "p-1", "requested": 2, "available": 1, "version": 7});
        let problem = json!({"type": "/problems/insufficient-stock", "lines": [short]});
        let body = json!({"id": ID, "state": "rejected", "lines": [line], "problem": problem});
        let short = Shortage { level: 1, requested: 2, available: 1, version: 7 };
        let why = Some(Why::Short(vec![short]));
        let seen = OrderSeen { id: id(), state: OrderState::Rejected, returned: vec![], why };
        let placed = Ask::Order { lines: vec![], priority: 0, backorder: false };
        assert_eq!(means(&placed, 200, &body), Ok(Meaning::Answer(Answer::Order(seen))));
        assert!(means(&placed, 201, &body).is_err());
        assert!(means(&placed, 200, &json!({"id": ID})).is_err());
    }

    #[test]
    fn what_is_refused_for_now_is_asked_again_and_what_is_refused_is_not() {
        let ask = Ask::Commit { of: id(), lines: None };
        let problem = |name: &str| json!({"type": format!("/problems/{name}")});
        assert_eq!(means(&ask, 503, &problem("overloaded")), Ok(Meaning::Again));
        for (applied, is_open) in [("unknown", true), ("no", false)] {
            let body = json!({"type": "/problems/request-timeout", "applied": applied}).to_string();
            assert_eq!(is_unknown(body.as_bytes()), is_open, "{applied}");
        }
        assert_eq!(means(&ask, 409, &problem("idempotency-key-in-progress")), Ok(Meaning::Again));
        let answered = |status, name| match means(&ask, status, &problem(name)) {
            Ok(Meaning::Answer(answer)) => Some(answer),
            _ => None,
        };
        assert_eq!(answered(409, "reservation-expired"), Some(Answer::HoldIs(HoldState::Expired)));
        assert_eq!(answered(409, "order-fulfilled"), Some(Answer::OrderIs(OrderState::Fulfilled)));
        assert_eq!(answered(404, "reservation-not-found"), Some(Answer::Missing));
        assert_eq!(answered(503, "queue-full"), Some(Answer::Full));
        assert_eq!((answered(422, "validation-failed"), answered(409, "else")), (None, None));
    }
}

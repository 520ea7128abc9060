//! From a description to a target, or to what is wrong with it: the key, and where it stands.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use toml::Spanned;

use super::description::{Description, Places, RuleText, Rules, Table};
use super::operation::{Meaning, Operation, Role, Told};
use super::reading::{Place, Rule};
use super::template::{Escape, Slot, Template, Values};
use super::{Adjust, Operations, Target};
use crate::workload::fresh_run_id;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte at which it begins.
    pub(super) at: usize,
    /// What, with the key it is about.
    pub(super) what: String,
}

/// Something to fill in, to see what comes of it.
const SAMPLE: Values<'static> = Values {
    sku: "lt-0a1b2c3d-00001",
    location: "main",
    from: "main",
    to: "annex",
    key: "lt-0a1b2c3d-1",
    quantity: 50,
    delta: -3,
    version: 1,
};

/// Makes a target of a description.
pub(super) fn compile(text: &str) -> Result<Target, Fault> {
    let description: Description = toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        Fault { at: span.start, what: format!("{}{}", error.message(), quoted(text, &span)) }
    })?;
    let shared = Shared::new(&description)?;
    let needed = |table: &Option<Spanned<Table>>, role: Role| {
        let missing = || fault(description.name.span(), format!("there is no [{}]", role.name()));
        shared.operation(table.as_ref().ok_or_else(missing)?, role)
    };
    let may_have = |table: &Option<Spanned<Table>>, role: Role| {
        table.as_ref().map(|table| shared.operation(table, role)).transpose()
    };
    let operations = Operations {
        create: needed(&description.create, Role::Create)?,
        read: needed(&description.read, Role::Read)?,
        adjust: adjust(&description, &shared)?,
        transfer: may_have(&description.transfer, Role::Transfer)?,
        count: may_have(&description.count, Role::Count)?,
        count_if_version: may_have(&description.count_if_version, Role::CountIfVersion)?,
        remove: may_have(&description.remove, Role::Remove)?,
    };
    if operations.adjust.is_none()
        && [&operations.transfer, &operations.count, &operations.count_if_version]
            .iter()
            .all(|operation| operation.is_none())
    {
        let what = "nothing changes a level: there is no [adjust], [take] and [give], [transfer] or [count]";
        return Err(fault(description.name.span(), what));
    }
    Ok(Target {
        name: description.name.get_ref().clone(),
        ready: description.ready.as_ref().map(ready).transpose()?,
        first_version: first_version(description.first_version.as_ref())?,
        has_locations: shared.has_locations,
        operations,
        keys: AtomicU64::new(0),
        run: format!("lt-{}", fresh_run_id()),
    })
}

fn adjust(description: &Description, shared: &Shared<'_>) -> Result<Option<Adjust>, Fault> {
    let Description { adjust, take, give, .. } = description;
    match (adjust, take, give) {
        (None, None, None) => Ok(None),
        (Some(adjust), None, None) => {
            Ok(Some(Adjust::Delta(Box::new(shared.operation(adjust, Role::Adjust)?))))
        }
        (None, Some(take), Some(give)) => Ok(Some(Adjust::TakeGive {
            take: Box::new(shared.operation(take, Role::Take)?),
            give: Box::new(shared.operation(give, Role::Give)?),
        })),
        (None, Some(only), None) => Err(fault(only.span(), "[take] needs a [give] beside it")),
        (None, None, Some(only)) => Err(fault(only.span(), "[give] needs a [take] beside it")),
        (Some(_), Some(other), _) | (Some(_), _, Some(other)) => {
            Err(fault(other.span(), "[take] and [give] stand in place of [adjust], not beside it"))
        }
    }
}

fn ready(text: &Spanned<String>) -> Result<String, Fault> {
    let path = text.get_ref().strip_prefix("GET ").filter(|path| path.starts_with('/'));
    let path = path.filter(|path| path.parse::<Uri>().is_ok());
    path.map(str::to_owned)
        .ok_or_else(|| fault(text.span(), "ready: use \"GET /path\", such as \"GET /health\""))
}

fn first_version(text: Option<&Spanned<u64>>) -> Result<i64, Fault> {
    match text.map(|text| (text.span(), *text.get_ref())) {
        None | Some((_, 1)) => Ok(1),
        Some((_, 0)) => Ok(0),
        Some((span, other)) => Err(fault(span, format!("first_version: {other} is neither 0 nor 1"))),
    }
}

/// What all operations of a description have in common.
struct Shared<'a> {
    headers: Vec<(HeaderName, Template)>,
    not_applied: &'a Rules,
    unknown: &'a Rules,
    has_locations: bool,
}

impl<'a> Shared<'a> {
    fn new(description: &'a Description) -> Result<Self, Fault> {
        let mut headers = Vec::new();
        for (name, text) in &description.headers {
            let key = format!("headers.{name}");
            let filled = with_environment(text, &key)?;
            headers.push(header(name, &filled, text.span(), &key)?);
        }
        if let Some((name, _)) =
            headers.iter().find(|(_, template)| template.slots().any(|slot| slot != Slot::Key))
        {
            let span = description.headers.get(name.as_str()).map_or(0..0, Spanned::span);
            return Err(fault(span, format!("headers.{name}: only {} and {{env:NAME}} go here", Slot::Key)));
        }
        let read = description.read.as_ref().map(|read| read.get_ref().request.get_ref().as_str());
        Ok(Self {
            headers,
            not_applied: &description.not_applied,
            unknown: &description.unknown,
            has_locations: read.is_some_and(|request| request.contains(&Slot::Location.to_string())),
        })
    }

    fn operation(&self, table: &Spanned<Table>, role: Role) -> Result<Operation, Fault> {
        let (name, text) = (role.name(), table.get_ref());
        let (method, path) = request(&text.request, &format!("{name}.request"))?;
        let mut headers = self.headers.clone();
        for (header_name, value) in &text.headers {
            let key = format!("{name}.headers.{header_name}");
            let own = header(header_name, value.get_ref(), value.span(), &key)?;
            headers.retain(|(other, _)| *other != own.0);
            headers.push(own);
        }
        let body = text.body.as_ref().map(|body| content(body, &mut headers, &format!("{name}.body")));
        let operation = Operation {
            role,
            method,
            path,
            body: body.transpose()?,
            headers,
            rules: self.rules(text, role)?,
            quantity: told(text.quantity.as_ref(), role, "quantity")?,
            version: told(text.version.as_ref(), role, "version")?,
            refused_version: place(text.refused_version.as_ref(), &format!("{name}.refused_version"))?,
            available: place(text.available.as_ref(), &format!("{name}.available"))?,
            creates: text.creates.as_ref().is_some_and(|creates| *creates.get_ref()),
        };
        self.check(&operation, text)?;
        Ok(operation)
    }

    /// All rules, those that ask for more first.
    fn rules(&self, text: &Table, role: Role) -> Result<Vec<(Rule, Meaning)>, Fault> {
        let mut rules: Vec<(Rule, Meaning)> = Vec::new();
        for meaning in Meaning::ALL {
            let own = own_rules(text, meaning);
            let key = format!("{}.{}", role.name(), meaning.name());
            if let Some(rule) = own.first().filter(|_| !role.can(meaning)) {
                return Err(fault(rule.span(), format!("{key}: [{}] is never answered so", role.name())));
            }
            for text in own {
                let asked = compile_rule(text, &key)?;
                if let Some((_, other)) = rules.iter().find(|(known, _)| *known == asked) {
                    let what = format!("{key}: the same rule stands under {}", other.name());
                    return Err(fault(text.span(), what));
                }
                rules.push((asked, meaning));
            }
        }
        // What holds for every operation gives way to what an operation says itself.
        for (shared, meaning) in [(self.not_applied, Meaning::NotApplied), (self.unknown, Meaning::Unknown)] {
            for text in shared {
                let asked = compile_rule(text, meaning.name())?;
                if !rules.iter().any(|(known, _)| *known == asked) {
                    rules.push((asked, meaning));
                }
            }
        }
        rules.sort_by_key(|(rule, _)| std::cmp::Reverse(rule.weight()));
        Ok(rules)
    }

    fn check(&self, operation: &Operation, text: &Table) -> Result<(), Fault> {
        let (role, name) = (operation.role, operation.role.name());
        let needed = role.needs(self.has_locations);
        if let Some(slot) = needed.iter().find(|slot| !operation.names(**slot)) {
            return Err(fault(text.request.span(), format!("[{name}] does not name {slot}")));
        }
        let foreign = |slot: &Slot| *slot != Slot::Key && !needed.contains(slot) && operation.names(*slot);
        if let Some(slot) = Slot::ALL.iter().find(|slot| foreign(slot)) {
            let why = match slot {
                Slot::Location | Slot::Sku => "; [read] decides whether there are locations",
                _ => "",
            };
            return Err(fault(text.request.span(), format!("{slot} means nothing in [{name}]{why}")));
        }
        if text.applied.get_ref().is_empty() {
            return Err(fault(text.applied.span(), format!("{name}.applied: there has to be a rule")));
        }
        if role == Role::Read && operation.quantity.from.is_none() {
            return Err(fault(text.request.span(), "read.quantity: where does [read] tell the units?"));
        }
        if let Some(creates) = text.creates.as_ref().filter(|_| role != Role::Transfer) {
            return Err(fault(creates.span(), format!("{name}.creates: only a transfer does")));
        }
        Ok(())
    }
}

fn own_rules(text: &Table, meaning: Meaning) -> &Rules {
    match meaning {
        Meaning::Applied => text.applied.get_ref(),
        Meaning::Refused => &text.refused,
        Meaning::Missing => &text.missing,
        Meaning::Exists => &text.exists,
        Meaning::Stale => &text.stale,
        Meaning::NotApplied => &text.not_applied,
        Meaning::Unknown => &text.unknown,
    }
}

fn compile_rule(text: &Spanned<RuleText>, key: &str) -> Result<Rule, Fault> {
    let RuleText { status, body, header, contains } = text.get_ref();
    let wrong = |what: String| fault(text.span(), format!("{key}: {what}"));
    if let Some(status) = status.filter(|status| !(100..600).contains(status)) {
        return Err(wrong(format!("{status} is no status")));
    }
    if let Some(pointer) = body.keys().find(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        return Err(wrong(format!("`{pointer}` is no JSON pointer: it begins with /")));
    }
    let headers = header.iter().map(|(name, value)| match name.parse() {
        Ok(name) => Ok((name, value.clone())),
        Err(_) => Err(wrong(format!("`{name}` is no header"))),
    });
    let rule = Rule {
        status: *status,
        body: body.clone().into_iter().collect(),
        headers: headers.collect::<Result<_, _>>()?,
        contains: contains.clone(),
    };
    if rule.weight() == 0 { Err(wrong("a rule has to ask for something".to_owned())) } else { Ok(rule) }
}

fn request(text: &Spanned<String>, key: &str) -> Result<(Method, Template), Fault> {
    let wrong = |what: String| fault(text.span(), format!("{key}: {what}"));
    let parts = text.get_ref().split_once(' ').filter(|(_, path)| path.starts_with('/'));
    let (method, path) =
        parts.ok_or_else(|| wrong("use a method and a path, such as \"GET /items/{sku}\"".to_owned()))?;
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| is_method);
    let method = method.ok_or_else(|| wrong("the method is one such as GET, POST or PUT".to_owned()))?;
    let path = Template::parse(path, Escape::Percent).map_err(|error| wrong(error.to_string()))?;
    let filled = path.render(&SAMPLE);
    // A fragment would be cut off without a word.
    if filled.parse::<Uri>().is_err() || filled.contains('#') {
        return Err(wrong(format!("`{filled}` is no path")));
    }
    Ok((method, path))
}

fn header(name: &str, value: &str, span: Range<usize>, key: &str) -> Result<(HeaderName, Template), Fault> {
    let wrong = |what: String| fault(span.clone(), format!("{key}: {what}"));
    let parsed: HeaderName = name.parse().map_err(|_| wrong(format!("`{name}` is no header")))?;
    let template = Template::parse(value, Escape::Raw).map_err(|error| wrong(error.to_string()))?;
    if HeaderValue::try_from(template.render(&SAMPLE)).is_err() {
        return Err(wrong("no header can have this value".to_owned()));
    }
    Ok((parsed, template))
}

/// The body, escaped as its content type demands. Without one it is JSON.
fn content(
    text: &Spanned<String>,
    headers: &mut Vec<(HeaderName, Template)>,
    key: &str,
) -> Result<Template, Fault> {
    let wrong = |what: String| fault(text.span(), format!("{key}: {what}"));
    let named = headers.iter().find(|(name, _)| *name == CONTENT_TYPE);
    let kind = named.map_or_else(|| "application/json".to_owned(), |(_, value)| value.render(&SAMPLE));
    let escape = match kind.to_ascii_lowercase() {
        form if form.starts_with("application/x-www-form-urlencoded") => Escape::Percent,
        json if json.contains("json") => Escape::Json,
        _ => Escape::Raw,
    };
    let parse = |text: &str, escape| Template::parse(text, escape).map_err(|error| wrong(error.to_string()));
    if named.is_none() {
        headers.push((CONTENT_TYPE, parse(&kind, Escape::Raw)?));
    }
    let template = parse(text.get_ref(), escape)?;
    let filled = template.render(&SAMPLE);
    match serde_json::from_str::<serde_json::Value>(&filled) {
        Err(error) if escape == Escape::Json => Err(wrong(format!(
            "filled in, it is no JSON: {filled} ({error}). Text needs its quotes, as in \"{{sku}}\""
        ))),
        _ => Ok(template),
    }
}

fn told(text: Option<&Spanned<Places>>, role: Role, key: &str) -> Result<Told, Fault> {
    let Some(text) = text else { return Ok(Told::default()) };
    let wrong = |what: String| fault(text.span(), format!("{}.{key}: {what}", role.name()));
    let parse = |place: &str| Place::parse(place).map(Some).map_err(|error| wrong(error.to_string()));
    match (text.get_ref(), role) {
        (Places::One(place), role) if role != Role::Transfer => Ok(Told { from: parse(place)?, to: None }),
        (Places::Both { from, to }, Role::Transfer) => Ok(Told { from: parse(from)?, to: parse(to)? }),
        (Places::One(_), _) => Err(wrong("a transfer needs { from = \"...\", to = \"...\" }".to_owned())),
        (Places::Both { .. }, _) => Err(wrong("only a transfer has both".to_owned())),
    }
}

fn place(text: Option<&Spanned<String>>, key: &str) -> Result<Option<Place>, Fault> {
    let parse = |text: &Spanned<String>| {
        Place::parse(text.get_ref()).map_err(|error| fault(text.span(), format!("{key}: {error}")))
    };
    text.map(parse).transpose()
}

/// Takes `{env:NAME}` from the environment.
fn with_environment(text: &Spanned<String>, key: &str) -> Result<String, Fault> {
    let mut filled = text.get_ref().clone();
    while let Some((before, rest)) = filled.split_once("{env:") {
        let wrong = |what: String| fault(text.span(), format!("{key}: {what}"));
        let (name, after) = rest.split_once('}').ok_or_else(|| wrong("{env: has no end".to_owned()))?;
        let value = std::env::var(name).map_err(|_| wrong(format!("{name} is not in the environment")))?;
        // Braces in a value are no placeholders, and are not looked at again.
        if value.contains('{') {
            return Err(wrong(format!("the value of {name} has a brace in it")));
        }
        filled = format!("{before}{value}{after}");
    }
    Ok(filled)
}

fn fault(span: Range<usize>, what: impl Into<String>) -> Fault {
    Fault { at: span.start, what: what.into() }
}

/// The line that a mistake is on, as far as it helps.
fn quoted(text: &str, span: &Range<usize>) -> String {
    let start = text.get(..span.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    if line.is_empty() { String::new() } else { format!(", in `{line}`") }
}

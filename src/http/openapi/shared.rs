//! The document in few words: fields and parameters that are one of [`parts`](super::parts) refer to it, parameters that many operations
//! have are said once, and `null` stands only where it is taken. It changes how the document says things, never which routes there are.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Schema};

use super::parts;

/// Lines of JSON: the one form of a body that is a list of things and no list in JSON.
const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

/// Makes the document refer to what it says more than once.
pub(super) fn share(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(Schema::Object(schema)) = schema {
            share_fields(name, schema);
        }
    }
    components.schemas.extend(parts::all().into_iter().map(|(name, part)| (name.to_owned(), part.into())));
    for (path, item) in &mut document.paths.paths {
        for (is_read, operation) in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    share_parameter(path, is_read, parameter);
                }
            }
            share_bodies(operation);
        }
    }
    components.parameters = lift_parameters(&mut document.paths.paths);
}

/// The operations of a path, and whether each only reads.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let all =
        [(true, &mut item.get), (false, &mut item.put), (false, &mut item.post), (false, &mut item.delete)];
    all.into_iter().filter_map(|(is_read, operation)| Some((is_read, operation.as_mut()?)))
}

fn share_fields(of: &str, schema: &mut Object) {
    // What refuses fields that it does not know is a request; all else is answered, and leaves out what there is not.
    let is_request =
        matches!(schema.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)));
    for (name, field) in &mut schema.properties {
        let RefOr::T(told) = field else { continue };
        if let (("StockQueryRequest", "keys") | ("CommitRequest", "lines"), Schema::Array(list)) =
            ((of, name.as_str()), &mut *told)
        {
            list.unique_items = true;
        }
        let (is_nullable, description) = match told {
            Schema::Object(field) => (not_null(&mut field.schema_type), field.description.clone()),
            Schema::Array(field) => (not_null(&mut field.schema_type), None),
            Schema::OneOf(choices) if !is_request => {
                let description = choices.description.take().unwrap_or_default();
                if let Some(RefOr::Ref(only)) = choices.items.iter().find(|choice| !is_null(choice)) {
                    *field = described(only.clone(), description);
                }
                continue;
            }
            _ => continue,
        };
        let part = match told {
            Schema::Object(Object { schema_type: SchemaType::Type(kind), .. }) => {
                parts::of_field(of, name, kind)
            }
            _ => None,
        };
        match part {
            Some(part) if is_nullable && is_request => {
                *told = Schema::OneOf(parts::or_null(part, description));
            }
            Some(part) => {
                *field = described(Ref::from_schema_name(part), description.unwrap_or_default());
            }
            None if is_nullable && is_request => or_null(told),
            None => {}
        }
    }
}

fn described(mut to: Ref, description: String) -> RefOr<Schema> {
    if !description.is_empty() {
        to.description = description;
    }
    to.into()
}

/// Takes null from what a value may be: whether it was there.
fn not_null(kind: &mut SchemaType) -> bool {
    let SchemaType::Array(types) = kind else { return false };
    let before = types.len();
    types.retain(|only| *only != Type::Null);
    let was_there = types.len() < before;
    if let [only] = types.as_slice() {
        *kind = SchemaType::Type(only.clone());
    }
    was_there
}

fn or_null(schema: &mut Schema) {
    let (Schema::Object(Object { schema_type, .. })
    | Schema::Array(utoipa::openapi::Array { schema_type, .. })) = schema
    else {
        return;
    };
    if let SchemaType::Type(only) = schema_type {
        *schema_type = SchemaType::Array(vec![only.clone(), Type::Null]);
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(Object { schema_type: SchemaType::Type(Type::Null), .. })))
}

/// A header or a parameter that may be left out is a text or a number where it is there: null can be said by neither, and programs that are
/// made from the document fall over it.
fn share_parameter(path: &str, is_read: bool, parameter: &mut Parameter) {
    let place = match parameter.parameter_in {
        ParameterIn::Path => "path",
        ParameterIn::Header => "header",
        _ => "query",
    };
    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
        not_null(&mut schema.schema_type);
    }
    if parameter.name == "If-None-Match" {
        parameter.schema = Some(parts::if_none_match(is_read));
    } else if let Some(part) = parts::of_parameter(path, place, &parameter.name) {
        parameter.schema = Some(part);
    }
}

/// A body that may be left out is an object where it is there. One of lines is a text, and what each line is its schema says.
fn share_bodies(operation: &mut Operation) {
    let requests = operation.request_body.iter_mut().filter_map(|body| match body {
        RefOr::T(body) => Some(body.content.iter_mut()),
        RefOr::Ref(_) => None,
    });
    let responses = operation.responses.responses.values_mut().filter_map(|response| match response {
        RefOr::T(response) => Some(response.content.iter_mut()),
        RefOr::Ref(_) => None,
    });
    for (media, content) in requests.flatten().chain(responses.flatten()) {
        let RefOr::T(Content { schema: Some(schema), .. }) = content else { continue };
        if let RefOr::T(Schema::OneOf(choices)) = schema
            && choices.items.iter().any(is_null)
            && let Some(only) = choices.items.iter().find(|choice| !is_null(choice))
        {
            *schema = only.clone();
        }
        if let (NDJSON | EVENTS, RefOr::Ref(line)) = (media.as_str(), &*schema) {
            *schema = lines(media, line.clone());
        }
    }
}

fn lines(media: &str, line: Ref) -> RefOr<Schema> {
    let mut text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
    media.clone_into(&mut text.content_media_type);
    text.content_schema = Some(Box::new(ArrayBuilder::new().items(line).into()));
    text.into()
}

/// Takes out what several operations have, word for word; what is left in its place refers to it.
fn lift_parameters(paths: &mut BTreeMap<String, PathItem>) -> BTreeMap<String, RefOr<Parameter>> {
    let mut seen: Vec<(Parameter, usize)> = Vec::new();
    let each = |item: &mut PathItem, act: &mut dyn FnMut(&mut RefOr<Parameter>)| {
        operations(item).flat_map(|(_, operation)| operation.parameters.iter_mut().flatten()).for_each(act);
    };
    for item in paths.values_mut() {
        each(item, &mut |parameter| {
            let RefOr::T(parameter) = parameter else { return };
            match seen.iter_mut().find(|(known, _)| known == parameter) {
                Some((_, count)) => *count += 1,
                None => seen.push((parameter.clone(), 1)),
            }
        });
    }
    let mut lifted: BTreeMap<String, RefOr<Parameter>> = BTreeMap::new();
    for (parameter, _) in seen.into_iter().filter(|(_, count)| *count > 1) {
        // The second of a name is what it is in other places, and gets a number.
        let base = parameter.name.replace('-', "");
        let name = (1..).map(|n| if n == 1 { base.clone() } else { format!("{base}{n}") });
        let name = name.into_iter().find(|name| !lifted.contains_key(name)).unwrap_or(base);
        for item in paths.values_mut() {
            each(item, &mut |place| {
                if matches!(place, RefOr::T(same) if *same == parameter) {
                    *place = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
                }
            });
        }
        lifted.insert(name, RefOr::T(parameter));
    }
    lifted
}

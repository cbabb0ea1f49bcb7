//! `/api`: the API's description for people. It is made of the description that programs read, so that both say the same.

mod kind;

use std::collections::BTreeMap;

use askama::Template;
use axum::Extension;
use axum::http::Method;
use axum::response::Response;
use serde_json::{Map, Value};

use self::kind::Kind;
use super::{Frame, for_person, page as respond};
use crate::api::guard::Asking;
use crate::api::openapi;
use crate::api::params::Params;
use crate::api::problem::Answer;
use crate::api::routes::{self, Access};

/// `GET /api`.
pub async fn page(Extension(asking): Extension<Asking>, params: Params) -> Response {
    for_person(api_page(&asking, params))
}

fn api_page(asking: &Asking, params: Params) -> Answer<Response> {
    params.only(&[])?;
    let described = openapi::described()?;
    Ok(respond(&ApiPage {
        frame: Frame::new("api", asking),
        groups: groups(described),
        schemas: schemas(described),
    }))
}

#[derive(Template)]
#[template(path = "api.html")]
struct ApiPage {
    frame: Frame,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// What is asked about one subject.
#[derive(Debug)]
struct Group {
    name: String,
    operations: Vec<Operation>,
}

/// One route by one method.
#[derive(Debug)]
struct Operation {
    anchor: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    who: &'static str,
    parameters: Vec<Field>,
    body: Option<Kind>,
    answers: Vec<Said>,
}

/// A parameter, or a property of a schema.
#[derive(Debug)]
struct Field {
    name: String,
    place: String,
    is_required: bool,
    kind: Kind,
    description: String,
}

/// One way to answer.
#[derive(Debug)]
struct Said {
    status: String,
    description: String,
    kind: Option<Kind>,
}

/// What bodies are made of.
#[derive(Debug)]
struct Schema {
    name: String,
    description: String,
    kind: Kind,
    fields: Vec<Field>,
}

fn groups(described: &Value) -> Vec<Group> {
    let mut groups: BTreeMap<String, Vec<Operation>> = BTreeMap::new();
    for (path, methods) in objects(&described["paths"]) {
        for (method, operation) in objects(methods) {
            let tag = text(&operation["tags"][0]);
            let tag = if tag.is_empty() {
                "other".to_owned()
            } else {
                tag
            };
            groups
                .entry(tag)
                .or_default()
                .push(operation_of(path, method, operation));
        }
    }
    let named = |(name, operations)| Group { name, operations };
    groups.into_iter().map(named).collect()
}

fn operation_of(path: &str, method: &str, operation: &Value) -> Operation {
    let method = method.to_uppercase();
    let body = kind::of_content(&operation["requestBody"]["content"]);
    Operation {
        anchor: anchor(&method, path),
        who: who(&method, path),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        description: text(&operation["description"]),
        parameters: list(&operation["parameters"])
            .map(|parameter| Field {
                name: text(&parameter["name"]),
                place: text(&parameter["in"]),
                is_required: parameter["required"] == true,
                kind: Kind::of(&parameter["schema"]),
                description: text(&parameter["description"]),
            })
            .collect(),
        body,
        answers: objects(&operation["responses"])
            .map(|(status, answer)| Said {
                status: status.clone(),
                description: text(&answer["description"]),
                kind: kind::of_content(&answer["content"]),
            })
            .collect(),
        method,
    }
}

/// Who may ask, as the one table of routes says.
fn who(method: &str, path: &str) -> &'static str {
    let method = method.parse::<Method>().ok();
    let route = method.and_then(|method| routes::find(&method, path));
    match route.map(|route| route.access) {
        Some(Access::Role(role)) => role.as_str(),
        Some(Access::LoopbackOr(_)) => "viewer, or anybody on the controller's machine",
        Some(Access::Open) => "anybody",
        None => "unknown",
    }
}

fn schemas(described: &Value) -> Vec<Schema> {
    objects(&described["components"]["schemas"])
        .map(|(name, schema)| Schema {
            name: name.clone(),
            description: text(&schema["description"]),
            kind: Kind::of(schema),
            fields: fields(schema),
        })
        .collect()
}

fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = list(&schema["required"])
        .filter_map(Value::as_str)
        .collect();
    objects(&schema["properties"])
        .map(|(name, property)| Field {
            name: name.clone(),
            place: String::new(),
            is_required: required.contains(&name.as_str()),
            kind: Kind::of(property),
            description: kind::description(property),
        })
        .collect()
}

/// Where an operation stands on the page.
fn anchor(method: &str, path: &str) -> String {
    let plain = path.replace(['{', '}'], "");
    format!("{method}{plain}").replace('/', "-").to_lowercase()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn objects(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

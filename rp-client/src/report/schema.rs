//! Holds reports to `docs/report.schema.json` in tests: as much of JSON Schema as that file uses, and not one word more.

use serde_json::{Map, Value};

/// What of a value is not as the document says; empty when it is.
pub fn faults(report: &Value) -> Vec<String> {
    let text = include_str!("../../../docs/report.schema.json");
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    let mut found = Vec::new();
    check(&schema, &schema, report, "", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let rules = schema.as_object().expect("a schema is an object");
    for (rule, says) in rules {
        let holds = match rule.as_str() {
            "description" | "title" | "$schema" | "$defs" => true,
            "$ref" => {
                let name = says.as_str().and_then(|says| says.strip_prefix('#')).expect("a place in this file");
                check(root, root.pointer(name).expect("it is there"), value, at, found);
                true
            }
            "const" => value == says,
            "type" => says.as_array().map_or_else(|| is(value, says), |any| any.iter().any(|says| is(value, says))),
            "minimum" => value.as_f64() >= says.as_f64(),
            "maximum" => value.as_f64() <= says.as_f64(),
            "minItems" => value.as_array().is_some_and(|rows| rows.len() as u64 >= says.as_u64().unwrap_or(0)),
            "maxItems" => value.as_array().is_some_and(|rows| Some(rows.len() as u64) <= says.as_u64()),
            "items" => {
                for (n, row) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, says, row, &format!("{at}/{n}"), found);
                }
                true
            }
            "required" => says.as_array().expect("names").iter().all(|name| {
                let has = value.get(name.as_str().expect("a name")).is_some();
                if !has {
                    found.push(format!("{at}: {name} is missing"));
                }
                has
            }),
            "properties" => {
                for (name, says) in says.as_object().expect("a table") {
                    if let Some(value) = value.get(name) {
                        check(root, says, value, &format!("{at}/{name}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                others(rules, value).for_each(|(name, value)| match says {
                    Value::Bool(true) => {}
                    Value::Bool(false) => found.push(format!("{at}/{name} is not in the schema")),
                    says => check(root, says, value, &format!("{at}/{name}"), found),
                });
                true
            }
            other => panic!("the schema's word {other} is not understood here"),
        };
        if !holds {
            found.push(format!("{at}: {value} is not {rule} {says}"));
        }
    }
}

fn others<'a>(rules: &'a Map<String, Value>, value: &'a Value) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let known = |name: &String| rules.get("properties").is_some_and(|names| names.get(name).is_some());
    value.as_object().into_iter().flatten().filter(move |(name, _)| !known(name))
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("null") => value.is_null(),
        other => panic!("the schema's type {other:?} is not understood here"),
    }
}

//! A stand-in for what Envoy Gateway does with an `EnvoyPatchPolicy`, as far as the manifests go.
//!
//! RFC 6902 `add` and `replace`; of JSONPath (RFC 9535) names, `[*]` and `[?(@.name=='...')]`. What it does
//! not know is an error, and so is a patch that finds nothing, as in Envoy Gateway.

use serde_json::Value;

use super::Generated;

/// Applies the patches of an `EnvoyPatchPolicy` to what was generated.
///
/// # Errors
/// When a patch is not understood, or its place is not there.
pub fn apply(spec: &Value, generated: &mut Generated) -> Result<(), String> {
    let patches = spec["jsonPatches"].as_array().ok_or("no patches")?;
    for (number, patch) in patches.iter().enumerate() {
        let context = |why: &str| format!("jsonPatches[{number}]: {why}");
        let resources = match patch["type"].as_str() {
            Some("type.googleapis.com/envoy.config.listener.v3.Listener") => {
                std::slice::from_mut(&mut generated.listener)
            }
            Some("type.googleapis.com/envoy.config.route.v3.RouteConfiguration") => {
                generated.routes.as_mut_slice()
            }
            other => return Err(context(&format!("the type {other:?}"))),
        };
        let resource = resources.iter_mut().find(|it| it["name"] == patch["name"]);
        let resource = resource.ok_or_else(|| context("there is no such resource"))?;
        operate(&patch["operation"], resource).map_err(|why| context(&why))?;
    }
    Ok(())
}

fn operate(operation: &Value, resource: &mut Value) -> Result<(), String> {
    let path = operation["path"].as_str().unwrap_or_default();
    let places = match operation["jsonPath"].as_str() {
        Some(query) => pointers(query, resource)?,
        None => vec![String::new()],
    };
    if places.is_empty() {
        return Err("its jsonPath finds nothing".into());
    }
    for place in places {
        let pointer = format!("{place}{path}");
        let (parent, last) = pointer.rsplit_once('/').ok_or("no place")?;
        let parent = resource
            .pointer_mut(parent)
            .ok_or_else(|| format!("no `{parent}`"))?;
        match (operation["op"].as_str(), parent) {
            (Some("replace"), Value::Object(object)) if !object.contains_key(last) => {
                return Err(format!("no `{pointer}` to replace"));
            }
            (Some("add" | "replace"), Value::Object(object)) => {
                object.insert(last.to_owned(), operation["value"].clone());
            }
            (op, _) => return Err(format!("the operation {op:?} at `{pointer}`")),
        }
    }
    Ok(())
}

/// The JSON pointers of what a query selects.
fn pointers(query: &str, value: &Value) -> Result<Vec<String>, String> {
    let unknown = |rest: &str| format!("the query `{query}` from `{rest}` on");
    let mut rest = query.strip_prefix('$').ok_or_else(|| unknown(query))?;
    let mut found = vec![(String::new(), value)];
    while !rest.is_empty() {
        let mut next = Vec::new();
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            for (pointer, value) in found {
                next.extend(
                    value
                        .get(name)
                        .map(|value| (format!("{pointer}/{name}"), value)),
                );
            }
            rest = after;
        } else {
            let (name, after) = if let Some(after) = rest.strip_prefix("[*]") {
                (None, after)
            } else {
                let selector = rest.strip_prefix("[?(@.name=='");
                let selector = selector.and_then(|selector| selector.split_once("')]"));
                let (name, after) = selector.ok_or_else(|| unknown(rest))?;
                (Some(name), after)
            };
            for (pointer, value) in found {
                for (place, item) in value.as_array().into_iter().flatten().enumerate() {
                    if name.is_none_or(|name| item["name"] == name) {
                        next.push((format!("{pointer}/{place}"), item));
                    }
                }
            }
            rest = after;
        }
        found = next;
    }
    Ok(found.into_iter().map(|(pointer, _)| pointer).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operation: Value) -> Result<Value, String> {
        let mut generated = Generated {
            listener: json!({ "name": "n", "a": [{ "name": "x", "c": 1 }, { "name": "y" }] }),
            routes: Vec::new(),
        };
        let kind = "type.googleapis.com/envoy.config.listener.v3.Listener";
        let patch = json!({ "type": kind, "name": "n", "operation": operation });
        apply(&json!({ "jsonPatches": [patch] }), &mut generated)?;
        Ok(generated.listener["a"].take())
    }

    #[test]
    fn members_are_added_and_replaced() {
        let added = json!({ "op": "add", "jsonPath": "$.a[*]", "path": "/d", "value": 2 });
        assert_eq!(
            patched(added).unwrap(),
            json!([{ "name": "x", "c": 1, "d": 2 }, { "name": "y", "d": 2 }])
        );
        let replaced = json!({ "op": "replace", "jsonPath": "$.a[?(@.name=='x')]", "path": "/c", "value": [] });
        assert_eq!(
            patched(replaced).unwrap(),
            json!([{ "name": "x", "c": [] }, { "name": "y" }])
        );
        let plain = json!({ "op": "replace", "path": "/a/1/name", "value": "z" });
        assert_eq!(patched(plain).unwrap()[1]["name"], "z");
    }

    #[test]
    fn what_finds_nothing_or_is_not_understood_is_an_error() {
        for (operation, why) in [
            (
                json!({ "op": "add", "jsonPath": "$.b[*]", "path": "/d" }),
                "finds nothing",
            ),
            (
                json!({ "op": "replace", "path": "/a/1/c", "value": 1 }),
                "to replace",
            ),
            (json!({ "op": "remove", "path": "/a" }), "operation"),
            (
                json!({ "op": "add", "jsonPath": "a", "path": "/d" }),
                "query",
            ),
            (
                json!({ "op": "add", "jsonPath": "$.a[0]", "path": "/d" }),
                "query",
            ),
        ] {
            let error = patched(operation).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

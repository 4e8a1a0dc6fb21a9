//! The manifests under `deploy/`, read as data.

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

pub mod envoy_filter;
pub mod envoy_gateway;
pub mod istio;
pub mod json_patch;
mod parts;

/// The files for Istio.
pub const ISTIO: &str = include_str!("../../../deploy/istio/auth-edge.yaml");
/// The gateway that Istio configures.
pub const ISTIO_GATEWAY: &str = include_str!("../../../deploy/istio/gateway.yaml");
/// The values of Istio's own installation.
pub const ISTIO_VALUES: &str = include_str!("../../../deploy/istio/istiod-values.yaml");
/// The files for Envoy Gateway.
pub const ENVOY_GATEWAY: &str = include_str!("../../../deploy/envoy-gateway/auth-edge.yaml");
/// The values of Envoy Gateway's own installation.
pub const ENVOY_GATEWAY_VALUES: &str =
    include_str!("../../../deploy/envoy-gateway/envoy-gateway-values.yaml");

/// What stands in the manifests in place of a root.
pub const EXAMPLE_ROOT: &str = "REPLACE WITH THE CERTIFICATE OF YOUR ROOT, BASE64 OF ITS DER";

/// What a control plane sends to its Envoys: one listener, and the routes of its names.
pub struct Generated {
    /// The listener.
    pub listener: Value,
    /// Route configurations.
    pub routes: Vec<Value>,
}

/// The resources of a file.
pub struct Manifests(Vec<Value>);

impl Manifests {
    /// Reads a file of YAML documents.
    ///
    /// # Errors
    /// When it is no YAML, or has what JSON has not.
    pub fn read(text: &str) -> Result<Self, String> {
        let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
        let documents: Result<_, String> = documents.iter().map(json).collect();
        documents.map(Self)
    }

    /// All resources.
    pub fn all(&self) -> &[Value] {
        &self.0
    }

    /// The `spec` of the resource of this kind and name.
    ///
    /// # Errors
    /// When there is not exactly one.
    pub fn spec(&self, kind: &str, name: &str) -> Result<&Value, String> {
        let mut found = self
            .0
            .iter()
            .filter(|it| it["kind"] == kind && it["metadata"]["name"] == name);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(&one["spec"]),
            _ => Err(format!("expected one {kind} named `{name}`")),
        }
    }
}

/// Fails with the message unless the condition holds.
fn expect(condition: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(message()) }
}

fn json(yaml: &Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(value) => Value::Bool(*value),
        Yaml::Integer(value) => Value::from(*value),
        Yaml::String(text) => Value::from(text.as_str()),
        Yaml::Array(items) => Value::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        Yaml::Hash(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                let name = name.as_str().ok_or("a member's name is no text")?;
                object.insert(name.to_owned(), json(value)?);
            }
            Value::Object(object)
        }
        other => return Err(format!("{other:?} is not expected in a manifest")),
    })
}

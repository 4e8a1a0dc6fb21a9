//! Where secrets come from: the host program's environment, or sealed texts whose keys alone come
//! from there. No error shows a value: it can be a key in the wrong place.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Store;
use super::texts::SecretName;
use crate::host_name::HostName;
use crate::secret::Secret;
use crate::wire::json::{ConfigError, FromJson, Json};
use crate::wire::sealed::{KeyId, NotOpened, Sealed, SealingKey};

/// How many sealing keys there can be: the one in use, and the one before or after it.
const MAX_SEALING_KEYS: usize = 2;

/// What `env` names.
const NO_VARIABLE_NAME: &str = "found no name of a variable, expected letters, digits and `_`";

/// Where an API key comes from.
pub(super) enum SecretSource {
    Environment(SecretName),
    Sealed(Sealed),
    Inline(Secret),
}

impl FromJson for SecretSource {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let expected = "an object with one member: `env`, the name of the variable that holds the key, `sealed`, or `inline`";
        let Json::Object(found) = json else {
            return Err(json.unexpected(expected));
        };
        let [(name, Json::Text(text))] = found.as_slice() else {
            return Err(another_object(expected));
        };
        match name.as_str() {
            "env" => text
                .parse()
                .map(Self::Environment)
                .map_err(|()| ConfigError::here(NO_VARIABLE_NAME).in_member("env")),
            "sealed" => text.parse().map(Self::Sealed).map_err(|error| {
                ConfigError::here(format!(
                    "found no sealed key ({error}), expected `v1:KEY_ID:BASE64URL` as it was sealed"
                ))
                .in_member("sealed")
            }),
            "inline" => Secret::new(text.clone())
                .map(Self::Inline)
                .map_err(|error| {
                    ConfigError::here(format!(
                        "found no header value ({error}), expected an API key"
                    ))
                    .in_member("inline")
                }),
            _ => Err(another_object(expected)),
        }
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "oneOf": [
            variable_schema(),
            {
                "type": "object",
                "properties": { "sealed": {
                    "type": "string",
                    "pattern": "^v1:[A-Za-z0-9_-]{1,32}:[A-Za-z0-9_-]{55,5515}$",
                    "description": "The key, sealed for this custom domain with one of `sealing_keys`.",
                } },
                "required": ["sealed"],
                "additionalProperties": false,
            },
            {
                "type": "object",
                "properties": { "inline": {
                    "type": "string",
                    "description": "The key itself; only with `allow_inline_secrets`.",
                } },
                "required": ["inline"],
                "additionalProperties": false,
            },
        ] })
    }
}

fn another_object(expected: &str) -> ConfigError {
    ConfigError::here(format!("found another object, expected {expected}"))
}

#[cfg(feature = "schema")]
fn variable_schema() -> serde_json::Value {
    serde_json::json!({
        "type": "object",
        "properties": { "env": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_]+$",
            "description": "The name of the variable, among the host program's secrets, that holds the key.",
        } },
        "required": ["env"],
        "additionalProperties": false,
    })
}

/// The variables that hold the sealing keys, by the ids of these.
pub(super) struct SealingKeysEntry(Vec<(KeyId, SecretName)>);

impl FromJson for SealingKeysEntry {
    fn from_json(json: &Json) -> Result<Self, ConfigError> {
        let Json::Object(found) = json else {
            return Err(json.unexpected("an object of sealing keys by their ids"));
        };
        if !(1..=MAX_SEALING_KEYS).contains(&found.len()) {
            let count = found.len();
            return Err(ConfigError::here(format!(
                "found {count} sealing keys, expected one, or two while one takes the place of the other"
            )));
        }
        let mut keys = Vec::with_capacity(found.len());
        for (name, value) in found {
            // Not shown either: it can be the key itself.
            let Ok(id) = name.parse() else {
                return Err(ConfigError::here(
                    "found no key id, expected 1 to 32 letters, digits, `-` and `_`",
                ));
            };
            let variable = sealing_key_variable(value).map_err(|error| error.in_member(name))?;
            keys.push((id, variable));
        }
        Ok(Self(keys))
    }

    #[cfg(feature = "schema")]
    fn schema() -> serde_json::Value {
        serde_json::json!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,32}$" },
            "additionalProperties": variable_schema(),
            "minProperties": 1,
            "maxProperties": MAX_SEALING_KEYS,
        })
    }
}

fn sealing_key_variable(json: &Json) -> Result<SecretName, ConfigError> {
    let expected =
        "an object with one member: `env`, the name of the variable that holds the sealing key";
    let Json::Object(found) = json else {
        return Err(json.unexpected(expected));
    };
    match found.as_slice() {
        [(name, Json::Text(text))] if name == "env" => text
            .parse()
            .map_err(|()| ConfigError::here(NO_VARIABLE_NAME).in_member("env")),
        _ => Err(another_object(expected)),
    }
}

/// The sealing keys of a file, held while it is read.
pub(super) struct SealingKeys(Vec<(KeyId, SecretName, SealingKey)>);

impl SealingKeys {
    /// Reads the keys from the environment; one that no host needs has to be there as well.
    pub(super) fn of(
        entry: Option<&SealingKeysEntry>,
        store: &dyn Store,
    ) -> Result<Self, ConfigError> {
        let mut keys = Vec::new();
        for (id, name) in entry.iter().flat_map(|entry| &entry.0) {
            let key = sealing_key(name, store)
                .map_err(|error| error.in_member("env").in_member(&format!("{id}")))?;
            keys.push((id.clone(), name.clone(), key));
        }
        Ok(Self(keys))
    }

    /// Whether the variable holds one of them, which is no API key.
    pub(super) fn are_in(&self, name: &SecretName) -> bool {
        self.0.iter().any(|(_, known, _)| known.0 == name.0)
    }

    /// Opens an API key that was sealed for this custom domain.
    pub(super) fn open(
        &self,
        sealed: &Sealed,
        custom_domain: &HostName<'_>,
    ) -> Result<Secret, ConfigError> {
        let id = sealed.key_id();
        let Some((.., key)) = self.0.iter().find(|(known, ..)| known == id) else {
            return Err(ConfigError::here(format!(
                "found a text that is sealed with another key, expected {}",
                self.names()
            )));
        };
        sealed.open(key, custom_domain).map_err(|error| {
            ConfigError::here(match error {
                NotOpened::NotAuthentic => format!(
                    "found a text that the sealing key `{id}` does not open, expected one that was sealed with \
                     it for `{custom_domain}`"
                ),
                NotOpened::NoSecret(error) => {
                    format!("found in the sealed text no header value ({error}), expected an API key")
                }
            })
        })
    }

    /// The ids of the file, as an error shows them.
    fn names(&self) -> String {
        match self.0.as_slice() {
            [] => {
                "`sealing_keys` at the top of the file with the key that it is sealed with".into()
            }
            [(one, ..)] => format!("`{one}` of `sealing_keys`"),
            keys => {
                let ids: Vec<String> = keys.iter().map(|(id, ..)| format!("`{id}`")).collect();
                format!("{} of `sealing_keys`", ids.join(" or "))
            }
        }
    }
}

fn sealing_key(name: &SecretName, store: &dyn Store) -> Result<SealingKey, ConfigError> {
    let text = variable(store, name)?;
    text.parse().map_err(|error| {
        let shown = name.shown();
        ConfigError::here(format!(
            "found in the variable{shown} no sealing key ({error}), expected 32 bytes in base64url: 43 characters, no padding"
        ))
    })
}

/// What the host program's secrets hold under this name.
pub(super) fn variable(store: &dyn Store, name: &SecretName) -> Result<String, ConfigError> {
    store.secret(&name.0).ok_or_else(|| {
        let shown = name.shown();
        ConfigError::here(format!(
            "found no variable{shown} among the host program's secrets, expected one \
             (Envoy: in its environment, and named in `host_env_keys`; Cloudflare: `wrangler secret put`)"
        ))
    })
}

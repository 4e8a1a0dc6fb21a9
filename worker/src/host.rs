//! The only file that names what the runtime offers; see `host.js` for the other side.

use js_sys::{Array, JSON, Reflect};
use wasm_bindgen::prelude::*;
use worker::{D1Database, Env};

#[wasm_bindgen(module = "/src/host.js")]
extern "C" {
    /// Says what is used for every request from now on.
    pub(crate) fn configure(hsts: &JsValue, analytics: &JsValue, refuse: &JsValue);

    /// Tells of a request, in UTF-8.
    #[wasm_bindgen(js_name = "gather")]
    fn gather_bytes(request: &JsValue) -> Vec<u8>;

    /// Sends the request that was told of last to the origin; see `apply`.
    pub(crate) fn forward(request: &JsValue, edits: &str) -> JsValue;

    /// An answer in the origin's place.
    pub(crate) fn answer(
        status: u16,
        fields: &str,
        body: Option<&str>,
        #[wasm_bindgen(js_name = "isHttps")] is_https: bool,
    ) -> JsValue;

    /// Writes a data point.
    pub(crate) fn count(outcome: &str, code: &str, host: &str);

    /// A name for a request that no client can choose.
    #[wasm_bindgen(js_name = "newId")]
    pub(crate) fn new_id() -> String;
}

/// Tells of a request; see the module `gather`. Nothing where that is not text, which nobody takes for a request.
pub(crate) fn gather(request: &JsValue) -> String {
    String::from_utf8(gather_bytes(request)).unwrap_or_default()
}

/// The binding with the configuration, or with the namespace that holds it.
const CONFIG: &str = "AUTH_EDGE_CONFIG";
/// Its key in a namespace.
const CONFIG_KEY: &str = "config.json";
/// The database.
const DATABASE: &str = "AUTH_EDGE_DB";
/// The dataset for data points.
const ANALYTICS: &str = "AUTH_EDGE_ANALYTICS";
/// The value of `strict-transport-security`.
const HSTS: &str = "AUTH_EDGE_HSTS";

/// Where the configuration stands.
pub(crate) enum ConfigBinding {
    /// It is the binding's own value.
    Text(String),
    /// In a namespace.
    Namespace,
    /// Nowhere among the bindings.
    None,
}

/// A binding; undefined when there is none.
fn binding(env: &Env, name: &str) -> JsValue {
    Reflect::get(env, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Where the configuration stands.
pub(crate) fn config_binding(env: &Env) -> ConfigBinding {
    let found = binding(env, CONFIG);
    if let Some(text) = found.as_string() {
        return ConfigBinding::Text(text);
    }
    if !found.is_object() {
        return ConfigBinding::None;
    }
    let is_namespace = Reflect::get(&found, &"get".into()).is_ok_and(|member| member.is_function());
    match JSON::stringify(&found) {
        Ok(text) if !is_namespace => ConfigBinding::Text(text.into()),
        _ => ConfigBinding::Namespace,
    }
}

/// Reads the configuration from its namespace.
pub(crate) async fn config_from_namespace(env: &Env) -> Result<Vec<u8>, String> {
    let found = env
        .kv(CONFIG)
        .map_err(|error| error.to_string())?
        .get(CONFIG_KEY)
        .cache_ttl(MIN_CACHE_SECONDS)
        .bytes()
        .await;
    found
        .map_err(|error| error.to_string())?
        .ok_or_else(|| format!("the namespace {CONFIG} has no `{CONFIG_KEY}`"))
}

/// The shortest time for which Workers KV can be told to keep a value near, in seconds.
const MIN_CACHE_SECONDS: u64 = 60;

/// The text of a secret or variable.
pub(crate) fn text(env: &Env, name: &str) -> Option<String> {
    binding(env, name).as_string()
}

/// Says what of the bindings is used for every request.
pub(crate) fn use_bindings(env: &Env, refuse: &JsValue) {
    configure(&binding(env, HSTS), &binding(env, ANALYTICS), refuse);
}

/// Whether data points are written.
pub(crate) fn has_analytics(env: &Env) -> bool {
    !binding(env, ANALYTICS).is_undefined()
}

/// The database, where there is one.
pub(crate) fn database(env: &Env) -> Option<D1Database> {
    env.d1(DATABASE).ok()
}

/// The answer to an ACME challenge that the database holds and that has not expired.
pub(crate) async fn acme_answer(
    database: &D1Database,
    host: &str,
    token: &str,
    now: u64,
) -> worker::Result<Option<String>> {
    let query = "SELECT key_authorization FROM acme_challenges WHERE host = ?1 AND token = ?2 AND expires_at > ?3";
    let found = rows(database, query, &[host.into(), token.into(), number(now)]).await?;
    Ok(found.first().and_then(|row| row.get(0).as_string()))
}

/// The revocation lists of the database: custom domain and DER.
pub(crate) async fn revocation_lists(
    database: &D1Database,
) -> worker::Result<Vec<(String, Vec<u8>)>> {
    // As text, since a BLOB comes as an array of numbers of many times its size. A host name has a dot; a row without
    // one is a list that is still being written.
    let query = "SELECT host, hex(der) FROM revocation_lists WHERE host LIKE '%.%'";
    let rows = rows(database, query, &[]).await?;
    let list = |row: Array| Some((row.get(0).as_string()?, from_hex(&row.get(1).as_string()?)));
    Ok(rows.into_iter().filter_map(list).collect())
}

/// The bytes of hex digits, as far as they are such.
fn from_hex(text: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| {
        let text = str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    text.as_bytes().chunks(2).map_while(byte).collect()
}

async fn rows(
    database: &D1Database,
    query: &str,
    values: &[JsValue],
) -> worker::Result<Vec<Array>> {
    let statement = database.prepare(query).bind(values)?;
    let rows = statement.raw_js_value().await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.dyn_into().ok())
        .collect())
}

/// A number of seconds as D1 takes it.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a time in seconds has fewer than 53 bits"
)]
fn number(seconds: u64) -> JsValue {
    JsValue::from_f64(seconds as f64)
}

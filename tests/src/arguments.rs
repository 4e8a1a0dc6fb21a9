//! The arguments the test programs share: what to test, given by path.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a test program is told.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// The Envoy to run.
    pub envoy: PathBuf,
    /// What it is called in the output.
    pub envoy_version: String,
    /// The filter to load.
    pub wasm: PathBuf,
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// Reads `--envoy PATH --envoy-version V --wasm PATH`, and `--NAME VALUE` for each of `more`.
    ///
    /// # Errors
    /// When an argument is unknown, lacks its value, or is missing.
    pub fn parse(
        mut arguments: impl Iterator<Item = String>,
        more: &[&str],
    ) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        while let Some(argument) = arguments.next() {
            let name = argument.strip_prefix("--").unwrap_or_default();
            if !["envoy", "envoy-version", "wasm"].contains(&name) && !more.contains(&name) {
                return Err(format!("unknown argument `{argument}`"));
            }
            let value = arguments
                .next()
                .ok_or_else(|| format!("`{argument}` lacks its value"))?;
            values.insert(name.to_owned(), value);
        }
        let mut take = |name: &str| {
            values
                .remove(name)
                .ok_or_else(|| format!("`--{name}` is missing"))
        };
        Ok(Self {
            envoy: take("envoy")?.into(),
            envoy_version: take("envoy-version").unwrap_or_default(),
            wasm: std::path::absolute(take("wasm")?).map_err(|error| error.to_string())?,
            values,
        })
    }

    /// The value of one of the program's own arguments.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}

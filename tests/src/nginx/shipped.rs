//! The shipped configuration of NGINX: the parts that are made from the core's lists, and what the fake reads
//! of the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use auth_edge::header::REPLACED_BY_NAME;

const MADE: &str = "# Written by `cargo xtask docs` from `shared/src/header.rs`; do not edit.\n";

/// Where the shipped configuration stands.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nginx")
}

/// The variable that holds what the origin is told in the field.
pub fn variable_of(field: &str) -> String {
    let name = field.replace('_', "__").replace('-', "_");
    format!("auth_edge_{name}")
}

/// `auth_edge_variables.conf`: the variables that the filter sets.
pub fn variables() -> String {
    let mut text = format!(
        "{MADE}#\n# The variables that the filter sets, empty until it does. `map` declares them, so that they are\n\
         # there in every server and location, and nothing but the filter writes them.\n\n"
    );
    let fields = REPLACED_BY_NAME.iter().copied();
    for name in std::iter::once("authority").chain(fields) {
        let _ = writeln!(text, "{}", variable_line(name));
    }
    text
}

/// The line that declares the variable of a field.
pub fn variable_line(field: &str) -> String {
    format!("map $host ${} {{ default \"\"; }}", variable_of(field))
}

/// `auth_edge_fields.conf`: the fields that NGINX replaces on the way to the origin.
pub fn fields() -> String {
    let mut text = format!(
        "{MADE}#\n# Each field here is kept from the origin, however often a client sends it, and set to what the\n\
         # filter says, or not sent. A field that is neither here nor in the configuration of the module refuses the request.\n\n\
         proxy_headers_hash_max_size 1024;\n\
         proxy_headers_hash_bucket_size 128;\n\n\
         proxy_set_header host $auth_edge_authority;\n"
    );
    for name in auth_edge::header::WRITTEN_BY_HOST_PROGRAM {
        if *name != "host" {
            let _ = writeln!(text, "proxy_set_header {name} \"\";");
        }
    }
    for name in REPLACED_BY_NAME {
        let _ = match *name {
            // It chooses the upstream, and is not for the origin.
            auth_edge::header::X_AUTH_EDGE_ORIGIN => {
                writeln!(text, "proxy_set_header {name} \"\";")
            }
            _ => writeln!(text, "{}", field_line(name)),
        };
    }
    text
}

/// The line that replaces a field.
pub fn field_line(field: &str) -> String {
    format!("proxy_set_header {field} ${};", variable_of(field))
}

/// What of a configuration decides what the filter can do and what goes upstream.
#[derive(Clone, Debug, Default)]
pub struct Shipped {
    /// The variables that can be set.
    pub variables: BTreeSet<String>,
    /// The value of each field that is replaced, by its name in lower case.
    pub replaced: BTreeMap<String, String>,
    /// The variables of the environment that are kept.
    pub environment: BTreeSet<String>,
    /// The configuration of the Wasm module.
    pub module: String,
    /// The configuration of the filter.
    pub filter: String,
}

impl Shipped {
    /// Reads the files under `deploy/nginx`.
    ///
    /// # Errors
    /// When one cannot be read, or the configuration is not what the fake takes it for.
    pub fn read() -> Result<Self, Box<dyn Error>> {
        let mut shipped = Self::default();
        for name in [
            "nginx.conf",
            "auth_edge_variables.conf",
            "auth_edge_location.conf",
            "auth_edge_fields.conf",
        ] {
            let path = folder().join(name);
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            shipped.add(&text);
        }
        Ok(shipped)
    }

    /// Reads lines of a configuration.
    pub fn add(&mut self, text: &str) {
        for words in directives(text) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["map", _, variable] => {
                    let name = variable.trim_start_matches('$');
                    self.variables.insert(name.to_owned());
                }
                ["proxy_set_header", name, value] => {
                    let name = name.to_ascii_lowercase();
                    self.replaced.insert(name, (*value).to_owned());
                }
                ["env", name] => {
                    self.environment.insert((*name).to_owned());
                }
                ["module", "auth_edge", _, text] => self.module = (*text).to_owned(),
                ["proxy_wasm", "auth_edge", text] => self.filter = (*text).to_owned(),
                _ => {}
            }
        }
    }
}

/// The directives of a configuration, each as its words; blocks give their head.
fn directives(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            ';' | '{' | '}' => found.push(std::mem::take(&mut words)),
            quote @ ('"' | '\'') => {
                let mut word = String::new();
                while let Some(inner) = characters.next_if(|next| *next != quote) {
                    word.push(inner);
                }
                characters.next();
                words.push(word);
            }
            space if space.is_whitespace() => {}
            first => {
                let mut word = String::from(first);
                let ends = |next: &char| next.is_whitespace() || ";{}".contains(*next);
                while let Some(inner) = characters.next_if(|next| !ends(next)) {
                    word.push(inner);
                }
                words.push(word);
            }
        }
    }
    found.retain(|words| !words.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_replaces_every_listed_field() {
        let shipped = Shipped::read().unwrap();
        for name in REPLACED_BY_NAME {
            assert!(shipped.replaced.contains_key(*name), "{name}");
            assert!(shipped.variables.contains(&variable_of(name)), "{name}");
        }
        for name in auth_edge::header::WRITTEN_BY_HOST_PROGRAM {
            assert!(shipped.replaced.contains_key(*name), "{name}");
        }
        assert_eq!(shipped.module, "nginx");
        assert!(shipped.filter.starts_with("env:"));
    }

    #[test]
    fn directives_are_read_as_nginx_reads_them() {
        let read = directives("a 'b c' \"\"; # d;\nmap $x $y { default \"\"; }\n");
        let expected: [&[&str]; 3] = [&["a", "b c", ""], &["map", "$x", "$y"], &["default", ""]];
        assert_eq!(read, expected);
    }
}

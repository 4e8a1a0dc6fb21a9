//! The metadata of an authorization server under its custom domain (OpenID Connect Discovery 1.0,
//! RFC 8414, RFC 8705 section 5), as the edge writes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::Host;
use crate::endpoint::{OnAlias, PAR, Profile};
use crate::wire::json::{Writer, array, string};

/// Where metadata are asked for.
pub const PATHS: [&str; 2] = [
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
];

/// How the edge writes the metadata of a host.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The authorization server.
    pub profile: Profile,
    /// How long an answer may be kept, in seconds.
    pub max_age_seconds: u64,
    /// Members that take the place of generated ones or stand beside them: names, and values as JSON.
    pub overrides: Vec<(String, String)>,
}

/// The methods of client authentication that need no certificate.
const BASE_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

impl Discovery {
    /// The document for the host, as JSON.
    pub fn document(&self, host: &Host) -> String {
        let base = format!("https://{}", host.custom_domain);
        let mut members: Vec<(&str, String)> = Vec::new();
        let mut put = |name, value| members.push((name, value));
        put(
            "issuer",
            string(&format!("{base}{}", self.profile.issuer_path())),
        );
        let has_mtls = host.accepts_certificates();
        for endpoint in self.profile.endpoints() {
            if endpoint.metadata != PAR || has_mtls {
                put(
                    endpoint.metadata,
                    string(&format!("{base}{}", endpoint.path)),
                );
            }
        }
        put("response_types_supported", texts(["code"]));
        let grants = ["authorization_code", "refresh_token", "client_credentials"];
        let grants = grants
            .into_iter()
            .filter(|grant| has_mtls || *grant != "client_credentials");
        put("grant_types_supported", texts(grants));
        put("subject_types_supported", texts(["public"]));
        put("id_token_signing_alg_values_supported", texts(["ES256"]));
        put("code_challenge_methods_supported", texts(["S256"]));
        let policy = &host.certificates;
        let ca_signed = policy.ca_signed.as_ref().map(|_| "tls_client_auth");
        let self_signed = policy
            .self_signed
            .as_ref()
            .map(|_| "self_signed_tls_client_auth");
        let methods = BASE_METHODS.into_iter().chain(ca_signed).chain(self_signed);
        put("token_endpoint_auth_methods_supported", texts(methods));
        if has_mtls {
            put("tls_client_certificate_bound_access_tokens", "true".into());
        }
        if let Some(aliases) = self.aliases(host) {
            put("mtls_endpoint_aliases", aliases);
        }
        let overridden = |name: &str| self.overrides.iter().any(|(other, _)| other == name);
        let generated = members.into_iter().filter(|(name, _)| !overridden(name));
        let mut writer = Writer::object();
        for (name, value) in generated {
            writer.member(name, &value);
        }
        for (name, value) in &self.overrides {
            writer.member(name, value);
        }
        writer.finish()
    }

    /// `mtls_endpoint_aliases`: all endpoints of the profile that belong there, or none when the alias
    /// does not serve them all.
    fn aliases(&self, host: &Host) -> Option<String> {
        let alias = host.mtls_alias.as_ref()?;
        let mut writer = Writer::object();
        let endpoints = self.profile.endpoints().iter();
        for endpoint in endpoints.filter(|endpoint| endpoint.on_alias == OnAlias::Advertised) {
            if !host
                .alias_paths
                .iter()
                .any(|served| served.path == endpoint.path)
            {
                return None;
            }
            let url = format!("https://{alias}{}", endpoint.path);
            writer.member(endpoint.metadata, &string(&url));
        }
        Some(writer.finish())
    }
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    array(values.into_iter().map(string))
}

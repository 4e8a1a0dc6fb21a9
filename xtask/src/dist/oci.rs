//! The module as an image in a layout of the OCI (image-spec 1.1).
//!
//! Of the two forms of the Wasm image specification this is the one named *compat*: an ordinary image
//! whose last layer is a tar.gz with the file `plugin.wasm`. Istio (`pkg/wasm/imagefetcher.go`) and Envoy
//! Gateway (`internal/wasm/imagefetcher.go`) both try it first; every registry takes it. The other form
//! has media types of its own and needs a second layer.

use super::archive;
use crate::exec::{self, Outcome};

/// The layer's only file; both readers look for this name.
const PLUGIN: &str = "plugin.wasm";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The files of the layout by name, with one image whose tag is `version`.
pub(super) fn image(module: &[u8], version: &str) -> Outcome<Vec<(String, Vec<u8>)>> {
    let tar = archive::tar(&[(PLUGIN.to_owned(), module.to_vec())]);
    let inner = exec::sha256_of(&tar)?;
    let layer = Blob::new(LAYER, archive::gzip(&tar))?;
    // The platform's name is the one that containers of Wasm use; neither reader looks at it.
    let config = Blob::new(
        CONFIG,
        format!(
            r#"{{"architecture":"wasm","os":"wasip1","config":{{}},"rootfs":{{"type":"layers","diff_ids":["sha256:{inner}"]}}}}"#
        )
        .into_bytes(),
    )?;
    let manifest = Blob::new(
        MANIFEST,
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}],"annotations":{{"org.opencontainers.image.licenses":"MIT OR Apache-2.0","org.opencontainers.image.title":"auth-edge-filter","org.opencontainers.image.version":"{version}"}}}}"#,
            config.descriptor(""),
            layer.descriptor("")
        )
        .into_bytes(),
    )?;
    let tag = format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{version}"}}"#);
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#,
        manifest.descriptor(&tag)
    );
    let mut files = vec![
        (
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    for blob in [manifest, config, layer] {
        files.push((format!("blobs/sha256/{}", blob.digest), blob.bytes));
    }
    Ok(files)
}

/// Bytes that are named by their digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Outcome<Self> {
        Ok(Self {
            media_type,
            digest: exec::sha256_of(&bytes)?,
            bytes,
        })
    }

    /// What names it, with further members.
    fn descriptor(&self, more: &str) -> String {
        format!(
            r#"{{"mediaType":"{}","digest":"sha256:{}","size":{}{more}}}"#,
            self.media_type,
            self.digest,
            self.bytes.len()
        )
    }
}

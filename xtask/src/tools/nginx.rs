//! NGINX as Debian has it, without a Wasm module: what the fake NGINX is compared with.

use std::path::PathBuf;

use super::{Cache, debian};
use crate::exec::{self, Outcome};

/// The program: the machine's, or that of Debian's packages. They are unpacked even where they could be installed:
/// installing starts a server.
pub(crate) fn program(cache: &Cache) -> Outcome<PathBuf> {
    if let Some(program) = exec::on_path("nginx") {
        return Ok(program);
    }
    let root = debian::unpack(cache, &["nginx"], |_| Ok(()))?;
    Ok(root.join("usr/sbin/nginx"))
}

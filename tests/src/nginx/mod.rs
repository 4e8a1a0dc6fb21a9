//! Fake NGINX: the built filter in a Wasm interpreter, between what NGINX would do before it and after it.
//!
//! This is **no NGINX**. The WasmX module (Kong's `ngx_wasm_module`) is in no registry, so what it and NGINX do
//! was read in their sources and is done here again, as far as it decides what the filter sees and what becomes
//! of its decision:
//!
//! - `ingress`: how NGINX reads a request (`ngx_http_parse.c`, `ngx_http_request.c`): what it refuses itself,
//!   which field names it drops, how it decodes the path.
//! - `module`: how WasmX runs a module (`ngx_proxy_wasm.c`, `_host.c`, `_maps.c`, `_properties.c`, `_util.c`): the
//!   host functions it has, the exports it calls without looking, a hundred header fields and no more, removed
//!   fields that go upstream all the same, properties that are NGINX's variables.
//! - `upstream`: what `proxy_pass` sends (`ngx_http_proxy_module.c`), from the shipped `deploy/nginx`.
//! - `shipped`: that configuration, as text and as what is read of it.
//!
//! Read as of NGINX 1.31.5 and WasmX of April 2025. The facts of a connection are not from a handshake; `real`
//! runs a real NGINX without Wasm, which shows that they and all but `module` are as they are here.

pub mod ingress;
pub mod module;
pub mod real;
pub mod shipped;
pub mod upstream;

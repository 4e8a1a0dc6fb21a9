//! What `cargo xtask bench worker` compares with: a Worker in Rust that only forwards, as the documentation of the
//! crate `worker` has it. Header fields are copied one by one into a new request.

use worker::{
    Context, Env, Fetch, Headers, Request, RequestInit, RequestRedirect, Response, Result, event,
};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let url = request.inner().url();
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let target = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
    let origin = env.var("ORIGIN")?.to_string();
    let headers = Headers::new();
    for (name, value) in request.headers() {
        headers.append(&name, &value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(request.method())
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_body(request.inner().body().map(Into::into));
    let request = Request::new_with_init(&format!("https://{origin}{target}"), &init)?;
    Fetch::Request(request).send().await
}

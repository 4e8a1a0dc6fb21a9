// What `cargo xtask bench worker` compares with: a Worker that only forwards.
export default {
  fetch(request, env) {
    const target = request.url.slice(request.url.indexOf("/", 8));
    return fetch(`https://${env.SETTINGS.origin}${target}`, {
      method: request.method,
      headers: request.headers,
      body: request.body,
      redirect: "manual",
      cache: "no-store",
    });
  },
};

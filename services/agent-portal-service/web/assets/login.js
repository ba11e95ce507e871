// The link works without this; with more than one region it carries the chosen one.
const region = document.getElementById("region");
const link = document.getElementById("sign-in");
const hint = new URLSearchParams(location.search).get("login_hint");

function aim() {
  const target = new URL("/session/begin", location.origin);
  if (region) target.searchParams.set("region", region.value);
  if (hint) target.searchParams.set("login_hint", hint);
  link.href = target.pathname + target.search;
}

region?.addEventListener("change", aim);
aim();

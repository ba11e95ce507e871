// The link works without this; with more than one region it carries the chosen one. A link that an
// organization gave to its people names the organization, which has its region.
const region = document.getElementById("region");
const link = document.getElementById("sign-in");
const given = new URLSearchParams(location.search);
const organization = ["tenant", "genesys_org_id"].filter((name) => given.get(name));

function aim() {
  const target = new URL("/session/begin", location.origin);
  for (const name of [...organization, "login_hint"]) {
    if (given.get(name)) target.searchParams.set(name, given.get(name));
  }
  if (region && organization.length === 0) target.searchParams.set("region", region.value);
  link.href = target.pathname + target.search;
}

if (organization.length > 0) region?.closest("p").remove();
region?.addEventListener("change", aim);
aim();

//! The pages of the login host that a person sees.

use url::form_urlencoded;

use super::world::{OAuthClient, User};

pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

pub(crate) fn frame(title: &str, body: &str) -> String {
    format!(
        r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; background: #f4f5f8; color: #23262f; }}
main {{ max-width: 26rem; margin: 3rem auto; padding: 2rem; background: #fff; border-radius: 8px; }}
h1 {{ font-size: 1.25rem; margin-top: 0; }}
label, input, button {{ display: block; width: 100%; box-sizing: border-box; font: inherit; }}
input, button {{ padding: .6rem; margin: .4rem 0; border: 1px solid #8b90a0; border-radius: 4px; }}
button {{ background: #fff; text-align: left; cursor: pointer; }}
button.primary {{ background: #1f3fb5; color: #fff; text-align: center; }}
p.note, small {{ color: #5a6072; }}
p.problem {{ color: #a3141e; }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 .25rem; }}
</style></head><body><main>{body}</main></body></html>
"#
    )
}

/// Refusal that must not redirect.
pub(crate) fn refusal(message: &str) -> String {
    frame(
        "Sign-in request refused",
        &format!("<h1>Sign-in request refused</h1><p>{}</p>", escape(message)),
    )
}

/// Shown after a logout without a registered place to go.
pub(crate) fn signed_out() -> String {
    frame(
        "Signed out",
        "<h1>Signed out</h1><p>You are signed out of Genesys Cloud (sandbox).</p>",
    )
}

/// The login form. `request` is the query of the authorize call and comes back with the form.
pub(crate) fn login(
    client: &OAuthClient,
    request: &[(String, String)],
    email: &str,
    problem: Option<&str>,
    people: &[(&str, Vec<&User>)],
) -> String {
    let request = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request)
        .finish();
    let form = format!(
        r#"<form method="post" action="/oauth/authorize/login"><input type="hidden" name="request" value="{}">"#,
        escape(&request)
    );
    let problem = problem
        .map(|problem| format!(r#"<p class="problem" role="alert">{}</p>"#, escape(problem)))
        .unwrap_or_default();
    let people: String = people
        .iter()
        .map(|(org, users)| group(&form, org, users))
        .collect();
    let body = format!(
        r#"<h1>Genesys Cloud <small>(sandbox)</small></h1>
<p class="note">Sign in to <strong>{client}</strong>. No password is asked here.</p>{problem}
{form}<label for="email">E-mail</label>
<input id="email" name="email" type="email" autocomplete="username" required value="{email}">
<button class="primary" type="submit">Sign in</button></form>
{form}<button name="deny" value="1" type="submit">Deny access</button></form>{people}"#,
        client = escape(&client.name),
        email = escape(email),
    );
    frame("Sign in to Genesys Cloud (sandbox)", &body)
}

fn group(form: &str, org: &str, users: &[&User]) -> String {
    let buttons: String = users.iter().map(|user| button(user)).collect();
    format!("<h2>{}</h2>{form}{buttons}</form>", escape(org))
}

fn button(user: &User) -> String {
    let state = if user.state == "active" {
        ""
    } else {
        ", inactive"
    };
    format!(
        r#"<button name="email" value="{email}" type="submit">{name} <small>{email} ({roles}{state})</small></button>"#,
        email = escape(&user.email),
        name = escape(&user.name),
        roles = escape(&user.roles.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_cannot_become_markup() {
        let page = refusal("<script>alert(\"1\")</script>");
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    }
}

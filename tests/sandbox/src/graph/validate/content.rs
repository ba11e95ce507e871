//! Contents that are neither interactive nor templates: media, location, contacts, reaction, pin.

use super::checks::{Checked, Object, invalid, missing};
use crate::graph::errors::GraphError;

const MAX_CAPTION: usize = 1024;
/// Contact cards in one message.
const MAX_CONTACTS: usize = 5;
const ANY: usize = usize::MAX;

/// Exactly one of `id` and `link`; `id`, when it is that.
pub(crate) fn media_source(media: &Object<'_>) -> Checked<Option<String>> {
    let id = media.text("id", ANY)?;
    let link = media.text("link", 2048)?;
    match (id, link) {
        (Some(id), None) => Ok(Some(id.to_owned())),
        (None, Some(link)) if is_link(link) => Ok(None),
        (None, Some(_)) => Err(GraphError::parameter(&format!(
            "Param {} is not a valid URI.",
            media.path("link")
        ))),
        (Some(_), Some(_)) => Err(invalid(&format!(
            "{} and {} must not be given together",
            media.path("id"),
            media.path("link")
        ))),
        (None, None) => Err(missing(&media.path("id"))),
    }
}

pub(crate) fn is_link(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The media id that the message uses.
pub(super) fn media(kind: &str, media: &Object<'_>) -> Checked<Option<String>> {
    let known: &[&str] = match kind {
        "image" | "video" => &["id", "link", "caption"],
        "document" => &["id", "link", "caption", "filename"],
        "audio" => &["id", "link", "voice"],
        _ => &["id", "link"],
    };
    media.only(known)?;
    media.text("caption", MAX_CAPTION)?;
    media.text("filename", 240)?;
    media.flag("voice")?;
    media_source(media)
}

pub(crate) fn location(location: &Object<'_>) -> Checked {
    location.only(&["latitude", "longitude", "name", "address"])?;
    for (name, bound) in [("latitude", 90.0), ("longitude", 180.0)] {
        location
            .number(name, -bound, bound)?
            .ok_or_else(|| missing(&location.path(name)))?;
    }
    location.text("name", 1000)?;
    location.text("address", 1000)?;
    Ok(())
}

pub(super) fn contacts(list: &[Object<'_>]) -> Checked {
    if !(1..=MAX_CONTACTS).contains(&list.len()) {
        return Err(invalid(&format!(
            "contacts: Invalid count. Min count: 1, Max count: {MAX_CONTACTS}"
        )));
    }
    for contact in list {
        contact.only(&[
            "name",
            "phones",
            "emails",
            "addresses",
            "org",
            "urls",
            "birthday",
        ])?;
        name(&contact.needed_object("name")?)?;
        for phone in contact.list("phones")?.unwrap_or_default() {
            phone.only(&["phone", "type", "wa_id"])?;
            phone.text("phone", ANY)?;
            phone.text("type", ANY)?;
            phone.text("wa_id", ANY)?;
        }
        for email in contact.list("emails")?.unwrap_or_default() {
            email.only(&["email", "type"])?;
            email.text("email", ANY)?;
        }
        for address in contact.list("addresses")?.unwrap_or_default() {
            address.only(&[
                "street",
                "city",
                "state",
                "zip",
                "country",
                "country_code",
                "type",
            ])?;
        }
        for url in contact.list("urls")?.unwrap_or_default() {
            url.only(&["url", "type"])?;
            url.text("url", ANY)?;
        }
        if let Some(org) = contact.object("org")? {
            org.only(&["company", "department", "title"])?;
        }
        if let Some(day) = contact.text("birthday", ANY)?
            && chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_err()
        {
            return Err(invalid(&format!(
                "{} must have the form YYYY-MM-DD",
                contact.path("birthday")
            )));
        }
    }
    Ok(())
}

fn name(name: &Object<'_>) -> Checked {
    const PARTS: [&str; 5] = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
    name.only(&[&PARTS[..], &["formatted_name"]].concat())?;
    name.needed_text("formatted_name", ANY)?;
    let mut parts = 0;
    for part in PARTS {
        parts += usize::from(name.text(part, ANY)?.is_some());
    }
    if parts == 0 {
        return Err(invalid(
            "At least one name part besides formatted_name is required",
        ));
    }
    Ok(())
}

pub(super) fn reaction(reaction: &Object<'_>) -> Checked {
    reaction.only(&["message_id", "emoji"])?;
    wamid(reaction)?;
    // An empty one takes the reaction back.
    if !reaction.has("emoji") {
        return Err(missing(&reaction.path("emoji")));
    }
    let Some(emoji) = reaction.text("emoji", 32)? else {
        return Ok(());
    };
    if emoji.is_ascii() {
        return Err(invalid("Emoji is not valid"));
    }
    Ok(())
}

fn wamid(object: &Object<'_>) -> Checked {
    if object.needed_text("message_id", ANY)?.starts_with("wamid.") {
        Ok(())
    } else {
        Err(invalid(&format!(
            "{} is not a valid message id",
            object.path("message_id")
        )))
    }
}

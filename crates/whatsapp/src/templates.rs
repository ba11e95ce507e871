//! Message templates of an account, as Meta lists them.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::Value;
use tracing::field::Empty;

use crate::answer::{id, number, text};
use crate::onboarding::unreadable;
use crate::{GraphClient, SendError};

/// What is asked for of each template.
const FIELDS: &str = "id,name,language,status,category,sub_category,components,parameter_format,\
     quality_score,rejected_reason,last_updated_time";
/// Templates asked for at once; an account has 250 of them, 6,000 once its business is verified.
const PAGE: &str = "100";

/// A template in one language, as Meta tells of it. Words are open sets, in capitals.
///
/// `(account, name, language)` is its identity; the id changes when it is deleted and made again.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateNode {
    /// Meta's id of this language version.
    pub id: String,
    /// At most 512 characters.
    pub name: String,
    /// For example `en_US`, with an underscore.
    pub language: String,
    /// `APPROVED`, `PAUSED`, …; only approved ones can be sent.
    pub status: String,
    /// `MARKETING`, `UTILITY`, `AUTHENTICATION` or another.
    pub category: String,
    /// A finer category, where Meta has one.
    pub sub_category: Option<String>,
    /// Whether parameters go by name (`NAMED`) and not by place.
    pub is_named: bool,
    /// The components as they came: an array, empty when Meta left it out.
    pub components: Value,
    /// `GREEN`, `YELLOW`, `RED` or `UNKNOWN`.
    pub quality: Option<String>,
    /// Why it was rejected.
    pub rejected_reason: Option<String>,
    /// When it changed last.
    pub last_updated: Option<DateTime<Utc>>,
}

/// A part of an account's templates.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplatePage {
    /// The templates.
    pub templates: Vec<TemplateNode>,
    /// Where the next part begins; `None` at the end.
    pub after: Option<String>,
    /// Items that could not be read.
    pub unreadable: usize,
}

impl GraphClient {
    /// A part of the templates of an account, from the cursor `after` on.
    ///
    /// The next part is asked for by its cursor at our own base URL, never at Meta's `next` address:
    /// the token goes to no address of an answer.
    #[tracing::instrument(
        name = "graph.message_templates", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn message_templates(
        &self,
        token: &SecretString,
        waba_id: &str,
        after: Option<&str>,
    ) -> Result<TemplatePage, SendError> {
        let mut url = self.url(&[waba_id, "message_templates"])?;
        url.query_pairs_mut()
            .append_pair("fields", FIELDS)
            .append_pair("limit", PAGE);
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        let answer = self.call(self.http().get(url), token).await?;
        let body = answer.body.ok_or_else(unreadable)?;
        let items = body.get("data").and_then(Value::as_array);
        let items = items.ok_or_else(unreadable)?;
        let templates: Vec<_> = items.iter().filter_map(TemplateNode::read).collect();
        let has_more = body.pointer("/paging/next").is_some();
        let cursor = body
            .pointer("/paging/cursors/after")
            .and_then(Value::as_str)
            .filter(|_| has_more);
        Ok(TemplatePage {
            unreadable: items.len() - templates.len(),
            templates,
            after: cursor.map(str::to_owned),
        })
    }

    /// One template by its id.
    #[tracing::instrument(
        name = "graph.message_template", skip_all,
        fields(
            otel.kind = "client", http.response.status_code = Empty, error.class = Empty,
            error.code = Empty, graph.trace_id = Empty,
        )
    )]
    pub async fn message_template(
        &self,
        token: &SecretString,
        template_id: &str,
    ) -> Result<TemplateNode, SendError> {
        let mut url = self.url(&[template_id])?;
        url.query_pairs_mut().append_pair("fields", FIELDS);
        let answer = self.call(self.http().get(url), token).await?;
        let node = answer.body.as_ref().and_then(TemplateNode::read);
        node.ok_or_else(unreadable)
    }
}

impl TemplateNode {
    fn read(item: &Value) -> Option<Self> {
        let quality = item.get("quality_score");
        Some(Self {
            id: id(item.get("id"))?,
            name: item.get("name")?.as_str()?.to_owned(),
            language: language(item.get("language"))?,
            status: word(item.get("status"))?,
            category: word(item.get("category")).unwrap_or_default(),
            sub_category: word(item.get("sub_category")),
            is_named: word(item.get("parameter_format")).as_deref() == Some("NAMED"),
            components: item
                .get("components")
                .filter(|components| components.is_array())
                .cloned()
                .unwrap_or_else(|| Value::Array(Vec::new())),
            quality: word(quality.and_then(|quality| quality.get("score")).or(quality)),
            rejected_reason: word(item.get("rejected_reason")).filter(|reason| reason != "NONE"),
            last_updated: time(item.get("last_updated_time")),
        })
    }
}

/// A word of an enumeration in capitals.
pub(crate) fn word(value: Option<&Value>) -> Option<String> {
    text(value).map(|word| word.to_ascii_uppercase())
}

/// A language code as lists write it: webhooks write `en-US` for `en_US`.
pub(crate) fn language(value: Option<&Value>) -> Option<String> {
    text(value).map(|code| code.replace('-', "_"))
}

/// `2026-01-02T03:04:05+0000` or Unix seconds.
fn time(value: Option<&Value>) -> Option<DateTime<Utc>> {
    if let Some(seconds) = number(value) {
        return DateTime::from_timestamp(seconds, 0);
    }
    let text = value?.as_str()?;
    DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z")
        .or_else(|_| DateTime::parse_from_rfc3339(text))
        .ok()
        .map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_is_read_with_what_meta_leaves_out() {
        let bare = json!({"id": 17, "name": "hello", "language": "en-US", "status": "approved"});
        let node = TemplateNode::read(&bare).unwrap();
        assert_eq!((node.id.as_str(), node.status.as_str()), ("17", "APPROVED"));
        assert_eq!(node.language, "en_US");
        assert_eq!((node.is_named, node.components), (false, json!([])));
        assert_eq!((node.quality, node.rejected_reason), (None, None));

        let full = json!({
            "id": "17", "name": "hello", "language": "de", "status": "REJECTED",
            "category": "MARKETING", "parameter_format": "NAMED", "components": [{"type": "BODY"}],
            "quality_score": {"score": "GREEN", "date": 1}, "rejected_reason": "SCAM",
            "last_updated_time": "2026-01-02T03:04:05+0000",
        });
        let node = TemplateNode::read(&full).unwrap();
        assert!(node.is_named);
        assert_eq!(node.quality.as_deref(), Some("GREEN"));
        assert_eq!(node.rejected_reason.as_deref(), Some("SCAM"));
        assert_eq!(node.last_updated.unwrap().timestamp(), 1_767_323_045);

        let unrejected = json!({"id": "1", "name": "a", "language": "de", "status": "APPROVED",
                          "rejected_reason": "NONE", "quality_score": "UNKNOWN",
                          "last_updated_time": 1_767_323_045});
        let node = TemplateNode::read(&unrejected).unwrap();
        assert_eq!(node.rejected_reason, None);
        assert_eq!(node.quality.as_deref(), Some("UNKNOWN"));
        assert_eq!(node.last_updated.unwrap().timestamp(), 1_767_323_045);
    }

    #[test]
    fn what_is_no_template_is_none() {
        for bad in [
            json!({}),
            json!(null),
            json!({"id": "1", "name": "a"}),
            json!({"id": "1", "name": 7, "language": "de", "status": "APPROVED"}),
        ] {
            assert_eq!(TemplateNode::read(&bad), None, "{bad}");
        }
    }
}

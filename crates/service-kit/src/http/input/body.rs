//! Bodies: JSON, and others as they are.

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{StatusCode, header},
    web,
};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::report;
use crate::error::{ApiError, FieldErrors};

/// The largest body that [`ValidJson`] reads; app data set by the server.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(256 * 1024)
    }
}

/// The form of a body.
#[derive(Debug, Clone, Copy)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `text/csv`
    Csv,
}

/// Extractor: a JSON body.
///
/// Another content type answers 415, a larger body 413, broken JSON 400 `INVALID_JSON`, fields
/// that do not fit 400 `VALIDATION_FAILED` with all of them.
#[derive(Debug, Clone)]
pub struct ValidJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for ValidJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request
            .app_data::<web::Data<BodyLimit>>()
            .map_or_else(BodyLimit::default, |limit| *limit.get_ref());
        let body = read_body(request, payload, MediaType::Json, limit);
        async move { parse_json(&body.await?).map(Self) }.boxed_local()
    }
}

/// Extractor: as [`ValidJson`], and where there is no body at all, what stands for none.
#[derive(Debug, Clone)]
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalJson<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let is_none = declared_length(request).unwrap_or(0) == 0
            && !headers.contains_key(header::TRANSFER_ENCODING)
            && !headers.contains_key(header::CONTENT_TYPE);
        if is_none {
            return async { Ok(Self(T::default())) }.boxed_local();
        }
        let body = ValidJson::from_request(request, payload);
        async move { body.await.map(|ValidJson(body)| Self(body)) }.boxed_local()
    }
}

/// The whole body of a request.
///
/// Another content type than that of `media` answers 415, a larger body than `limit` 413.
pub fn read_body(
    request: &HttpRequest,
    payload: &mut Payload,
    media: MediaType,
    limit: BodyLimit,
) -> impl Future<Output = Result<web::BytesMut, ApiError>> + use<> {
    let (form, media_type) = match media {
        MediaType::Json => ("JSON", "application/json"),
        MediaType::Csv => ("CSV", "text/csv"),
    };
    let typed = is_of_type(request, media_type);
    let declared = declared_length(request);
    let mut payload = payload.take();
    async move {
        if !typed {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                format!("The body must be {form}: send the header Content-Type: {media_type}."),
            ));
        }
        if declared.is_some_and(|length| length > limit.0) {
            return Err(too_large(limit));
        }
        let mut body = web::BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| {
                ApiError::bad_request("BODY_INCOMPLETE", "The body did not arrive whole.")
                    .with_source(anyhow::anyhow!("{error}"))
            })?;
            if body.len() + chunk.len() > limit.0 {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn is_of_type(request: &HttpRequest, media_type: &str) -> bool {
    let essence = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

fn declared_length(request: &HttpRequest) -> Option<usize> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn too_large(limit: BodyLimit) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        format!("The body is larger than {} bytes.", limit.0),
    )
}

/// Reads a JSON text as [`ValidJson`] does, for handlers that need the raw body too.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize::<_, T>(&mut deserializer);
    let error = match parsed {
        Ok(value) => {
            deserializer.end().map_err(|error| invalid_json(&error))?;
            refuse_nul(body)?;
            return Ok(value);
        }
        Err(error) => error,
    };
    if matches!(
        error.inner().classify(),
        Category::Syntax | Category::Eof | Category::Io
    ) {
        return Err(invalid_json(error.inner()));
    }
    let value = serde_json::from_slice(body).map_err(|error| invalid_json(&error))?;
    let mut fields = report::every_bad_field::<T>(value, None);
    if fields.is_empty() {
        // Only the text shows it, as a field that is given twice.
        let (field, message) = report::describe(error.path(), &error.inner().to_string());
        fields = FieldErrors::new();
        fields.add(
            field.unwrap_or_else(|| report::WHOLE_BODY.to_owned()),
            message,
        );
    }
    Err(ApiError::validation(&fields))
}

/// PostgreSQL stores every character but U+0000, which JSON can only write as an escape.
fn refuse_nul(body: &[u8]) -> Result<(), ApiError> {
    const ESCAPE: &[u8] = br"\u0000";
    if !body.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    // It may also be an escaped backslash before plain digits: the values tell.
    let value = serde_json::from_slice(body).map_err(|error| invalid_json(&error))?;
    report::fields_with_nul(&value).into_result()
}

fn invalid_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(
        "INVALID_JSON",
        format!(
            "The body is not valid JSON: see line {}, column {}.",
            error.line(),
            error.column()
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Order {
        to: String,
        count: u8,
        #[serde(default)]
        items: Vec<Item>,
        note: Option<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Item {
        size: u8,
    }

    fn fields(body: &str) -> Vec<(String, String)> {
        let error = parse_json::<Order>(body.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "VALIDATION_FAILED");
        let details = error.details().unwrap().as_array().unwrap().clone();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        details
            .iter()
            .map(|d| (text(&d["field"]), text(&d["message"])))
            .collect()
    }

    #[test]
    fn every_bad_field_of_a_body_is_named() {
        let body = json!({"to": 7, "extra": 1, "items": [{"size": 1}, {"size": "big", "x": 0}]});
        let mut found = fields(&body.to_string());
        found.sort();
        let names: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            names,
            ["count", "extra", "items[1].size", "items[1].x", "to"]
        );
    }

    #[test]
    fn a_character_that_cannot_be_stored_is_named_by_its_field() {
        let body = r#"{"to": "a\u0000b", "count": 1, "note": "\u0000"}"#;
        let mut names: Vec<String> = fields(body).into_iter().map(|(field, _)| field).collect();
        names.sort_unstable();
        assert_eq!(names, ["note", "to"]);
        let nested = r#"[{"a": ["x", "\u0000"]}]"#;
        let error = parse_json::<serde_json::Value>(nested.as_bytes()).unwrap_err();
        assert_eq!(error.details().unwrap()[0]["field"], "[0].a[1]");
        // A backslash, then u0000.
        let harmless = r#"{"to": "\\u0000", "count": 1}"#;
        assert_eq!(
            parse_json::<Order>(harmless.as_bytes()).unwrap().to,
            r"\u0000"
        );
    }

    #[test]
    fn messages_do_not_quote_values() {
        let found = fields(r#"{"to": "x", "count": "s3cret"}"#);
        assert_eq!(found, [("count".to_owned(), "must be u8".to_owned())]);
    }

    #[test]
    fn a_field_given_twice_is_named() {
        let found = fields(r#"{"to": "x", "to": "y", "count": 1}"#);
        assert_eq!(found, [("to".to_owned(), "is given twice".to_owned())]);
    }

    #[test]
    fn bodies_that_are_no_objects_are_refused() {
        for body in ["7", "[]", "null", "\"x\""] {
            assert!(parse_json::<Order>(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn broken_json_is_another_error() {
        for body in ["", "{", "{\"to\": }", "{} x", "{\"to\":\"\u{1}\"}"] {
            let error = parse_json::<serde_json::Value>(body.as_bytes()).unwrap_err();
            assert_eq!(error.code(), "INVALID_JSON", "{body:?}");
        }
        assert_eq!(
            parse_json::<Order>(b"{\"to\":\"\xff\"}")
                .unwrap_err()
                .code(),
            "INVALID_JSON"
        );
    }

    #[test]
    fn good_bodies_pass() {
        let order: Order = parse_json(br#"{"to":"a","count":2,"items":[{"size":1}]}"#).unwrap();
        let expected = Order {
            to: "a".into(),
            count: 2,
            items: vec![Item { size: 1 }],
            note: None,
        };
        assert_eq!(order, expected);
    }
}

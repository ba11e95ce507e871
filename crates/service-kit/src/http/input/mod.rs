//! Input that is checked before a handler sees it; what does not fit is named by its path.

mod body;
mod nested;
mod report;

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::de::DeserializeOwned;

pub use body::{BodyLimit, MediaType, OptionalJson, ValidJson, parse_json, read_body};
pub use nested::{error_at, from_buffered, read_member};

use crate::error::{ApiError, FieldErrors};

/// Extractor: the query string; unknown and wrong parameters answer 400 `VALIDATION_FAILED`.
#[derive(Debug, Clone)]
pub struct ValidQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequest for ValidQuery<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut unstorable = FieldErrors::new();
    for (name, _) in pairs.filter(|(name, value)| name.contains('\0') || value.contains('\0')) {
        unstorable.add(name.replace('\0', ""), report::HOLDS_NUL);
    }
    unstorable.into_result()?;
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let (field, message) = report::describe(error.path(), &error.inner().to_string());
        let mut fields = FieldErrors::new();
        fields.add(field.unwrap_or_else(|| "query".to_owned()), message);
        ApiError::validation(&fields)
    })
}

/// Extractor: parameters of the path; wrong ones answer 400 `VALIDATION_FAILED`.
#[derive(Debug, Clone)]
pub struct ValidPath<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for ValidPath<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let mut unstorable = FieldErrors::new();
        for (name, _) in request
            .match_info()
            .iter()
            .filter(|(_, value)| value.contains("%00") || value.contains('\0'))
        {
            unstorable.add(name, report::HOLDS_NUL);
        }
        if let Err(error) = unstorable.into_result() {
            return ready(Err(error));
        }
        let parsed = web::Path::<T>::from_request(request, payload).into_inner();
        ready(parsed.map(|path| Self(path.into_inner())).map_err(|error| {
            let mut names = request.match_info().iter().map(|(name, _)| name.to_owned());
            let field = match (names.next(), names.next()) {
                (Some(only), None) => only,
                _ => "path".to_owned(),
            };
            let message = report::without_values(&error.to_string());
            let mut fields = FieldErrors::new();
            fields.add(field, message);
            ApiError::validation(&fields)
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        limit: Option<u32>,
        q: Option<String>,
    }

    #[test]
    fn query_parameters_are_read_and_named() {
        let filter: Filter = parse_query("limit=7&q=a%20b").unwrap();
        assert_eq!((filter.limit, filter.q.as_deref()), (Some(7), Some("a b")));
        for (query, field) in [
            ("limit=x", "limit"),
            ("bad=1", "bad"),
            ("q=1&q=2", "q"),
            ("q=a%00", "q"),
        ] {
            let error = parse_query::<Filter>(query).unwrap_err();
            assert_eq!(error.details().unwrap()[0]["field"], field, "{query}");
        }
    }
}

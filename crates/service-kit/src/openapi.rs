//! The OpenAPI document of a service: made from its routes, finished here, checked by a test.

use std::path::Path;

use actix_web::{App, web};
use serde_json::json;
use utoipa::openapi::{
    Components, ContentBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema,
    path::Operation,
    schema::{ObjectBuilder, Type},
    security::{Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_actix_web::{AppExt, service_config::ServiceConfig};

/// The name of the security scheme of signed-in callers, for `#[utoipa::path(security(...))]`.
pub const BEARER: &str = "bearer";

/// Makes the document from the same function that mounts the routes.
pub fn document(base: OpenApi, routes: impl FnOnce(&mut ServiceConfig<'_>)) -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(base)
        .configure(routes)
        .split_for_parts();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme(
        BEARER,
        SecurityScheme::Http(
            Http::builder()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .build(),
        ),
    );
    components
        .schemas
        .insert("Error".to_owned(), RefOr::T(error_schema()));
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ];
        for operation in operations.into_iter().flatten() {
            finish(operation);
        }
    }
    document
}

/// Mounts the routes that [`document`] describes.
pub fn mount(config: &mut web::ServiceConfig, routes: impl FnOnce(&mut ServiceConfig<'_>)) {
    routes(&mut ServiceConfig::new(config));
}

/// Gives every error response the error envelope, and every response a description: an OpenAPI
/// 3.1 response without one is not valid.
fn finish(operation: &mut Operation) {
    let envelope = || {
        ContentBuilder::new()
            .schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("Error"))))
            .build()
    };
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            response.description = format!("Status {status}");
        }
        let is_error = status.starts_with('4') || status.starts_with('5');
        if is_error && response.content.is_empty() {
            response
                .content
                .insert("application/json".to_owned(), RefOr::T(envelope()));
        }
    }
    operation
        .responses
        .responses
        .entry("default".to_owned())
        .or_insert_with(|| {
            RefOr::T(
                ResponseBuilder::new()
                    .description("Any other error")
                    .content("application/json", envelope())
                    .build(),
            )
        });
}

fn error_schema() -> Schema {
    let text = |description: &str| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
    };
    let error = ObjectBuilder::new()
        .property("code", text("SCREAMING_SNAKE; programs match on it"))
        .property("message", text("One sentence a person can act on"))
        .property(
            "details",
            ObjectBuilder::new().schema_type(utoipa::openapi::schema::SchemaType::AnyValue),
        )
        .required("code")
        .required("message");
    Schema::Object(
        ObjectBuilder::new()
            .property("error", error)
            .property("requestId", text("Give it when you ask about the error"))
            .required("error")
            .required("requestId")
            .examples([json!({
                "error": {"code": "TENANT_NOT_FOUND", "message": "Tenant not found"},
                "requestId": "0199f0c2-7e0a-7cc0-a1b2-1c2d3e4f5a6b"
            })])
            .build(),
    )
}

/// The document as it is committed and served.
pub fn render(document: &OpenApi) -> serde_json::Result<String> {
    document.to_pretty_json().map(|text| text + "\n")
}

/// Why the committed document does not fit the code.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It is older than the code.
    #[error("{0} is not current: run the test with UPDATE_OPENAPI=1 and commit the file")]
    Stale(String),
    /// It cannot be read or written.
    #[error("cannot read or write {0}")]
    Io(String, #[source] std::io::Error),
    /// It cannot be rendered.
    #[error("cannot render the document")]
    Render(#[from] serde_json::Error),
}

/// Compares the committed file with the code; `UPDATE_OPENAPI=1` writes it instead.
pub fn check_current(document: &OpenApi, path: &Path) -> Result<(), DocumentError> {
    let name = path.display().to_string();
    let current = render(document)?;
    if std::env::var_os("UPDATE_OPENAPI").is_some_and(|value| value == "1") {
        return std::fs::write(path, current).map_err(|error| DocumentError::Io(name, error));
    }
    let committed =
        std::fs::read_to_string(path).map_err(|error| DocumentError::Io(name.clone(), error))?;
    // By value: the order of an object's keys depends on the features that a build gives serde_json.
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text);
    if parsed(&committed).ok() == Some(parsed(&current)?) {
        Ok(())
    } else {
        Err(DocumentError::Stale(name))
    }
}

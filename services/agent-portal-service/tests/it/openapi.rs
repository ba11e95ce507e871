//! The committed OpenAPI document is the code's.

use std::path::Path;

#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    portal_service_kit::openapi::check_current(&agent_portal_service::routes::document(), &path)
        .unwrap();
}

//! The committed OpenAPI document.

use std::path::Path;

use portal_service_kit::openapi;
use tenant_service::routes;

#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    openapi::check_current(&routes::document(), &path).unwrap();
}

#[test]
fn every_response_is_described_and_every_operation_has_a_tag() {
    let document = serde_json::to_value(routes::document()).unwrap();
    assert_eq!(document["info"]["title"], "tenant-service");
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations += 1;
            let place = format!("{method} {path}");
            assert!(operation["tags"].is_array(), "{place}");
            assert!(
                operation["summary"].as_str().is_some_and(|s| !s.is_empty()),
                "{place}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let text = response["description"].as_str().unwrap();
                assert!(!text.is_empty(), "{place} {status}");
            }
        }
    }
    assert_eq!(operations, 43);
}

//! A text as a QR code, for the page to draw: an authenticator's secret goes to no third party.

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, web};
use portal_service_kit::{ApiError, FieldErrors, http::ValidJson, pages};
use qrcode::{Color, EcLevel, QrCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::Dashboard;

/// An otpauth address is far shorter.
const LONGEST: usize = 512;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QrRequest {
    text: SecretString,
}

/// Answers the side's length and the dark modules as the path of an SVG.
pub(super) async fn draw(
    dashboard: web::Data<Dashboard>,
    request: HttpRequest,
    body: ValidJson<QrRequest>,
) -> Result<HttpResponse, ApiError> {
    pages::require_own_page(&request, &dashboard.origin)?;
    let text = body.0.text.expose_secret();
    let mut errors = FieldErrors::new();
    if !(1..=LONGEST).contains(&text.len()) {
        errors.add("text", "must be 1 to 512 bytes");
    }
    errors.into_result()?;
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(ApiError::internal)?;
    let size = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            write!(path, "M{} {}h1v1h-1z", index % size, index / size)
                .map_err(ApiError::internal)?;
        }
    }
    Ok(HttpResponse::Ok().json(json!({"size": size, "path": path})))
}

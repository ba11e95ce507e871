//! The HTTP doors.

mod amend;
mod holds;
mod media;
mod messages;
mod policy;
mod read;
mod received;
mod send;
mod templates;
mod webhooks;

use actix_web::web;
use portal_service_kit::openapi;
use utoipa::OpenApi as _;
use utoipa_actix_web::service_config::ServiceConfig;

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "outbound-message-service",
    description = "Sends WhatsApp messages for organizations and follows them.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Base;

/// The OpenAPI document, made from the routes.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(Base::openapi(), routes)
}

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    openapi::mount(config, routes);
    config.configure(webhooks::mount);
}

fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(send::send_message)
        .service(send::send_text)
        .service(send::send_template)
        .service(media::upload)
        .service(media::get_media)
        .service(media::delete_media)
        .service(read::mark_read)
        .service(received::get_received)
        .service(received::list_windows)
        // Before what takes any word for a message's id.
        .service(policy::get_policy)
        .service(policy::put_policy)
        .service(holds::get_holds)
        .service(messages::get_message)
        .service(amend::delete_message)
        .service(amend::cancel_message)
        .service(amend::amend_message)
        .service(amend::retry_message)
        .service(templates::sync_templates)
        .service(templates::list_templates)
        .service(templates::get_template);
}

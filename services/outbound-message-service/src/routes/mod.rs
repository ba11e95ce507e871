//! The HTTP doors.

mod amend;
mod bulk;
mod dead_letters;
mod holds;
mod media;
mod message_list;
mod message_trace;
mod messages;
mod policy;
mod read;
mod received;
mod send;
mod templates;
mod webhook_secrets;
mod webhooks;

use actix_web::web;
use portal_auth::Caller;
use portal_db::audit::Actor;
use portal_service_kit::{http::RequestId, openapi};
use utoipa::OpenApi as _;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::usecases::requeue::Decider;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "outbound-message-service",
        description = "Sends WhatsApp messages for organizations and follows them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    // Named by an enum of answers, from which schemas are not collected.
    components(schemas(crate::usecases::accept_message::Accepted))
)]
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
        .service(bulk::send_bulk)
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
        .service(message_list::list)
        .service(dead_letters::list)
        .service(dead_letters::replay_all)
        .service(dead_letters::show)
        .service(dead_letters::replay)
        .service(dead_letters::discard)
        .service(webhook_secrets::list_webhook_secrets)
        .service(webhook_secrets::add_webhook_secret)
        .service(webhook_secrets::remove_webhook_secret)
        .service(messages::get_message)
        .service(amend::delete_message)
        .service(amend::cancel_message)
        .service(amend::amend_message)
        .service(amend::retry_message)
        .service(templates::sync_templates)
        .service(templates::list_templates)
        .service(templates::get_template);
}

/// The person who decides something, for the audit log.
fn decider(caller: &Caller, request_id: &RequestId) -> Decider {
    Decider {
        actor: Actor::User(caller.user_id.to_string()),
        request_id: Some(request_id.as_str().to_owned()),
    }
}

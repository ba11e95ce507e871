//! The HTTP doors: the API, and on a port of its own the portal's pages.

mod advice;
mod callback_page;
mod conversations;
mod cookies;
mod events;
mod html;
mod jwks;
mod organization;
mod portal;
mod portal_session;
mod profile;
mod retired;
mod routing;
mod sessions;
mod sign_in;
mod sync;
mod whatsapp;

use actix_web::web;
use portal_service_kit::openapi;
use utoipa::OpenApi as _;
use utoipa_actix_web::service_config::ServiceConfig;

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "agent-portal-service",
    description = "Signs people in through Genesys Cloud, keeps their sessions, and tells them who \
                   they are and what their organization can send with.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Base;

/// The OpenAPI document, made from the routes.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(Base::openapi(), api)
}

/// The API.
pub(crate) fn mount_api(config: &mut web::ServiceConfig) {
    openapi::mount(config, api);
}

/// The portal's pages and their own server side.
pub(crate) fn mount_portal(config: &mut web::ServiceConfig) {
    portal_session::mount(config);
    portal::mount(config);
}

fn api(config: &mut ServiceConfig<'_>) {
    config
        .service(sign_in::login)
        .service(sign_in::callback)
        .service(sessions::refresh)
        .service(sessions::logout)
        .service(sessions::logout_all)
        .service(sessions::list_sessions)
        .service(sessions::end_session)
        .service(profile::profile)
        .service(whatsapp::status)
        .service(conversations::snapshot)
        .service(events::events)
        .service(organization::organization_profile)
        .service(organization::update_organization)
        .service(organization::list_people)
        .service(organization::show_person)
        .service(organization::update_person)
        .service(conversations::list)
        .service(conversations::show_erasure)
        .service(conversations::export)
        .service(conversations::erase_contact)
        .service(conversations::show)
        .service(conversations::messages)
        .service(conversations::history)
        .service(conversations::assign)
        .service(conversations::release)
        .service(conversations::transfer)
        .service(conversations::close)
        .service(conversations::reopen)
        .service(conversations::read)
        .service(routing::show_presence)
        .service(routing::say_presence)
        .service(routing::people_at_work)
        .service(routing::set_capacity)
        .service(routing::show_rules)
        .service(routing::change_rules)
        .service(sync::sync_users)
        .service(sync::list_syncs)
        .service(sync::show_sync)
        .service(retired::signup)
        .service(retired::whatsapp_setup)
        .service(jwks::jwks);
}

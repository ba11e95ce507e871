//! The HTTP API.

mod admin_auth;
mod admin_me;
mod api_keys;
mod audit;
pub(crate) mod dashboard;
mod genesys;
mod genesys_credentials;
mod genesys_profile;
mod import;
mod profile;
mod role_map;
mod tenants;
mod views;
mod whatsapp;
mod whatsapp_signup;

use portal_auth::PlatformAdmin;
use portal_db::audit::Actor;
use portal_service_kit::{http::RequestId, openapi};
use utoipa::OpenApi;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::usecases::OpContext;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tenant-service",
        description = "Tenants, their Genesys organizations and their WhatsApp configurations.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "tenants", description = "Tenants; for platform administrators"),
        (name = "genesys", description = "Genesys organizations"),
        (name = "whatsapp", description = "WhatsApp configurations"),
        (name = "api-keys", description = "Keys of tenants' other systems"),
        (name = "admin", description = "Platform administrators"),
    )
)]
struct Document;

/// Mounts the API.
pub fn configure(config: &mut ServiceConfig<'_>) {
    config
        // Before the paths that begin with a tenant's id.
        .service(genesys::find_tenant_by_genesys_org)
        .service(genesys::map_genesys_org)
        .service(import::import_genesys_orgs)
        .service(genesys_credentials::write_genesys_credentials)
        .service(genesys_credentials::list_genesys_credentials)
        .service(genesys_credentials::remove_genesys_credentials)
        .service(genesys_credentials::verify_genesys_credentials)
        .service(genesys_profile::get_genesys_profile)
        .service(role_map::get_role_map)
        .service(role_map::write_role_map)
        .service(api_keys::verify_api_key)
        .service(api_keys::create_api_key)
        .service(api_keys::list_api_keys)
        .service(api_keys::revoke_api_key)
        .service(api_keys::rotate_api_key)
        .service(tenants::create_tenant)
        .service(tenants::list_tenants)
        .service(tenants::get_tenant)
        .service(tenants::update_tenant)
        .service(tenants::delete_tenant)
        .service(profile::update_profile)
        .service(whatsapp::get_whatsapp)
        .service(whatsapp::write_whatsapp)
        .service(whatsapp::remove_whatsapp)
        .service(whatsapp::get_sending_profile)
        .service(whatsapp_signup::begin_whatsapp_signup)
        .service(whatsapp_signup::get_whatsapp_signup)
        .service(whatsapp_signup::continue_whatsapp_signup)
        .service(whatsapp_signup::abandon_whatsapp_signup)
        .service(whatsapp_signup::verify_whatsapp)
        .service(whatsapp_signup::get_signup_settings)
        .service(admin_auth::login_admin)
        .service(admin_auth::refresh_admin)
        .service(admin_auth::logout_admin)
        .service(admin_auth::logout_admin_everywhere)
        .service(admin_auth::list_admin_sessions)
        .service(admin_auth::end_admin_session)
        .service(admin_me::get_own_admin)
        .service(admin_me::begin_totp)
        .service(admin_me::confirm_totp)
        .service(admin_me::remove_totp)
        .service(admin_me::change_password)
        .service(audit::list_audit);
}

/// The OpenAPI document.
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(Document::openapi(), configure)
}

fn context(admin: &PlatformAdmin, request_id: &RequestId) -> OpContext {
    OpContext {
        actor: Actor::PlatformAdmin(admin.admin_id.to_string()),
        request_id: Some(request_id.as_str().to_owned()),
    }
}

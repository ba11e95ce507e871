//! What handlers share.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use portal_auth::SigningKeys;
use portal_cache::{Limit, Limiter};
use portal_service_kit::ApiError;

use crate::usecases::{Deps, admins::AdminDesk, meta::Meta};

/// What handlers share; built once, in `app.rs`.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) deps: Deps,
    pub(crate) desk: AdminDesk,
    pub(crate) limiter: Limiter,
    pub(crate) lookups: Limit,
    pub(crate) keys: SigningKeys,
    pub(crate) meta: Meta,
}

/// Extractor: the state, once the service has its schema and its keys; before that 503.
pub(crate) struct Started(pub(crate) AppState);

impl FromRequest for Started {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<AppState>>();
        ready(match state {
            Some(state) if state.keys.are_loaded() => Ok(Self(state.get_ref().clone())),
            Some(_) => Err(ApiError::unavailable(
                "STARTING",
                "The service is starting; try again shortly.",
                Duration::from_secs(2),
            )),
            None => Err(ApiError::internal(anyhow::anyhow!(
                "no state in the app data"
            ))),
        })
    }
}

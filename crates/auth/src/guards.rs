//! Callers who may do a certain thing. As the first half of [`Guarded`](crate::Guarded) they keep
//! the input of a door from being looked at for whoever may not enter.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use portal_service_kit::ApiError;
use portal_types::{ApiScope, Role};

use crate::{Caller, TenantCaller};

type Extracting<T> = std::pin::Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

macro_rules! guard {
    ($(#[$doc:meta])* $name:ident($inner:ident), $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub $inner);

        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Extracting<Self>;

            fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
                let caller = $inner::from_request(request, payload);
                Box::pin(async move {
                    let caller = caller.await?;
                    let check: fn(&$inner) -> Result<(), ApiError> = $check;
                    check(&caller)?;
                    Ok(Self(caller))
                })
            }
        }
    };
}

guard!(
    /// An administrator of the tenant.
    AdminOfTenant(Caller),
    |caller| caller.require(Role::Admin)
);
guard!(
    /// A supervisor or administrator of the tenant.
    SupervisorOfTenant(Caller),
    |caller| caller.require(Role::Supervisor)
);
guard!(
    /// A person of the tenant, or an API key with the scope `messages:send`.
    MessageSender(TenantCaller),
    |caller| caller.require_scope(ApiScope::MessagesSend)
);
guard!(
    /// A person of the tenant, or an API key with the scope `messages:read`.
    MessageReader(TenantCaller),
    |caller| caller.require_scope(ApiScope::MessagesRead)
);
guard!(
    /// A supervisor or administrator of the tenant, or an API key with the scope `messages:read`.
    MessageOverseer(TenantCaller),
    |caller| match caller {
        TenantCaller::User(person) => person.require(Role::Supervisor),
        TenantCaller::ApiKey(_) => caller.require_scope(ApiScope::MessagesRead),
    }
);

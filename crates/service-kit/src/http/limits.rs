//! How often one may call: limits by address before anything else is looked at, and the answers'
//! headers that tell callers where they stand.

use std::{fmt, net::IpAddr, net::Ipv6Addr, sync::Arc};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use portal_cache::{Limit, Limiter, Quota, Turn};

use super::ClientAddress;
use crate::{config::LimitsSection, error::ApiError};

/// The policies that count for a request, and what is left of each; the form is that of
/// draft-ietf-httpapi-ratelimit-headers-10.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// Says of a request that it is not counted by address.
pub type Exemption = Arc<dyn Fn(&HttpRequest) -> bool + Send + Sync>;

/// The limits of a port.
#[derive(Clone)]
pub struct AddressLimits {
    limiter: Limiter,
    callers: Limit,
    webhooks: Limit,
    exempt: Exemption,
}

impl fmt::Debug for AddressLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressLimits")
            .field("callers", &self.callers)
            .finish_non_exhaustive()
    }
}

impl AddressLimits {
    /// The limits of the settings.
    pub fn new(limiter: Limiter, section: &LimitsSection) -> Self {
        Self {
            limiter,
            callers: section.per_address(),
            webhooks: section.per_webhook_address(),
            exempt: Arc::new(|_request| false),
        }
    }

    /// Does not count the requests that `exempt` picks. What it goes by must be proven: a caller can
    /// claim anything.
    #[must_use]
    pub fn except(mut self, exempt: impl Fn(&HttpRequest) -> bool + Send + Sync + 'static) -> Self {
        self.exempt = Arc::new(exempt);
        self
    }

    async fn admit(&self, request: &HttpRequest) -> Turn {
        let path = request.path();
        if path.starts_with("/health") || path == "/metrics" || (self.exempt)(request) {
            return Turn::default();
        }
        let limit = if path.starts_with("/webhooks/") {
            self.webhooks
        } else {
            self.callers
        };
        let who = client_key(ClientAddress::of(request).0);
        self.limiter.take_all(&[limit.of(&who)]).await
    }
}

/// A client for counting: an IPv6 customer has a whole /64.
pub fn client_key(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

/// Where the caller of a request stands; in the request's extensions, for the answer's headers.
#[derive(Default)]
struct Standings(Vec<Quota>);

/// Notes what the limiter said of a request's caller, for the answer's headers; fails with 429 when
/// a limit is spent.
pub fn note_turn(request: &HttpRequest, turn: Turn) -> Result<(), ApiError> {
    let refused = turn.refused();
    let mut extensions = request.extensions_mut();
    match extensions.get_mut::<Standings>() {
        Some(standings) => standings.0.extend(turn.0),
        None => {
            extensions.insert(Standings(turn.0));
        }
    }
    match refused {
        None => Ok(()),
        Some(retry_after) => Err(ApiError::too_many_requests(
            "Too many requests; wait as long as Retry-After says.",
            retry_after,
        )),
    }
}

/// Middleware: refuses whose address calls too often, and tells everybody how often they may.
pub(crate) async fn rate_limits(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, actix_web::Error> {
    let limits = request.app_data::<web::Data<Option<AddressLimits>>>();
    let admitted = match limits.and_then(|limits| limits.as_ref().clone()) {
        Some(limits) => note_turn(request.request(), limits.admit(request.request()).await),
        None => Ok(()),
    };
    let mut response = match admitted {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => request.into_response(HttpResponse::from_error(error)),
    };
    let standings = response.request().extensions_mut().remove::<Standings>();
    if let Some(standings) = standings {
        tell(response.headers_mut(), &standings.0);
    }
    Ok(response)
}

fn tell(headers: &mut HeaderMap, quotas: &[Quota]) {
    let list = |item: fn(&Quota) -> String| {
        let items: Vec<String> = quotas.iter().map(item).collect();
        HeaderValue::from_str(&items.join(", ")).ok()
    };
    if quotas.is_empty() {
        return;
    }
    if let Some(value) = list(policy_item) {
        headers.insert(POLICY, value);
    }
    if let Some(value) = list(standing_item) {
        headers.insert(STANDING, value);
    }
}

/// So many (q) in a window of so many seconds (w).
fn policy_item(quota: &Quota) -> String {
    let window = whole_seconds(quota.window).max(1);
    format!("\"{}\";q={};w={window}", quota.name, quota.limit)
}

/// So many left (r), and the seconds until all are there again (t).
fn standing_item(quota: &Quota) -> String {
    let reset = whole_seconds(quota.reset);
    format!("\"{}\";r={};t={reset}", quota.name, quota.remaining)
}

/// Rounded up: nobody is invited back too early.
fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ipv6_customers_count_as_one() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("203.0.113.7"), "203.0.113.7");
    }

    #[test]
    fn headers_have_the_drafts_form() {
        let quota = |name, remaining| Quota {
            name,
            limit: 600,
            window: Duration::from_mins(1),
            remaining,
            reset: Duration::from_millis(1_200),
            is_spent: remaining == 0,
        };
        let mut headers = HeaderMap::new();
        tell(&mut headers, &[quota("address", 588), quota("caller", 0)]);
        assert_eq!(
            headers.get("ratelimit-policy").unwrap(),
            "\"address\";q=600;w=60, \"caller\";q=600;w=60"
        );
        assert_eq!(
            headers.get("ratelimit").unwrap(),
            "\"address\";r=588;t=2, \"caller\";r=0;t=2"
        );
    }
}

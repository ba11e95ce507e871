//! The regions of Genesys Cloud and their hosts.

use url::{Host, Url};

/// Domains of the production regions (official SDKs and Terraform provider, November 2026). The
/// two internal ones that the provider knows besides are left out on purpose.
const PRODUCTION: [&str; 18] = [
    "mypurecloud.com",        // us-east-1
    "use2.us-gov-pure.cloud", // us-east-2, FedRAMP
    "usw2.pure.cloud",        // us-west-2
    "cac1.pure.cloud",        // ca-central-1
    "mxc1.pure.cloud",        // mx-central-1
    "sae1.pure.cloud",        // sa-east-1
    "mypurecloud.ie",         // eu-west-1
    "euw2.pure.cloud",        // eu-west-2
    "mypurecloud.de",         // eu-central-1
    "euc2.pure.cloud",        // eu-central-2
    "edee1.eusc-pure.cloud",  // eusc-de-east-1, sovereign
    "mec1.pure.cloud",        // me-central-1
    "aps1.pure.cloud",        // ap-south-1
    "mypurecloud.jp",         // ap-northeast-1
    "apne2.pure.cloud",       // ap-northeast-2
    "apne3.pure.cloud",       // ap-northeast-3
    "apse1.pure.cloud",       // ap-southeast-1
    "mypurecloud.com.au",     // ap-southeast-2
];

/// A region of Genesys Cloud, or a stand-in that the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    name: String,
    login_base: Url,
    token_base: Url,
    api_base: Url,
}

/// Whether addresses without TLS are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainHttp {
    /// Only for this machine itself.
    LoopbackOnly,
    /// Everywhere. For development networks only: tokens travel unprotected.
    Everywhere,
}

/// Why an operator's region cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRegion {
    /// The name is empty or has characters that a domain does not have.
    #[error("a region's name must be lower-case letters, digits, `.` and `-`")]
    Name,
    /// The address cannot be used.
    #[error(
        "{which} must be an https address with a host (http only for this machine), and have no query, fragment or credentials"
    )]
    Address {
        /// Which of the addresses.
        which: &'static str,
    },
}

impl Region {
    /// The production region of this domain (`mypurecloud.de`), or `None` if there is none.
    pub fn production(domain: &str) -> Option<Self> {
        let domain = PRODUCTION
            .iter()
            .find(|known| known.eq_ignore_ascii_case(domain))?;
        let base = |host: &str| Url::parse(&format!("https://{host}.{domain}/")).ok();
        let (login_base, api_base) = (base("login")?, base("api")?);
        Some(Self {
            name: (*domain).to_owned(),
            token_base: login_base.clone(),
            login_base,
            api_base,
        })
    }

    /// All production regions.
    pub fn all_production() -> impl Iterator<Item = Self> {
        PRODUCTION
            .iter()
            .filter_map(|domain| Self::production(domain))
    }

    /// A region that the operator configured: a stand-in, or a gateway on the premises.
    ///
    /// The addresses may have a path, which becomes the prefix of all paths.
    pub fn explicit(
        name: &str,
        login_base: Url,
        api_base: Url,
        plain_http: PlainHttp,
    ) -> Result<Self, InvalidRegion> {
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err(InvalidRegion::Name);
        }
        check("the login address", &login_base, plain_http)?;
        check("the API address", &api_base, plain_http)?;
        Ok(Self {
            name: name.to_owned(),
            token_base: login_base.clone(),
            login_base,
            api_base,
        })
    }

    /// The same region, whose token endpoint our servers reach at another address than browsers
    /// reach the login page (a stand-in inside a container network).
    pub fn with_token_base(
        self,
        token_base: Url,
        plain_http: PlainHttp,
    ) -> Result<Self, InvalidRegion> {
        check("the token address", &token_base, plain_http)?;
        Ok(Self { token_base, ..self })
    }

    /// The domain that names the region.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address of a page that browsers open, for example `&["oauth", "authorize"]`.
    pub(crate) fn login_url(&self, path: &[&str]) -> Url {
        below(&self.login_base, path)
    }

    /// Address of the token endpoint.
    pub(crate) fn token_url(&self) -> Url {
        below(&self.token_base, &["oauth", "token"])
    }

    /// Address of an API call below `/api/v2`.
    pub(crate) fn api_url(&self, path: &[&str]) -> Url {
        below(&below(&self.api_base, &["api", "v2"]), path)
    }
}

fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    // Always possible: the scheme was checked to be http or https.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

fn check(which: &'static str, url: &Url, plain_http: PlainHttp) -> Result<(), InvalidRegion> {
    let scheme_is_fine = match url.scheme() {
        "https" => true,
        "http" => plain_http == PlainHttp::Everywhere || is_loopback(url),
        _ => false,
    };
    let is_bare = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if scheme_is_fine && is_bare && url.has_host() {
        Ok(())
    } else {
        Err(InvalidRegion::Address { which })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_follow_from_the_domain() {
        let region = Region::production("MyPureCloud.de").unwrap();
        assert_eq!(region.name(), "mypurecloud.de");
        assert_eq!(
            region.login_url(&["oauth", "authorize"]).as_str(),
            "https://login.mypurecloud.de/oauth/authorize"
        );
        assert_eq!(
            region.token_url().as_str(),
            "https://login.mypurecloud.de/oauth/token"
        );
        assert_eq!(
            region.api_url(&["users", "me"]).as_str(),
            "https://api.mypurecloud.de/api/v2/users/me"
        );
        assert_eq!(Region::all_production().count(), 18);
    }

    #[test]
    fn other_domains_are_no_regions() {
        for domain in [
            "",
            "inindca.com",
            "inintca.com",
            "example.com",
            "mypurecloud.com.evil.example",
        ] {
            assert_eq!(Region::production(domain), None, "{domain}");
        }
    }

    fn explicit(login: &str, api: &str, plain: PlainHttp) -> Result<Region, InvalidRegion> {
        Region::explicit(
            "sandbox",
            login.parse().unwrap(),
            api.parse().unwrap(),
            plain,
        )
    }

    #[test]
    fn an_operators_region_may_have_paths_and_an_inner_token_address() {
        let region = explicit(
            "http://localhost:3090/genesys/",
            "http://sandbox:3090/genesys",
            PlainHttp::Everywhere,
        )
        .unwrap()
        .with_token_base(
            "http://sandbox:3090/genesys".parse().unwrap(),
            PlainHttp::Everywhere,
        )
        .unwrap();
        assert_eq!(
            region.login_url(&["oauth", "authorize"]).as_str(),
            "http://localhost:3090/genesys/oauth/authorize"
        );
        assert_eq!(
            region.token_url().as_str(),
            "http://sandbox:3090/genesys/oauth/token"
        );
        assert_eq!(
            region.api_url(&["users", "me"]).as_str(),
            "http://sandbox:3090/genesys/api/v2/users/me"
        );
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_the_operator_says_otherwise() {
        let fine = [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
            "https://genesys.example",
        ];
        for login in fine {
            assert!(
                explicit(login, login, PlainHttp::LoopbackOnly).is_ok(),
                "{login}"
            );
        }
        let remote = "http://sandbox:3090";
        assert!(explicit(remote, remote, PlainHttp::Everywhere).is_ok());
        for (login, api) in [(remote, "https://a.example"), ("https://a.example", remote)] {
            let refused = explicit(login, api, PlainHttp::LoopbackOnly);
            assert!(
                matches!(refused, Err(InvalidRegion::Address { .. })),
                "{login}"
            );
        }
        let region = explicit(fine[0], fine[0], PlainHttp::LoopbackOnly).unwrap();
        assert!(
            region
                .with_token_base(remote.parse().unwrap(), PlainHttp::LoopbackOnly)
                .is_err()
        );
    }

    #[test]
    fn senseless_regions_are_refused() {
        for bad in [
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/?q",
            "https://a.example/#f",
            "data:x",
        ] {
            assert!(
                explicit(bad, "https://a.example", PlainHttp::Everywhere).is_err(),
                "{bad}"
            );
        }
        let url: Url = "https://a.example".parse().unwrap();
        for name in ["", "A", "a b", "a/b"] {
            let made = Region::explicit(name, url.clone(), url.clone(), PlainHttp::Everywhere);
            assert_eq!(made, Err(InvalidRegion::Name), "{name}");
        }
    }
}

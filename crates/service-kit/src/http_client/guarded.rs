//! Fetching what strangers point at, without being led into our own network.
//!
//! Only HTTPS on its own port; a name is resolved once, all its addresses must be public ones, and
//! the connection goes to just these, so that a second answer of the name server changes nothing.
//! No redirects, no proxies, no credentials.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{ClientOptions, builder};

/// Why nothing was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not an address that may be fetched; says what it must be.
    #[error("{0}")]
    Address(&'static str),
    /// The host is at an address of a network that is not public.
    #[error("must lead to a public address")]
    NotPublic,
    /// The host cannot be found or reached just now.
    #[error("leads to a host that cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("leads to a host that does not answer in time")]
    TimedOut,
    /// The exchange failed.
    #[error("leads to a host that does not answer as it should")]
    Broken,
}

impl FetchError {
    /// Whether the same may succeed later.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::TimedOut | Self::Broken)
    }
}

/// A client for addresses that others chose. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    http: reqwest::Client,
    trusted: Arc<[IpNet]>,
}

impl GuardedClient {
    /// Makes a client. Addresses of `trusted` networks may be fetched from whatever they are, also
    /// without TLS and on any port: for development and tests.
    pub fn new(options: &ClientOptions, trusted: Vec<IpNet>) -> reqwest::Result<Self> {
        let trusted: Arc<[IpNet]> = trusted.into();
        let resolver = PublicOnly {
            trusted: Arc::clone(&trusted),
        };
        let http = builder(options)
            .dns_resolver(Arc::new(resolver))
            // A connection is to what its own look-up answered, and is not used for another.
            .pool_max_idle_per_host(0)
            .referer(false)
            .build()?;
        Ok(Self { http, trusted })
    }

    /// Whether an address may be asked for at all, as far as that can be told by itself.
    pub fn check(&self, address: &str) -> Result<Url, FetchError> {
        let url = Url::parse(address)
            .map_err(|_unreadable| FetchError::Address("must be an https address"))?;
        // The parser has made plain numbers of hexadecimal, octal and short forms.
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(name)) => {
                check_name(name)?;
                None
            }
            None => return Err(FetchError::Address("must be an https address with a host")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Address("must not hold a user name or password"));
        }
        if let Some(ip) = literal {
            if is_within(&self.trusted, ip) {
                return Ok(url);
            }
            if !is_public(ip) {
                return Err(FetchError::NotPublic);
            }
        }
        if url.scheme() != "https" || url.port().is_some() {
            return Err(FetchError::Address(
                "must be an https address on the usual port",
            ));
        }
        Ok(url)
    }

    /// Asks for the content at an address. The answer is given whatever its status is; its body is
    /// the caller's to read and to limit.
    pub async fn get(&self, address: &str) -> Result<reqwest::Response, FetchError> {
        let url = self.check(address)?;
        let answer = self.http.get(url).send().await;
        answer.map_err(|error| reason(&error))
    }
}

fn check_name(name: &str) -> Result<(), FetchError> {
    if name.ends_with('.') || !name.contains('.') {
        return Err(FetchError::Address(
            "must have a full host name, such as files.example.com",
        ));
    }
    Ok(())
}

fn reason(error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(own) = current.downcast_ref::<FetchError>() {
            return *own;
        }
        cause = current.source();
    }
    if error.is_timeout() {
        FetchError::TimedOut
    } else if error.is_connect() {
        FetchError::Unreachable
    } else {
        FetchError::Broken
    }
}

/// Answers the addresses of a name if all of them are public.
#[derive(Debug)]
struct PublicOnly {
    trusted: Arc<[IpNet]>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let trusted = Arc::clone(&self.trusted);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0))
                .await
                .map_err(|_unknown| FetchError::Unreachable)?;
            let found = only_public(found.collect(), &trusted)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// All or nothing: a name with an address of ours among others is up to no good.
fn only_public(found: Vec<SocketAddr>, trusted: &[IpNet]) -> Result<Vec<SocketAddr>, FetchError> {
    let may_go = |address: &SocketAddr| is_public(address.ip()) || is_within(trusted, address.ip());
    if found.is_empty() {
        Err(FetchError::Unreachable)
    } else if found.iter().all(may_go) {
        Ok(found)
    } else {
        Err(FetchError::NotPublic)
    }
}

fn is_within(networks: &[IpNet], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&ip))
}

/// Networks that lead to nobody's public service (IANA special-purpose address registry).
const NOT_PUBLIC_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10), // carriers' own, and the metadata of one cloud
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16), // link-local: the metadata of most clouds
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Within `2000::/3`, outside of which nothing is public.
const NOT_PUBLIC_V6: [(Ipv6Addr, u8); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // among others Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    !NOT_PUBLIC_V4
        .iter()
        .any(|(start, length)| Ipv4Net::new_assert(*start, *length).contains(&ip))
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    // Addresses that carry one of the old kind lead where that leads.
    let old = |high: u16, low: u16| {
        let bits = (u32::from(high) << 16) | u32::from(low);
        is_public_v4(Ipv4Addr::from_bits(bits))
    };
    let first = match ip.segments() {
        [0x64, 0xff9b, 0, .., high, low] | [0x2002, high, low, ..] => return old(high, low),
        [first, ..] => first,
    };
    let within = |start: &Ipv6Addr, length: u8| Ipv6Net::new_assert(*start, length).contains(&ip);
    first & 0xe000 == 0x2000
        && !NOT_PUBLIC_V6
            .iter()
            .any(|(start, length)| within(start, *length))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn client(trusted: &[&str]) -> GuardedClient {
        let trusted = trusted.iter().map(|net| net.parse().unwrap()).collect();
        GuardedClient::new(&ClientOptions::default(), trusted).unwrap()
    }

    #[test]
    fn only_public_addresses_may_be_fetched_from() {
        let client = client(&[]);
        for good in [
            "https://files.example.com/a.png?x=1#y",
            "https://files.example.com:443/a",
            "https://1.1.1.1/a",
            "https://[2606:4700::1111]/a",
        ] {
            assert!(client.check(good).is_ok(), "{good}");
        }
        let refused = [
            "http://files.example.com/a",
            "https://files.example.com:8443/a",
            "ftp://files.example.com/a",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "//files.example.com/a",
            "https://user@files.example.com/",
            "https://user:password@files.example.com/",
            "https://files.example.com@127.0.0.1/",
            "https://files.example.com./a",
            "https://localhost/",
            "https://redis/",
            "https:///a",
            "",
        ];
        for address in refused {
            assert!(
                matches!(
                    client.check(address),
                    Err(FetchError::Address(_) | FetchError::NotPublic)
                ),
                "{address}"
            );
        }
    }

    #[test]
    fn every_writing_of_an_inner_address_is_found() {
        let client = client(&[]);
        let hosts = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0x7f.1",
            "0",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "0xa9fea9fe",
            "100.64.0.1",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001:0:1::1]",
            "[fc00::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "[100::1]",
        ];
        for host in hosts {
            assert_eq!(
                client.check(&format!("https://{host}/")),
                Err(FetchError::NotPublic),
                "{host}"
            );
        }
    }

    #[test]
    fn one_inner_address_among_others_refuses_a_name() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let public = at("1.1.1.1:0");
        assert_eq!(only_public(vec![public], &[]), Ok(vec![public]));
        let mixed = vec![public, at("10.0.0.1:0")];
        assert_eq!(only_public(mixed, &[]), Err(FetchError::NotPublic));
        let mapped = vec![at("[::ffff:10.0.0.1]:0")];
        assert_eq!(only_public(mapped, &[]), Err(FetchError::NotPublic));
        assert_eq!(only_public(Vec::new(), &[]), Err(FetchError::Unreachable));
    }

    /// Answers a public address first and an inner one ever after, as an attacker's name server.
    struct Rebinding(AtomicUsize);

    impl Resolve for Rebinding {
        fn resolve(&self, _: Name) -> Resolving {
            let asked = self.0.fetch_add(1, Ordering::SeqCst);
            let answer = if asked == 0 {
                "192.0.2.1:0"
            } else {
                "127.0.0.1:0"
            };
            Box::pin(async move {
                Ok(Box::new(std::iter::once(answer.parse::<SocketAddr>()?)) as Addrs)
            })
        }
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_for_each_request() {
        let names = Arc::new(Rebinding(AtomicUsize::new(0)));
        let options = ClientOptions {
            connect_timeout: std::time::Duration::from_millis(50),
            ..ClientOptions::default()
        };
        let http = builder(&options)
            .dns_resolver(Arc::clone(&names) as Arc<dyn Resolve>)
            .build()
            .unwrap();
        assert!(
            http.get("https://rebinding.example.com/")
                .send()
                .await
                .is_err()
        );
        assert_eq!(names.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_name_of_ours_is_refused_when_it_is_connected_to() {
        // The resolver judges what the system answers, whatever the name looks like.
        let resolver = PublicOnly {
            trusted: Arc::from([]),
        };
        let refused = resolver
            .resolve("localhost".parse().unwrap())
            .await
            .err()
            .unwrap();
        assert_eq!(refused.downcast_ref(), Some(&FetchError::NotPublic));
        let trusting = PublicOnly {
            trusted: Arc::from(["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]),
        };
        assert!(trusting.resolve("localhost".parse().unwrap()).await.is_ok());
    }

    #[tokio::test]
    async fn a_trusted_network_is_reached_and_redirects_are_not_followed() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/a", server.local_addr().unwrap());
        assert_eq!(
            client(&[]).get(&address).await.err(),
            Some(FetchError::NotPublic)
        );
        let serving = tokio::spawn(async move {
            let (mut socket, _) = server.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = socket.read(&mut request).await.unwrap();
            socket
                .write_all(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let answer = client(&["127.0.0.0/8"]).get(&address).await.unwrap();
        assert_eq!(answer.status(), 302);
        let request = serving.await.unwrap().to_ascii_lowercase();
        assert!(
            !request.contains("authorization") && !request.contains("traceparent"),
            "{request}"
        );
    }
}

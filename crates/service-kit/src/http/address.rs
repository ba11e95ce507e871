//! Who is at the other end: the client's address behind proxies that we trust.

use std::{
    future::Ready,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use ipnet::IpNet;

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// The text is neither an IP address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is neither an IP address nor a network")]
pub struct InvalidProxy(String);

impl TrustedProxies {
    /// Reads addresses (`10.0.0.7`) and networks (`10.0.0.0/8`).
    pub fn parse(values: &[String]) -> Result<Self, InvalidProxy> {
        let parse = |value: &String| {
            value
                .parse::<IpNet>()
                .or_else(|_not_a_network| value.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_not_even_an_address| InvalidProxy(value.clone()))
        };
        values
            .iter()
            .map(parse)
            .collect::<Result<Vec<_>, _>>()
            .map(|nets| Self(nets.into()))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0
            .iter()
            .any(|net| net.contains(&address.to_canonical()))
    }

    /// The nearest address that is not a trusted proxy: what lies farther left is only a claim.
    fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in forwarded.rev() {
            if !self.trusts(client) {
                break;
            }
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            client = hop.to_canonical();
        }
        client
    }
}

/// Extractor: the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The client's address of a request.
    pub fn of(request: &HttpRequest) -> Self {
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
        let trusted = request.app_data::<web::Data<TrustedProxies>>();
        let hops: Vec<&str> = request
            .headers()
            .get_all("x-forwarded-for")
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        Self(trusted.map_or(peer, |trusted| trusted.client(peer, hops.into_iter())))
    }
}

impl FromRequest for ClientAddress {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self::of(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_speak_for_others() {
        let proxies =
            TrustedProxies::parse(&["10.0.0.0/8".to_owned(), "192.168.1.1".to_owned()]).unwrap();
        for (peer, forwarded, client) in [
            ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
            ("10.1.1.1", "", "10.1.1.1"),
            ("10.1.1.1", "1.2.3.4", "1.2.3.4"),
            ("10.1.1.1", "6.6.6.6, 1.2.3.4, 192.168.1.1", "1.2.3.4"),
            ("10.1.1.1", "6.6.6.6, junk", "10.1.1.1"),
            ("10.1.1.1", "10.2.2.2, 10.3.3.3", "10.2.2.2"),
            ("::ffff:10.1.1.1", "1.2.3.4", "1.2.3.4"),
        ] {
            let found = proxies.client(peer.parse().unwrap(), forwarded.split(','));
            assert_eq!(
                found,
                client.parse::<IpAddr>().unwrap(),
                "{peer} {forwarded}"
            );
        }
        assert!(TrustedProxies::parse(&["proxy".to_owned()]).is_err());
    }
}

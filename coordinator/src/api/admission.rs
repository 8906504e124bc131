//! Admission: one row for each route of the port, and for a path without a row the strictest class. A class says by whom requests are counted and how
//! many there may be, from which networks they may come, how large their bodies may be, and whether they are taken while the disk is nearly full.
//! All of that is checked before anything else is done for a request. A test compares the rows with the routes.

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use mdfm_shared::record::{ActorKind, person};
use mdfm_shared::sbom;

use super::Api;
use super::request::Origin;
use crate::access::{RequestRates, TooMany};
use crate::broker::Peer;

/// Bytes of a body that somebody unknown may send.
const STRANGERS_BODY_BYTES_MAX: u64 = 16 * 1024;
/// Bytes of the body of a request of somebody known.
pub(super) const BODY_BYTES_MAX: u64 = 1 << 20;
/// Bytes that a form has besides its file: its other fields, and what stands between fields.
const FORM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes of a list of devices.
pub(super) const LIST_BYTES_MAX: u64 = 16 << 20;
/// Of requests_per_second, the part of one network for enrolments and where nothing is known of the path: one in 25.
const STRICT_PART: u64 = 25;
/// The part of one network for sign-ins, and of one person for what stops harm. The latter has a count of its own: what the person's machines do
/// does not keep them out.
const FEW_PART: u64 = 5;
/// The part of one gateway in one network: images in ranges, proofs, certificates.
const GATEWAY_PART: u64 = 2;

/// Which limits a route has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Health, checkpoints, the API's description: for anybody, cheap.
    Public,
    /// Signing in through the provider, and displays that ask to be paired.
    SignIn,
    /// Signing in with a password: counted as above, but who comes too often is answered by the handler, which alone knows whether it was the
    /// owner. Otherwise strangers would keep everybody of their network out.
    Password,
    /// Enrolment of a gateway.
    Enrolment,
    /// For gateways, by their certificate.
    Gateway,
    /// For people and their machines.
    Person,
    /// Pages of the console. What they ask the API for is counted there too.
    Console,
    /// The same, where a request stops harm or is needed for that: taken while the disk is nearly full.
    Safety,
    /// A path without a row.
    Unknown,
}

/// From which networks a class is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Where people are (`api_networks`).
    People,
    /// Where gateways are (`gateway_networks`).
    Gateways,
}

impl Class {
    pub(super) fn side(self) -> Side {
        match self {
            Self::Public | Self::SignIn | Self::Password | Self::Person | Self::Console | Self::Safety => Side::People,
            Self::Enrolment | Self::Gateway | Self::Unknown => Side::Gateways,
        }
    }

    /// Bytes of a request's body at most; `None` where the route itself bounds it, because only somebody known gets that far.
    pub(super) fn body_bytes_max(self) -> Option<u64> {
        match self {
            Self::Public | Self::SignIn | Self::Password | Self::Enrolment | Self::Unknown => {
                Some(STRANGERS_BODY_BYTES_MAX)
            }
            Self::Gateway | Self::Person | Self::Console | Self::Safety => None,
        }
    }

    /// Whether requests that change something are taken while the disk is nearly full.
    pub(super) fn is_taken_without_room(self) -> bool {
        matches!(self, Self::SignIn | Self::Password | Self::Safety | Self::Console | Self::Gateway)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::SignIn | Self::Password => "sign-in",
            Self::Enrolment => "enrolment",
            Self::Gateway => "gateway",
            Self::Person => "person",
            Self::Safety => "safety",
            Self::Console => "console",
            Self::Unknown => "unknown",
        }
    }
}

/// Method and path.
type Row = (&'static str, &'static str);

/// Routes that are none of people's everyday work; [`PERSON`] has the rest.
#[rustfmt::skip]
const ROWS: &[(Class, &[Row])] = &[
    (Class::Public, &[
        ("GET", "/api/v1/compliance/log/checkpoint"),
        ("GET", "/api/v1/docs"),
        // A display that waits asks every few seconds; a code without its secret is worth nothing.
        ("POST", "/api/v1/displays/{code}/token"),
        ("GET", "/api/v1/health"),
        ("GET", "/api/v1/openapi.json"),
        ("GET", "/api/v1/readiness"),
    ]),
    (Class::Password, &[
        ("POST", "/api/v1/sessions"),
    ]),
    (Class::SignIn, &[
        ("POST", "/api/v1/displays"),
        ("POST", "/api/v1/sessions/oidc"),
        ("POST", "/api/v1/sessions/oidc/completion"),
    ]),
    (Class::Enrolment, &[
        ("POST", "/agent/v1/enrolments"),
    ]),
    (Class::Gateway, &[
        ("GET", SOCKET_PATH),
        ("POST", "/agent/v1/certificates"),
        ("GET", "/agent/v1/images/{sha256}"),
        ("GET", "/agent/v1/log/consistency"),
    ]),
    (Class::Safety, &[
        ("DELETE", "/api/v1/deployments/{deployment}/consents/{hospital}"),
        ("POST", "/api/v1/deployments/{deployment}/abort"),
        ("POST", "/api/v1/deployments/{deployment}/pause"),
        ("POST", "/api/v1/deployments/{deployment}/rollback"),
        ("POST", "/api/v1/firmware/{firmware}/rejection"),
        ("POST", "/api/v1/firmware/{firmware}/withdrawal"),
        ("POST", "/api/v1/gateways/{gateway}/revocation"),
        ("POST", "/api/v1/incidents"),
        ("DELETE", "/api/v1/me/tokens/{token}"),
        ("PUT", "/api/v1/me/password"),
        ("POST", "/api/v1/recalls"),
        ("POST", "/api/v1/rollback-orders"),
        ("POST", "/api/v1/rollback-orders/signature"),
        ("DELETE", "/api/v1/sessions/current"),
        ("POST", "/api/v1/sessions/current/second-factor"),
        ("POST", "/api/v1/trust/roots"),
        ("POST", "/api/v1/trust/rosters"),
        ("POST", "/api/v1/trust/withdrawals"),
        ("POST", "/api/v1/trust/withdrawals/signature"),
        ("POST", "/api/v1/users/{user}/disable"),
        ("PUT", "/api/v1/users/{user}/password"),
        ("POST", "/api/v1/users/{user}/sign-out"),
        ("DELETE", "/api/v1/users/{user}/tokens/{token}"),
    ]),
    // What a page then asks of the API has the class of that route: also whether it is taken while the disk is nearly full.
    (Class::Console, &[
        ("GET", "/console"),
        ("GET", "/console/{*path}"),
        ("POST", "/console/{*path}"),
        ("GET", "/console/releases/{release}/delta"),
        ("POST", "/console/releases/{release}/delta"),
        ("GET", "/console/releases/{release}/image"),
        ("POST", "/console/releases/{release}/image"),
        ("GET", "/console/releases/{release}/sbom"),
        ("POST", "/console/releases/{release}/sbom"),
    ]),
    (Class::Person, PERSON),
];

/// Where MQTT comes over WebSocket.
pub(super) const SOCKET_PATH: &str = "/mqtt";

#[rustfmt::skip]
const PERSON: &[Row] = &[
    ("GET", "/api/v1/approvals"),
    ("POST", "/api/v1/approvals"),
    ("GET", "/api/v1/approvals/{firmware}/preview"),
    ("POST", "/api/v1/approvals/signature"),
    ("GET", "/api/v1/cohorts"),
    ("GET", "/api/v1/compliance/audit-logs"),
    ("GET", "/api/v1/compliance/differences/{kind}/{id}"),
    ("POST", "/api/v1/compliance/disposals"),
    ("POST", "/api/v1/compliance/disposals/{disposal}/confirmation"),
    ("GET", "/api/v1/compliance/evidence"),
    ("GET", "/api/v1/compliance/evidence/{index}"),
    ("POST", "/api/v1/compliance/holds"),
    ("POST", "/api/v1/compliance/holds/{hold}/release"),
    ("GET", "/api/v1/compliance/log/export"),
    ("GET", "/api/v1/compliance/log/proofs/{index}"),
    ("GET", "/api/v1/compliance/log/status"),
    ("GET", "/api/v1/compliance/log/tile/{*path}"),
    ("GET", "/api/v1/compliance/reports/{kind}"),
    ("GET", "/api/v1/compliance/reports/{kind}/{id}"),
    ("GET", "/api/v1/compliance/retention"),
    ("PUT", "/api/v1/compliance/retention"),
    ("GET", "/api/v1/compliance/states/{kind}/{id}"),
    ("GET", "/api/v1/deployments"),
    ("POST", "/api/v1/deployments"),
    ("GET", "/api/v1/deployments/{deployment}"),
    ("PUT", "/api/v1/deployments/{deployment}/consents/{hospital}"),
    ("POST", "/api/v1/deployments/{deployment}/duties/{duty}"),
    ("GET", "/api/v1/deployments/{deployment}/devices"),
    ("GET", "/api/v1/deployments/{deployment}/events"),
    ("GET", "/api/v1/deployments/{deployment}/figures"),
    ("GET", "/api/v1/deployments/{deployment}/history"),
    ("GET", "/api/v1/deployments/{deployment}/summary"),
    ("POST", "/api/v1/deployments/{deployment}/resume"),
    ("POST", "/api/v1/deployments/{deployment}/validations"),
    ("GET", "/api/v1/deployments/{deployment}/validations/preview"),
    ("POST", "/api/v1/deployments/{deployment}/validations/signature"),
    ("GET", "/api/v1/devices"),
    ("POST", "/api/v1/devices"),
    ("POST", "/api/v1/devices/import"),
    ("GET", "/api/v1/devices/{device}"),
    ("PATCH", "/api/v1/devices/{device}"),
    ("GET", "/api/v1/devices/{device}/history"),
    ("POST", "/api/v1/devices/{device}/reconciliation"),
    ("POST", "/api/v1/devices/{device}/retirement"),
    ("GET", "/api/v1/fhir/Device"),
    ("GET", "/api/v1/fhir/Device/{device}"),
    ("GET", "/api/v1/firmware"),
    ("POST", "/api/v1/firmware"),
    ("GET", "/api/v1/display"),
    ("POST", "/api/v1/displays/{code}/pairing"),
    ("GET", "/api/v1/firmware/{firmware}"),
    ("PUT", "/api/v1/firmware/{firmware}/deltas/{sha256}"),
    ("GET", "/api/v1/firmware/{firmware}/differences"),
    ("GET", "/api/v1/firmware/{firmware}/differences/{other}"),
    ("GET", "/api/v1/firmware/{firmware}/history"),
    ("GET", "/api/v1/firmware/{firmware}/image"),
    ("PUT", "/api/v1/firmware/{firmware}/image"),
    ("PUT", "/api/v1/firmware/{firmware}/manifest"),
    ("GET", "/api/v1/firmware/{firmware}/parts"),
    ("GET", "/api/v1/firmware/{firmware}/sbom"),
    ("PUT", "/api/v1/firmware/{firmware}/sbom"),
    ("GET", "/api/v1/fleet/counts"),
    ("GET", "/api/v1/fleet/selection"),
    ("GET", "/api/v1/fleet/versions"),
    ("GET", "/api/v1/fleet-link"),
    ("GET", "/api/v1/gateways"),
    ("POST", "/api/v1/gateways"),
    ("GET", "/api/v1/gateways/{gateway}/bundle"),
    ("POST", "/api/v1/gateways/{gateway}/enrolment-tokens"),
    ("POST", "/api/v1/gateways/{gateway}/telemetry"),
    ("GET", "/api/v1/groups"),
    ("DELETE", "/api/v1/groups/{group}"),
    ("GET", "/api/v1/groups/{group}"),
    ("PUT", "/api/v1/groups/{group}"),
    ("GET", "/api/v1/groups/{group}/devices"),
    ("GET", "/api/v1/hospitals"),
    ("POST", "/api/v1/hospitals"),
    ("GET", "/api/v1/hospitals/{hospital}"),
    ("PATCH", "/api/v1/hospitals/{hospital}"),
    ("PATCH", "/api/v1/hospitals/{hospital}/policy"),
    ("PUT", "/api/v1/hospitals/{hospital}/policy"),
    ("GET", "/api/v1/incidents"),
    ("GET", "/api/v1/incidents/{incident}"),
    ("POST", "/api/v1/incidents/{incident}/closure"),
    ("PUT", "/api/v1/incidents/{incident}/decision"),
    ("POST", "/api/v1/incidents/{incident}/notes"),
    ("PUT", "/api/v1/incidents/{incident}/report"),
    ("GET", "/api/v1/me"),
    ("PUT", "/api/v1/me/address"),
    ("GET", "/api/v1/me/notices"),
    ("POST", "/api/v1/me/notices/read"),
    ("POST", "/api/v1/me/second-factor"),
    ("POST", "/api/v1/me/second-factor/confirmation"),
    ("POST", "/api/v1/me/signing-key"),
    ("GET", "/api/v1/me/tokens"),
    ("POST", "/api/v1/me/tokens"),
    ("GET", "/api/v1/metrics"),
    ("GET", "/api/v1/notices/dead-letters"),
    ("POST", "/api/v1/notices/dead-letters/{delivery}/retry"),
    ("GET", "/api/v1/recalls"),
    ("GET", "/api/v1/recalls/{recall}"),
    ("POST", "/api/v1/recalls/{recall}/closure"),
    ("GET", "/api/v1/rollback-orders"),
    ("POST", "/api/v1/rollback-orders/preview"),
    ("GET", "/api/v1/rollback-orders/{order}"),
    ("GET", "/api/v1/roles"),
    ("GET", "/api/v1/settings"),
    ("PUT", "/api/v1/settings"),
    ("GET", "/api/v1/tokens"),
    ("GET", "/api/v1/trust"),
    ("GET", "/api/v1/users"),
    ("POST", "/api/v1/users"),
    ("GET", "/api/v1/users/{user}"),
    ("POST", "/api/v1/users/{user}/enable"),
    ("PUT", "/api/v1/users/{user}/identity"),
    ("PUT", "/api/v1/users/{user}/roles"),
    ("DELETE", "/api/v1/users/{user}/second-factor"),
    ("PUT", "/api/v1/users/{user}/subject"),
    ("PUT", "/api/v1/users/{user}/training"),
    ("GET", "/api/v1/webhooks"),
    ("DELETE", "/api/v1/webhooks/{webhook}"),
    ("PUT", "/api/v1/webhooks/{webhook}"),
];

/// Routes whose bodies are larger, and by how much; without a number the handler bounds them while they come. A caller gets as far as that only with the
/// right of the route.
#[rustfmt::skip]
const LARGE: &[(Row, Option<u64>)] = &[
    (("POST", "/api/v1/devices/import"), Some(LIST_BYTES_MAX)),
    (("PUT", "/api/v1/firmware/{firmware}/deltas/{sha256}"), None),
    (("PUT", "/api/v1/firmware/{firmware}/image"), None),
    (("PUT", "/api/v1/firmware/{firmware}/sbom"), Some(sbom::DOCUMENT_BYTES_MAX)),
    // Forms with a file, which the console streams on to the routes above.
    (("POST", "/console/releases/{release}/delta"), None),
    (("POST", "/console/releases/{release}/image"), None),
    (("POST", "/console/releases/{release}/sbom"), Some(sbom::DOCUMENT_BYTES_MAX + FORM_BYTES_MAX)),
];

/// Bytes of the body of a request at most; `None` if its handler bounds it. `is_known` says whether a session came with it.
pub(super) fn body_bytes_max(class: Class, method: &str, path: Option<&str>, is_known: bool) -> Option<u64> {
    if class == Class::Console && !is_known {
        return Some(STRANGERS_BODY_BYTES_MAX);
    }
    if let Some(max) = class.body_bytes_max() {
        return Some(max);
    }
    let large = LARGE.iter().find(|((m, p), _)| *m == method && Some(*p) == path);
    large.map_or(Some(BODY_BYTES_MAX), |(_, max)| *max)
}

/// The class of a route, by its method and the path that it was registered with.
pub(super) fn class_of(method: &str, path: Option<&str>) -> Class {
    let method = if method == "HEAD" { "GET" } else { method };
    let Some(path) = path else { return Class::Unknown };
    let row = ROWS.iter().find(|(_, rows)| rows.iter().any(|(m, p)| *m == method && *p == path));
    row.map_or(Class::Unknown, |(class, _)| *class)
}

/// Whether an address is in one of the networks, or there is no list.
pub(crate) fn is_near(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}

/// Whether the class may be used from this address.
pub(super) fn admits_address(api: &Api, class: Class, address: IpAddr) -> bool {
    match class.side() {
        Side::People => is_near(&api.networks, address),
        Side::Gateways => is_near(&api.gateway_networks, address),
    }
}

/// By whom requests of somebody known are counted: a person, and apart from them all of their machine tokens together, so that no token keeps its
/// owner from stopping harm, from signing, or from revoking it.
pub(super) fn counted_as(kind: ActorKind, id: &str) -> String {
    let who = person(id);
    let machines = if who == id { "" } else { "machines/" };
    format!("{machines}{kind:?}/{who}")
}

/// Counts a request of its class.
///
/// # Errors
/// It is one too many.
pub(super) fn count(api: &Api, origin: &Origin, class: Class) -> Result<(), TooMany> {
    let now = Instant::now();
    let peer = &origin.peer;
    let stranger = |part| api.rates.count_strangers(class.name(), peer.address.ip(), part, now);
    match class {
        Class::Public => stranger(1),
        Class::SignIn | Class::Password => stranger(FEW_PART),
        Class::Enrolment | Class::Unknown => stranger(STRICT_PART),
        Class::Gateway => match &peer.gateway {
            Some(gateway) => api.rates.count_gateway(class.name(), gateway, peer.address.ip(), GATEWAY_PART, now),
            None => stranger(STRICT_PART),
        },
        Class::Person | Class::Console | Class::Safety => match origin.peek(api) {
            Some(caller) => {
                peer.show();
                let who = counted_as(caller.actor.kind, &caller.actor.id);
                match class {
                    Class::Safety => api.rates.count_part(&format!("safety/{who}"), FEW_PART, now),
                    Class::Console => api.rates.count(&format!("console/{who}"), now),
                    _ => api.rates.count(&who, now),
                }
            }
            None => stranger(1),
        },
    }
}

/// Counts the opening of a WebSocket, apart from a gateway's other requests: no download keeps it from connecting.
///
/// # Errors
/// It is one too many.
pub(crate) fn count_socket(rates: &RequestRates, peer: &Peer) -> Result<(), TooMany> {
    let now = Instant::now();
    match &peer.gateway {
        Some(gateway) => rates.count_gateway("mqtt", gateway, peer.address.ip(), GATEWAY_PART, now),
        None => rates.count_strangers(Class::Unknown.name(), peer.address.ip(), STRICT_PART, now),
    }
}

/// Every row.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (Class, Row)> {
    ROWS.iter().flat_map(|(class, rows)| rows.iter().map(|row| (*class, *row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_4_tokens_are_counted_apart_from_their_owner() {
        let owner = counted_as(ActorKind::User, "clinical");
        let tokens = ["a", "b"].map(|token| counted_as(ActorKind::User, &format!("clinical/token/{token}")));
        assert_ne!(owner, tokens[0]);
        assert_eq!(tokens[0], tokens[1], "many tokens are no way to more");
        assert_ne!(tokens[0], counted_as(ActorKind::User, "operator/token/a"));
    }

    #[test]
    fn sec_1_a_path_without_a_row_has_the_strictest_class() {
        for (method, path) in [("GET", None), ("POST", Some("/agent/v1/new")), ("PUT", Some("/api/v1/health"))] {
            assert_eq!(class_of(method, path), Class::Unknown, "{method} {path:?}");
        }
        assert_eq!(class_of("HEAD", Some("/api/v1/health")), Class::Public);
        assert!(Class::Unknown.body_bytes_max().is_some() && !Class::Unknown.is_taken_without_room());
    }

    #[test]
    fn fld_2_large_bodies_are_for_their_routes_alone() {
        let sbom = "/api/v1/firmware/{firmware}/sbom";
        for (class, (method, path)) in all() {
            let max = body_bytes_max(class, method, Some(path), true);
            match (method, path) {
                ("PUT", path) if path == sbom => assert_eq!(max, Some(64 << 20)),
                ("POST", "/api/v1/devices/import") => assert_eq!(max, Some(16 << 20)),
                ("PUT", path) if path.ends_with("/image") || path.contains("/deltas/") => assert_eq!(max, None),
                ("POST", "/console/releases/{release}/image" | "/console/releases/{release}/delta") => {
                    assert_eq!(max, None);
                    assert_eq!(body_bytes_max(class, method, Some(path), false), Some(STRANGERS_BODY_BYTES_MAX));
                }
                ("POST", "/console/releases/{release}/sbom") => assert_eq!(max, Some((64 << 20) + (64 << 10))),
                _ => assert!(max.is_some_and(|max| max <= BODY_BYTES_MAX), "{method} {path}: {max:?}"),
            }
        }
        for class in [Class::Unknown, Class::Public, Class::SignIn, Class::Enrolment] {
            assert_eq!(body_bytes_max(class, "PUT", Some(sbom), false), Some(STRANGERS_BODY_BYTES_MAX));
        }
        assert_eq!(body_bytes_max(Class::Person, "GET", Some(sbom), true), Some(BODY_BYTES_MAX));
        let console = |is_known| body_bytes_max(Class::Console, "POST", Some("/console/{*path}"), is_known);
        assert_eq!((console(true), console(false)), (Some(BODY_BYTES_MAX), Some(STRANGERS_BODY_BYTES_MAX)));
    }

    #[test]
    fn sec_7_only_the_sign_in_by_password_answers_floods_itself() {
        let rows: Vec<_> = all().filter(|(class, _)| *class == Class::Password).map(|(_, row)| row).collect();
        assert_eq!(rows, [("POST", "/api/v1/sessions")]);
    }

    #[test]
    fn sec_9_networks_are_for_every_side_of_the_port() {
        let networks = ["10.1.0.0/16".parse().expect("a network")];
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(is_near(&[], ip("192.0.2.1")) && is_near(&networks, ip("::ffff:10.1.2.3")));
        assert!(!is_near(&networks, ip("10.2.0.1")) && !is_near(&networks, ip("2001:db8::1")));
        for (class, (method, path)) in all() {
            let is_agents = path.starts_with("/agent/") || path == SOCKET_PATH;
            assert_eq!(class.side() == Side::Gateways, is_agents, "{method} {path}");
        }
    }
}

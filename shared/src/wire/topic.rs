//! The topics below `mdfm/v1/` as a typed schema, and who may use which.

use std::fmt;

use crate::digest::Digest;
use crate::id::GatewayId;

const PREFIX: &str = "mdfm/v1/";

/// A topic of the fleet link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// To one agent: its signed directive.
    Directive(GatewayId),
    /// To one agent: the signed commit ack.
    Ack(GatewayId),
    /// To one agent: what the coordinator holds of its telemetry chain, signed.
    Chain(GatewayId),
    /// From one agent: a signed telemetry batch.
    Telemetry(GatewayId),
    /// From one agent: a signed heartbeat.
    Heartbeat(GatewayId),
    /// From one agent and its last will: `online` or `offline`.
    Presence(GatewayId),
    /// To all: the signed trust root of this version.
    TrustRoot(u64),
    /// To all: the signed roster.
    Roster,
    /// To all: the signed withdrawals.
    Withdrawals,
    /// To one agent: the rollback orders that concern its devices, each with its proof.
    RollbackOrders(GatewayId),
    /// To one agent: a signed question for observed states.
    Question(GatewayId),
    /// To all: a release with its approvals and log proofs.
    Release(Digest),
    /// To all: the newest signed checkpoint.
    Checkpoint,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Directive(g) => write!(f, "g/{g}/directive"),
            Self::Ack(g) => write!(f, "g/{g}/ack"),
            Self::Chain(g) => write!(f, "g/{g}/chain"),
            Self::Telemetry(g) => write!(f, "g/{g}/telemetry"),
            Self::Heartbeat(g) => write!(f, "g/{g}/heartbeat"),
            Self::Presence(g) => write!(f, "g/{g}/presence"),
            Self::TrustRoot(n) => write!(f, "trust/root/{n}"),
            Self::Roster => f.write_str("trust/roster"),
            Self::Withdrawals => f.write_str("trust/withdrawals"),
            Self::RollbackOrders(g) => write!(f, "g/{g}/rollback-orders"),
            Self::Question(g) => write!(f, "g/{g}/question"),
            Self::Release(d) => write!(f, "release/{d}"),
            Self::Checkpoint => f.write_str("log/checkpoint"),
        }
    }
}

impl Topic {
    /// The topic of a name; none for any other name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.split('/');
        let topic = match (parts.next()?, parts.next()?, parts.next()) {
            ("g", id, Some(leaf)) => {
                let id: GatewayId = id.parse().ok()?;
                match leaf {
                    "directive" => Self::Directive(id),
                    "ack" => Self::Ack(id),
                    "chain" => Self::Chain(id),
                    "rollback-orders" => Self::RollbackOrders(id),
                    "question" => Self::Question(id),
                    "telemetry" => Self::Telemetry(id),
                    "heartbeat" => Self::Heartbeat(id),
                    "presence" => Self::Presence(id),
                    _ => return None,
                }
            }
            ("trust", "root", Some(n)) => Self::TrustRoot(n.parse().ok()?),
            ("trust", "roster", None) => Self::Roster,
            ("trust", "withdrawals", None) => Self::Withdrawals,
            ("release", digest, None) => Self::Release(digest.parse().ok()?),
            ("log", "checkpoint", None) => Self::Checkpoint,
            _ => return None,
        };
        parts.next().is_none().then_some(topic)
    }

    /// The filters by which the coordinator hears every gateway.
    pub fn coordinator_filters() -> [String; 3] {
        ["telemetry", "heartbeat", "presence"].map(|leaf| format!("{PREFIX}g/+/{leaf}"))
    }

    /// The filters of everything that gateways may be told: what the front door hands out.
    pub fn door_filters() -> [String; 10] {
        [
            format!("{PREFIX}g/+/directive"),
            format!("{PREFIX}g/+/ack"),
            format!("{PREFIX}g/+/rollback-orders"),
            format!("{PREFIX}g/+/chain"),
            format!("{PREFIX}g/+/question"),
            Self::root_filter(),
            Self::Roster.to_string(),
            Self::Withdrawals.to_string(),
            Self::release_filter(),
            Self::Checkpoint.to_string(),
        ]
    }

    /// The filter of every trust root.
    pub fn root_filter() -> String {
        format!("{PREFIX}trust/root/+")
    }

    /// The filter of every release.
    pub fn release_filter() -> String {
        format!("{PREFIX}release/+")
    }

    /// The filter of everything that is ours.
    pub fn every_filter() -> String {
        format!("{PREFIX}#")
    }

    /// Those of [`Self::agent_filters`] that the first coordinators do not know; they end the connection of an agent that subscribes to
    /// them. The topic of [`Self::Chain`] is younger still.
    pub fn authority_filters(gateway: &GatewayId) -> [String; 2] {
        [Self::Withdrawals.to_string(), Self::RollbackOrders(gateway.clone()).to_string()]
    }

    /// The filter, again newer, that makes an agent report observed states once a coordinator grants it.
    pub fn question_filter(gateway: &GatewayId) -> String {
        Self::Question(gateway.clone()).to_string()
    }

    /// The filters that an agent subscribes to; releases are added one by one as directives name them.
    pub fn agent_filters(gateway: &GatewayId) -> [String; 9] {
        [
            Self::Directive(gateway.clone()).to_string(),
            Self::Ack(gateway.clone()).to_string(),
            Self::RollbackOrders(gateway.clone()).to_string(),
            Self::Chain(gateway.clone()).to_string(),
            Self::question_filter(gateway),
            Self::root_filter(),
            Self::Roster.to_string(),
            Self::Withdrawals.to_string(),
            Self::Checkpoint.to_string(),
        ]
    }
}

impl Topic {
    /// Whether `gateway` may publish to the topic called `name`.
    pub fn gateway_may_publish(gateway: &GatewayId, name: &str) -> bool {
        match Self::parse(name) {
            Some(Self::Telemetry(g) | Self::Heartbeat(g) | Self::Presence(g)) => g == *gateway,
            _ => false,
        }
    }

    /// Whether `gateway` may subscribe to `filter`: its own orders, and what stands below `trust/`, `release/` and `log/`.
    pub fn gateway_may_subscribe(gateway: &GatewayId, filter: &str) -> bool {
        if filter == Self::root_filter() || filter == Self::release_filter() {
            return true;
        }
        match Self::parse(filter) {
            Some(Self::Directive(g) | Self::Ack(g) | Self::RollbackOrders(g) | Self::Chain(g) | Self::Question(g)) => {
                g == *gateway
            }
            Some(Self::TrustRoot(_) | Self::Roster | Self::Withdrawals | Self::Release(_) | Self::Checkpoint) => true,
            Some(Self::Telemetry(_) | Self::Heartbeat(_) | Self::Presence(_)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_convert_both_ways() {
        let g: GatewayId = "GW-1".parse().expect("good id");
        for topic in [
            Topic::Directive(g.clone()),
            Topic::Ack(g.clone()),
            Topic::Telemetry(g.clone()),
            Topic::Heartbeat(g.clone()),
            Topic::Presence(g.clone()),
            Topic::RollbackOrders(g.clone()),
            Topic::Chain(g.clone()),
            Topic::Question(g),
            Topic::Withdrawals,
            Topic::TrustRoot(3),
            Topic::Roster,
            Topic::Release(Digest([5; 32])),
            Topic::Checkpoint,
        ] {
            assert_eq!(Topic::parse(&topic.to_string()), Some(topic));
        }
    }

    #[test]
    fn att_13_a_gateway_reaches_only_its_own_topics() {
        let own: GatewayId = "GW-1".parse().expect("good id");
        for name in ["g/GW-1/telemetry", "g/GW-1/heartbeat", "g/GW-1/presence"] {
            assert!(Topic::gateway_may_publish(&own, &format!("{PREFIX}{name}")), "{name}");
        }
        for name in [
            "g/GW-2/telemetry",
            "g/GW-1/directive",
            "g/GW-1/ack",
            "g/GW-1/rollback-orders",
            "g/GW-1/chain",
            "g/GW-1/question",
            "trust/roster",
            "trust/withdrawals",
            "log/checkpoint",
            "g/GW-1/telemetry/x",
        ] {
            assert!(!Topic::gateway_may_publish(&own, &format!("{PREFIX}{name}")), "{name}");
        }
        for filter in Topic::agent_filters(&own) {
            assert!(Topic::gateway_may_subscribe(&own, &filter), "{filter}");
        }
        for filter in [
            "#",
            "+/v1/g/GW-1/ack",
            "mdfm/v1/#",
            "mdfm/v1/g/+/ack",
            "mdfm/v1/g/GW-2/ack",
            "mdfm/v1/g/GW-2/rollback-orders",
            "mdfm/v1/g/GW-2/chain",
            "mdfm/v1/g/GW-2/question",
            "$SYS/#",
        ] {
            assert!(!Topic::gateway_may_subscribe(&own, filter), "{filter}");
        }
    }
}

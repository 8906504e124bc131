//! Rules for a broker of the operator's own, made from the same topic schema that the coordinator's guard enforces.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use mdfm_shared::id::GatewayId;
use mdfm_shared::wire::Topic;

use crate::files::{Access, Overwrite};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Prints access rules for Mosquitto (an `acl_file`); works offline.
    Rules {
        /// Who makes sure that a client is the gateway that it says.
        #[arg(long, value_enum, default_value_t = Authenticates::Coordinator)]
        authenticates: Authenticates,
        /// User under which the coordinator presents gateways, as in its `[broker]` section.
        #[arg(long, default_value = "gateway")]
        gateway_user: String,
        /// User of the coordinator itself.
        #[arg(long, default_value = "coordinator")]
        coordinator_user: String,
        /// File to write; printed otherwise.
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
}

/// Who makes sure that a client is the gateway that it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Authenticates {
    /// The coordinator's front door, which speaks to the broker for all gateways under one user.
    Coordinator,
    /// The broker itself, by certificates whose common name is the gateway. Revocation is then the broker's work too.
    Certificates,
}

pub(crate) fn run(action: Action) -> anyhow::Result<()> {
    let Action::Rules { authenticates, gateway_user, coordinator_user, out, overwrite } = action;
    let rules = rules(authenticates, &gateway_user, &coordinator_user)?;
    match out {
        Some(path) => overwrite.reserve(&path, Access::Mask)?.write(rules.as_bytes()),
        None => {
            mdfm_service::output::lines(rules.trim_end());
            Ok(())
        }
    }
}

/// The rules: what gateways say goes up, what is for them comes down, the coordinator may everything of ours.
fn rules(authenticates: Authenticates, gateway_user: &str, coordinator_user: &str) -> anyhow::Result<String> {
    const NAME: &str = "GATEWAY";
    let gateway: GatewayId = NAME.parse()?;
    let said = [Topic::Telemetry(gateway.clone()), Topic::Heartbeat(gateway.clone()), Topic::Presence(gateway.clone())];
    let said = said.map(|topic| topic.to_string());
    let mut text = "# Topics of the Medical Device Firmware Manager.\n".to_owned();
    let mut allow = |line: String| text.push_str(&(line + "\n"));
    allow(format!("\nuser {coordinator_user}\ntopic readwrite {}", Topic::every_filter()));
    match authenticates {
        Authenticates::Coordinator => {
            allow(format!("\nuser {gateway_user}"));
            said.iter().for_each(|topic| allow(format!("topic write {}", topic.replace(NAME, "+"))));
            Topic::door_filters().iter().for_each(|filter| allow(format!("topic read {filter}")));
        }
        Authenticates::Certificates => {
            allow(String::new());
            said.iter().for_each(|topic| allow(format!("pattern write {}", topic.replace(NAME, "%u"))));
            let read = Topic::agent_filters(&gateway).into_iter().chain([Topic::release_filter()]);
            read.for_each(|filter| allow(format!("pattern read {}", filter.replace(NAME, "%u"))));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn att_13_rules_let_each_side_reach_only_its_own_topics() {
        let behind = rules(Authenticates::Coordinator, "gateway", "coordinator").expect("rules");
        let expected = "# Topics of the Medical Device Firmware Manager.\n\
            \nuser coordinator\ntopic readwrite mdfm/v1/#\n\
            \nuser gateway\n\
            topic write mdfm/v1/g/+/telemetry\ntopic write mdfm/v1/g/+/heartbeat\ntopic write mdfm/v1/g/+/presence\n\
            topic read mdfm/v1/g/+/directive\ntopic read mdfm/v1/g/+/ack\n\
            topic read mdfm/v1/g/+/rollback-orders\ntopic read mdfm/v1/g/+/chain\ntopic read mdfm/v1/g/+/question\ntopic read mdfm/v1/trust/root/+\n\
            topic read mdfm/v1/trust/roster\ntopic read mdfm/v1/trust/withdrawals\ntopic read mdfm/v1/release/+\ntopic read mdfm/v1/log/checkpoint\n";
        assert_eq!(behind, expected);
        let itself = rules(Authenticates::Certificates, "gateway", "coordinator").expect("rules");
        assert!(itself.contains("pattern write mdfm/v1/g/%u/telemetry\n"));
        assert!(!itself.contains("g/+") && !itself.contains("user gateway"));
    }
}

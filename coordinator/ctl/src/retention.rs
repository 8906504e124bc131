//! Retention: terms, legal holds, disposal by two people.

use std::path::Path;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::address::Part;
use crate::client::Client;
use crate::fault;
use crate::output::{Output, count_of, text};
use crate::trust::confirm::Asked;

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Shows terms, holds and disposals.
    Show,
    /// Lengthens the terms that are named; they never get shorter.
    #[command(group = clap::ArgGroup::new("terms").required(true).multiple(true)
        .args(["audit_years", "device_years", "deployment_years"]))]
    Set {
        /// Sign-ins, refusals and whatever belongs to nothing that is kept longer, in years.
        #[arg(long)]
        audit_years: Option<u32>,
        /// Years after a device was retired.
        #[arg(long)]
        device_years: Option<u32>,
        /// Years after a deployment ended.
        #[arg(long)]
        deployment_years: Option<u32>,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Places a legal hold: what it names is kept whatever its term.
    Hold {
        /// Id of the hold.
        id: Part,
        /// `device/ID`, `hospital/ID`, `gateway/ID`, `deployment/ID`, `user/ID`, or `*` for everything.
        #[arg(long)]
        object: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Releases a legal hold.
    Release {
        /// Id of the hold.
        id: Part,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Finds what has expired and proposes its disposal.
    Propose {
        /// Id of the disposal.
        id: Part,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Confirms a disposal that somebody else proposed; the payloads go, their hashes stay.
    Confirm {
        /// Id of the disposal.
        id: Part,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        asked: Asked,
    },
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    let client = Client::open(session)?;
    match action {
        Action::Show => {
            let view = client.get("/api/v1/compliance/retention").await?;
            out.answer(&view, || format!("{view:#}"));
        }
        Action::Set { audit_years, device_years, deployment_years, reason, asked } => {
            let held = client.get("/api/v1/compliance/retention").await?["terms"].clone();
            let mut terms = held.clone();
            let given = [
                ("auditYears", audit_years),
                ("deviceYearsAfterLife", device_years),
                ("deploymentYears", deployment_years),
            ];
            for (field, years) in given {
                if let Some(years) = years {
                    terms[field] = years.into();
                }
            }
            let words = |terms: &Value| {
                let of = |field: &str| text(&terms[field]);
                format!(
                    "audit {}, devices {}, deployments {}",
                    count_of(&terms["auditYears"], "year"),
                    of("deviceYearsAfterLife"),
                    of("deploymentYears")
                )
            };
            let question = format!("terms: {}\nbecome: {}\nand never get shorter again", words(&held), words(&terms));
            asked.ask(&question, "longer terms")?;
            let body = json!({ "terms": terms, "reason": reason });
            client.put("/api/v1/compliance/retention", &body).await?;
            out.answer(&terms, || format!("terms: {}", words(&terms)));
        }
        Action::Hold { id, object, reason } => {
            let body = json!({ "holdId": id, "object": object, "reason": reason });
            client.post("/api/v1/compliance/holds", &body).await?;
            out.answer(&json!({ "holdId": id }), || format!("hold {} on {object}", id.as_str()));
        }
        Action::Release { id, reason } => {
            let path = format!("/api/v1/compliance/holds/{id}/release");
            client.post(&path, &json!({ "reason": reason })).await?;
            out.answer(&json!({ "holdId": id }), || format!("hold {} is released", id.as_str()));
        }
        Action::Propose { id, reason } => {
            let body = json!({ "disposalId": id, "reason": reason });
            let view = client.post("/api/v1/compliance/disposals", &body).await?;
            out.answer(&view, || {
                format!(
                    "expired: {}; another person confirms with: mdfmctl retention confirm {}",
                    count_of(&view["entries"], "record"),
                    id.as_str()
                )
            });
        }
        Action::Confirm { id, reason, asked } => {
            if !asked.yes {
                let view = client.get("/api/v1/compliance/retention").await?;
                let disposal = &view["disposals"][id.as_str()];
                if disposal.is_null() {
                    return Err(fault::not_found(format!("there is no disposal {}", id.as_str())));
                }
                let entries = count_of(&disposal["entries"], "record");
                let question =
                    format!("disposal {}: the payloads of {entries} are erased; their hashes stay", id.as_str());
                asked.ask(&question, id.as_str())?;
            }
            let path = format!("/api/v1/compliance/disposals/{id}/confirmation");
            client.post(&path, &json!({ "reason": reason })).await?;
            out.answer(&json!({ "disposalId": id }), || format!("disposal {} is confirmed and under way", id.as_str()));
        }
    }
    Ok(())
}

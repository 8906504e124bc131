//! Incidents.

use clap::{Subcommand, ValueEnum};
use mdfm_shared::id::{DeploymentId, DeviceId, IncidentId};
use serde_json::{Value, json};

use crate::client::{Client, Which};
use crate::output::{Output, text};

const PATH: &str = "/api/v1/incidents";

#[derive(Debug, Subcommand)]
pub(crate) enum Incidents {
    /// Reports what went wrong with a device.
    Open {
        /// One line.
        #[arg(long)]
        title: String,
        /// What happened.
        #[arg(long)]
        description: String,
        /// What became of it.
        #[arg(long = "consequence", alias = "outcome", ignore_case = true)]
        outcome: Outcome,
        /// Devices concerned.
        #[arg(long = "device", required = true)]
        devices: Vec<DeviceId>,
        /// The deployment in which it happened.
        #[arg(long)]
        deployment: Option<DeploymentId>,
    },
    /// Lists incidents.
    List(Which),
    /// Shows one incident.
    Show {
        /// Incident id.
        incident: IncidentId,
    },
    /// Adds a note.
    Note {
        /// Incident id.
        incident: IncidentId,
        /// The note.
        text: String,
    },
    /// Decides whether it must be reported to the FDA.
    #[command(group = clap::ArgGroup::new("decision").required(true).args(["reportable", "not_reportable"]))]
    Decide {
        /// Incident id.
        incident: IncidentId,
        /// It must.
        #[arg(long)]
        reportable: bool,
        /// It need not.
        #[arg(long)]
        not_reportable: bool,
        /// Within five working days, because action is needed at once.
        #[arg(long, requires = "reportable")]
        urgent: bool,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Notes that the report was made.
    Report {
        /// Incident id.
        incident: IncidentId,
        /// Number of the report.
        #[arg(long)]
        reference: String,
    },
    /// Closes it.
    Close {
        /// Incident id.
        incident: IncidentId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// What became of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
pub(crate) enum Outcome {
    NoHarm,
    Malfunction,
    SeriousInjury,
    Death,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::NoHarm => "noHarm",
            Self::Malfunction => "malfunction",
            Self::SeriousInjury => "seriousInjury",
            Self::Death => "death",
        }
    }
}

fn show(out: &Output, view: &Value) {
    out.answer(view, || {
        let lines = view.as_object().into_iter().flatten();
        lines.map(|(k, v)| format!("{k}: {}", text(v))).collect::<Vec<_>>().join("\n")
    });
}

pub(crate) async fn run(out: &Output, client: &Client, action: Incidents) -> anyhow::Result<()> {
    let view = match action {
        Incidents::Open { title, description, outcome, devices, deployment } => {
            let body = json!({
                "title": title, "description": description, "outcome": outcome.word(), "deviceIds": devices,
                "deploymentId": deployment,
            });
            client.post(PATH, &body).await?
        }
        Incidents::List(which) => {
            let columns = [
                ("INCIDENT", "/incidentId"),
                ("WHEN", "/openedAt"),
                ("OUTCOME", "/outcome"),
                ("DEVICES", "/deviceIds"),
                ("DUE", "/dueAt"),
                ("TITLE", "/title"),
            ];
            out.table(&client.list_of(PATH, &which).await?, &columns);
            return Ok(());
        }
        Incidents::Show { incident } => client.get(&format!("{PATH}/{incident}")).await?,
        Incidents::Note { incident, text } => {
            client.post(&format!("{PATH}/{incident}/notes"), &json!({ "text": text })).await?
        }
        Incidents::Decide { incident, reportable, not_reportable: _, urgent, reason } => {
            let body = json!({ "reportable": reportable, "urgent": urgent, "reason": reason });
            client.put(&format!("{PATH}/{incident}/decision"), &body).await?
        }
        Incidents::Report { incident, reference } => {
            client.put(&format!("{PATH}/{incident}/report"), &json!({ "reference": reference })).await?
        }
        Incidents::Close { incident, reason } => {
            client.post(&format!("{PATH}/{incident}/closure"), &json!({ "reason": reason })).await?
        }
    };
    show(out, &view);
    Ok(())
}

//! Rollback orders: the authority by which a device leaves firmware that it confirmed before its recall window, or returns below
//! its security floor.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mdfm_shared::id::{DeviceId, FirmwareId, RecallId};
use mdfm_shared::record::{decode_document, document_text};
use mdfm_shared::sign::Signed;
use mdfm_shared::trust::RollbackOrder;
use mdfm_shared::wire;
use serde_json::{Value, json};

use crate::address::Part;
use crate::client::{Client, Which};
use crate::files;
use crate::output::{Output, count, text};
use crate::trust::{Trusted, check_new, weighed, write_new};
use crate::withdrawals::{Signature, write};

/// Which devices go back, why, and who signs.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The recall whose devices need an order.
    #[arg(long)]
    recall: Option<RecallId>,
    /// A release to leave; once for each. With none, whatever the devices run.
    #[arg(long)]
    firmware: Vec<FirmwareId>,
    /// A device that goes back; once for each. With none, every device that runs one of the releases.
    #[arg(long = "device")]
    devices: Vec<DeviceId>,
    /// The devices may go back below their security floor; needs two signers of different roles.
    #[arg(long)]
    below_floor: bool,
    /// A name for people; the recall's id unless given.
    #[arg(long)]
    label: Option<String>,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Days until the order expires; at most 90.
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// A person who signs, as USER:ROLE; once for each. One must sign as Clinical or Regulatory.
    #[arg(long = "signer", value_name = "USER:ROLE", value_parser = signer)]
    signers: Vec<(String, String)>,
}

fn signer(text: &str) -> Result<(String, String), String> {
    let (user, role) = text.split_once(':').ok_or("must be USER:ROLE, for example regulatory:Regulatory")?;
    Ok((user.to_owned(), role.to_owned()))
}

impl New {
    fn body(&self) -> Value {
        let signers: Vec<Value> = self.signers.iter().map(|(u, r)| json!({ "userId": u, "role": r })).collect();
        json!({
            "label": self.label, "recallId": self.recall, "firmwareIds": self.firmware, "deviceIds": self.devices,
            "belowFloor": self.below_floor, "reason": self.reason, "days": self.days, "signers": signers,
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Shows which devices an order would reach and what each of them needs; nothing is made.
    Preview(New),
    /// Writes an order to a file, for its signers.
    Make {
        #[command(flatten)]
        new: New,
        /// Where to write it.
        #[arg(long)]
        out: PathBuf,
    },
    /// Shows the order in a file, asks, and then adds your signature; works offline with a key file.
    Sign {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        signature: Signature,
    },
    /// Publishes the order in a file, which everybody named in it has signed.
    #[command(alias = "submit")]
    Publish {
        /// The file.
        file: PathBuf,
    },
    /// Lists orders.
    List(Which),
    /// Shows an order and the devices that it concerns.
    Show {
        /// Order id.
        order: Part,
    },
}

/// What the order in a document says.
fn words(order: &RollbackOrder) -> String {
    let shown = |value: &str| text(&value.into());
    let mut lines = vec![
        format!("rollback order {}: {}", shown(&order.label), shown(&order.reason)),
        format!("  {}", shown(&order.meaning)),
        format!("  issued {}, expires {}", order.issued_at, order.expires_at),
        format!("  below the security floor: {}", if order.below_floor { "yes" } else { "no" }),
    ];
    let named = |what: &str, all: Vec<String>, none: &str| {
        format!("  {what}: {}", if all.is_empty() { none.to_owned() } else { all.join(", ") })
    };
    let releases = order.releases.iter().map(ToString::to_string).collect();
    lines.push(named("leaves manifests", releases, "whatever the devices run"));
    let devices = order.devices.iter().map(ToString::to_string).collect();
    lines.push(named("devices", devices, "every device that runs one of them"));
    for signer in &order.signers {
        lines.push(format!("  signer {} ({}) as {}", signer.user, shown(&signer.printed_name), signer.role));
    }
    lines.join("\n")
}

fn render(view: &Value) -> String {
    let mut lines = vec![format!(
        "rollback order {} ({}): {}\n  expires {}, {}",
        text(&view["label"]),
        text(&view["orderId"]),
        text(&view["reason"]),
        text(&view["expiresAt"]),
        match (view["isInForce"] == true, view["orderId"].is_null()) {
            (true, _) => "in force",
            (false, true) => "not signed and posted yet",
            (false, false) => "not in force",
        }
    )];
    if view["devices"].as_array().is_some_and(Vec::is_empty) {
        lines.push(
            "  no device has anything to go back from: none of them runs or installs one of the releases".to_owned(),
        );
    }
    for device in view["devices"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {} in {} runs {}: {}{}",
            text(&device["deviceId"]),
            text(&device["hospitalId"]),
            text(&device["firmwareVersion"]),
            need(&device["need"]),
            if device["isCovered"] == true { "" } else { "; this order is not enough" }
        ));
    }
    if view["missingSignatures"].as_array().is_some_and(|m| !m.is_empty()) {
        lines.push(format!("  must still sign: {}", text(&view["missingSignatures"])));
    }
    lines.join("\n")
}

/// What a device needs to go back, in words.
fn need(value: &Value) -> String {
    match value["kind"].as_str() {
        Some("onTrial") => "on trial, needs no order".to_owned(),
        Some("withinWindow") => "within its recall window, needs no order".to_owned(),
        Some("order") => "needs a rollback order".to_owned(),
        Some("orderByTwoRoles") => "needs an order by two roles (below floor)".to_owned(),
        _ => text(value),
    }
}

fn read(file: &Path) -> anyhow::Result<Signed<RollbackOrder>> {
    let frame = files::read(file)?;
    let signed = wire::decode::<Signed<RollbackOrder>>(&frame).ok();
    let signed = signed.filter(|signed| signed.decode_unverified().is_ok());
    let signed = signed.with_context(|| Trusted::instead(file, &frame, "a rollback order"))?;
    signed.decode_unverified()?.check().with_context(|| format!("{} is not a rollback order", file.display()))?;
    Ok(signed)
}

async fn sign(out: &Output, session: &Path, file: &Path, signature: &Signature) -> anyhow::Result<()> {
    let mut signed = read(file)?;
    let order = signed.decode_unverified()?;
    if signature.keys.is_empty() && signature.password_file.is_none() {
        bail!("a key is needed: --key FILE, or --password-file FILE for the key that the coordinator keeps");
    }
    signature.confirmation.ask(&weighed(&order, signed.digest(), None))?;
    if !signature.keys.is_empty() {
        signature.add_to(&mut signed)?;
        write(file, &signed)?;
        let n = signed.signatures().len();
        let answer = json!({ "file": file, "content": order, "signatures": n });
        out.answer(&answer, || format!("{}\n{n} of {}", words(&order), count(order.signers.len(), "signature")));
        return Ok(());
    }
    let client = Client::open(session)?;
    let body = json!({ "document": document_text(&signed) });
    let view = signature.with_kept_key(&client, "/api/v1/rollback-orders/signature", body).await?;
    let view = view.context("the coordinator's answer is empty")?;
    if let Some(document) = view["document"].as_str() {
        write(file, &decode_document::<RollbackOrder>("rollback order", document)?)?;
    }
    out.answer(&view, || format!("{}\n{}", words(&order), render(&view)));
    Ok(())
}

pub(crate) async fn run(out: &Output, session: &Path, action: Action) -> anyhow::Result<()> {
    match action {
        Action::Preview(new) => {
            let view = Client::open(session)?.post("/api/v1/rollback-orders/preview", &new.body()).await?;
            out.answer(&view, || render(&view));
        }
        Action::Make { new, out: file } => {
            check_new(&file)?;
            let view = Client::open(session)?.post("/api/v1/rollback-orders/preview", &new.body()).await?;
            let document = view["document"].as_str().context("the coordinator's answer has no document")?;
            let signed = decode_document::<RollbackOrder>("rollback order", document)?;
            let order = signed.decode_unverified()?;
            order.check()?;
            write_new(&file, &signed)?;
            out.answer(&view, || {
                format!(
                    "{}\n{}\nwritten to {}; its signers add their signatures",
                    words(&order),
                    render(&view),
                    file.display()
                )
            });
        }
        Action::Sign { file, signature } => sign(out, session, &file, &signature).await?,
        Action::Publish { file } => {
            let signed = read(&file)?;
            let body = json!({ "document": document_text(&signed) });
            let view = Client::open(session)?.post("/api/v1/rollback-orders", &body).await?;
            out.answer(&view, || render(&view));
        }
        Action::List(which) => {
            let rows = Client::open(session)?.list_of("/api/v1/rollback-orders", &which).await?;
            let columns = [
                ("ORDER", "/orderId"),
                ("LABEL", "/label"),
                ("EXPIRES", "/expiresAt"),
                ("IN FORCE", "/isInForce"),
                ("BELOW FLOOR", "/belowFloor"),
                ("REASON", "/reason"),
            ];
            out.table(&rows, &columns);
        }
        Action::Show { order } => {
            let view = Client::open(session)?.get(&format!("/api/v1/rollback-orders/{order}")).await?;
            out.answer(&view, || render(&view));
        }
    }
    Ok(())
}

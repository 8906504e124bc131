//! Users, hospitals, gateways, devices.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use mdfm_shared::id::{DeviceId, GatewayId, HospitalId, UserId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::account::password_of;
use crate::client::{Client, Which};
use crate::deployments::wait_in_words;
use crate::fault;
use crate::files::{self, Access, NewFile, Overwrite};
use crate::output::{Output, count, count_of, text};
use crate::records;
use crate::times::{self, Toward};
use crate::trust::confirm::Asked;

/// Bytes of a list of devices.
const IMPORT_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// Creates a user.
    Add {
        /// User id; never used twice.
        user: UserId,
        /// Printed name, as under signatures.
        #[arg(long)]
        name: String,
        /// Roles: Admin, Operator, Auditor, Clinical, QA, Regulatory, HospitalStaff.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// The hospital of a user with the role HospitalStaff.
        #[arg(long)]
        hospital: Option<HospitalId>,
        /// File with the first password in its first line; asked for on a terminal if it is not given.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// Lists users.
    List(Which),
    /// Lists roles and what each may do.
    Permissions,
    /// Gives somebody other roles: adds and removes those that are named, or sets all of them.
    #[command(group = clap::ArgGroup::new("change").required(true).multiple(true).args(["roles", "add", "remove"]))]
    #[command(alias = "roles")]
    ChangeRoles {
        /// User id.
        user: UserId,
        /// All roles, in place of those that the user has now; once for each.
        #[arg(long = "role", conflicts_with_all = ["add", "remove"])]
        roles: Vec<String>,
        /// A role to add; once for each.
        #[arg(long)]
        add: Vec<String>,
        /// A role to remove; once for each.
        #[arg(long)]
        remove: Vec<String>,
        /// The hospital of a user with the role HospitalStaff.
        #[arg(long)]
        hospital: Option<HospitalId>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Records that you verified somebody's identity; without it they sign nothing.
    Verify {
        #[command(flatten)]
        who: Standing,
        /// What you saw, for example `passport, in person`.
        #[arg(long)]
        evidence: String,
    },
    /// Confirms that somebody is trained for the task.
    Train {
        #[command(flatten)]
        who: Standing,
        /// Until when, for example 2027-12-31 or 365d; from then on they sign nothing.
        #[arg(long)]
        until: String,
    },
    /// Links an account with the OpenID provider's, for single sign-on.
    Link {
        #[command(flatten)]
        who: Standing,
        /// The identifier of the person (`sub`) at the provider that is configured now.
        #[arg(long)]
        subject: String,
    },
    /// Takes an account's link with the OpenID provider away.
    Unlink(Standing),
    /// Shows one user.
    Show {
        /// User id.
        user: UserId,
    },
    /// Disables an account: its sessions and tokens end at once.
    Disable(Standing),
    /// Enables an account that was disabled.
    Enable(Standing),
    /// Ends every session and every token of somebody.
    SignOut(Standing),
    /// Takes away a second factor that was lost, and with it the signing key, sessions and tokens.
    RemoveSecondFactor {
        #[command(flatten)]
        who: Standing,
        #[command(flatten)]
        asked: Asked,
    },
    /// Gives somebody another password; their sessions and tokens end, and their signing key is retired.
    ResetPassword {
        #[command(flatten)]
        who: Standing,
        /// File with the new password in its first line; asked for on a terminal if it is not given.
        #[arg(long)]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Whose account, and why.
#[derive(Debug, Args)]
pub(crate) struct Standing {
    /// User id.
    user: UserId,
    /// Why.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hospitals {
    /// Registers a hospital.
    Add {
        /// Hospital id.
        hospital: HospitalId,
        /// Name.
        #[arg(long)]
        name: String,
        /// Cohort that rollout phases name, for example `pilot`.
        #[arg(long)]
        cohort: Option<String>,
        /// IANA time zone.
        #[arg(long)]
        timezone: Option<String>,
        /// Registers this gateway of the hospital too.
        #[arg(long)]
        gateway: Option<GatewayId>,
        /// Where to write a one-time enrolment token for the gateway (gateways add-token).
        #[arg(long, value_name = "FILE", requires = "gateway")]
        token_out: Option<PathBuf>,
    },
    /// Corrects what is known of a hospital, or moves it to another cohort.
    Change {
        /// Hospital id.
        hospital: HospitalId,
        /// Name.
        #[arg(long)]
        name: Option<String>,
        /// Cohort that rollout phases name; empty for none.
        #[arg(long)]
        cohort: Option<String>,
        /// IANA time zone; empty for none.
        #[arg(long)]
        timezone: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists cohorts with their hospitals.
    Cohorts(Which),
    /// When a hospital's devices may be changed, and whether its staff want to be asked.
    #[command(subcommand)]
    Policy(Policy),
    /// Shows one hospital.
    Show {
        /// Hospital id.
        hospital: HospitalId,
    },
    /// Lists hospitals.
    List(Which),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Shows a hospital's windows, and whether its staff want to be asked.
    Show {
        /// Hospital id.
        hospital: HospitalId,
    },
    /// Changes what is named, and nothing else.
    Change(PolicyChange),
}

/// What is to change of a hospital's policy.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["add", "remove", "no_windows", "consent", "no_consent"]))]
pub(crate) struct PolicyChange {
    /// Hospital id.
    hospital: HospitalId,
    /// A weekly window, for example `Sunday 02:00-06:00 America/New_York`; once for each.
    #[arg(long = "add-window", value_name = "WINDOW", conflicts_with = "no_windows")]
    add: Vec<String>,
    /// A window that is registered; once for each.
    #[arg(long = "remove-window", value_name = "WINDOW", conflicts_with = "no_windows")]
    remove: Vec<String>,
    /// Remove every window: its devices may be changed at any time.
    #[arg(long)]
    no_windows: bool,
    /// Ask its staff before each deployment.
    #[arg(long, conflicts_with = "no_consent")]
    consent: bool,
    /// Ask its staff no more.
    #[arg(long)]
    no_consent: bool,
    /// Why.
    #[arg(long)]
    reason: String,
}

impl PolicyChange {
    /// The change as the API takes it.
    fn body(&self) -> anyhow::Result<Value> {
        let windows = |texts: &[String]| texts.iter().map(|w| window(w)).collect::<anyhow::Result<Vec<Value>>>();
        let mut body = json!({
            "addWindows": windows(&self.add)?, "removeWindows": windows(&self.remove)?, "reason": self.reason,
        });
        if self.no_windows {
            body["maintenanceWindows"] = json!([]);
        }
        if self.consent || self.no_consent {
            body["consentRequired"] = self.consent.into();
        }
        Ok(body)
    }
}

fn window_text(window: &Value) -> String {
    let of = |field: &str| text(&window[field]);
    format!("{} {}-{} {}", of("dayOfWeek"), of("startTime"), of("endTime"), of("timezone"))
}

/// A hospital's policy in words.
fn policy(view: &Value) -> String {
    let windows: Vec<String> = view["maintenanceWindows"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|w| format!("\n  {}", window_text(w)))
        .collect();
    format!(
        "{}: windows: {}\nconsent of its staff before each deployment: {}",
        text(&view["hospitalId"]),
        if windows.is_empty() { "none, its devices may be changed at any time".to_owned() } else { windows.concat() },
        if view["consentRequired"] == true { "asked for" } else { "not asked for" }
    )
}

#[derive(Debug, Subcommand)]
pub(crate) enum Gateways {
    /// Registers a gateway.
    Add {
        /// Gateway id.
        gateway: GatewayId,
        /// Its hospital.
        #[arg(long)]
        hospital: HospitalId,
        /// Where to write a one-time enrolment token for the gateway (gateways add-token).
        #[arg(long, value_name = "FILE")]
        token_out: Option<PathBuf>,
    },
    /// Makes a one-time enrolment token. For a gateway that is enrolled, which whoever uses the token replaces, the second factor must have been
    /// shown within the last minutes, and administrators and operators are notified.
    #[command(alias = "token")]
    AddToken {
        /// Gateway id.
        gateway: GatewayId,
        /// The file to make, readable by you alone; printed if absent.
        #[arg(long)]
        out: Option<PathBuf>,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Revokes a gateway permanently.
    Revoke {
        /// Gateway id.
        gateway: GatewayId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Lists gateways.
    List(Which),
    /// Shows one gateway.
    Show {
        /// Gateway id.
        gateway: GatewayId,
    },
    /// Shows how the link to the fleet does: connections, who is there, who follows what, what came in.
    #[command(alias = "link")]
    FleetLink,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Devices {
    /// Registers a device.
    Add {
        /// Device id.
        device: DeviceId,
        /// Model number.
        #[arg(long)]
        model: String,
        /// Serial number.
        #[arg(long)]
        serial: String,
        /// Its hospital.
        #[arg(long)]
        hospital: HospitalId,
        /// Version that it runs now.
        #[arg(long)]
        firmware_version: String,
        /// Its gateway, where the hospital has several.
        #[arg(long)]
        gateway: Option<GatewayId>,
        /// Unique device identifier, as on the label.
        #[arg(long)]
        udi: Option<String>,
        /// Hardware revision; without it, the observed one is not compared.
        #[arg(long)]
        hardware: Option<String>,
    },
    /// Lists devices.
    List {
        /// Retired devices too.
        #[arg(long)]
        all: bool,
        /// Only those whose observed side differs from what is registered.
        #[arg(long)]
        differing: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Shows one device.
    Show {
        /// Device id.
        device: DeviceId,
    },
    /// Registers the devices of a CSV file, whose first line names the fields: deviceId,modelNumber,serialNumber,hospitalId,
    /// currentFirmwareVersion, and optionally udi,gatewayId.
    Import {
        /// The file.
        file: PathBuf,
        /// Only check; register nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Corrects what is known of a device, or moves it.
    Change {
        /// Device id.
        device: DeviceId,
        /// Serial number.
        #[arg(long)]
        serial: Option<String>,
        /// Unique device identifier, as on the label.
        #[arg(long)]
        udi: Option<String>,
        /// The hospital to which it moves.
        #[arg(long)]
        hospital: Option<HospitalId>,
        /// The gateway behind which it is now.
        #[arg(long)]
        gateway: Option<GatewayId>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Ends the differences between what is registered of a device and what gateways observe, by saying which side is right.
    #[command(group(clap::ArgGroup::new("side").required(true)))]
    Reconcile {
        /// Device id.
        device: DeviceId,
        /// The registered side takes what is observed: serial number, model, hardware, gateway, firmware.
        #[arg(long, group = "side")]
        accept_observed: bool,
        /// The registered side stays; the device is to be corrected.
        #[arg(long, group = "side")]
        expect_registered: bool,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Shows what happened to a device, newest first.
    History {
        /// Device id.
        device: DeviceId,
    },
    /// Takes a device out of service permanently; from then on the retention of its records runs.
    Retire {
        /// Device id.
        device: DeviceId,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        asked: Asked,
    },
}

fn done(out: &Output, what: &str, id: &impl Display) {
    out.answer(&json!({ what: id.to_string() }), || format!("{what} {id}"));
}

/// What was done to an account, and what ended by it.
fn done_with(out: &Output, word: &str, user: &UserId, ended: &Value) {
    let mut answer = json!({ word: user });
    if let (Some(answer), Some(ended)) = (answer.as_object_mut(), ended.as_object()) {
        answer.extend(ended.clone());
    }
    out.answer(&answer, || {
        let number = |name: &str, one: &str| count(ended[name].as_u64().unwrap_or(0), one);
        let key = if ended["signingKeyRetired"] == true { "; the signing key is retired" } else { "" };
        let (sessions, tokens) = (number("sessionsEnded", "session"), number("tokensEnded", "token"));
        format!("{word} {user}; ended: {sessions}, {tokens}{key}")
    });
}

pub(crate) async fn users(out: &Output, client: &Client, action: Users) -> anyhow::Result<()> {
    match action {
        Users::Add { user, name, roles, hospital, password_file } => {
            let password = password_of(password_file.as_ref(), "the first password", "--password-file FILE")?;
            let body = json!({
                "userId": user, "printedName": name, "roles": roles, "hospitalId": hospital, "password": password,
            });
            client.post("/api/v1/users", &body).await?;
            done(out, "created", &user);
        }
        Users::List(which) => {
            let rows = client.list_of("/api/v1/users", &which).await?;
            let columns = [
                ("USER", "/userId"),
                ("NAME", "/printedName"),
                ("ROLES", "/roles"),
                ("SECOND FACTOR", "/secondFactor"),
                ("VERIFIED BY", "/identity/by"),
                ("TRAINED UNTIL", "/trainedUntil"),
                ("DISABLED", "/disabled"),
            ];
            out.table(&rows, &columns);
        }
        Users::Permissions => {
            let roles = client.get("/api/v1/roles").await?;
            let words = || {
                let of = |role: &Value| {
                    let names = role["permissions"].as_array().into_iter().flatten();
                    let names: Vec<String> = names.map(|p| text(&p["permission"])).collect();
                    format!("{}: {}", text(&role["role"]), names.join(", "))
                };
                roles.as_array().into_iter().flatten().map(of).collect::<Vec<_>>().join("\n")
            };
            if out.is_names() {
                out.table(&roles, &[("ROLE", "/role")]);
            } else {
                out.answer(&roles, words);
            }
        }
        Users::ChangeRoles { user, mut roles, add, remove, hospital, reason } => {
            let (view, tag) = client.tagged(&format!("/api/v1/users/{user}")).await?;
            if roles.is_empty() {
                roles = view["roles"].as_array().into_iter().flatten().map(text).collect();
                let missing = remove.iter().find(|role| !roles.contains(role));
                anyhow::ensure!(missing.is_none(), "{user} has not the role {}", missing.map_or("", String::as_str));
                roles.retain(|role| !remove.contains(role));
                roles.extend(add.into_iter().filter(|role| !roles.contains(role)).collect::<Vec<_>>());
            }
            // What is not named stays, as long as there is a role that needs it.
            let is_staff = roles.iter().any(|role| role == "HospitalStaff");
            let hospital = hospital.map(String::from);
            let hospital = hospital.or_else(|| view["hospitalId"].as_str().filter(|_| is_staff).map(str::to_owned));
            let body = json!({ "roles": roles, "hospitalId": hospital, "reason": reason });
            // Refused if somebody else changed the account meanwhile.
            let request = client.request(Method::PUT, &format!("/api/v1/users/{user}/roles"));
            let ended = client.send(request.header("if-match", tag).json(&body)).await?;
            done_with(out, "changed", &user, &ended);
        }
        Users::Verify { who, evidence } => {
            let body = json!({ "evidence": evidence, "reason": who.reason });
            client.put(&format!("/api/v1/users/{}/identity", who.user), &body).await?;
            done(out, "verified", &who.user);
        }
        Users::Train { who, until } => {
            let until = times::read(&until, Toward::Future, jiff::Timestamp::now())?;
            let body = json!({ "trainedUntil": until, "reason": who.reason });
            client.put(&format!("/api/v1/users/{}/training", who.user), &body).await?;
            done(out, "confirmed as trained", &who.user);
        }
        Users::Link { who, subject } => {
            let body = json!({ "subject": subject, "reason": who.reason });
            client.put(&format!("/api/v1/users/{}/subject", who.user), &body).await?;
            done(out, "linked", &who.user);
        }
        Users::Unlink(who) => {
            let body = json!({ "subject": null, "reason": who.reason });
            client.put(&format!("/api/v1/users/{}/subject", who.user), &body).await?;
            done(out, "unlinked", &who.user);
        }
        Users::Show { user } => {
            let view = client.get(&format!("/api/v1/users/{user}")).await?;
            out.answer(&view, || format!("{view:#}"));
        }
        Users::Disable(who) => stand(out, client, Method::POST, "disable", "disabled", &who).await?,
        Users::Enable(who) => stand(out, client, Method::POST, "enable", "enabled", &who).await?,
        Users::SignOut(who) => stand(out, client, Method::POST, "sign-out", "signed out", &who).await?,
        Users::RemoveSecondFactor { who, asked } => {
            let question = format!(
                "the second factor of {0} is removed; the signing key of {0} is retired, every session and token ends",
                who.user
            );
            ask_about(client, asked, &who.user, &question).await?;
            stand(out, client, Method::DELETE, "second-factor", "without a second factor now", &who).await?;
        }
        Users::ResetPassword { who, password_file, asked } => {
            let question = format!(
                "{0} gets another password; the signing key of {0} is retired, every session and token ends",
                who.user
            );
            ask_about(client, asked, &who.user, &question).await?;
            let password = password_of(password_file.as_ref(), "the new password", "--password-file FILE")?;
            let body = json!({ "newPassword": password, "reason": who.reason });
            let ended = client.put(&format!("/api/v1/users/{}/password", who.user), &body).await?;
            done_with(out, "given another password", &who.user, &ended);
        }
    }
    Ok(())
}

/// Asks before an act on an account, once it is sure that there is one.
async fn ask_about(client: &Client, asked: Asked, user: &UserId, question: &str) -> anyhow::Result<()> {
    if !asked.yes {
        client.get(&format!("/api/v1/users/{user}")).await?;
    }
    asked.ask(question, user.as_str())
}

async fn stand(
    out: &Output,
    client: &Client,
    method: Method,
    what: &str,
    word: &str,
    who: &Standing,
) -> anyhow::Result<()> {
    let request = client.request(method, &format!("/api/v1/users/{}/{what}", who.user));
    let ended = client.send(request.json(&json!({ "reason": who.reason }))).await?;
    done_with(out, word, &who.user, &ended);
    Ok(())
}

/// `DAY HH:MM-HH:MM ZONE` as the API writes it.
fn window(text: &str) -> anyhow::Result<Value> {
    let mut parts = text.split_whitespace();
    let (Some(day), Some(times), Some(zone), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(fault::value(format!(
            "{text:?} is no window; write for example \"Sunday 02:00-06:00 America/New_York\""
        )));
    };
    let (start, end) = times.split_once('-').ok_or_else(|| fault::value(format!("{times:?} is not HH:MM-HH:MM")))?;
    Ok(json!({ "dayOfWeek": day, "startTime": start, "endTime": end, "timezone": zone }))
}

pub(crate) async fn hospitals(out: &Output, client: &Client, action: Hospitals) -> anyhow::Result<()> {
    match action {
        Hospitals::Add { hospital, name, cohort, timezone, gateway, token_out } => {
            let place = token_out.map(place).transpose()?;
            let body = json!({ "hospitalId": hospital, "name": name, "cohort": cohort, "timezone": timezone });
            client.post("/api/v1/hospitals", &body).await?;
            let Some(gateway) = gateway else {
                done(out, "registered", &hospital);
                return Ok(());
            };
            let added = add_gateway(client, &gateway, &hospital, place).await;
            let (added, words) =
                added.with_context(|| format!("{hospital} is registered, but not {gateway} as meant"))?;
            let answer = json!({ "registered": hospital, "gateway": added });
            out.answer(&answer, || format!("registered {hospital}\n{words}"));
        }
        Hospitals::Change { hospital, name, cohort, timezone, reason } => {
            let mut body = json!({ "reason": reason });
            for (field, value) in [("name", name), ("cohort", cohort), ("timezone", timezone)] {
                if let Some(value) = value {
                    body[field] = if value.is_empty() { Value::Null } else { value.into() };
                }
            }
            client.send(client.request(Method::PATCH, &format!("/api/v1/hospitals/{hospital}")).json(&body)).await?;
            done(out, "changed", &hospital);
        }
        Hospitals::Cohorts(which) => {
            let rows = client.list_of("/api/v1/cohorts", &which).await?;
            out.table(&rows, &[("COHORT", "/cohort"), ("DEVICES", "/devices"), ("HOSPITALS", "/hospitals")]);
        }
        Hospitals::Policy(Policy::Show { hospital }) => {
            let view = client.get(&format!("/api/v1/hospitals/{hospital}")).await?;
            out.answer(&view, || policy(&view));
        }
        Hospitals::Policy(Policy::Change(change)) => {
            let path = format!("/api/v1/hospitals/{}/policy", change.hospital);
            let view = client.send(client.request(Method::PATCH, &path).json(&change.body()?)).await?;
            out.answer(&view, || policy(&view));
        }
        Hospitals::Show { hospital } => {
            let view = client.get(&format!("/api/v1/hospitals/{hospital}")).await?;
            out.answer(&view, || {
                let of = |name: &str| text(&view[name]);
                format!("{}: cohort {}, time zone {}\n{}", of("name"), of("cohort"), of("timezone"), policy(&view))
            });
        }
        Hospitals::List(which) => {
            let mut rows = client.list_of("/api/v1/hospitals", &which).await?;
            for row in rows.as_array_mut().into_iter().flatten().filter(|_| !out.is_json()) {
                let windows = row["maintenanceWindows"].as_array().into_iter().flatten();
                let windows = windows.map(window_text).collect::<Vec<_>>().join(", ");
                row["maintenanceWindows"] = if windows.is_empty() { Value::Null } else { windows.into() };
            }
            let columns = [
                ("HOSPITAL", "/hospitalId"),
                ("NAME", "/name"),
                ("COHORT", "/cohort"),
                ("TIME ZONE", "/timezone"),
                ("CONSENT", "/consentRequired"),
                ("WINDOWS", "/maintenanceWindows"),
            ];
            out.table(&rows, &columns);
        }
    }
    Ok(())
}

/// What the revocation of a gateway means, with its numbers.
async fn revocation_words(client: &Client, gateway: &GatewayId) -> anyhow::Result<String> {
    let rows = client.list("/api/v1/gateways").await?;
    let row = rows.as_array().into_iter().flatten().find(|row| row["gatewayId"] == gateway.as_str()).cloned();
    let row = row.ok_or_else(|| fault::not_found(format!("there is no gateway {gateway}")))?;
    let devices = client.list("/api/v1/devices").await?;
    let behind = devices.as_array().into_iter().flatten().filter(|d| d["gatewayId"] == gateway.as_str()).count();
    Ok(revocation_question(gateway, &row, behind))
}

fn revocation_question(gateway: &GatewayId, row: &Value, behind: usize) -> String {
    format!(
        "gateway {gateway} of {} (the gateway of {}) is locked out permanently: it gets no directive, image or answer any more, and \
         never comes back under this id",
        text(&row["hospitalId"]),
        count(behind, "device")
    )
}

/// A place for a token, which is sure before the token is made.
fn place(file: PathBuf) -> anyhow::Result<(NewFile, PathBuf)> {
    Ok((NewFile::create(&file, Access::Owner)?, file))
}

/// Registers a gateway, and makes its token where there is a place for it. Returns the answer for programs, and in words.
async fn add_gateway(
    client: &Client,
    gateway: &GatewayId,
    hospital: &HospitalId,
    place: Option<(NewFile, PathBuf)>,
) -> anyhow::Result<(Value, String)> {
    client.post("/api/v1/gateways", &json!({ "gatewayId": gateway, "hospitalId": hospital })).await?;
    let Some((target, file)) = place else {
        return Ok((json!({ "registered": gateway }), format!("registered {gateway}")));
    };
    let lost = || {
        format!(
            "{gateway} is registered, but without a token; make one: mdfmctl gateways add-token {gateway} --out FILE"
        )
    };
    let path = format!("/api/v1/gateways/{gateway}/enrolment-tokens");
    let view = client.post(&path, &Value::Null).await.with_context(lost)?;
    target.write_made(text(&view["token"]).as_bytes(), lost)?;
    let words = format!("registered {gateway}; its one-time token is in {}", file.display());
    Ok((json!({ "registered": gateway, "token": file }), words))
}

pub(crate) async fn gateways(out: &Output, client: &Client, action: Gateways) -> anyhow::Result<()> {
    match action {
        Gateways::Add { gateway, hospital, token_out } => {
            let place = token_out.map(place).transpose()?;
            let (answer, words) = add_gateway(client, &gateway, &hospital, place).await?;
            out.answer(&answer, || words);
        }
        Gateways::AddToken { gateway, out: file, overwrite } => {
            // A token is shown once: its place is sure before it is made.
            let target = file.as_deref().map(|file| overwrite.reserve(file, Access::Owner)).transpose()?;
            let view = client.post(&format!("/api/v1/gateways/{gateway}/enrolment-tokens"), &Value::Null).await?;
            match file.zip(target) {
                Some((file, target)) => {
                    target.write_made(text(&view["token"]).as_bytes(), || {
                        format!("a token for {gateway} was made, but it cannot be kept and is not shown again; make another one")
                    })?;
                    done(out, "token written to", &file.display());
                }
                None => out.answer(&view, || text(&view["token"])),
            }
        }
        Gateways::Revoke { gateway, reason, asked } => {
            if !asked.yes {
                let question = revocation_words(client, &gateway).await?;
                asked.ask(&question, gateway.as_str())?;
            }
            client.post(&format!("/api/v1/gateways/{gateway}/revocation"), &json!({ "reason": reason })).await?;
            done(out, "revoked", &gateway);
        }
        Gateways::List(which) => {
            let rows = client.list_of("/api/v1/gateways", &which).await?;
            let columns = [
                ("GATEWAY", "/gatewayId"),
                ("HOSPITAL", "/hospitalId"),
                ("ENROLLED", "/enrolled"),
                ("REVOKED", "/revoked"),
                ("TELEMETRY", "/telemetrySequence"),
                ("CHAIN", "/telemetry"),
                ("SINCE", "/telemetrySince"),
                ("DIRECTIVE", "/directiveSerial"),
                ("ANOMALIES", "/findings"),
                ("PRESENCE", "/presence"),
                ("LAST HEARTBEAT", "/lastHeartbeatAt"),
            ];
            out.table(&rows, &columns);
        }
        Gateways::Show { gateway } => {
            let rows = client.list_of("/api/v1/gateways", &Which::of("gatewayId", gateway.as_str())).await?;
            let row = rows.get(0).cloned().ok_or_else(|| fault::not_found(format!("there is no gateway {gateway}")))?;
            out.answer(&row, || fields_in_words(&row));
        }
        Gateways::FleetLink => {
            let view = client.get("/api/v1/fleet-link").await?;
            out.answer(&view, || {
                let groups = view.as_object().into_iter().flatten();
                let lines = groups.flat_map(|(group, values)| {
                    let values = values.as_object().into_iter().flatten();
                    values.map(move |(name, value)| format!("{:<40} {:>12}", format!("{group}.{name}"), text(value)))
                });
                lines.collect::<Vec<_>>().join("\n")
            });
        }
    }
    Ok(())
}

pub(crate) async fn devices(out: &Output, client: &Client, action: Devices) -> anyhow::Result<()> {
    match action {
        Devices::Add { device, model, serial, hospital, firmware_version, gateway, udi, hardware } => {
            let body = json!({
                "deviceId": device, "modelNumber": model, "serialNumber": serial, "hospitalId": hospital,
                "currentFirmwareVersion": firmware_version, "gatewayId": gateway, "udi": udi,
                "hardwareRevision": hardware,
            });
            client.post("/api/v1/devices", &body).await?;
            done(out, "registered", &device);
        }
        Devices::List { all, differing, which } => {
            let mut rows = client.list_of("/api/v1/devices", &which.unlimited()).await?;
            if let Some(rows) = rows.as_array_mut() {
                let differs = |row: &Value| row["differs"].as_array().is_some_and(|kinds| !kinds.is_empty());
                rows.retain(|row| (all || row["retiredAt"].is_null()) && (!differing || differs(row)));
                which.cut(rows);
            }
            let columns = [
                ("DEVICE", "/deviceId"),
                ("MODEL", "/modelNumber"),
                ("HOSPITAL", "/hospitalId"),
                ("FIRMWARE", "/currentFirmwareVersion"),
                ("STATE", "/installState"),
                ("RECALL", "/recallId"),
                ("DIFFERS", "/differs"),
                ("PRESENCE", "/presence"),
                ("WAITS FOR", "/waiting/code"),
                ("DETAIL", "/detail"),
            ];
            let more = [
                ("SERIAL", "/serialNumber"),
                ("UDI", "/udi"),
                ("GATEWAY", "/gatewayId"),
                ("HARDWARE", "/hardwareRevision"),
                ("RETIRED", "/retiredAt"),
            ];
            out.table_with(&rows, &columns, &more);
        }
        Devices::Import { file, dry_run } => {
            let bytes = files::read_within(&file, IMPORT_BYTES_MAX)?;
            let path = format!("/api/v1/devices/import?dryRun={dry_run}");
            let request = client.request(Method::POST, &path).header("content-type", "text/csv");
            let view = client.send(request.body(bytes)).await?;
            let words = || {
                format!("{}, {} registered", count_of(&view["rows"], "row"), count_of(&view["registered"], "device"))
            };
            out.answer(&view, words);
        }
        Devices::Change { device, serial, udi, hospital, gateway, reason } => {
            let mut body = json!({ "reason": reason });
            let (hospital, gateway) = (hospital.map(String::from), gateway.map(String::from));
            let given = [("serialNumber", serial), ("udi", udi), ("hospitalId", hospital), ("gatewayId", gateway)];
            for (field, value) in given {
                if let Some(value) = value {
                    body[field] = value.into();
                }
            }
            client.send(client.request(Method::PATCH, &format!("/api/v1/devices/{device}")).json(&body)).await?;
            done(out, "changed", &device);
        }
        Devices::Reconcile { device, accept_observed, expect_registered: _, reason } => {
            let right = if accept_observed { "observed" } else { "registered" };
            let body = json!({ "right": right, "reason": reason });
            let view = client.post(&format!("/api/v1/devices/{device}/reconciliation"), &body).await?;
            out.answer(&view, || match accept_observed {
                true => format!("{device}: registered as observed"),
                false => format!("{device}: the registered side stays; correct the device"),
            });
        }
        Devices::History { device } => {
            let page = client.get(&format!("/api/v1/devices/{device}/history")).await?;
            records::table(out, &page["records"], Some(&device));
        }
        Devices::Retire { device, reason, asked } => {
            if !asked.yes {
                let view = client.get(&format!("/api/v1/devices/{device}")).await?;
                let question = format!(
                    "{device}, a {} of {} that runs {}, is taken out of service permanently",
                    text(&view["modelNumber"]),
                    text(&view["hospitalId"]),
                    text(&view["currentFirmwareVersion"])
                );
                asked.ask(&question, device.as_str())?;
            }
            client.post(&format!("/api/v1/devices/{device}/retirement"), &json!({ "reason": reason })).await?;
            done(out, "retired", &device);
        }
        Devices::Show { device } => {
            let view = client.get(&format!("/api/v1/devices/{device}")).await?;
            out.answer(&view, || device_in_words(&view));
        }
    }
    Ok(())
}

/// An object line by line.
pub(crate) fn fields_in_words(view: &Value) -> String {
    let fields = view.as_object().into_iter().flatten();
    in_columns(fields.map(|(name, value)| (name.clone(), text(value))).collect())
}

/// Names and values beside each other, by the names of the API; what has no value takes no line.
fn in_columns(fields: Vec<(String, String)>) -> String {
    let held: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_empty() && value != "-").collect();
    let width = held.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    held.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

/// A device line by line; the observed side, then the differences and what it waits for on lines of their own.
fn device_in_words(view: &Value) -> String {
    let (mut fields, mut lines) = (Vec::new(), Vec::new());
    for (name, value) in view.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("observed", Value::Object(observed)) => {
                fields.extend(observed.iter().map(|(name, value)| (format!("observed.{name}"), text(value))));
            }
            ("differences", Value::Array(differences)) => {
                lines.extend(differences.iter().map(difference_in_words));
            }
            ("waiting", Value::Object(_)) => lines.push(wait_in_words(value)),
            _ => fields.push((name.clone(), text(value))),
        }
    }
    lines.insert(0, in_columns(fields));
    lines.join("\n")
}

fn difference_in_words(difference: &Value) -> String {
    let of = |name: &str| text(&difference[name]);
    let expected = match &difference["expectedBy"] {
        Value::Null => String::new(),
        by => format!("; {} expects the registered side: {}", text(by), of("reason")),
    };
    format!("differs in {}: registered {}, observed {}{expected}", of("kind"), of("registered"), of("observed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_20_revoking_a_gateway_asks_for_its_id() {
        let gateway: GatewayId = "GW-1".parse().expect("an id");
        let question = revocation_question(&gateway, &json!({ "hospitalId": "HOSP-1" }), 3);
        let ask = |typed: &str, is_terminal| {
            let mut shown = String::new();
            let mut show = |text: &str| shown.push_str(text);
            let asked = Asked::default();
            let answer = asked.ask_with(&question, gateway.as_str(), is_terminal, &mut typed.as_bytes(), &mut show);
            answer.map(|()| shown).map_err(|error| error.to_string())
        };
        let shown = ask("GW-1\n", true).expect("typed");
        assert!(shown.contains("GW-1 of HOSP-1 (the gateway of 3 devices)") && shown.contains("type: GW-1"), "{shown}");
        for other in ["", "y\n", "GW-2\n", "gw-1\n"] {
            assert!(ask(other, true).expect_err(other).contains("nothing was done"));
        }
        assert!(ask("GW-1\n", false).expect_err("no terminal").contains("--yes"));
    }

    #[test]
    fn cli_26_an_object_is_shown_in_two_columns() {
        let view = json!({ "deviceId": "D-1", "recallId": null, "differs": [], "observed": { "model": "M" } });
        assert_eq!(device_in_words(&view), "deviceId        D-1\nobserved.model  M");
        assert_eq!(fields_in_words(&json!({ "a": 1, "url": "u" })), "a    1\nurl  u");
    }

    #[test]
    fn cli_14_differences_are_the_words_of_the_page() {
        use mdfm_shared::fixture::page::symptom;
        let words =
            |kind, observed| difference_in_words(&json!({ "kind": kind, "registered": "1", "observed": observed }));
        let firmware = "2.0.0 (SHA-256 0f3a, of no release here)";
        symptom("The inventory", "differs in serial").assert_in(&words("serial", "SN-77"));
        symptom("The inventory", "differs in firmware").assert_in(&words("firmware", firmware));
        symptom("The inventory", "differs in gateway").assert_in(&words("gateway", "GW-2 (CardiacMonitor-X200)"));
    }

    #[test]
    fn cli_24_a_hospitals_windows_are_words() {
        let window =
            json!({ "dayOfWeek": "Sunday", "startTime": "02:00", "endTime": "06:00", "timezone": "Europe/Zurich" });
        assert_eq!(window_text(&window), "Sunday 02:00-06:00 Europe/Zurich");
    }
}

//! One's notices; and, for administrators, webhooks and what could not be delivered.

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::address::Part;
use crate::client::{Client, Which};
use crate::fault;
use crate::fleet::fields_in_words;
use crate::output::{Output, count, text};

const PATH: &str = "/api/v1/notices/dead-letters";

#[derive(Debug, Subcommand)]
pub(crate) enum Notices {
    /// Lists your notices.
    List(Which),
    /// Marks notices of yours as read.
    #[command(group = clap::ArgGroup::new("which").required(true).args(["notices", "all"]))]
    Read {
        /// Notice ids.
        notices: Vec<String>,
        /// All of them.
        #[arg(long)]
        all: bool,
    },
    /// Sets where you get mail.
    #[command(group = clap::ArgGroup::new("address").required(true).args(["email", "none"]))]
    #[command(alias = "address")]
    SetAddress {
        /// For example name@hospital.example.
        email: Option<String>,
        /// You get no mail any more.
        #[arg(long)]
        none: bool,
    },
    /// Lists what could not be delivered to anybody.
    DeadLetters(Which),
    /// Tries once more to deliver one of them.
    Retry {
        /// Delivery id.
        delivery: Part,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// Makes a webhook, or changes what is named of one, and prints the new secret by which its receiver checks signatures.
    Set {
        /// Webhook id.
        webhook: Part,
        /// Where to call; must begin with https://. Needed for a new webhook.
        #[arg(long)]
        url: Option<String>,
        /// Kinds of notices, for example deploymentPaused; once for each.
        #[arg(long = "kind", conflicts_with = "all_kinds")]
        kinds: Vec<String>,
        /// Notices of every kind, as of a new webhook without --kind.
        #[arg(long)]
        all_kinds: bool,
        /// Only what concerns these hospitals; once for each.
        #[arg(long = "hospital", conflicts_with = "all_hospitals")]
        hospitals: Vec<String>,
        /// What concerns any hospital, as of a new webhook without --hospital.
        #[arg(long)]
        all_hospitals: bool,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists webhooks.
    List(Which),
    /// Shows one webhook.
    Show {
        /// Webhook id.
        webhook: Part,
    },
    /// Removes a webhook.
    Remove {
        /// Webhook id.
        webhook: Part,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn notices(out: &Output, client: &Client, action: Notices) -> anyhow::Result<()> {
    match action {
        Notices::List(which) => {
            let rows = client.list_of("/api/v1/me/notices", &which).await?;
            let columns = [
                ("NOTICE", "/noticeId"),
                ("WHEN", "/at"),
                ("READ", "/read"),
                ("ABOUT", "/object"),
                ("WHAT", "/subject"),
            ];
            out.table(&rows, &columns);
        }
        Notices::Read { mut notices, all } => {
            if all {
                let held = client.list("/api/v1/me/notices").await?;
                let unread = held.as_array().into_iter().flatten().filter(|n| n["read"] == false);
                notices = unread.map(|n| text(&n["noticeId"])).collect();
            }
            client.post("/api/v1/me/notices/read", &json!({ "noticeIds": notices })).await?;
            out.answer(&json!({ "read": notices.len() }), || format!("{} read", count(notices.len(), "notice")));
        }
        Notices::SetAddress { email, none: _ } => {
            client.put("/api/v1/me/address", &json!({ "email": email })).await?;
            out.answer(&json!({ "email": email }), || match &email {
                Some(email) => format!("you get mail at {email}"),
                None => "you get no mail".to_owned(),
            });
        }
        Notices::DeadLetters(which) => {
            let columns = [
                ("DELIVERY", "/deliveryId"),
                ("BY", "/channel"),
                ("TO", "/to"),
                ("WHAT", "/subject"),
                ("ATTEMPTS", "/attempts"),
                ("ERROR", "/lastError"),
            ];
            out.table(&client.list_of(PATH, &which).await?, &columns);
        }
        Notices::Retry { delivery } => {
            client.post(&format!("{PATH}/{delivery}/retry"), &Value::Null).await?;
            out.answer(&json!({ "retried": delivery }), || format!("{} is tried again", delivery.as_str()));
        }
    }
    Ok(())
}

pub(crate) async fn webhooks(out: &Output, client: &Client, action: Webhooks) -> anyhow::Result<()> {
    match action {
        Webhooks::Set { webhook, url, kinds, all_kinds, hospitals, all_hospitals, reason } => {
            // What is not named stays.
            let rows = client.list("/api/v1/webhooks").await?;
            let held = rows.as_array().into_iter().flatten().find(|row| row["webhookId"] == webhook.as_str());
            let kept = |given: Vec<String>, all: bool, field: &str| match held {
                Some(held) if given.is_empty() && !all => held[field].clone(),
                _ => given.into(),
            };
            let url = url.map(Value::from).or_else(|| held.map(|held| held["url"].clone()));
            let url = url.context("a new webhook needs --url")?;
            let (kinds, hospitals) = (kept(kinds, all_kinds, "kinds"), kept(hospitals, all_hospitals, "hospitalIds"));
            let body = json!({ "url": url, "kinds": kinds, "hospitalIds": hospitals, "reason": reason });
            let view = client.put(&format!("/api/v1/webhooks/{webhook}"), &body).await?;
            let words = || {
                format!("{} is set; its secret, shown now and never again: {}", webhook.as_str(), text(&view["secret"]))
            };
            out.answer(&view, words);
        }
        Webhooks::List(which) => {
            let columns =
                [("WEBHOOK", "/webhookId"), ("URL", "/url"), ("KINDS", "/kinds"), ("HOSPITALS", "/hospitalIds")];
            out.table(&client.list_of("/api/v1/webhooks", &which).await?, &columns);
        }
        Webhooks::Show { webhook } => {
            let rows = client.list_of("/api/v1/webhooks", &Which::of("webhookId", webhook.as_str())).await?;
            let missing = || fault::not_found(format!("there is no webhook {}", webhook.as_str()));
            let row = rows.get(0).cloned().ok_or_else(missing)?;
            out.answer(&row, || fields_in_words(&row));
        }
        Webhooks::Remove { webhook, reason } => {
            client.delete(&format!("/api/v1/webhooks/{webhook}"), &json!({ "reason": reason })).await?;
            out.answer(&json!({ "removed": webhook }), || format!("{} is removed", webhook.as_str()));
        }
    }
    Ok(())
}

//! One's notices; and, for administrators, settings, webhooks and what could not be delivered.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{Output, text};

const PATH: &str = "/api/v1/notices/dead-letters";

#[derive(Debug, Subcommand)]
pub(crate) enum Notices {
    /// Lists your notices.
    List,
    /// Marks your notices as read: those given, or all.
    Read {
        /// Notice ids.
        notices: Vec<String>,
    },
    /// Sets where you get mail; without an address you get none.
    Address {
        /// For example name@hospital.example.
        email: Option<String>,
    },
    /// Lists what could not be delivered to anybody.
    DeadLetters,
    /// Tries once more to deliver one of them.
    Retry {
        /// Delivery id.
        delivery: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Webhooks {
    /// Sets a webhook and prints the new secret by which its receiver checks signatures.
    Set {
        /// Webhook id.
        webhook: String,
        /// Where to call; must begin with https://.
        #[arg(long)]
        url: String,
        /// Kinds of notices, for example deploymentPaused; all without.
        #[arg(long = "kind")]
        kinds: Vec<String>,
        /// Only what concerns these hospitals.
        #[arg(long = "hospital")]
        hospitals: Vec<String>,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Lists webhooks.
    List,
    /// Removes a webhook.
    Remove {
        /// Webhook id.
        webhook: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Prints the settings as JSON.
    Show,
    /// Replaces the settings by those of a file, unless somebody else changed them since it was made with `show`.
    Set {
        /// File as `show` prints it.
        file: PathBuf,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

pub(crate) async fn notices(out: &Output, client: &Client, action: Notices) -> anyhow::Result<()> {
    match action {
        Notices::List => {
            let rows = client.list("/api/v1/me/notices").await?;
            let columns = [
                ("NOTICE", "/noticeId"),
                ("WHEN", "/at"),
                ("READ", "/read"),
                ("ABOUT", "/object"),
                ("WHAT", "/subject"),
            ];
            out.table(&rows, &columns);
        }
        Notices::Read { mut notices } => {
            if notices.is_empty() {
                let all = client.list("/api/v1/me/notices").await?;
                let unread = all.as_array().into_iter().flatten().filter(|n| n["read"] == false);
                notices = unread.map(|n| text(&n["noticeId"])).collect();
            }
            client.post("/api/v1/me/notices/read", &json!({ "noticeIds": notices })).await?;
            out.answer(&json!({ "read": notices.len() }), || format!("{} notices read", notices.len()));
        }
        Notices::Address { email } => {
            client.put("/api/v1/me/address", &json!({ "email": email })).await?;
            out.answer(&json!({ "email": email }), || match &email {
                Some(email) => format!("you get mail at {email}"),
                None => "you get no mail".to_owned(),
            });
        }
        Notices::DeadLetters => {
            let columns = [
                ("DELIVERY", "/deliveryId"),
                ("BY", "/channel"),
                ("TO", "/to"),
                ("WHAT", "/subject"),
                ("ATTEMPTS", "/attempts"),
                ("ERROR", "/lastError"),
            ];
            out.table(&client.list(PATH).await?, &columns);
        }
        Notices::Retry { delivery } => {
            client.post(&format!("{PATH}/{delivery}/retry"), &Value::Null).await?;
            out.answer(&json!({ "retried": delivery }), || format!("{delivery} is tried again"));
        }
    }
    Ok(())
}

pub(crate) async fn webhooks(out: &Output, client: &Client, action: Webhooks) -> anyhow::Result<()> {
    match action {
        Webhooks::Set { webhook, url, kinds, hospitals, reason } => {
            let body = json!({ "url": url, "kinds": kinds, "hospitalIds": hospitals, "reason": reason });
            let view = client.put(&format!("/api/v1/webhooks/{webhook}"), &body).await?;
            let words =
                || format!("{webhook} is set; its secret, shown now and never again: {}", text(&view["secret"]));
            out.answer(&view, words);
        }
        Webhooks::List => {
            let columns =
                [("WEBHOOK", "/webhookId"), ("URL", "/url"), ("KINDS", "/kinds"), ("HOSPITALS", "/hospitalIds")];
            out.table(&client.list("/api/v1/webhooks").await?, &columns);
        }
        Webhooks::Remove { webhook, reason } => {
            client.delete(&format!("/api/v1/webhooks/{webhook}"), &json!({ "reason": reason })).await?;
            out.answer(&json!({ "removed": webhook }), || format!("{webhook} is removed"));
        }
    }
    Ok(())
}

/// The tag with which `show` was answered, as a line of its file.
const TAG: &str = "tag";

pub(crate) async fn settings(out: &Output, client: &Client, action: Settings) -> anyhow::Result<()> {
    match action {
        Settings::Show => {
            let (mut view, tag) = client.tagged("/api/v1/settings").await?;
            view[TAG] = tag.into();
            out.answer(&view, || format!("{view:#}"));
        }
        Settings::Set { file, reason } => {
            let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            let mut settings: Value =
                serde_json::from_slice(&bytes).with_context(|| format!("{} is no JSON", file.display()))?;
            let tag = settings.as_object_mut().and_then(|s| s.remove(TAG));
            let body = json!({ "settings": settings, "reason": reason });
            let mut request = client.request(Method::PUT, "/api/v1/settings").json(&body);
            if let Some(tag) = tag.as_ref().and_then(Value::as_str) {
                request = request.header("if-match", tag);
            }
            let view = client.send(request).await?;
            out.answer(&view, || "the settings are changed".to_owned());
        }
    }
    Ok(())
}

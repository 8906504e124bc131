//! Notices by mail (RFC 5321), over TLS or not at all.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use mdfm_shared::text::printable;
use serde::Deserialize;

use super::Told;

/// Longest wait for the server.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the connection to the mail server becomes one of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Security {
    /// By STARTTLS (RFC 3207), without which nothing is sent.
    #[default]
    StartTls,
    /// From the first byte (RFC 8314).
    Tls,
}

/// The mail server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailConfig {
    /// Its name, as its certificate has it.
    pub(crate) host: String,
    pub(crate) port: u16,
    #[serde(default)]
    pub(crate) security: Security,
    /// The sender, for example `Firmware <firmware@vendor.example>`.
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) user: Option<String>,
    #[serde(default)]
    pub(crate) password_file: Option<PathBuf>,
    /// Certificate of the authority that its certificate is from; without it the system's are trusted.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
}

/// Sends.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    public_url: String,
}

impl Mailer {
    pub(super) fn new(config: &MailConfig, public_url: &str) -> anyhow::Result<Self> {
        let mut tls = TlsParameters::builder(config.host.clone());
        if let Some(file) = &config.ca_file {
            let pem = std::fs::read(file).with_context(|| format!("mail.ca_file: reading {}", file.display()))?;
            tls = tls.add_root_certificate(Certificate::from_pem(&pem).context("mail.ca_file")?);
        }
        let tls = tls.build_rustls().context("mail: TLS")?;
        let tls = match config.security {
            Security::StartTls => Tls::Required(tls),
            Security::Tls => Tls::Wrapper(tls),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some(user) = &config.user {
            let file = config.password_file.as_ref().context("mail.password_file is missing beside mail.user")?;
            let password = mdfm_service::read_secret(file)?.lines().next().unwrap_or_default().to_owned();
            transport = transport.credentials(Credentials::new(user.clone(), password));
        }
        let from = config.from.parse().with_context(|| format!("mail.from: {:?} is no mailbox", config.from))?;
        Ok(Self { transport: transport.build(), from, public_url: public_url.to_owned() })
    }

    /// Sends one notice; the server has it when this returns.
    pub(super) async fn send(&self, id: &str, name: &str, email: &str, told: &Told) -> anyhow::Result<()> {
        let address: Address = email.parse().with_context(|| format!("{email:?} is no address"))?;
        let host = self.from.email.domain().to_owned();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(name.to_owned()), address))
            .message_id(Some(format!("<{id}@{host}>")))
            .subject(format!("[MDFM] {}", printable(&told.subject)))
            .header(ContentType::TEXT_PLAIN)
            .body(self.body(told))?;
        self.transport.send(message).await.context("the mail server did not take it")?;
        Ok(())
    }

    fn body(&self, told: &Told) -> String {
        let [subject, object, detail] = [&told.subject, &told.object, &told.detail].map(|t| printable(t));
        let detail = if detail.is_empty() { String::new() } else { format!("{detail}\n\n") };
        format!(
            "{}\n\n{detail}When:  {}\nAbout: {}\nWhere: {} (entry {} of the audit log)\n\n\
             This message asks for nothing: it has no link to sign or confirm with, and never will.\n",
            subject, told.at, object, self.public_url, told.log_index
        )
    }
}

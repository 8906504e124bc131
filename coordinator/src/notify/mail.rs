//! Notices by mail (RFC 5321), over TLS or not at all.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use lettre::Address;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use mdfm_shared::text::printable;
use serde::Deserialize;

use super::Told;

/// Longest wait for a connection to the server.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time in which the server takes one mail, from the connection on.
const MAIL_PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for the answer to QUIT.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

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
    config: MailConfig,
    /// The server's name and port.
    server: String,
    tls: TlsParameters,
    credentials: Option<Credentials>,
    from: Mailbox,
    public_url: String,
}

impl Mailer {
    pub(super) fn new(config: &MailConfig, public_url: &str) -> anyhow::Result<Self> {
        let mut tls = TlsParameters::builder(config.host.clone());
        if let Some(file) = &config.ca_file {
            let pem = mdfm_service::read_input(file, mdfm_service::INPUT_BYTES_MAX).context("mail.ca_file")?;
            tls = tls.add_root_certificate(Certificate::from_pem(&pem).context("mail.ca_file")?);
        }
        let tls = tls.build_rustls().context("mail: TLS")?;
        let mut credentials = None;
        if let Some(user) = &config.user {
            let file = config.password_file.as_ref().context("mail.password_file is missing beside mail.user")?;
            let password = mdfm_service::read_secret(file)?.lines().next().unwrap_or_default().to_owned();
            credentials = Some(Credentials::new(user.clone(), password));
        }
        let from = config.from.parse().with_context(|| format!("mail.from: {:?} is no mailbox", config.from))?;
        let server = format!("{}:{}", config.host, config.port);
        Ok(Self { config: config.clone(), server, tls, credentials, from, public_url: public_url.to_owned() })
    }

    /// The server's name and port.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// A connection over TLS.
    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let (hello, host) = (ClientId::default(), (self.config.host.as_str(), self.config.port));
        let first = matches!(self.config.security, Security::Tls).then(|| self.tls.clone());
        let mut connection = AsyncSmtpConnection::connect_tokio1(host, Some(PATIENCE), &hello, first, None).await?;
        if matches!(self.config.security, Security::StartTls) {
            // A server that does not offer it is sent nothing.
            connection.starttls(self.tls.clone(), &hello).await?;
        }
        Ok(connection)
    }

    /// Sends one notice; the server has it when this returns. `shown` gets the certificate that the server showed.
    pub(super) async fn send(
        &self,
        id: &str,
        name: &str,
        email: &str,
        told: &Told,
        shown: impl FnOnce(&[u8]),
    ) -> anyhow::Result<()> {
        let address: Address = email.parse().with_context(|| format!("{email:?} is no address"))?;
        let host = self.from.email.domain().to_owned();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(name.to_owned()), address))
            .message_id(Some(format!("<{id}@{host}>")))
            .subject(format!("[MDFM] {}", printable(&told.subject)))
            .header(ContentType::TEXT_PLAIN)
            .body(self.body(told))?;
        let sending = async {
            let mut connection = self.connect().await?;
            if let Ok(der) = connection.peer_certificate() {
                shown(&der);
            }
            if let Some(credentials) = &self.credentials {
                connection.auth(DEFAULT_MECHANISMS, credentials).await?;
            }
            connection.send(message.envelope(), &message.formatted()).await?;
            Ok::<_, lettre::transport::smtp::Error>(connection)
        };
        let sent =
            tokio::time::timeout(MAIL_PATIENCE, sending).await.context("the mail server does not answer in time")?;
        let mut connection = sent.context("the mail server did not take it")?;
        // The server has the mail: an error or a timeout of QUIT must not send it again.
        let _ = tokio::time::timeout(QUIT_PATIENCE, connection.quit()).await;
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

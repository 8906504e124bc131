//! A coordinator that sends nothing, too slowly, too much, or without end.

use reqwest::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;

use super::*;
use crate::client::is_broken_line;
use crate::exit_code;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";

/// What a hostile coordinator sends once it was asked.
#[derive(Clone, Copy)]
pub(crate) enum Hostile {
    /// Nothing.
    Silence,
    /// Informational answers without end.
    Informational,
    /// A head, and nothing more.
    Head,
    /// A head, and then a byte each second.
    Drip,
    /// A head, and then a body without end.
    Flood,
}

impl Hostile {
    async fn serve(self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.read_buf(&mut Vec::with_capacity(4_096)).await?;
        match self {
            Self::Silence => {}
            Self::Informational => loop {
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            },
            Self::Head => stream.write_all(HEAD.as_bytes()).await?,
            Self::Drip => {
                stream.write_all(HEAD.as_bytes()).await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Self::Flood => {
                stream.write_all(HEAD.as_bytes()).await?;
                loop {
                    stream.write_all(&[b' '; 65_536]).await?;
                }
            }
        }
        std::future::pending().await
    }
}

/// The address of a hostile coordinator, and a client that trusts it.
pub(crate) async fn hostile(hostile: Hostile) -> (String, Client) {
    let _ = ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        hostile.serve(stream).await
    });
    let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    (format!("http://{address}"), client)
}

async fn request(which: Hostile) -> RequestBuilder {
    let (url, client) = hostile(which).await;
    client.get(url)
}

/// How reading an answer of at most `max` bytes ends, and after how many seconds.
async fn ended(hostile: Hostile, max: usize) -> (anyhow::Error, u64) {
    let request = request(hostile).await;
    let began = Instant::now();
    let read = async { send(request).await?.bytes(max).await };
    let error = read.await.expect_err("no answer");
    (error, began.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn sec_9_a_silent_coordinator_is_given_up() {
    for hostile in [Hostile::Silence, Hostile::Head, Hostile::Informational] {
        let (error, seconds) = ended(hostile, JSON_BYTES_MAX).await;
        assert!((60..=61).contains(&seconds), "{seconds} s: {error:#}");
        let words = format!("{error:#}");
        assert!(words.starts_with("the coordinator sent nothing for 60 s"), "{words}");
        assert!(is_broken_line(&error) && exit_code(&error) == 7, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn sec_9_a_coordinator_that_drips_is_given_up() {
    let (error, seconds) = ended(Hostile::Drip, JSON_BYTES_MAX).await;
    assert!((119..=122).contains(&seconds), "{seconds} s: {error:#}");
    let words = format!("{error:#}");
    assert!(words.contains("too slow"), "{words}");
    assert!(is_broken_line(&error) && exit_code(&error) == 7, "{words}");
    // Events come as they happen.
    let mut events = send(request(Hostile::Drip).await).await.expect("an answer").of_events();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(600) {
        assert!(events.piece().await.expect("a piece").is_some());
    }
}

#[tokio::test]
async fn sec_9_an_answer_without_end_is_cut() {
    let (error, _) = ended(Hostile::Flood, JSON_BYTES_MAX).await;
    let words = format!("{error:#}");
    assert!(words.contains("more than 16777216 bytes"), "{words}");
    assert!(!is_broken_line(&error) && exit_code(&error) == 7, "{words}");
    // A refusal whose words have no end is a refusal.
    let answer = send(request(Hostile::Flood).await).await.expect("an answer");
    assert_eq!(answer.problem().await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn sec_9_an_upload_that_nobody_takes_is_given_up() {
    let taken = Taken::new();
    let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<std::io::Result<Vec<u8>>>());
    let request = request(Hostile::Silence).await.body(body);
    let began = Instant::now();
    let noting = taken.clone();
    let note = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(300)).await;
        noting.note();
    });
    let error = send_stream(request, &taken).await.expect_err("nothing was taken");
    note.await.expect("noted");
    assert_eq!(began.elapsed().as_secs(), 900, "ten minutes after the last piece");
    assert!(is_broken_line(&error), "{error:#}");
}

#[tokio::test]
async fn cli_23_a_coordinator_out_of_reach_is_named_with_what_to_do() {
    let _ = ring::default_provider().install_default();
    let client = Client::builder().no_proxy().tls_certs_only([]).build().expect("a client");
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("listens").local_addr().expect("bound");
    let error = send(client.get(format!("http://{nobody}/api/v1/me?token=secret"))).await.expect_err("nobody is there");
    let words = crate::output::error_words(&error);
    assert!(is_broken_line(&error) && exit_code(&error) == 7, "{words}");
    assert!(
        words.starts_with(&format!("the coordinator at http://{nobody} cannot be reached: Connection refused")),
        "{words}"
    );
    assert!(words.contains("MDFMCTL_URL") && !words.contains("error sending") && !words.contains("secret"), "{words}");
    // One that ends the connection in the middle may have done what it was asked.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _ = stream.read_buf(&mut Vec::with_capacity(4_096)).await;
    });
    let error = send(client.post(format!("http://{address}/api/v1/x"))).await.expect_err("it is cut");
    let words = crate::output::error_words(&error);
    assert!(is_broken_line(&error) && words.contains("may have been carried out"), "{words}");
}

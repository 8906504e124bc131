//! A line between coordinator and broker on which messages are lost, repeated and reordered (ATT-10).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the messages that went over the line.
#[derive(Debug, Default)]
pub struct Losses {
    /// Messages that came.
    pub messages: AtomicU64,
    /// Never passed on.
    pub lost: AtomicU64,
    /// Passed on twice.
    pub repeated: AtomicU64,
    /// Passed on after the one behind it.
    pub reordered: AtomicU64,
}

/// Of so many messages in a hundred something becomes.
const HIT_PERCENT: u64 = 30;

/// Listens on `port` and passes everything on to the broker at `broker`, except for what becomes of messages on the way. It ends
/// with the process.
///
/// # Errors
/// The port is taken.
pub(crate) fn start(port: u16, broker: u16, seed: u64) -> std::io::Result<Arc<Losses>> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let losses = Arc::new(Losses::default());
    let counts = Arc::clone(&losses);
    std::thread::spawn(move || {
        for (n, client) in listener.incoming().enumerate() {
            let Ok(client) = client else { continue };
            let Ok(server) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
            let (Ok(client_reads), Ok(server_reads)) = (client.try_clone(), server.try_clone()) else { continue };
            let (up, down) = (Arc::clone(&counts), Arc::clone(&counts));
            let seed = seed.wrapping_add(n as u64 * 2);
            std::thread::spawn(move || pass(client_reads, server, &up, seed));
            std::thread::spawn(move || pass(server_reads, client, &down, seed + 1));
        }
    });
    Ok(losses)
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// The length of the whole packet at the start of `bytes`, once it can be told.
fn packet_bytes(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some(2 + i + length);
        }
    }
    None
}

fn pass(mut from: TcpStream, mut to: TcpStream, losses: &Losses, mut seed: u64) {
    let mut answers = from.try_clone().ok();
    let (mut buffer, mut piece, mut held) = (Vec::new(), [0; 16 * 1024], None::<Vec<u8>>);
    loop {
        while let Some(length) = packet_bytes(&buffer).filter(|n| buffer.len() >= *n) {
            let rest = buffer.split_off(length);
            let packet = std::mem::replace(&mut buffer, rest);
            let is_message = packet[0] >> 4 == 3;
            let mut out = Vec::new();
            if is_message {
                losses.messages.fetch_add(1, Ordering::Relaxed);
                let hit = random(&mut seed) >> 11;
                match (hit % 100 < HIT_PERCENT, hit / 100 % 3) {
                    (true, 0) => {
                        losses.lost.fetch_add(1, Ordering::Relaxed);
                        // A broker that acknowledges and loses.
                        if let Some((answer, answers)) = puback(&packet).zip(answers.as_mut()) {
                            let _ = answers.write_all(&answer);
                        }
                    }
                    (true, 1) => {
                        losses.repeated.fetch_add(1, Ordering::Relaxed);
                        out = [packet.clone(), packet].concat();
                    }
                    (true, _) if held.is_none() => {
                        losses.reordered.fetch_add(1, Ordering::Relaxed);
                        held = Some(packet);
                    }
                    _ => out = packet,
                }
                if !out.is_empty() {
                    out.extend(held.take().unwrap_or_default());
                }
            } else {
                out = packet;
            }
            if to.write_all(&out).is_err() {
                return;
            }
        }
        match from.read(&mut piece) {
            Ok(n) if n > 0 => buffer.extend_from_slice(&piece[..n]),
            _ => {
                let _ = to.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

/// The acknowledgement of a message of quality of service 1.
fn puback(packet: &[u8]) -> Option<[u8; 4]> {
    if packet[0] >> 1 & 3 != 1 {
        return None;
    }
    let length_bytes = packet.iter().skip(1).take_while(|b| **b & 0x80 != 0).count() + 1;
    let topic = 1 + length_bytes;
    let topic_bytes = usize::from(u16::from_be_bytes([*packet.get(topic)?, *packet.get(topic + 1)?]));
    let id = topic + 2 + topic_bytes;
    Some([0x40, 2, *packet.get(id)?, *packet.get(id + 1)?])
}

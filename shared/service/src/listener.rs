//! Listening sockets whose queue is as long as the system allows.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted; the system cuts it to `net.core.somaxconn` (4,096 on Linux since 5.4).
///
/// With a full queue Linux drops the last packet of a handshake and the peer repeats what it sends after 200 ms, so a flood of
/// connections delays everybody else's first byte by that.
const BACKLOG: u32 = 4_096;

/// Listens on `address`.
///
/// # Errors
/// The address is in use or not this machine's.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sec_9_many_connections_wait_without_a_retry() {
        crate::raise_descriptors().expect("up to the hard limit");
        let listener = listen("127.0.0.1:0".parse().expect("an address")).expect("listens");
        let address = listener.local_addr().expect("an address");
        // A queue of 1,024 would hold the rest back for a second.
        let started = tokio::time::Instant::now();
        let mut waiting = Vec::new();
        for _ in 0..1_500 {
            waiting.push(tokio::net::TcpStream::connect(address).await.expect("waits in the queue"));
        }
        assert!(started.elapsed() < std::time::Duration::from_millis(900), "{:?}", started.elapsed());
        let again = listen(address).expect_err("in use");
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }
}

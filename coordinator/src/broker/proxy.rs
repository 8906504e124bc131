//! The PROXY protocol (HAProxy, versions 1 and 2): a balancer that passes connections on says whose they are. Taken only from
//! addresses that the configuration names, and demanded of them: anybody else could claim any address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Shortest and longest header of version 1 (§2.1).
const V1_BYTES_MIN: usize = 15;
const V1_BYTES_MAX: usize = 107;
/// What every header of version 2 starts with: signature, command, family, length (§2.2).
const V2_START_BYTES: usize = 16;
/// Addresses and extensions after it; a few hundred bytes are usual.
const V2_REST_BYTES_MAX: usize = 1_024;

/// The client's address; none for the balancer's own connection, such as a health check.
fn client(header: &[u8]) -> io::Result<Option<SocketAddr>> {
    match HeaderResult::parse(header) {
        HeaderResult::V1(header) => Ok(match header.map_err(|e| malformed(&e.to_string()))?.addresses {
            v1::Addresses::Tcp4(a) => Some(SocketAddr::new(IpAddr::V4(a.source_address), a.source_port)),
            v1::Addresses::Tcp6(a) => Some(SocketAddr::new(IpAddr::V6(a.source_address), a.source_port)),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(header) => {
            let header = header.map_err(|e| malformed(&e.to_string()))?;
            let client = match header.addresses {
                v2::Addresses::IPv4(a) => Some(SocketAddr::new(IpAddr::V4(a.source_address), a.source_port)),
                v2::Addresses::IPv6(a) => Some(SocketAddr::new(IpAddr::V6(a.source_address), a.source_port)),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            };
            Ok(client.filter(|_| header.command == v2::Command::Proxy))
        }
    }
}

fn malformed(cause: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("PROXY header: {cause}"))
}

/// Reads the header, and nothing after it. Gives the client's address, if it names one.
///
/// # Errors
/// There is none, or it is too long.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; V2_START_BYTES];
    // The shortest header of version 1, `PROXY UNKNOWN` and a line end, is 15 bytes long.
    stream.read_exact(&mut header[..V1_BYTES_MIN]).await?;
    if header.starts_with(b"PROXY ") {
        header.truncate(V1_BYTES_MIN);
        // One byte at a time, as what follows belongs to TLS; the system has the rest ready.
        while !header.ends_with(b"\r\n") {
            if header.len() >= V1_BYTES_MAX {
                return Err(malformed("no line end"));
            }
            header.push(stream.read_u8().await?);
        }
    } else if header.starts_with(v2::PROTOCOL_PREFIX) {
        stream.read_exact(&mut header[V1_BYTES_MIN..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > V2_REST_BYTES_MAX {
            return Err(malformed("too long"));
        }
        header.resize(V2_START_BYTES + rest, 0);
        stream.read_exact(&mut header[V2_START_BYTES..]).await?;
    } else {
        return Err(malformed("something else came"));
    }
    client(&header)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut stream = bytes;
        let found = read(&mut stream).await;
        (found, stream.to_vec())
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_the_rest_alone() {
        let (found, rest) = of(b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 8443\r\n\x16\x03").await;
        assert_eq!((found.expect("good"), rest.as_slice()), ("192.0.2.9:40000".parse().ok(), &b"\x16\x03"[..]));
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
        v2.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
        v2.extend_from_slice(&[0; 16]);
        v2.extend_from_slice(&[0x9c, 0x40, 0x20, 0xfb, 0x16]);
        let (found, rest) = of(&v2).await;
        assert_eq!((found.expect("good"), rest), ("[2001:db8::9]:40000".parse().ok(), vec![0x16]));
        let (found, rest) = of(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0X").await;
        assert_eq!((found.expect("a health check"), rest), (None, b"X".to_vec()));
    }

    #[tokio::test]
    async fn att_13_anything_else_is_refused() {
        let endless = [b"PROXY ".to_vec(), vec![b'x'; 5_000]].concat();
        for bytes in
            [&b"\x16\x03\x01\x02\0\x01"[..], b"GET / HTTP/1.1\r\n\r\n", b"PROXY TCP4 a b c d\r\n", &endless, b"PROX"]
        {
            assert!(of(bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}

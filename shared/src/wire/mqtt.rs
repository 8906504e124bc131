//! The part of MQTT 3.1.1 (OASIS standard, 2014) that the front door speaks with gateways: where packets end, what CONNECT,
//! PUBLISH and SUBSCRIBE ask for, and the answers. Pure: bytes in, facts out.

/// Packet types (table 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client asks to connect.
    Connect,
    /// A message.
    Publish,
    /// Client asks for messages.
    Subscribe,
    /// Client wants no more of what it asked for.
    Unsubscribe,
    /// The steps by which messages are acknowledged: PUBACK, PUBREC, PUBREL, PUBCOMP.
    Answer,
    /// PINGREQ and DISCONNECT.
    Empty,
}

/// Why a packet is not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not MQTT 3.1.1, or not as the standard says.
    #[error("malformed MQTT packet: {0}")]
    Malformed(&'static str),
    /// Larger than the limit.
    #[error("MQTT packet of {0} bytes is larger than this side accepts")]
    TooLarge(usize),
    /// Another protocol level than 4.
    #[error("MQTT protocol level {0} is not spoken here, use MQTT 3.1.1 (level 4)")]
    ProtocolLevel(u8),
}

use PacketError::Malformed;

/// A packet's fixed header (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Type of the packet.
    pub kind: Kind,
    /// The four flag bits.
    pub flags: u8,
    /// Length of the fixed header in bytes.
    pub header_bytes: usize,
    /// Length of the whole packet in bytes.
    pub packet_bytes: usize,
}

/// Reads the fixed header of the packet at the start of `bytes`; none if more bytes are needed.
///
/// # Errors
/// A type that only servers send, a length of more than four bytes, or a packet above `packet_bytes_max`.
pub fn header(bytes: &[u8], packet_bytes_max: usize) -> Result<Option<Header>, PacketError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let kind = match first >> 4 {
        1 => Kind::Connect,
        3 => Kind::Publish,
        8 => Kind::Subscribe,
        4..=7 => Kind::Answer,
        10 => Kind::Unsubscribe,
        12 | 14 => Kind::Empty,
        _ => return Err(Malformed("a type that no client sends")),
    };
    let mut length = 0_usize;
    for (i, shift) in [0, 7, 14, 21].into_iter().enumerate() {
        let Some(&byte) = bytes.get(1 + i) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let header_bytes = 2 + i;
            let packet_bytes = header_bytes + length;
            if packet_bytes > packet_bytes_max {
                return Err(PacketError::TooLarge(packet_bytes));
            }
            return Ok(Some(Header { kind, flags: first & 0x0f, header_bytes, packet_bytes }));
        }
    }
    Err(Malformed("remaining length of more than four bytes"))
}

/// Filters in one SUBSCRIBE.
const FILTERS_MAX: usize = 512;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], PacketError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(Malformed("shorter than its fields"))?;
        self.0 = rest;
        Ok(head)
    }
    fn u8(&mut self) -> Result<u8, PacketError> {
        Ok(self.take(1)?[0])
    }
    fn u16(&mut self) -> Result<u16, PacketError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
    /// A packet id; never zero (§2.3.1).
    fn packet_id(&mut self) -> Result<u16, PacketError> {
        match self.u16()? {
            0 => Err(Malformed("packet id zero")),
            id => Ok(id),
        }
    }
    fn binary(&mut self) -> Result<&'a [u8], PacketError> {
        let n = self.u16()?;
        self.take(usize::from(n))
    }
    fn text(&mut self) -> Result<&'a str, PacketError> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Malformed("text that is not UTF-8"))?;
        if text.contains('\0') { Err(Malformed("text with a null character")) } else { Ok(text) }
    }
}

/// What a CONNECT asks for (§3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// The session's name.
    pub client_id: String,
    /// Whether the session starts empty.
    pub clean_session: bool,
    /// Seconds between packets at most; 0 for no limit.
    pub keep_alive_s: u16,
    /// The last will.
    pub will: Option<Will>,
    /// User name, if given.
    pub username: Option<String>,
    /// Password, if given.
    pub password: Option<Vec<u8>>,
}

/// A message that the broker publishes when the client vanishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    /// Where to.
    pub topic: String,
    /// What.
    pub message: Vec<u8>,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the broker keeps it.
    pub retain: bool,
}

impl Connect {
    /// Reads the CONNECT packet in `packet` (the whole packet, fixed header included).
    ///
    /// # Errors
    /// Another protocol level, or a packet not as the standard says.
    pub fn parse(packet: &[u8], header: &Header) -> Result<Self, PacketError> {
        if header.kind != Kind::Connect || header.flags != 0 {
            return Err(Malformed("the first packet must be CONNECT"));
        }
        let mut r = Reader(&packet[header.header_bytes..header.packet_bytes]);
        if r.binary()? != b"MQTT" {
            return Err(Malformed("protocol name"));
        }
        let level = r.u8()?;
        if level != 4 {
            return Err(PacketError::ProtocolLevel(level));
        }
        let flags = r.u8()?;
        if flags & 1 != 0 {
            return Err(Malformed("reserved connect flag"));
        }
        let keep_alive_s = r.u16()?;
        let client_id = r.text()?.to_owned();
        let will = if flags & 0x04 != 0 {
            let (topic, message) = (r.text()?.to_owned(), r.binary()?.to_vec());
            let qos = flags >> 3 & 3;
            if qos == 3 {
                return Err(Malformed("will quality of service"));
            }
            Some(Will { topic, message, qos, retain: flags & 0x20 != 0 })
        } else {
            None
        };
        let username = if flags & 0x80 != 0 { Some(r.text()?.to_owned()) } else { None };
        let password = if flags & 0x40 != 0 { Some(r.binary()?.to_vec()) } else { None };
        if !r.0.is_empty() {
            return Err(Malformed("bytes after the last field"));
        }
        Ok(Self { client_id, clean_session: flags & 2 != 0, keep_alive_s, will, username, password })
    }

    /// The packet's bytes.
    ///
    /// # Errors
    /// A field longer than MQTT can carry.
    pub fn encode(&self) -> Result<Vec<u8>, PacketError> {
        let mut body = Vec::new();
        let field = |body: &mut Vec<u8>, bytes: &[u8]| {
            let n = u16::try_from(bytes.len()).map_err(|_| Malformed("field longer than 65535 bytes"))?;
            body.extend_from_slice(&n.to_be_bytes());
            body.extend_from_slice(bytes);
            Ok::<(), PacketError>(())
        };
        field(&mut body, b"MQTT")?;
        let mut flags = u8::from(self.clean_session) << 1;
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.username.is_some()) << 7 | u8::from(self.password.is_some()) << 6;
        body.extend_from_slice(&[4, flags]);
        body.extend_from_slice(&self.keep_alive_s.to_be_bytes());
        field(&mut body, self.client_id.as_bytes())?;
        if let Some(will) = &self.will {
            field(&mut body, will.topic.as_bytes())?;
            field(&mut body, &will.message)?;
        }
        if let Some(username) = &self.username {
            field(&mut body, username.as_bytes())?;
        }
        if let Some(password) = &self.password {
            field(&mut body, password)?;
        }
        let mut packet = vec![0x10];
        push_length(&mut packet, body.len());
        packet.extend_from_slice(&body);
        Ok(packet)
    }
}

/// A PUBLISH (§3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to; without wildcards.
    pub topic: &'a str,
    /// Whether the broker shall keep it.
    pub retain: bool,
    /// Set for quality of service 1 and 2.
    pub packet_id: Option<u16>,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// What.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Reads the PUBLISH packet in `packet`.
    ///
    /// # Errors
    /// A packet not as the standard says, or a topic with wildcards.
    pub fn parse(packet: &'a [u8], header: &Header) -> Result<Self, PacketError> {
        let qos = header.flags >> 1 & 3;
        if qos == 3 {
            return Err(Malformed("quality of service"));
        }
        if qos == 0 && header.flags & 8 != 0 {
            return Err(Malformed("a message sent once cannot be sent again"));
        }
        let mut r = Reader(&packet[header.header_bytes..header.packet_bytes]);
        let topic = r.text()?;
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(Malformed("topic name with wildcards"));
        }
        let packet_id = if qos > 0 { Some(r.packet_id()?) } else { None };
        Ok(Self { topic, retain: header.flags & 1 != 0, packet_id, qos, payload: r.0 })
    }
}

/// The filters of an UNSUBSCRIBE (§3.10).
///
/// # Errors
/// A packet not as the standard says.
pub fn unsubscribe_filters<'a>(packet: &'a [u8], header: &Header) -> Result<Vec<&'a str>, PacketError> {
    check_harmless(packet, header)?;
    let mut r = Reader(&packet[header.header_bytes..header.packet_bytes]);
    r.packet_id()?;
    let mut filters = Vec::new();
    while !r.0.is_empty() {
        filters.push(r.text()?);
    }
    Ok(filters)
}

/// The packet id of a packet that starts with one: SUBSCRIBE, UNSUBSCRIBE.
///
/// # Errors
/// It is zero or missing.
pub fn packet_id(packet: &[u8], header: &Header) -> Result<u16, PacketError> {
    Reader(&packet[header.header_bytes..header.packet_bytes]).packet_id()
}

/// CONNACK (§3.2): a connection is accepted, without a session of before.
pub const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
/// CONNACK to a gateway that the vendor has revoked: not authorized (§3.2.2.3).
pub const CONNACK_REVOKED: [u8; 4] = [0x20, 2, 0, 5];
/// CONNACK to a gateway whose certificate was replaced or has expired: bad user name or password, the nearest that MQTT has.
pub const CONNACK_OUTDATED: [u8; 4] = [0x20, 2, 0, 4];
/// PINGRESP (§3.13).
pub const PINGRESP: [u8; 2] = [0xd0, 0];

/// PUBACK (§3.4).
pub fn puback(packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [0x40, 2, high, low]
}

/// SUBACK (§3.9); each code is the quality of service granted, or 0x80 for none.
pub fn suback(packet_id: u16, codes: &[u8]) -> Vec<u8> {
    let [high, low] = packet_id.to_be_bytes();
    let mut packet = vec![0x90];
    push_length(&mut packet, 2 + codes.len());
    packet.extend_from_slice(&[high, low]);
    packet.extend_from_slice(codes);
    packet
}

/// UNSUBACK (§3.11).
pub fn unsuback(packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [0xb0, 2, high, low]
}

/// A PUBLISH of quality of service 0 (§3.3). Topics of ours are far shorter than MQTT's limit.
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_packet(0x30, topic, &[], payload)
}

/// A PUBLISH of quality of service 1, sent for the first time.
pub fn publish_at_least_once(topic: &str, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    publish_packet(0x32, topic, &packet_id.to_be_bytes(), payload)
}

fn publish_packet(first: u8, topic: &str, packet_id: &[u8], payload: &[u8]) -> Vec<u8> {
    let name = &topic.as_bytes()[..topic.len().min(usize::from(u16::MAX))];
    let body_bytes = 2 + name.len() + packet_id.len() + payload.len();
    let mut packet = Vec::with_capacity(5 + body_bytes);
    packet.push(first);
    push_length(&mut packet, body_bytes);
    packet.extend_from_slice(&(name.len() as u16).to_be_bytes());
    for part in [name, packet_id, payload] {
        packet.extend_from_slice(part);
    }
    packet
}

/// Remaining length (§2.2.3).
fn push_length(packet: &mut Vec<u8>, mut length: usize) {
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        packet.push(byte | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            return;
        }
    }
}

/// Checks a packet that names no topic of others.
///
/// # Errors
/// A packet not as the standard says.
pub fn check_harmless(packet: &[u8], header: &Header) -> Result<(), PacketError> {
    let mut r = Reader(&packet[header.header_bytes..header.packet_bytes]);
    let is_pubrel = packet[0] >> 4 == 6;
    match header.kind {
        Kind::Unsubscribe => {
            if header.flags != 2 {
                return Err(Malformed("unsubscribe flags"));
            }
            r.packet_id()?;
            if r.0.is_empty() {
                return Err(Malformed("unsubscription from nothing"));
            }
            while !r.0.is_empty() {
                r.text()?;
            }
            Ok(())
        }
        Kind::Answer => {
            if header.flags != if is_pubrel { 2 } else { 0 } {
                return Err(Malformed("flags of an acknowledgement"));
            }
            r.packet_id()?;
            if r.0.is_empty() { Ok(()) } else { Err(Malformed("acknowledgement with more than its packet id")) }
        }
        Kind::Empty if header.flags == 0 && r.0.is_empty() => Ok(()),
        Kind::Empty => Err(Malformed("a packet that should be empty")),
        Kind::Connect | Kind::Publish | Kind::Subscribe => Err(Malformed("a packet of another kind")),
    }
}

/// The filters of a SUBSCRIBE (§3.8).
///
/// # Errors
/// A packet not as the standard says.
pub fn subscribe_filters<'a>(packet: &'a [u8], header: &Header) -> Result<Vec<&'a str>, PacketError> {
    if header.flags != 2 {
        return Err(Malformed("subscribe flags"));
    }
    let mut r = Reader(&packet[header.header_bytes..header.packet_bytes]);
    r.packet_id()?;
    let mut filters = Vec::new();
    while !r.0.is_empty() {
        let filter = r.text()?;
        if filter.is_empty() || filters.len() >= FILTERS_MAX {
            return Err(Malformed("an empty filter, or too many"));
        }
        filters.push(filter);
        if r.u8()? > 2 {
            return Err(Malformed("quality of service"));
        }
    }
    if filters.is_empty() { Err(Malformed("subscription to nothing")) } else { Ok(filters) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn connect() -> Connect {
        Connect {
            client_id: "GW-1".into(),
            clean_session: true,
            keep_alive_s: 30,
            will: Some(Will { topic: "a/b".into(), message: b"x".to_vec(), qos: 1, retain: true }),
            username: Some("u".into()),
            password: Some(vec![0, 255]),
        }
    }

    #[test]
    fn connect_survives_encoding() {
        let bytes = connect().encode().expect("short fields");
        let header = header(&bytes, LIMIT).expect("good").expect("whole");
        assert_eq!(header.packet_bytes, bytes.len());
        assert_eq!(Connect::parse(&bytes, &header), Ok(connect()));
    }

    #[test]
    fn att_13_a_300_megabyte_packet_is_refused_by_its_header() {
        // 0xff 0xff 0xff 0x7f is the largest remaining length, 268,435,455 bytes.
        assert_eq!(header(&[0x30, 0xff, 0xff, 0xff, 0x7f], LIMIT), Err(PacketError::TooLarge(268_435_460)));
        assert!(header(&[0x30, 0xff, 0xff, 0xff, 0xff, 0x01], LIMIT).is_err());
        assert!(header(&[0x20, 0], LIMIT).is_err(), "CONNACK comes from servers only");
    }

    #[test]
    fn att_13_packets_that_a_broker_might_stumble_over_are_refused() {
        let whole = |bytes: &[u8]| header(bytes, LIMIT).expect("good").expect("whole");
        for bytes in [
            &[0x40, 2, 0, 0][..],
            &[0x40, 3, 0, 1, 9],
            &[0x40, 1, 0],
            &[0x60, 2, 0, 1],
            &[0x50 | 8, 2, 0, 1],
            &[0xc0, 1, 0],
            &[0xe1, 0],
            &[0xa2, 2, 0, 1],
            &[0xa0, 5, 0, 1, 0, 1, b'a'],
        ] {
            assert!(check_harmless(bytes, &whole(bytes)).is_err(), "{bytes:?}");
        }
        for bytes in [&[0x40, 2, 0, 1][..], &[0x62, 2, 0, 1], &[0xc0, 0], &[0xa2, 5, 0, 1, 0, 1, b'a']] {
            assert_eq!(check_harmless(bytes, &whole(bytes)), Ok(()), "{bytes:?}");
        }
        for bytes in [
            &[0x32, 5, 0, 1, b'a', 0, 0][..],
            &[0x32, 3, 0, 1, b'a'],
            &[0x38, 3, 0, 1, b'a'],
            &[0x36, 5, 0, 1, b'a', 0, 1],
        ] {
            assert!(Publish::parse(bytes, &whole(bytes)).is_err(), "{bytes:?}");
        }
        let bytes = [publish("a/b", &[7; 200]), vec![0x33, 5, 0, 1, b'a', 0, 9]].concat();
        let first = header(&bytes, LIMIT).expect("good").expect("whole");
        let read = Publish::parse(&bytes, &first).expect("good");
        assert_eq!((read.topic, read.qos, read.retain, read.payload), ("a/b", 0, false, &[7; 200][..]));
        let once = publish_at_least_once("a/b", 9, b"x");
        let read = Publish::parse(&once, &whole(&once)).expect("good");
        assert_eq!((read.topic, read.qos, read.packet_id, read.payload), ("a/b", 1, Some(9), &b"x"[..]));
        let second = &bytes[first.packet_bytes..];
        let read = Publish::parse(second, &whole(second)).expect("good");
        assert_eq!((read.topic, read.qos, read.retain, read.packet_id), ("a", 1, true, Some(9)));
    }

    #[test]
    fn other_protocol_levels_are_named() {
        let mut bytes = connect().encode().expect("short fields");
        bytes[8] = 5;
        let header = header(&bytes, LIMIT).expect("good").expect("whole");
        assert_eq!(Connect::parse(&bytes, &header), Err(PacketError::ProtocolLevel(5)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(h)) = header(&bytes, LIMIT)
                && h.packet_bytes <= bytes.len()
            {
                let _ = Connect::parse(&bytes, &h);
                let _ = Publish::parse(&bytes, &h);
                let _ = subscribe_filters(&bytes, &h);
                let _ = check_harmless(&bytes, &h);
                let _ = unsubscribe_filters(&bytes, &h);
            }
        }
    }
}

//! What travels: frames (a version byte, then postcard), topics, and the part of MQTT that the front door must understand.

pub mod mqtt;
mod topic;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use topic::Topic;

use crate::limits::FRAME_BYTES_MAX;

/// The only frame version so far.
pub const VERSION: u8 = 1;

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Nothing there.
    #[error("empty frame")]
    Empty,
    /// Too large to look at.
    #[error("frame of {0} bytes, at most {FRAME_BYTES_MAX} are accepted")]
    TooLarge(usize),
    /// From a newer or foreign peer.
    #[error("frame version {0} is not known here (this side speaks {VERSION}); update the older side")]
    Version(u8),
    /// Not what was expected.
    #[error("frame does not decode: {0}")]
    Malformed(String),
}

/// Encodes a message as a frame.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    postcard::to_extend(message, vec![VERSION]).expect("plain data encodes into memory")
}

/// Decodes a frame.
///
/// # Errors
/// See [`FrameError`]; the message is dropped and reported.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    if bytes.len() > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    match bytes.split_first() {
        None => Err(FrameError::Empty),
        Some((&VERSION, payload)) => match postcard::take_from_bytes(payload) {
            Ok((message, [])) => Ok(message),
            Ok((_, rest)) => Err(FrameError::Malformed(format!("{} bytes left over", rest.len()))),
            Err(e) => Err(FrameError::Malformed(e.to_string())),
        },
        Some((&version, _)) => Err(FrameError::Version(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_other_versions_sizes_and_tails_are_refused() {
        let good = encode(&7_u32);
        assert_eq!(decode::<u32>(&good), Ok(7));
        assert_eq!(decode::<u32>(&[]), Err(FrameError::Empty));
        assert_eq!(decode::<u32>(&[2, 7]), Err(FrameError::Version(2)));
        assert!(matches!(decode::<u32>(&[1, 7, 0]), Err(FrameError::Malformed(_))));
        assert!(matches!(decode::<Vec<u8>>(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]), Err(FrameError::Malformed(_))));
        assert_eq!(decode::<u32>(&vec![1; FRAME_BYTES_MAX + 1]), Err(FrameError::TooLarge(FRAME_BYTES_MAX + 1)));
    }
}

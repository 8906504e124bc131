//! Checkpoints (C2SP tlog-checkpoint): the signed statement of a log's size and root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, NoteError, NoteKey, NoteSigner};

/// The size and root that a log committed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note of this checkpoint.
    ///
    /// # Errors
    /// The origin is not the signer's name, or the size above 2^63 - 1.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, NoteError> {
        if self.origin != signer.key().name() {
            return Err(NoteError::Checkpoint("origin is not the signer's name"));
        }
        if self.size > i64::MAX as u64 {
            return Err(NoteError::Checkpoint("size above 2^63 - 1"));
        }
        signer.sign(&format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root)))
    }

    /// Opens a note signed by `key`, whose name must be the origin.
    ///
    /// # Errors
    /// See [`NoteError`].
    pub fn open(note: &[u8], key: &NoteKey) -> Result<Self, NoteError> {
        Self::parse(key.open(note)?, key.name())
    }

    fn parse(text: &str, origin: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Checkpoint;
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or_default().split('\n').collect();
        if lines.len() < 3 || lines.iter().any(|l| l.is_empty()) {
            return Err(bad("fewer than three lines, or an empty one"));
        }
        if lines[0] != origin {
            return Err(bad("another origin"));
        }
        let canonical = lines[1] == "0" || (!lines[1].starts_with('0') && lines[1].bytes().all(|b| b.is_ascii_digit()));
        let size = match lines[1].parse::<i64>() {
            Ok(n) if canonical => n.unsigned_abs(),
            _ => return Err(bad("size is no plain decimal below 2^63")),
        };
        let root = STANDARD.decode(lines[2]).ok().and_then(|b| b.try_into().ok()).ok_or(bad("root hash"))?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;
    use crate::sign::SecretKey;

    const ENTRIES: [&str; 15] = [
        "one", "two", "three", "four", "five", "six", "seven", "eit", "nain", "ten", "ileven", "twelf", "threeten",
        "fourten", "fivten",
    ];
    const VKEY: &str = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
    const NOTES: [(u64, &str, &str); 4] = [
        (
            1,
            "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=",
            "M9e0lhr9kuLxGdAtaUrhm84TQffVsLdcy808sN0a3WyniNlfcr9+bywoiIke1YYciCNjJGkCgIlQ8b16jhsmg/SChAM=",
        ),
        (
            2,
            "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=",
            "M9e0llH4NKmlf0u7C8tkJioQOmi7l5ELqljXgKRg6R3G5JJ7vx7emDWo5fpqKuA/Dk/jRrI6il+7QCVirNhyUAWGoAk=",
        ),
        (
            8,
            "bC+VwvrJbalNVjfkdI8kUgs7mJoXrqiXCE7bgnD28pY=",
            "M9e0lq1EK37dHtgv9O3UzPxisw5vwIPcJsX9ab0xt4mvVfbdUR1fbMjN6sBFYpBoBEmD4+cWhj/AVgI5MitCO5+mews=",
        ),
        (
            15,
            "rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=",
            "M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=",
        ),
    ];

    fn signer() -> NoteSigner {
        let skey = STANDARD.decode("AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg").expect("base64");
        let seed = SecretKey::from_seed(skey[1..].try_into().expect("seed"));
        NoteSigner::new("example.com/log/testdata", seed).expect("good name")
    }

    #[test]
    fn the_worked_log_is_reproduced_to_the_byte() {
        let signer = signer();
        assert_eq!(signer.key().to_vkey(), VKEY);
        let mut tree = Tree::default();
        let mut notes = NOTES.iter();
        let mut next = notes.next();
        for entry in ENTRIES {
            tree.push(entry.as_bytes());
            let Some((size, root, signature)) = next else { break };
            if tree.size() == *size {
                let checkpoint = Checkpoint { origin: signer.key().name().into(), size: *size, root: tree.root() };
                let note = checkpoint.sign(&signer).expect("good checkpoint");
                assert_eq!(
                    note,
                    format!(
                        "example.com/log/testdata\n{size}\n{root}\n\n\u{2014} example.com/log/testdata {signature}\n"
                    )
                );
                assert_eq!(Checkpoint::open(note.as_bytes(), signer.key()), Ok(checkpoint));
                next = notes.next();
            }
        }
        assert!(next.is_none(), "every published size was reached");
        let proof: Vec<String> = tree.inclusion(2, 15).expect("in range").iter().map(|h| STANDARD.encode(h)).collect();
        assert_eq!(
            proof,
            [
                "9xWrP6pdBx5uKsS7mU1b9zWUPcw3mdoNCF55gM+5M2o=",
                "T1X2GdkhUjV3iyufF9b0kVsWFxIU0VI4EpNml2Teci4=",
                "g0ZoeYWtIV8Q8i+4CmgqPnBvH2il107lyCgTQsyB7H4=",
                "5jLpqTgjsBDSEX6SgZiRnbTMdTuRd8bQ5tSsAOxe0Ks=",
            ]
        );
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        let root = STANDARD.encode([1; 32]);
        let origin = "example.com/log/testdata";
        for (why, text) in [
            ("leading zero", format!("{origin}\n01\n{root}\n")),
            ("plus", format!("{origin}\n+5\n{root}\n")),
            ("minus", format!("{origin}\n-1\n{root}\n")),
            ("hex", format!("{origin}\n0x5\n{root}\n")),
            ("too large", format!("{origin}\n9223372036854775808\n{root}\n")),
            ("short root", format!("{origin}\n5\n{}\n", STANDARD.encode([1; 31]))),
            ("base64 not canonical", format!("{origin}\n5\n{}\n", root.replace("E=", "F="))),
            ("other origin", format!("example.com/other\n5\n{root}\n")),
            ("two lines", format!("{origin}\n5\n")),
            ("empty line inside", format!("{origin}\n\n5\n{root}\n")),
        ] {
            let note = signer().sign(&text).expect("a note, if no checkpoint");
            assert!(
                matches!(Checkpoint::open(note.as_bytes(), signer().key()), Err(NoteError::Checkpoint(_))),
                "{why}"
            );
        }
    }
}

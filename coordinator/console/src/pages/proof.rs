//! The proof of a record as a picture of its path: from the record's hash up to the root that the
//! checkpoint signs (RFC 9162, 2.1.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

type Hash = [u8; 32];

fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

fn hash_of(text: &Value) -> Option<Hash> {
    STANDARD.decode(text.as_str()?).ok()?.try_into().ok()
}

/// One level: what stands beside the hash so far, on which side, and the hash above both.
struct Step {
    is_left: bool,
    beside: Hash,
    above: Hash,
}

/// The path of a leaf; `None` if the proof does not fit the index and the size.
fn path_of(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Vec<Step>> {
    let (mut at, mut last, mut here) = (index, size.checked_sub(1)?, leaf);
    let mut steps = Vec::new();
    for beside in proof {
        if last == 0 {
            return None;
        }
        let is_left = at & 1 == 1 || at == last;
        here = if is_left { node(beside, &here) } else { node(&here, beside) };
        if is_left {
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        }
        (at, last) = (at >> 1, last >> 1);
        steps.push(Step { is_left, beside: *beside, above: here });
    }
    (last == 0).then_some(steps)
}

/// Parts of an evidence file for the page: path, checkpoint, signatures. `null` if it does not hold
/// the entry.
///
/// What is computed here is for looking at. It proves nothing to somebody who does not trust this
/// coordinator.
pub(super) fn proof_of(index: u64, evidence: &Value) -> Value {
    let shown = || {
        let record = evidence["records"].as_array()?.iter().find(|one| one["index"] == index)?;
        let proof: Option<Vec<Hash>> = record["proof"].as_array()?.iter().map(hash_of).collect();
        let (entry, proof) = (record["entry"].as_str()?, proof?);
        let note = evidence["checkpoint"].as_str()?;
        let (text, signatures) = note.split_once("\n\n")?;
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?.parse::<u64>().ok()?, lines.next()?);
        let root: Hash = STANDARD.decode(root).ok()?.try_into().ok()?;
        let leaf = leaf(entry.as_bytes());
        let steps = path_of(index, size, leaf, &proof)?;
        let top = steps.last().map_or(leaf, |step| step.above);
        let keys = evidence["witnessKeys"].as_array()?;
        let named: Vec<&str> = keys.iter().filter_map(|key| key.as_str()?.split('+').next()).collect();
        let signers: Vec<&str> =
            signatures.lines().filter_map(|line| line.strip_prefix("\u{2014} ")?.split(' ').next()).collect();
        let cosigners = named.iter().filter(|name| signers.contains(*name)).count();
        let levels: Vec<Value> = steps
            .iter()
            .map(|step| {
                let (beside, above) = (hex::encode(step.beside), hex::encode(step.above));
                json!({ "left": step.is_left, "beside": beside, "above": above })
            })
            .collect();
        Some(json!({
            "origin": origin, "size": size, "root": hex::encode(root), "leaf": hex::encode(leaf), "levels": levels,
            "fits": top == root, "signers": signers, "witnesses": named, "cosigners": cosigners,
            "threshold": evidence["witnessThreshold"], "note": note,
        }))
    };
    shown().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree of RFC 9162 over all entries.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
                node(&root(&leaves[..split]), &root(&leaves[split..]))
            }
        }
    }

    fn proof(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() <= 1 {
            return Vec::new();
        }
        let split = 1 << (usize::BITS - 1 - (leaves.len() - 1).leading_zeros());
        let (mut path, beside) = match index < split {
            true => (proof(index, &leaves[..split]), root(&leaves[split..])),
            false => (proof(index - split, &leaves[split..]), root(&leaves[..split])),
        };
        path.push(beside);
        path
    }

    #[test]
    fn console_the_path_of_every_record_ends_at_the_root() {
        for size in 1..40_usize {
            let leaves: Vec<Hash> = (0..size).map(|n| leaf(n.to_string().as_bytes())).collect();
            for index in 0..size {
                let path = proof(index, &leaves);
                let steps = path_of(index as u64, size as u64, leaves[index], &path).expect("it fits");
                assert_eq!(steps.last().map_or(leaves[index], |s| s.above), root(&leaves), "{index} of {size}");
                assert!(path_of(index as u64, size as u64 * 2 + 1, leaves[index], &path).is_none(), "too short");
            }
        }
        assert!(path_of(0, 0, leaf(b""), &[]).is_none());
    }

    #[test]
    fn sec_console_a_changed_byte_leaves_the_path() {
        let leaves: Vec<Hash> = ["a", "b", "c"].map(|text| leaf(text.as_bytes())).into();
        let encoded: Vec<String> = proof(1, &leaves).iter().map(|hash| STANDARD.encode(hash)).collect();
        let evidence = |entry: &str| {
            json!({
                "records": [{ "index": 1, "entry": entry, "proof": encoded }], "witnessKeys": ["w1+00000000+x"], "witnessThreshold": 1,
                "checkpoint": format!("log\n3\n{}\n\n\u{2014} log AAAA\n\u{2014} w1 BBBB\n", STANDARD.encode(root(&leaves))),
            })
        };
        let right = proof_of(1, &evidence("b"));
        assert_eq!((right["fits"].as_bool(), right["cosigners"].as_u64()), (Some(true), Some(1)));
        assert_eq!(proof_of(1, &evidence("B"))["fits"], false);
        assert_eq!(proof_of(2, &evidence("b")), Value::Null, "another entry");
        assert_eq!(proof_of(1, &Value::Null), Value::Null);
    }
}

//! What a device does with an order, whichever way the order reached it.

use std::io;

use mdfm_shared::device::{Command, Order};
use mdfm_shared::digest::Digest;

use super::slots::Flash;

/// What an order led to.
pub(crate) enum Obeyed {
    Stay,
    Reboot,
    /// A code and words.
    Refused(&'static str, &'static str),
}

/// Does an order, or refuses it; its number is noted.
pub(crate) fn obey(flash: &mut Flash, running: Digest, in_use: bool, command: Command) -> io::Result<Obeyed> {
    flash.handle(command.order);
    let reboots = matches!(command.what, Order::Activate { .. } | Order::Rollback { .. });
    if reboots && in_use {
        return Ok(Obeyed::Refused("inUse", "a patient is connected"));
    }
    match command.what {
        Order::Begin { firmware, size_bytes, components } => {
            if !flash.is_confirmed() {
                return Ok(Obeyed::Refused("onTrial", "the other slot is the way back"));
            }
            if components.iter().map(|c| c.size_bytes).sum::<u64>() != size_bytes && !components.is_empty() {
                return Ok(Obeyed::Refused("malformed", "the components are not as long as the firmware"));
            }
            if firmware.sha256 != running {
                flash.begin(firmware, size_bytes, components)?;
            }
        }
        Order::Finish { sha256 } => {
            if !flash.finish(sha256)? {
                return Ok(Obeyed::Refused("wrongDigest", "the slot is not what was announced"));
            }
        }
        Order::Activate { sha256 } => {
            if sha256 != running {
                if !flash.try_staged(sha256)? {
                    return Ok(Obeyed::Refused("notStaged", "the slot holds no such image"));
                }
                return Ok(Obeyed::Reboot);
            }
        }
        Order::Confirm { sha256 } => {
            if sha256 != running {
                return Ok(Obeyed::Refused("wrongDigest", "that is not what runs"));
            }
            flash.confirm()?;
        }
        Order::Rollback { sha256 } => {
            if !flash.return_to(sha256)? {
                return Ok(Obeyed::Refused("notStaged", "no slot holds that firmware"));
            }
            if sha256 != running {
                return Ok(Obeyed::Reboot);
            }
        }
    }
    Ok(Obeyed::Stay)
}

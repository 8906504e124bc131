//! What an agent decides: pure but for the store that it is given. Time, messages and reports come in as arguments; orders, messages
//! and downloads go out as values.
//!
//! [`gateway::Gateway`] is all of it for one gateway. Whoever drives it calls, in this order: [`gateway::Gateway::start`]; then, for
//! whatever happens, the method that is named for it, [`gateway::Gateway::work`], and [`gateway::Gateway::next_output`] until nothing
//! comes; and `work` again at [`gateway::Gateway::next_wake`]. What comes out may be lost: it comes again. Inside it, [`installer`]
//! is the state machine of one device, [`trust`] what this gateway believes, [`trusted_time`] what time it is, and [`store`] what
//! must survive a power cut.
//!
//! The agent's program and the world in virtual time drive the same calls; one with a disk, the other with [`store::memory::Memory`].

#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gateway;
pub mod image;
pub mod installer;
pub mod store;
pub mod trust;
pub mod trusted_time;

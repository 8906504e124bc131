//! Counters that any thread may add to and anybody may read.

/// Declares a struct of counters and the struct of their values that the API shows.
macro_rules! counters {
    ($(#[$what:meta])* $counters:ident, $view:ident { $($(#[$doc:meta])* $name:ident),* $(,)? }) => {
        $(#[$what])*
        #[derive(Debug, Default)]
        pub(crate) struct $counters { $(pub(crate) $name: $crate::counters::Counter),* }

        $(#[$what])*
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        pub(crate) struct $view { $($(#[$doc])* $name: u64),* }

        impl $counters {
            /// What they say now.
            pub(crate) fn view(&self) -> $view {
                $view { $($name: self.$name.get()),* }
            }
        }
    };
}

pub(crate) use counters;

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }
    /// For what goes up and down.
    pub(crate) fn remove(&self, n: usize) {
        self.0.fetch_sub(n as u64, Ordering::Relaxed);
    }
    pub(crate) fn set(&self, n: usize) {
        self.0.store(n as u64, Ordering::Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

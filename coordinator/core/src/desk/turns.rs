//! Whose directives may have to change, a slice in each round: one round with all of them would keep everybody waiting for as long as a hundred thousand
//! signatures take. Volatile: after a start every gateway has its turn.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Bound;

use mdfm_shared::id::{DeploymentId, DeviceId, GatewayId};
use mdfm_shared::time::UtcMillis;

use crate::rollout::Deployment;
use crate::{State, directive};

/// Gateways whose directive is composed, and signed where it changed, in one round. 128 take about ten milliseconds.
pub(super) const TURNS_MAX: usize = 128;
/// Devices or gateways that one round looks at to find out whose turn is to come.
const WALKED_MAX: usize = 4_096;
/// An eighth is kept for what is not urgent, so that it comes to its end whatever else goes on.
const FAIR_SHARE: usize = 8;

/// How soon a directive must change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// It stops something in one place: a device or a hospital goes back.
    First,
    /// It stops something everywhere: pause, abort, going back.
    Urgent,
    /// Everything else.
    Ordinary,
}

/// A way through many devices or gateways, begun and not ended.
#[derive(Debug, PartialEq, Eq)]
enum Walk {
    /// The gateways of a deployment's devices: of one phase, or of every open phase.
    Devices { deployment: DeploymentId, phase: Option<u32>, next: Bound<DeviceId> },
    /// The gateways whose directive runs out, or whose windows move with time; all of them where `is_first`.
    Sweep { is_first: bool, next: Bound<GatewayId> },
}

/// Gateways and walks of one haste.
#[derive(Debug, Default)]
struct Line {
    walks: VecDeque<Walk>,
    waiting: BTreeSet<GatewayId>,
    /// Who had the last turn. The line goes round, so that nobody waits for more than one round of it.
    last: Option<GatewayId>,
}

/// Who waits for a turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    first: Line,
    urgent: Line,
    ordinary: Line,
    has_swept: bool,
}

impl Line {
    fn is_empty(&self) -> bool {
        self.walks.is_empty() && self.waiting.is_empty()
    }

    fn next(&mut self) -> Option<GatewayId> {
        let from = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.waiting.range((from, Bound::Unbounded)).next();
        let next = behind.or_else(|| self.waiting.first()).cloned()?;
        self.waiting.remove(&next);
        self.last = Some(next.clone()).filter(|_| !self.waiting.is_empty());
        Some(next)
    }

    /// Goes on with the walks, `max` steps at most; returns how many were made.
    fn walk(&mut self, state: &State, now: UtcMillis, max: usize) -> usize {
        let mut made = 0;
        while made < max
            && let Some(walk) = self.walks.front_mut()
        {
            let (steps, has_ended) = walk.go_on(state, now, max - made, &mut self.waiting);
            made += steps;
            if has_ended {
                self.walks.pop_front();
            }
        }
        made
    }
}

impl Walk {
    /// Whether the other walk leads to the same gateways, however far each has come.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Devices { deployment, phase, .. },
                Self::Devices { deployment: other_deployment, phase: other_phase, .. },
            ) => deployment == other_deployment && phase == other_phase,
            (Self::Sweep { .. }, Self::Sweep { .. }) => true,
            (Self::Devices { .. } | Self::Sweep { .. }, _) => false,
        }
    }

    /// Makes `max` steps at most; returns how many, and whether that was the end.
    fn go_on(&mut self, state: &State, now: UtcMillis, max: usize, waiting: &mut BTreeSet<GatewayId>) -> (usize, bool) {
        let mut made = 0;
        match self {
            Self::Devices { deployment, phase, next } => {
                let Some(deployment) = state.deployments.get(deployment) else { return (0, true) };
                let is_meant = |of: u32| phase.map_or_else(|| deployment.is_open(of), |phase| phase == of);
                for (device, progress) in deployment.devices.range((next.clone(), Bound::Unbounded)) {
                    if made == max {
                        return (made, false);
                    }
                    made += 1;
                    if is_meant(progress.phase)
                        && let Some(gateway) = state.gateway_of(device)
                        && !waiting.contains(gateway)
                    {
                        waiting.insert(gateway.clone());
                    }
                    if made == max {
                        *next = Bound::Excluded(device.clone());
                    }
                }
            }
            Self::Sweep { is_first, next } => {
                let with_windows: Vec<&Deployment> =
                    state.deployments.values().filter(|d| d.is_active() && d.plan.spec.windows.has_windows()).collect();
                for (id, gateway) in state.gateways.range((next.clone(), Bound::Unbounded)) {
                    if made == max {
                        return (made, false);
                    }
                    made += 1;
                    let is_enrolled = gateway.credentials.is_some();
                    let moves = || with_windows.iter().any(|d| d.hospitals.contains_key(&gateway.hospital));
                    if is_enrolled && (*is_first || directive::runs_out(id, gateway, now) || moves()) {
                        waiting.insert(id.clone());
                    }
                    if made == max {
                        *next = Bound::Excluded(id.clone());
                    }
                }
            }
        }
        (made, true)
    }
}

impl Turns {
    fn line(&mut self, haste: Haste) -> &mut Line {
        match haste {
            Haste::First => &mut self.first,
            Haste::Urgent => &mut self.urgent,
            Haste::Ordinary => &mut self.ordinary,
        }
    }

    fn begin(&mut self, haste: Haste, walk: Walk) {
        let line = self.line(haste);
        // Whoever was passed before this change has to be passed again.
        line.walks.retain(|held| !held.is_same(&walk));
        line.walks.push_back(walk);
    }

    /// These gateways are to have a turn.
    pub(super) fn add<'a>(&mut self, haste: Haste, gateways: impl IntoIterator<Item = &'a GatewayId>) {
        self.line(haste).waiting.extend(gateways.into_iter().cloned());
    }

    /// The gateways of a deployment's devices are to have a turn: those of one phase, or of every open phase.
    pub(super) fn add_reached(&mut self, haste: Haste, deployment: &DeploymentId, phase: Option<u32>) {
        self.begin(haste, Walk::Devices { deployment: deployment.clone(), phase, next: Bound::Unbounded });
    }

    /// Begins to look for gateways whose directive runs out, or whose windows move with time. The first time after a start each gateway has a turn:
    /// the coordinator may have ended between a change and the directives that were to follow.
    pub(super) fn sweep(&mut self) {
        let is_sweeping = self.ordinary.walks.iter().any(|walk| matches!(walk, Walk::Sweep { .. }));
        if !is_sweeping {
            let is_first = !std::mem::replace(&mut self.has_swept, true);
            self.ordinary.walks.push_back(Walk::Sweep { is_first, next: Bound::Unbounded });
        }
    }

    /// Whether somebody waits.
    pub(super) fn has_more(&self) -> bool {
        [&self.first, &self.urgent, &self.ordinary].into_iter().any(|line| !line.is_empty())
    }

    /// The gateways whose turn it is in this round: the urgent ones first, but a share is for the others.
    pub(super) fn next(&mut self, state: &State, now: UtcMillis) -> Vec<GatewayId> {
        let Self { first, urgent, ordinary, .. } = self;
        let without_share = |max: usize, is_shared: bool| if is_shared { max - max / FAIR_SHARE } else { max };
        let mut walked = 0;
        let walked_max = without_share(WALKED_MAX, !ordinary.walks.is_empty());
        for (line, max) in [(&mut *first, walked_max), (&mut *urgent, walked_max), (&mut *ordinary, WALKED_MAX)] {
            walked += line.walk(state, now, max.saturating_sub(walked));
        }
        let mut turns = BTreeSet::new();
        let mut order = Vec::new();
        let turns_max = without_share(TURNS_MAX, !ordinary.waiting.is_empty());
        for (line, max) in [(first, turns_max), (urgent, turns_max), (ordinary, TURNS_MAX)] {
            while order.len() < max
                && let Some(gateway) = line.next()
            {
                // What is composed now is of the newest state: who had a turn needs no second one.
                if turns.insert(gateway.clone()) {
                    order.push(gateway);
                }
            }
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Office, all, id};

    fn gateway(n: usize) -> GatewayId {
        id(&format!("GW-{n:05}"))
    }

    #[test]
    fn a_slice_is_bounded_and_everybody_has_a_turn() {
        let (state, mut turns) = (State::default(), Turns::default());
        let all: Vec<GatewayId> = (0..1_000).map(gateway).collect();
        turns.add(Haste::Ordinary, &all);
        let mut seen = Vec::new();
        while turns.has_more() {
            let slice = turns.next(&state, UtcMillis(0));
            assert!((1..=TURNS_MAX).contains(&slice.len()), "{}", slice.len());
            // The same one changes again in each round: it does not keep the others from their turn.
            turns.add(Haste::Ordinary, (seen.len() < 900).then_some(&all[0]));
            seen.extend(slice);
        }
        assert!(all.iter().all(|gateway| seen.contains(gateway)));
        assert!(seen.len() < 1_010, "{}", seen.len());
    }

    #[test]
    fn urgent_turns_come_first_and_leave_a_share() {
        let (state, mut turns) = (State::default(), Turns::default());
        let all: Vec<GatewayId> = (0..1_000).map(gateway).collect();
        turns.add(Haste::Ordinary, &all[..500]);
        turns.add(Haste::Urgent, &all[400..]);
        let first = turns.next(&state, UtcMillis(0));
        let urgent = first.iter().filter(|gateway| all[400..].contains(gateway)).count();
        assert_eq!((first.len(), urgent), (TURNS_MAX, TURNS_MAX - TURNS_MAX / FAIR_SHARE));
        let mut seen = first;
        while turns.has_more() {
            seen.extend(turns.next(&state, UtcMillis(0)));
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen, all);
    }

    #[test]
    fn a_walk_that_begins_again_passes_everybody_again() {
        let mut office = Office::new();
        office.deploy("D-1", &all(22, "")).expect("approved");
        let deployment: DeploymentId = id("D-1");
        let mut line = Line::default();
        let mut walk = Walk::Devices { deployment: deployment.clone(), phase: None, next: Bound::Unbounded };
        for step in 1..=8 {
            assert_eq!(walk.go_on(&office.state, office.now, 1, &mut line.waiting).0, 1, "{step}");
        }
        assert_eq!(walk.go_on(&office.state, office.now, 1, &mut line.waiting), (0, true));
        assert_eq!(line.waiting.len(), 4);
        let mut turns = Turns::default();
        turns.add_reached(Haste::Urgent, &deployment, None);
        turns.urgent.walk(&office.state, office.now, 7);
        turns.add_reached(Haste::Urgent, &deployment, None);
        assert_eq!(turns.urgent.walks.len(), 1);
        assert_eq!(turns.urgent.walk(&office.state, office.now, 100), 8, "from the first device on");
        let mut sweep = Walk::Sweep { is_first: true, next: Bound::Unbounded };
        line.waiting.clear();
        assert_eq!(sweep.go_on(&office.state, office.now, 3, &mut line.waiting), (3, false));
        assert_eq!(sweep.go_on(&office.state, office.now, 3, &mut line.waiting), (1, true));
        assert_eq!(line.waiting.len(), 4);
    }
}

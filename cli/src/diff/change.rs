//! What changed, site by site: the part of a diff that knows what snapshots are.
//!
//! Called by `diff`. Sites of one process are paired by id, also where the second snapshot has fewer (the user swapped the
//! marks). Sites of two processes are paired where their stacks are the same addresses of the same modules; what finds no
//! partner is a change of its own, and meets its counterpart in a row.

use super::spread::{self, Side, Variances};
use super::{From, same_process};
use crate::model::{FrameKind, Module, Snapshot};
use crate::report::Amount;
use std::collections::HashMap;

/// A site's change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    /// The snapshot that knows the stack.
    pub(super) snapshot: &'a Snapshot,
    /// The site's number there.
    pub(super) site: usize,
    /// The stack's innermost node.
    pub(super) frame: u32,
    pub(super) growth: Amount,
    pub(super) live: Amount,
    pub(super) total: Amount,
    /// How far these may be off.
    pub(super) variances: Variances,
}

/// All sites of the second, also those that are nothing at either moment.
pub(super) fn every<'a>(from: &'a Snapshot, to: &'a Snapshot) -> Vec<Change<'a>> {
    let mut all = by_id(from, to);
    all.truncate(to.sites.len());
    all
}

/// All sites that are anything at either moment.
pub(super) fn changes<'a>(from: From<'a>, to: &'a Snapshot) -> Vec<Change<'a>> {
    let all = match from {
        From::Start => (0..to.sites.len())
            .map(|id| change((to, id), &Side::NOTHING, &Side::of(to, id)))
            .collect(),
        From::Mark(from) if same_process(from, to) => by_id(from, to),
        From::Mark(from) => by_stack(from, to),
    };
    let zero = Amount::default();
    let says_something =
        |change: &Change<'_>| [change.growth, change.live, change.total] != [zero; 3];
    all.into_iter().filter(says_something).collect()
}

fn by_id<'a>(from: &'a Snapshot, to: &'a Snapshot) -> Vec<Change<'a>> {
    let count = from.sites.len().max(to.sites.len());
    let before = |id: usize| match id < from.sites.len() {
        true => Side::of(from, id),
        false => Side::NOTHING,
    };
    let pair = |id: usize| match id < to.sites.len() {
        true => change((to, id), &before(id), &Side::of(to, id)),
        false => change((from, id), &before(id), &Side::NOTHING),
    };
    (0..count).map(pair).collect()
}

fn by_stack<'a>(from: &'a Snapshot, to: &'a Snapshot) -> Vec<Change<'a>> {
    let mut before: HashMap<Stack<'a>, Vec<usize>> = HashMap::new();
    for (id, site) in from.sites.iter().enumerate() {
        before.entry(stack(from, site.frame)).or_default().push(id);
    }
    let mut all = Vec::new();
    for (id, site) in to.sites.iter().enumerate() {
        let partner = before.get_mut(&stack(to, site.frame)).and_then(Vec::pop);
        let partner = partner.map_or(Side::NOTHING, |id| Side::of(from, id));
        all.push(change((to, id), &partner, &Side::of(to, id)));
    }
    let mut left: Vec<usize> = before.into_values().flatten().collect();
    left.sort_unstable();
    for id in left {
        all.push(change((from, id), &Side::of(from, id), &Side::NOTHING));
    }
    all
}

/// A frame, told by what does not differ between two runs.
#[derive(PartialEq, Eq, Hash)]
enum Step<'a> {
    Native(Option<(&'a str, &'a [u8])>, FrameKind, u64),
    /// Numbers of code differ between two runs; the file, the name and the line do not.
    Python(&'a str, &'a str, u32),
}

/// The label of its thread, and its frames.
type Stack<'a> = (Option<&'a str>, Vec<Step<'a>>);

fn stack(snapshot: &Snapshot, frame: u32) -> Stack<'_> {
    let step = |node: u32| {
        let frame = snapshot.frames.get(node as usize)?;
        if let Some((code, line)) = frame.python() {
            let code = snapshot.codes.get(code as usize)?;
            return Some(Step::Python(&code.file, &code.name, line));
        }
        let module = frame
            .module
            .and_then(|id| snapshot.modules.get(id as usize));
        let module = module.map(|Module { path, build_id, .. }| (&**path, &**build_id));
        Some(Step::Native(module, frame.kind, frame.value))
    };
    let steps = snapshot.nodes(frame).filter_map(step).collect();
    (snapshot.thread(frame), steps)
}

/// `site` is where the stack is known.
fn change<'a>(site: (&'a Snapshot, usize), before: &Side<'_>, after: &Side<'_>) -> Change<'a> {
    let (then, now) = (&before.counters, &after.counters);
    let live = amount(now.live_bytes(), now.live_blocks());
    let total = amount(
        since(now.allocated_bytes, then.allocated_bytes),
        since(now.allocated_blocks, then.allocated_blocks),
    );
    Change {
        snapshot: site.0,
        site: site.1,
        frame: site.0.sites[site.1].frame,
        growth: amount(
            live.bytes.wrapping_sub(then.live_bytes()),
            live.blocks.wrapping_sub(then.live_blocks()),
        ),
        live,
        total,
        variances: spread::between(before, after, total),
    }
}

fn amount(bytes: i64, blocks: i64) -> Amount {
    Amount { bytes, blocks }
}

fn since(now: u64, then: u64) -> i64 {
    now.wrapping_sub(then).cast_signed()
}

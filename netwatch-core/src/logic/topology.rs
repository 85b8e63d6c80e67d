//! What lies behind what: parents and children, and what a dead parent explains.
//!
//! A dead parent explains a child only if the parent has answered at least once in its life, and the child has not
//! answered since the parent fell silent: so a switch whose management address died hides nothing. Parents are
//! redundant: every way must be cut. Where a parent cannot say (it never answered, or its address died while it goes on
//! forwarding), the way leads on to *its* parents. A parent that answers leaves the way open, whatever is above it.
//!
//! Each question looks at every node above at most once, so that many redundant ways cost no more than few.

use std::collections::HashMap;

use crate::model::{Mono, Plan, TargetId};

/// What must be known of a node to say what it explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    /// The last conclusive check was answered.
    Answers,
    /// The last conclusive check was silent, and it had answered before.
    Dead {
        /// Whoever answered later than this did so without it.
        until: Mono,
    },
    /// It never answered, or nothing is known of it.
    Mute,
}

/// Parents and children of all targets of a plan. Where no target has a parent it is empty, and costs nothing.
#[derive(Debug, Default)]
pub(super) struct Topology {
    parents: Rows,
    children: Rows,
    /// Whether a target, or something behind it, is critical.
    critical: Vec<bool>,
}

/// For each target a list of others, all in one piece of memory.
#[derive(Debug, Default)]
struct Rows {
    begin: Vec<u32>,
    all: Vec<TargetId>,
}

impl Rows {
    /// From (whose list, who is in it).
    fn new(count: usize, pairs: impl Iterator<Item = (TargetId, TargetId)> + Clone) -> Rows {
        let mut begin = vec![0_u32; count + 1];
        for (of, _) in pairs.clone() {
            if let Some(place) = begin.get_mut(of.index() + 1) {
                *place += 1;
            }
        }
        let mut sum = 0;
        for place in &mut begin {
            sum += *place;
            *place = sum;
        }
        let mut next = begin.clone();
        let mut all = vec![TargetId::from_index(0); sum as usize];
        for (of, other) in pairs {
            let Some(place) = next.get_mut(of.index()) else { continue };
            if let Some(slot) = all.get_mut(*place as usize) {
                *slot = other;
            }
            *place += 1;
        }
        Rows { begin, all }
    }

    fn of(&self, id: TargetId) -> &[TargetId] {
        let range = self.begin.get(id.index()).zip(self.begin.get(id.index() + 1));
        range.and_then(|(from, to)| self.all.get(*from as usize..*to as usize)).unwrap_or(&[])
    }
}

impl Topology {
    pub(super) fn new(plan: &Plan) -> Topology {
        let count = plan.targets.len();
        if plan.targets.iter().all(|target| target.parents().is_empty()) {
            let critical = plan.targets.iter().any(|target| target.critical);
            let critical =
                if critical { plan.targets.iter().map(|target| target.critical).collect() } else { Vec::new() };
            return Topology { critical, ..Topology::default() };
        }
        let up = plan.targets.iter().enumerate().flat_map(|(index, target)| {
            let parents = target.parents().iter().filter(move |parent| parent.index() < count);
            parents.map(move |parent| (TargetId::from_index(index), *parent))
        });
        let parents = Rows::new(count, up.clone());
        let children = Rows::new(count, up.map(|(child, parent)| (parent, child)));
        let mut topology = Topology { parents, children, critical: vec![false; count] };
        for (index, _) in plan.targets.iter().enumerate().filter(|(_, target)| target.critical) {
            topology.make_critical(TargetId::from_index(index));
        }
        topology
    }

    /// It and all above it.
    fn make_critical(&mut self, id: TargetId) {
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            if let Some(critical) = self.critical.get_mut(next.index()).filter(|critical| !**critical) {
                *critical = true;
                open.extend_from_slice(self.parents.of(next));
            }
        }
    }

    /// Whether no target has a parent.
    pub(super) fn is_flat(&self) -> bool {
        self.parents.all.is_empty()
    }

    /// What a target is reached through.
    pub(super) fn parents(&self, id: TargetId) -> &[TargetId] {
        self.parents.of(id)
    }

    /// What is reached through a target.
    pub(super) fn children(&self, id: TargetId) -> &[TargetId] {
        self.children.of(id)
    }

    /// Whether it, or something behind it, is critical.
    pub(super) fn is_critical(&self, id: TargetId) -> bool {
        self.critical.get(id.index()).copied().unwrap_or(false)
    }

    /// The dead parent that explains why a child that last answered at `answered` is silent: the first one found of
    /// those that together cut every way to it.
    pub(super) fn explanation(
        &self,
        child: TargetId,
        answered: Mono,
        node: impl Fn(TargetId) -> Node,
    ) -> Option<TargetId> {
        let parents = self.parents(child);
        if let [parent] = parents
            && let Some(decided) = cuts(*parent, answered, &node)
        {
            // Nearly every child has one parent that can say, and needs no memory.
            return decided.then_some(*parent);
        }
        if parents.is_empty() {
            return None;
        }
        let mut known: HashMap<TargetId, Option<TargetId>> = HashMap::new();
        // Each step either decides a node or puts those above it first; without a cycle that ends.
        let mut open: Vec<TargetId> = parents.to_vec();
        while let Some(next) = open.last().copied() {
            if known.contains_key(&next) {
                open.pop();
                continue;
            }
            if let Some(decided) = cuts(next, answered, &node) {
                known.insert(next, decided.then_some(next));
                open.pop();
                continue;
            }
            let above = self.parents(next);
            match self.all_cut(above, &known) {
                Some(cut) => {
                    known.insert(next, cut);
                    open.pop();
                }
                None => open.extend(above.iter().filter(|parent| !known.contains_key(parent))),
            }
            if open.len() > self.parents.all.len() + parents.len() {
                return None;
            }
        }
        self.all_cut(parents, &known).flatten()
    }

    /// The first culprit if all of these are cut off; `None` as long as that cannot be said.
    fn all_cut(&self, parents: &[TargetId], known: &HashMap<TargetId, Option<TargetId>>) -> Option<Option<TargetId>> {
        if parents.iter().any(|parent| known.get(parent) == Some(&None)) {
            return Some(None);
        }
        let mut culprits = parents.iter().map(|parent| known.get(parent).copied());
        let first = culprits.next().unwrap_or(Some(None))?;
        culprits.all(|culprit| culprit.is_some()).then_some(first)
    }

    /// Calls `visit` once for each of these targets' descendants.
    pub(super) fn descend(&self, roots: impl IntoIterator<Item = TargetId>, mut visit: impl FnMut(TargetId)) {
        let mut seen = Seen::default();
        let mut open: Vec<TargetId> = roots.into_iter().collect();
        while let Some(next) = open.pop() {
            for child in self.children(next) {
                if seen.insert(*child) {
                    visit(*child);
                    open.push(*child);
                }
            }
        }
    }

    /// What is cut off with `root`, which fell silent: everything below it that has no other way, and has not answered
    /// since. `node` says how a target is, `answered` when it last answered.
    pub(super) fn behind(
        &self,
        root: TargetId,
        node: impl Fn(TargetId) -> Node,
        answered: impl Fn(TargetId) -> Mono,
    ) -> Vec<TargetId> {
        let Node::Dead { until } = node(root) else { return Vec::new() };
        let (mut cut, mut inside) = (Vec::new(), Seen::default());
        inside.insert(root);
        let mut open = vec![root];
        while let Some(next) = open.pop() {
            for child in self.children(next) {
                let is_cut = |parent: &TargetId| inside.contains(*parent) || matches!(node(*parent), Node::Dead { .. });
                if answered(*child) <= until && self.parents(*child).iter().all(is_cut) && inside.insert(*child) {
                    cut.push(*child);
                    open.push(*child);
                }
            }
        }
        cut
    }
}

/// Whether a parent that can say cuts the way to a child that last answered at `answered`.
fn cuts(parent: TargetId, answered: Mono, node: &impl Fn(TargetId) -> Node) -> Option<bool> {
    match node(parent) {
        Node::Answers => Some(false),
        Node::Dead { until } if answered <= until => Some(true),
        Node::Dead { .. } | Node::Mute => None,
    }
}

/// Targets that have been seen; small as long as few are.
#[derive(Debug, Default)]
struct Seen(std::collections::HashSet<TargetId>);

impl Seen {
    fn insert(&mut self, id: TargetId) -> bool {
        self.0.insert(id)
    }

    fn contains(&self, id: TargetId) -> bool {
        self.0.contains(&id)
    }
}

/// A cycle of parents, as the targets in it from one to the next above; `None` if there is none. Takes time in
/// proportion to the targets and their parents.
///
/// ```
/// use netwatch_core::{Plan, Target, TargetId, parent_cycle};
/// let id = TargetId::from_index;
/// let target = |name: &str, parent: usize| Target::at(name, [192, 0, 2, 1].into()).with_parents([id(parent)]);
/// assert_eq!(parent_cycle(&Plan::new(vec![target("a", 1), target("b", 0)])), Some(vec![id(0), id(1)]));
/// ```
pub fn parent_cycle(plan: &Plan) -> Option<Vec<TargetId>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; plan.targets.len()];
    for start in 0..plan.targets.len() {
        let mut way: Vec<(usize, usize)> = Vec::new();
        if marks.get(start) == Some(&Mark::New) {
            way.push((start, 0));
        }
        while let Some((at, next)) = way.last_mut() {
            let (at, place) = (*at, *next);
            *next += 1;
            if let Some(mark) = marks.get_mut(at) {
                *mark = Mark::Open;
            }
            let Some(parent) = plan.targets.get(at).and_then(|target| target.parents().get(place)) else {
                if let Some(mark) = marks.get_mut(at) {
                    *mark = Mark::Done;
                }
                way.pop();
                continue;
            };
            match marks.get(parent.index()) {
                Some(Mark::New) => way.push((parent.index(), 0)),
                Some(Mark::Open) => {
                    let cycle = way.iter().map(|(at, _)| *at).skip_while(|at| *at != parent.index());
                    return Some(cycle.map(TargetId::from_index).collect());
                }
                Some(Mark::Done) | None => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;
    use std::time::Duration;

    fn id(index: usize) -> TargetId {
        TargetId::from_index(index)
    }

    fn at(seconds: u64) -> Mono {
        Mono::ZERO.plus(Duration::from_secs(seconds))
    }

    fn plan(parents: &[&[usize]]) -> Plan {
        let target = |(index, parents): (usize, &&[usize])| {
            Target::at(format!("t{index}"), [192, 0, 2, 1].into())
                .with_parents(parents.iter().map(|parent| id(*parent)))
        };
        Plan::new(parents.iter().enumerate().map(target).collect())
    }

    fn explains(parents: &[&[usize]], nodes: &[Node], child: usize, answered: u64) -> Option<usize> {
        let node = |id: TargetId| nodes[id.index()];
        Topology::new(&plan(parents)).explanation(id(child), at(answered), node).map(TargetId::index)
    }

    const DEAD: Node = Node::Dead { until: Mono::from_nanos(10_000_000_000) };

    #[test]
    fn one_dead_parent_explains_a_child_that_has_not_answered_since() {
        let tree: &[&[usize]] = &[&[], &[0]];
        assert_eq!(explains(tree, &[DEAD, DEAD], 1, 10), Some(0));
        assert_eq!(explains(tree, &[DEAD, DEAD], 1, 11), None, "it answered later, so the parent lets it through");
        assert_eq!(explains(tree, &[Node::Answers, DEAD], 1, 5), None);
        assert_eq!(explains(tree, &[Node::Mute, DEAD], 1, 5), None, "it never answered, so its silence says nothing");
        assert_eq!(explains(tree, &[DEAD, DEAD], 0, 5), None, "nothing is above it");
    }

    #[test]
    fn redundant_parents_must_all_be_dead() {
        let tree: &[&[usize]] = &[&[], &[], &[0, 1]];
        assert_eq!(explains(tree, &[DEAD, DEAD, DEAD], 2, 5), Some(0));
        assert_eq!(explains(tree, &[Node::Answers, DEAD, DEAD], 2, 5), None);
        assert_eq!(explains(tree, &[DEAD, Node::Mute, DEAD], 2, 5), None);
    }

    #[test]
    fn a_parent_that_cannot_say_is_looked_through() {
        let chain: &[&[usize]] = &[&[], &[0], &[1], &[2]];
        assert_eq!(explains(chain, &[DEAD, Node::Mute, Node::Mute, DEAD], 3, 5), Some(0));
        assert_eq!(explains(chain, &[DEAD, Node::Answers, Node::Mute, DEAD], 3, 5), None, "one on the way answers");
        let early = Node::Dead { until: at(3) };
        assert_eq!(explains(chain, &[DEAD, Node::Mute, early, DEAD], 3, 5), Some(0), "its address died before");
    }

    #[test]
    fn many_redundant_ways_are_each_looked_at_once() {
        // Thirty layers of four nodes, each reached through all four above: 4^30 ways.
        let mut parents: Vec<Vec<usize>> = vec![vec![]; 4];
        for layer in 1..30_usize {
            (0..4).for_each(|_| parents.push((0..4).map(|n| 4 * (layer - 1) + n).collect()));
        }
        parents.push((116..120).collect());
        let rows: Vec<&[usize]> = parents.iter().map(Vec::as_slice).collect();
        let mut nodes = vec![Node::Mute; 121];
        (0..4).for_each(|n| nodes[n] = DEAD);
        assert!(explains(&rows, &nodes, 120, 5).is_some());
        nodes[2] = Node::Answers;
        assert_eq!(explains(&rows, &nodes, 120, 5), None);
    }

    #[test]
    fn parents_in_a_circle_explain_nothing_and_are_not_searched_for_ever() {
        for size in 1..6_usize {
            // Each of the circle is reached through all others, and one more is reached through the first.
            let circle = (0..size).map(|n| (0..size).filter(|other| *other != n || size == 1).collect());
            let parents: Vec<Vec<usize>> = circle.chain([vec![0]]).collect();
            let rows: Vec<&[usize]> = parents.iter().map(Vec::as_slice).collect();
            assert_eq!(explains(&rows, &vec![Node::Mute; size + 1], size, 5), None, "{size} in a circle");
        }
    }

    #[test]
    fn what_is_behind_has_no_other_way_and_did_not_answer_since() {
        let topology = Topology::new(&plan(&[&[], &[0], &[0], &[1, 2], &[], &[3, 4]]));
        let behind = |nodes: [Node; 6], late: usize| {
            let answered = |id: TargetId| if id.index() == late { at(11) } else { at(5) };
            let mut found: Vec<usize> =
                topology.behind(id(0), |id| nodes[id.index()], answered).into_iter().map(TargetId::index).collect();
            found.sort_unstable();
            found
        };
        let live = Node::Answers;
        assert_eq!(behind([DEAD, live, live, live, live, live], 9), [1, 2, 3], "5 has another way");
        assert_eq!(behind([DEAD, live, live, live, DEAD, live], 9), [1, 2, 3, 5], "unless that one is dead too");
        assert_eq!(behind([DEAD, live, live, live, live, live], 1), [2], "1 answers, and so 3 has a way");
        assert_eq!(behind([live; 6], 9), [] as [usize; 0]);
    }

    #[test]
    fn what_is_above_something_critical_is_critical() {
        let mut plan = plan(&[&[], &[0], &[1], &[]]);
        plan.targets[1].critical = true;
        let topology = Topology::new(&plan);
        let critical: Vec<bool> = (0..4).map(|n| topology.is_critical(id(n))).collect();
        assert_eq!(critical, [true, true, false, false]);
    }

    #[test]
    fn a_cycle_is_found_and_a_diamond_is_none() {
        assert_eq!(parent_cycle(&plan(&[&[], &[0], &[0], &[1, 2]])), None);
        assert_eq!(parent_cycle(&plan(&[&[0]])), Some(vec![id(0)]));
        let found = parent_cycle(&plan(&[&[], &[0, 3], &[1], &[2]])).expect("a cycle");
        assert_eq!(found.len(), 3);
        let deep: Vec<Vec<usize>> = (0..100_000_usize).map(|n| n.checked_sub(1).into_iter().collect()).collect();
        let rows: Vec<&[usize]> = deep.iter().map(Vec::as_slice).collect();
        assert_eq!(parent_cycle(&plan(&rows)), None, "no stack is used up");
    }
}

//! Where the targets of the old plan are in the new one, after a reload.

use crate::model::{Plan, TargetId};

/// For each target of the old plan, its place in the new one.
pub(super) struct Moves<'a> {
    old: &'a Plan,
    new: &'a Plan,
    to: Vec<Option<TargetId>>,
}

impl<'a> Moves<'a> {
    /// `to` says where each target of `old` is in `new`; who is missing there is gone.
    pub(super) fn new(old: &'a Plan, new: &'a Plan, to: Vec<Option<TargetId>>) -> Moves<'a> {
        Moves { old, new, to }
    }

    /// How many targets there are now.
    pub(super) fn targets(&self) -> usize {
        self.new.targets.len()
    }

    /// Where the target at this place of the old plan is now, if it is still watched.
    pub(super) fn target(&self, old: TargetId) -> Option<TargetId> {
        self.to.get(old.index()).copied().flatten().filter(|new| new.index() < self.targets())
    }

    /// Whom a check under way of the old target speaks of now. What a device said at another address, or to another
    /// probe, says nothing of it where it is now; and one that is paused is not to be heard.
    pub(super) fn check(&self, old: TargetId) -> Option<TargetId> {
        let new = self.target(old)?;
        let (before, now) = (self.old.target(old)?, self.new.target(new)?);
        let alike = before.host == now.host && before.probe() == now.probe();
        (alike && !now.paused).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Target;

    fn id(index: usize) -> TargetId {
        TargetId::from_index(index)
    }

    fn olt(last: u8) -> Target {
        Target::at("olt", [192, 0, 2, last].into())
    }

    #[test]
    fn who_is_not_in_the_new_plan_is_gone_whatever_is_said() {
        let (old, new) = (Plan::new(vec![olt(1), olt(2), olt(3)]), Plan::new(vec![olt(2)]));
        let moves = Moves::new(&old, &new, vec![None, Some(id(0)), Some(id(9))]);
        assert_eq!([id(0), id(1), id(2), id(3)].map(|old| moves.target(old)), [None, Some(id(0)), None, None]);
        assert_eq!(Moves::new(&old, &new, Vec::new()).target(id(0)), None);
    }

    #[test]
    fn a_check_under_way_speaks_only_of_a_device_that_is_still_asked_in_the_same_way() {
        let mut paused = olt(1);
        paused.paused = true;
        for (now, speaks) in [(olt(1), true), (olt(2), false), (olt(1).with_probe("snmp"), false), (paused, false)] {
            let (old, new) = (Plan::new(vec![olt(1)]), Plan::new(vec![now]));
            let moves = Moves::new(&old, &new, vec![Some(id(0))]);
            assert!(moves.target(id(0)).is_some());
            assert_eq!(moves.check(id(0)).is_some(), speaks);
        }
    }
}

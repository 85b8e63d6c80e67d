//! The classes of misfortune that befall a world. Each draws from a source of its own, so that switching one off leaves
//! the others as they were: that is how a failure is made smaller.

use std::fmt;

/// A class of misfortune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Class {
    /// A device dies, and nothing passes through it while it is dead.
    Devices,
    /// A link between a device and what it is reached through fails.
    Links,
    /// A management address dies: the device is silent and forwards all the same.
    Management,
    /// Radio links lose echoes.
    Radio,
    /// Devices go up and down every few minutes.
    Flapping,
    /// The power of a town fails.
    Power,
    /// netwatch itself is cut off.
    Uplink,
    /// A witness dies.
    Witness,
    /// This machine cannot send, or loses what it receives.
    Local,
    /// The wall clock steps by up to an hour.
    Clock,
    /// The program stands still for a while.
    Pause,
    /// The program is killed.
    Crash,
    /// The program is stopped in order.
    Stop,
    /// Commits fail or hang.
    Journal,
    /// Mail servers misbehave.
    Mail,
    /// Operators acknowledge outages.
    Acknowledge,
    /// Devices are worked on.
    Maintenance,
    /// The configuration changes.
    Reload,
    /// Notifiers have policies other than the default.
    Policy,
    /// Operators hold drills.
    Drill,
}

/// A set of [classes](Class).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Classes(u32);

impl Class {
    /// All of them.
    pub const ALL: [Class; 20] = [
        Class::Devices,
        Class::Links,
        Class::Management,
        Class::Radio,
        Class::Flapping,
        Class::Power,
        Class::Uplink,
        Class::Witness,
        Class::Local,
        Class::Clock,
        Class::Pause,
        Class::Crash,
        Class::Stop,
        Class::Journal,
        Class::Mail,
        Class::Acknowledge,
        Class::Maintenance,
        Class::Reload,
        Class::Policy,
        Class::Drill,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Devices => "devices",
            Class::Links => "links",
            Class::Management => "management",
            Class::Radio => "radio",
            Class::Flapping => "flapping",
            Class::Power => "power",
            Class::Uplink => "uplink",
            Class::Witness => "witness",
            Class::Local => "local",
            Class::Clock => "clock",
            Class::Pause => "pause",
            Class::Crash => "crash",
            Class::Stop => "stop",
            Class::Journal => "journal",
            Class::Mail => "mail",
            Class::Acknowledge => "acknowledge",
            Class::Maintenance => "maintenance",
            Class::Reload => "reload",
            Class::Policy => "policy",
            Class::Drill => "drill",
        }
    }
}

impl Classes {
    /// None of them.
    pub const NONE: Classes = Classes(0);

    /// All of them.
    pub fn all() -> Classes {
        Class::ALL.into_iter().fold(Classes::NONE, Classes::with)
    }

    /// Whether it is among them.
    pub const fn has(self, class: Class) -> bool {
        self.0 & (1 << class as u32) != 0
    }

    /// These and this one.
    #[must_use]
    pub const fn with(self, class: Class) -> Classes {
        Classes(self.0 | (1 << class as u32))
    }

    /// These but this one.
    #[must_use]
    pub const fn without(self, class: Class) -> Classes {
        Classes(self.0 & !(1 << class as u32))
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.has(*class))
    }

    /// The set that a list of names, with commas between them, stands for.
    ///
    /// # Errors
    /// Says which name is none, and what the names are.
    pub fn parse(names: &str) -> Result<Classes, String> {
        let mut classes = Classes::NONE;
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let Some(class) = Class::ALL.into_iter().find(|class| class.name() == name) else {
                return Err(format!("there is no class {name:?}; the classes are: {}", Classes::all()));
            };
            classes = classes.with(class);
        }
        Ok(classes)
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, class) in self.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { "," })?;
            f.write_str(class.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_it_is_written() {
        let set = Classes::all().without(Class::Mail);
        assert_eq!(Classes::parse(&set.to_string()), Ok(set));
        assert!(!set.has(Class::Mail) && set.has(Class::Crash));
        assert!(Classes::parse("mail,meteor").is_err_and(|error| error.contains("meteor")));
    }
}

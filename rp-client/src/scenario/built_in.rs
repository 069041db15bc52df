//! The scenarios that are built in: commented files, to be played by name and to begin one's own from.

use super::{BUILT_IN, parse};
use crate::nearest;

const ALL: [(&str, &str); 5] = [
    ("seed", BUILT_IN),
    ("demo", include_str!("../scenarios/demo.toml")),
    ("shake", include_str!("../scenarios/shake.toml")),
    ("storm", include_str!("../scenarios/storm.toml")),
    ("ramp", include_str!("../scenarios/ramp.toml")),
];

/// The text of the one of this name.
pub fn text(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// What to write in the place of a name that is neither a file nor built in.
pub fn advice(name: &str) -> String {
    let near = nearest::advice(name, names());
    format!("name a file, or one that is built in: {}{near}", names().collect::<Vec<_>>().join(", "))
}

/// One line for each: its name, how long it takes, and what it says of itself first.
pub fn list() -> String {
    let line = |(name, text): &(&str, &str)| {
        let seconds: u32 = parse(text, 1.0).map_or(0, |phases| phases.iter().map(|phase| phase.seconds).sum());
        let of_itself = text.split_once(": ").map_or("", |(_, rest)| rest);
        let sentence = of_itself.split(['.', ';']).next().unwrap_or("").replace("\n# ", " ");
        format!("{name:<6} {seconds:>4} s  {sentence}")
    };
    ALL.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_can_be_played_and_says_what_it_is() {
        for (name, text) in ALL {
            let phases = parse(text, 1.0).unwrap_or_else(|fault| panic!("{name}:{fault}"));
            assert!(phases.len() > 1 && text.starts_with(&format!("# {name}: ")), "{name}");
        }
        let list = list();
        assert_eq!(list.lines().count(), ALL.len());
        assert!(list.lines().all(|line| line.len() > 30 && line.len() <= 110), "{list}");
    }

    #[test]
    fn a_mistyped_name_finds_the_nearest() {
        assert!(advice("strom").ends_with("did you mean `storm`?"), "{}", advice("strom"));
    }
}

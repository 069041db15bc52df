//! What a killed run of the workshop left behind, removed by the next one.
//!
//! Everything a lab makes carries the process id of its maker in its name, so that only things of dead makers are
//! touched: `rp-PID-NUMBER-ROLE` for namespaces, `PID-NUMBER` for folders.

use std::path::Path;

use super::{namespace, room};
use crate::setup::target_dir;

/// Removes namespaces, folders and ledgers whose maker is dead; returns their names.
pub fn sweep() -> Vec<String> {
    let mut swept = Vec::new();
    for name in names_in(Path::new("/run/netns")) {
        if name.strip_prefix("rp-").and_then(maker_of).is_some_and(is_dead) {
            namespace::remove(&name);
            swept.push(name);
        }
    }
    for name in names_in(Path::new(room::FOLDER)) {
        if maker_of(&name).is_some_and(is_dead) {
            let path = Path::new(room::FOLDER).join(&name);
            room::remove(&path);
            swept.push(path.display().to_string());
        }
    }
    let ledgers = target_dir().join("ledgers");
    for name in names_in(&ledgers) {
        if maker_of(&name).is_some_and(is_dead) {
            let path = ledgers.join(name);
            match std::fs::remove_dir_all(&path) {
                Ok(()) => swept.push(path.display().to_string()),
                Err(error) => eprintln!("cannot remove {}: {error}", path.display()),
            }
        }
    }
    swept
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn maker_of(name: &str) -> Option<u32> {
    let (pid, rest) = name.split_once('-')?;
    rest.starts_with(|c: char| c.is_ascii_digit()).then(|| pid.parse().ok())?
}

fn is_dead(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_lab_have_a_maker() {
        for (name, maker) in [
            ("4711-1-server", Some(4711)),
            ("4711-2", Some(4711)),
            ("blue", None),
            ("blue-1", None),
            ("4711", None),
            ("4711-server", None),
        ] {
            assert_eq!(maker_of(name), maker, "{name}");
        }
    }

    #[test]
    fn the_living_are_spared() {
        assert!(!is_dead(std::process::id()));
        assert!(is_dead(u32::MAX));
    }
}

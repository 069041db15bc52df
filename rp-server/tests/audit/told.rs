//! What clients were told, by real files: every line that is true is found, and the first that is not is named.

use rp_core::acknowledged::Acknowledged;
use serde_json::Value;

use crate::disk::{Folder, written};
use crate::world::World;

/// Audits with these lines; the exit code and what was said on both outputs.
fn audit(folder: &Folder, lines: &[String]) -> (Option<i32>, Value, String) {
    let file = folder.file("told.txt");
    std::fs::write(&file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).expect("our own folder");
    let output = folder.run(&["audit", "--json", "--acknowledged", file.to_str().expect("a plain name")]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

#[test]
fn the_ledger_has_what_clients_were_told_and_no_other_word_of_it() {
    let mut world = World::play(11, 3_000);
    world.settle();
    let folder = written(&world.lines);
    let true_ones = world.lines.iter().filter_map(|line| Acknowledged::by(&line.posting()));
    let all: Vec<String> = true_ones.map(|told| told.to_string()).collect();
    for name in ["sent", "grabbed", "refused", "prize", "refund"] {
        assert!(all.iter().any(|line| line.starts_with(name)), "no {name} in {} lines", all.len());
    }
    // Twice, as after a lost acknowledgement, with what the ledger does not keep between.
    let mut lines = [all.clone(), vec!["refused 1 99999 grab stale 0".into()], all.clone()].concat();
    let (code, told, said) = audit(&folder, &lines);
    assert_eq!(code, Some(0), "{said}");
    let heard = &told["acknowledged"];
    assert_eq!((heard["lines"].as_u64(), heard["unkept"].as_u64()), (Some(lines.len() as u64), Some(1)));
    assert_eq!((&heard["sent"], &heard["prizes"]), (&told["figures"]["made"], &told["figures"]["prizes"]));
    assert_eq!(heard["grabbed"]["count"], told["figures"]["shares"]);

    for (at, line) in all.iter().enumerate() {
        let mut words: Vec<&str> = line.split(' ').collect();
        let more = (words[words.len() - 1].parse::<u64>().expect("fen") + 1).to_string();
        *words.last_mut().expect("fen") = &more;
        let wrong = words.join(" ");
        // One of each sort, and the first in the file is the one that is named.
        if all.iter().position(|first| first.split(' ').next() == line.split(' ').next()) == Some(at) {
            lines = vec![all[at + 1].clone(), wrong.clone(), "prize 77 1 1".into()];
            let (code, told, said) = audit(&folder, &lines);
            assert_eq!((code, told["denied"]["line"].as_u64()), (Some(1), Some(2)), "{said}");
            assert!(said.contains(&format!("'{wrong}', but the ledger has '{line}', position ")), "{said}");
        }
    }
    for (line, code, word) in [
        ("sent 1 4000000000 281474976776192 1", 1, "of which the ledger knows nothing"),
        ("prize 1 4294967295 1", 1, "of which the ledger knows nothing"),
        ("sent 1 luck", 2, "is nothing told"),
    ] {
        let (found, _, said) = audit(&folder, &[all[0].clone(), line.into()]);
        assert!(found == Some(code) && said.contains(word) && said.contains("told.txt, line 2"), "{line}: {said}");
    }
}

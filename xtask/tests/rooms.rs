//! The house is as docs/ARCHITECTURE.md says: borders between rooms, files with unsafe code, and every file and test it
//! names. The sources are read as text, so that no room must be built for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const ROOMS: [&str; 6] = ["rp-core", "rp-net", "rp-ebpf", "rp-server", "rp-client", "xtask"];

/// Every Rust file of the rooms, from the top of the repository.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<String> = ROOMS.iter().map(|room| (*room).to_owned()).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("the rooms are here") {
            let entry = entry.expect("a folder entry reads");
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type().expect("an entry has a type").is_dir() {
                if !path.ends_with("/target") {
                    folders.push(path);
                }
            } else if path.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 100, "the sources are here");
    found
}

/// The code of a file without its comments.
fn code(path: &str) -> String {
    let lines: Vec<String> = read(path).lines().map(|line| line.split("//").next().unwrap_or("").to_owned()).collect();
    lines.join("\n")
}

/// What a worker runs waits for nobody. The ledger in memory is for tests of other rooms.
#[test]
fn no_lock_is_on_the_way_of_a_datagram() {
    let is_on_the_way = |path: &&String| {
        let room =
            ["rp-core/src/", "rp-net/src/", "rp-ebpf/src/", "rp-server/src/"].iter().any(|room| path.starts_with(room));
        room && *path != "rp-server/src/ledger/memory.rs"
    };
    let sources = sources();
    let locks = ["Mutex", "RwLock", "Condvar", "Barrier"];
    let has_lock = |path: &&String| locks.iter().any(|lock| code(path).contains(lock));
    let found: Vec<&String> = sources.iter().filter(is_on_the_way).filter(has_lock).collect();
    assert!(found.is_empty(), "a lock in {found:?}");
}

/// The rooms that a room's manifest depends on, its tests' apart.
fn depends_on(room: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{room}/Cargo.toml"));
    let mut section = "";
    let mut rooms = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]") && section != "[dev-dependencies]" {
            let name = line.split(['.', ' ', '=']).next().unwrap_or("");
            if ROOMS.contains(&name) {
                rooms.insert(name.to_owned());
            }
        }
    }
    rooms
}

#[test]
fn rooms_know_only_whom_they_may() {
    let rows: [(&str, &[&str]); 6] = [
        ("rp-core", &[]),
        ("rp-net", &["rp-core"]),
        ("rp-ebpf", &["rp-core"]),
        ("rp-server", &["rp-core", "rp-net"]),
        ("rp-client", &["rp-core", "rp-net"]),
        ("xtask", &[]),
    ];
    for (room, may) in rows {
        let known = depends_on(room);
        assert_eq!(known, may.iter().map(|name| (*name).to_owned()).collect(), "{room}");
    }
}

#[test]
fn rp_core_has_no_std_no_unsafe_and_no_clock() {
    let lib = read("rp-core/src/lib.rs");
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]", "#[cfg(test)]\nextern crate std;"] {
        assert!(lib.contains(attribute), "{attribute}");
    }
    assert_eq!(lib.matches("extern crate std").count(), 1, "std is for its unit tests alone");
    for path in sources().iter().filter(|path| path.starts_with("rp-core/src/")) {
        let body = code(path);
        for word in ["Instant", "SystemTime", "std::net", "std::fs", "static mut", "OsRng", "thread_local"] {
            assert!(!body.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn tokio_is_in_the_control_plane_alone() {
    // An example that is a baseline of the bench shows what it costs to let tokio do it.
    let are_ours = |path: &String| !path.contains("/examples/");
    let with: BTreeSet<String> =
        sources().into_iter().filter(are_ours).filter(|path| code(path).contains("tokio::")).collect();
    let may = [
        "rp-server/src/admin/serve.rs",
        "rp-server/src/control.rs",
        "rp-server/src/control/signals.rs",
        "rp-server/src/http.rs",
        "rp-server/src/http/events.rs",
        "rp-server/src/http/listen.rs",
        "rp-server/src/run.rs",
        "rp-server/src/snapshot/window.rs",
    ];
    assert_eq!(with, may.iter().map(|path| (*path).to_owned()).chain(itself(&with)).collect());
    for room in ROOMS.iter().filter(|room| **room != "rp-server") {
        assert!(!read(&format!("{room}/Cargo.toml")).contains("tokio"), "{room} depends on tokio");
    }
}

/// This file speaks of what it looks for.
fn itself(found: &BTreeSet<String>) -> Option<String> {
    found.get("xtask/tests/rooms.rs").cloned()
}

#[test]
fn unsafe_code_is_where_the_document_says() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("];
    let found: BTreeSet<String> = sources()
        .into_iter()
        .filter(|path| path != "xtask/tests/rooms.rs" && words.iter().any(|word| code(path).contains(word)))
        .collect();
    let document = read("docs/ARCHITECTURE.md");
    let from = document.find("Unsafe code is in these files").expect("the document lists them");
    let list = &document[from..];
    let list = &list[..list.find("\n\n").expect("the list is a paragraph")];
    assert_eq!(found, quoted(list).collect(), "docs/ARCHITECTURE.md lists the files with unsafe code");
}

/// What stands between single backquotes.
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

#[test]
fn every_file_and_test_that_the_document_names_is_there() {
    let document = read("docs/ARCHITECTURE.md");
    let (mut files, mut tests) = (0, 0);
    for name in quoted(&document) {
        let (path, test) = name.split_once("::").map_or((name.as_str(), None), |(path, test)| (path, Some(test)));
        if !path.ends_with(".rs") {
            continue;
        }
        let text = read(path);
        files += 1;
        if let Some(test) = test {
            assert!(text.contains(&format!("fn {test}(")), "{path} has no test {test}");
            tests += 1;
        }
    }
    assert!(files > 40 && tests > 25, "the document names {files} files and {tests} tests");
    for number in 1..=10 {
        assert!(document.contains(&format!("\n| {number} | ")), "rule {number} is missing");
    }
}

#[test]
fn every_source_says_what_it_is_for_and_none_is_long() {
    for path in sources().iter().filter(|path| path.contains("/src/")) {
        let text = read(path);
        assert!(text.starts_with("//! "), "{path} starts without its purpose");
        assert!(text.lines().count() <= 400, "{path} has {} lines", text.lines().count());
    }
}

#[test]
fn nothing_is_logged_where_datagrams_go() {
    let workers = ["rp-core/src/", "rp-net/src/", "rp-server/src/worker"];
    for path in sources().iter().filter(|path| workers.iter().any(|room| path.starts_with(room))) {
        for word in ["tracing::", "info!", "warn!", "error!", "debug!", "trace!", "println!"] {
            assert!(!code(path).contains(word), "{path} uses {word}");
        }
    }
}

/// uPlot lies here as its package has it.
#[test]
fn what_others_made_is_as_they_made_it() {
    let text = read("rp-server/assets/README.md");
    let mut rows = 0;
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (file, sum) = row.split_once("` | `").expect("a file and its sum");
        let path = root().join("rp-server/assets/uplot").join(file);
        let said = Command::new("sha256sum").arg(&path).output().expect("coreutils are everywhere");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.split(' ').next(), sum.split('`').next(), "{file}");
        rows += 1;
    }
    assert_eq!(rows, 2);
}

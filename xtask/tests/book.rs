//! The documents hold together: every link leads somewhere, every page is in the book, and what they say of flags is what
//! the programs say.
//!
//! `RP_GOLDEN=write cargo test -p xtask --test book` writes the pages of the reference that programs tell anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use xtask::book::fence::How;
use xtask::book::{flags, links, page};
use xtask::programs::{Profile, Programs};

const WORKSHOP: &str = env!("CARGO_BIN_EXE_xtask");

/// Server and client; `cargo test` of this package alone does not build them.
fn programs() -> &'static Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT.get_or_init(|| Programs::build(Profile::Dev).expect("server and client compile"))
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_in_the_book() {
    let faults = links::faults(&page::all().expect("the documents can be read"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pages_of_flags_are_what_the_programs_say() {
    let pages = flags::pages(programs(), Path::new(WORKSHOP)).expect("programs say their help");
    let is_to_write = std::env::var_os("RP_GOLDEN").is_some_and(|what| what == "write");
    for page in pages {
        if is_to_write {
            page.write().expect("the documents can be written");
        }
        let there = page::Page::read(&page.path).map(|page| page.text).unwrap_or_default();
        let differs = there.lines().zip(page.text.lines()).find(|(there, told)| there != told);
        assert!(
            there == page.text,
            "{} is not what the program says (first difference: {differs:?}); write it anew by `cargo xtask book --write`",
            page.path
        );
    }
}

#[test]
fn no_page_names_a_flag_that_is_not_there() {
    let mut faults = Vec::new();
    let mut asked = BTreeMap::new();
    for page in page::all().expect("the documents can be read") {
        let lines = page.fences().into_iter().filter(|fence| fence.is_commands()).flat_map(|fence| {
            fence.commands().into_iter().map(move |command| (fence.line, command)).collect::<Vec<_>>()
        });
        let spans = page.prose().into_iter().flat_map(|(number, line)| {
            line.split('`').skip(1).step_by(2).map(move |span| (number, span.to_owned())).collect::<Vec<_>>()
        });
        for (number, line) in lines.chain(spans) {
            let found = asked.entry(line).or_insert_with_key(|line| {
                flags::unknown_flags(line, programs(), Path::new(WORKSHOP)).expect("programs say their help")
            });
            faults.extend(found.iter().map(|fault| format!("{}:{number}: {fault}", page.path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Blocks of commands that are run elsewhere name a place that has each of their lines; what runs nowhere is counted.
#[test]
fn every_command_says_where_it_is_run() {
    let mut faults = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for page in page::all().expect("the documents can be read") {
        for fence in page.fences().iter().filter(|fence| fence.is_commands()) {
            let here = format!("{}:{}", page.path, fence.line);
            let kind = match fence.how() {
                Err(fault) => {
                    faults.push(format!("{here}: {fault}"));
                    continue;
                }
                Ok(How::Run { .. }) if fence.info.contains("fewer=") => "run with fewer users than they say".to_owned(),
                Ok(How::Run { .. }) => "run by xtask/tests/commands.rs".to_owned(),
                Ok(How::Background(_)) => "started by xtask/tests/commands.rs".to_owned(),
                Ok(How::NoRun(reason)) => format!("not run: {reason}"),
                Ok(How::RunBy(place)) => {
                    // What a comment says is not run.
                    let lines = page::Page::read(&place).map(|page| page.text).unwrap_or_default();
                    let there: Vec<&str> = lines.lines().filter(|line| !is_comment(line)).collect();
                    let bare = |line: &String| {
                        line.replace("sudo env \"PATH=$PATH\" \"HOME=$HOME\" ", "").replace("sudo ", "")
                    };
                    let missing: Vec<String> = fence
                        .commands()
                        .iter()
                        .map(bare)
                        .filter(|line| !there.iter().any(|run| run.contains(line.as_str())))
                        .collect();
                    faults.extend(missing.iter().map(|line| format!("{here}: {place} does not run {line:?}")));
                    format!("run by {place}")
                }
            };
            *counts.entry(kind).or_default() += 1;
        }
    }
    for (kind, count) in &counts {
        println!("{count:>4} blocks {kind}");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (reason, most) in NORUN {
        let found = counts.remove(&format!("not run: {reason}")).unwrap_or(0);
        assert!(found <= most, "{found} blocks are not run because of {reason:?}, and {most} may be");
    }
    let other: Vec<&String> = counts.keys().filter(|kind| kind.starts_with("not run")).collect();
    assert!(other.is_empty(), "no reasons to run nothing: {other:?}");
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//") || line.trim_start().starts_with('#')
}

/// Why a block cannot be run here, and how many may say so.
const NORUN: [(&str, usize); 4] =
    [("needs-a-card", 6), ("needs-a-container-engine", 1), ("fetches-a-tool", 1), ("release-build", 2)];

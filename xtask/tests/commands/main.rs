//! Every command in README.md and docs/ is run, page by page and in order, as a reader types it, and says what the page says.
//!
//! A page's commands run in a laboratory of its own, in a folder that looks like the repository; `<!-- stage: server FLAGS -->`
//! on a page starts a server there before its first command. Words behind `sh` say how a block is run
//! (`xtask/src/book/fence.rs`); what runs elsewhere or not at all is judged by `xtask/tests/book.rs`.

mod house;

use std::time::{Duration, Instant};

use house::House;
use xtask::book::fence::{self, Fence, How};
use xtask::book::page::{self, Page};
use xtask::lab::Program;
use xtask::programs::{Profile, Programs};

/// For one block of commands.
const LIMIT: Duration = Duration::from_secs(120);
/// For what starts in the background.
const START_LIMIT: Duration = Duration::from_secs(300);

#[test]
#[ignore = "needs root"]
fn every_command_in_the_documents_does_what_its_page_says() {
    // Not within the limit of the first page that says `cargo build`.
    Programs::build(Profile::Dev).expect("server and client compile");
    let started = Instant::now();
    let only = std::env::var("RP_ONLY_PAGE").ok();
    let mut faults = Vec::new();
    let mut run = 0;
    for page in page::all().expect("the documents can be read") {
        let is_asked_for = only.as_ref().is_none_or(|only| page.path.contains(only.as_str()));
        if is_asked_for && page.fences().iter().any(is_run_here) {
            let since = Instant::now();
            let (blocks, found) = play(&page);
            println!("{}: {blocks} blocks in {:.1} s", page.path, since.elapsed().as_secs_f64());
            faults.extend(found);
            run += blocks;
        }
    }
    println!("{run} blocks in {:.1} s", started.elapsed().as_secs_f64());
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(run > 0, "no page has commands");
}

fn is_run_here(fence: &Fence) -> bool {
    fence.is_commands() && matches!(fence.how(), Ok(How::Run { .. } | How::Background(_)))
}

/// Runs a page's blocks; how many, and a paragraph for the first that did not do as the page says.
fn play(page: &Page) -> (usize, Option<String>) {
    let house = House::build();
    let mut background: Vec<(usize, Program)> = Vec::new();
    if let Some(flags) = stage_of(&page.text) {
        let server = house.start(fence::Machine::Server, &format!("rp-server run {flags}"));
        background.push((0, server));
        if let Err(fault) = wait_for(&mut background, "...\nserving;...\n") {
            return (0, Some(format!("{}: its stage: {fault}", page.path)));
        }
    }
    let mut blocks = 0;
    let mut fences = page.fences().into_iter().peekable();
    while let Some(block) = fences.next() {
        if !is_run_here(&block) {
            continue;
        }
        blocks += 1;
        let told = fences.peek().filter(|next| next.info == "text" && next.follows).map(|next| next.body.clone());
        if let Err(fault) = run(&house, &block, told.as_deref(), &mut background) {
            return (blocks, Some(format!("{}:{}: {fault}", page.path, block.line)));
        }
    }
    for (line, mut program) in background.into_iter().rev() {
        if let Err(error) = program.end(LIMIT) {
            return (blocks, Some(format!("{}:{line}: {error:#}", page.path)));
        }
    }
    (blocks, None)
}

/// The flags of the server that a page takes for granted.
fn stage_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<!-- stage: server")?;
    Some(rest.split("-->").next()?.trim())
}

fn run(house: &House, block: &Fence, told: Option<&str>, background: &mut Vec<(usize, Program)>) -> Result<(), String> {
    match block.how()? {
        How::Run { at, exit } => {
            let mut program = house.start(at, &format!("set -e\n{}", block.script()));
            let status = program.wait(LIMIT).map_err(|error| format!("{error:#}"))?;
            let said = program.log();
            show(block, &said);
            if status.code() != Some(exit) {
                return Err(format!("it ended with {status} and not with {exit}; it said:\n{said}"));
            }
            told.map_or(Ok(()), |told| {
                fence::holds(told, &said).map_err(|line| format!("the page says {line:?}; it said:\n{said}"))
            })
        }
        How::Background(at) => {
            let command = block.commands().join("\n");
            background.push((block.line, house.start(at, &format!("exec {command}"))));
            let serves = if command.contains("rp-server") { "...\nserving;...\n" } else { "" };
            wait_for(background, told.unwrap_or(serves))?;
            show(block, &background.last().map(|(_, program)| program.log()).unwrap_or_default());
            Ok(())
        }
        How::RunBy(_) | How::NoRun(_) => Ok(()),
    }
}

/// With `RP_SAYS` set, whoever writes a page sees what its blocks print.
fn show(block: &Fence, said: &str) {
    if std::env::var_os("RP_SAYS").is_some() {
        println!("--- line {}\n{}--- prints\n{said}", block.line, block.body);
    }
}

/// Waits until the newest program in the background has said what it should.
fn wait_for(background: &mut [(usize, Program)], told: &str) -> Result<(), String> {
    let Some((_, program)) = background.last_mut() else { return Ok(()) };
    let since = Instant::now();
    loop {
        let said = program.log();
        let Err(line) = fence::holds(told, &said) else {
            return Ok(());
        };
        let ended = program.ended().map_err(|error| format!("{error:#}"))?;
        if ended.is_some() || since.elapsed() > START_LIMIT {
            return Err(format!("the page says {line:?}; ended: {ended:?}; it said:\n{said}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

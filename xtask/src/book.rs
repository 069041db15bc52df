//! `cargo xtask book`: the documents as a book under target/book, made by mdBook.
//!
//! The documents are the book's source as they lie in docs/. What they say of flags is written here from the programs' own
//! help; `xtask/tests/book.rs` holds pages, links and commands to what is there, and needs no mdBook for it.

pub mod fence;
pub mod flags;
pub mod links;
pub mod page;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::programs::{Profile, Programs};
use crate::setup::target_dir;
use crate::{command, setup};

const MDBOOK_VERSION: &str = "0.5.4";

/// Flags of `cargo xtask book`.
#[derive(clap::Args, Debug)]
pub struct BookArgs {
    /// Write the pages of flags, counters and reasons anew first, from what the programs say.
    #[arg(long)]
    write: bool,
    /// Check pages and links only, without mdBook.
    #[arg(long)]
    check: bool,
}

impl BookArgs {
    /// Checks the pages and builds the book.
    ///
    /// # Errors
    /// Links that lead nowhere, or what mdBook says.
    pub fn run(self) -> Result<()> {
        if self.write {
            let programs = Programs::build(Profile::Dev)?;
            let workshop = std::env::current_exe().context("where this program lies is unknown")?;
            for page in flags::pages(&programs, &workshop)? {
                page.write()?;
            }
        }
        let pages = page::all()?;
        let faults = links::faults(&pages);
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        println!("book: {} pages, every link leads somewhere", pages.len());
        if !self.check {
            build()?;
        }
        Ok(())
    }
}

/// Builds the book with mdBook.
///
/// # Errors
/// When mdBook cannot be had, or refuses.
pub fn build() -> Result<()> {
    let mdbook = find_or_install()?;
    let into = target_dir().join("book");
    let mut command = std::process::Command::new(mdbook);
    command.arg("build").arg(command::root().join("docs")).arg("--dest-dir").arg(&into);
    // Its own words go to standard error, a line a step.
    command::show(command.env("RUST_LOG", "warn"))?;
    println!("book: {}", into.join("index.html").display());
    Ok(())
}

/// mdBook of the pinned version, under target/tools.
fn find_or_install() -> Result<PathBuf> {
    let into = setup::tools_dir().join("mdbook");
    let mdbook = into.join("bin/mdbook");
    let of_version = |mdbook: &PathBuf| {
        let said = command::read(std::process::Command::new(mdbook).arg("--version")).unwrap_or_default();
        said.trim().ends_with(MDBOOK_VERSION)
    };
    if of_version(&mdbook) {
        return Ok(mdbook);
    }
    println!("book: building mdBook {MDBOOK_VERSION} (two minutes)");
    let build = setup::tools_dir().join("build-mdbook");
    let mut cargo = command::cargo();
    cargo.args(["install", "mdbook", "--version", MDBOOK_VERSION, "--locked", "--quiet", "--force"]);
    cargo.args(["--no-default-features", "--features", "search", "--root"]).arg(&into);
    command::show(cargo.env("CARGO_TARGET_DIR", &build)).context("mdBook was not built")?;
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    Ok(mdbook)
}

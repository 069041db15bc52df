//! A page of the documents: its text, its headings and where it lies.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use super::fence::{self, Fence};
use crate::command::root;

/// One Markdown file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// From the top of the repository, as `docs/LEDGER.md`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// README.md and every page under docs/, by path.
///
/// # Errors
/// When a file cannot be read.
pub fn all() -> Result<Vec<Page>> {
    let mut pages = vec![Page::read("README.md")?];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(root().join(&folder)).with_context(|| format!("cannot read {folder}"))?;
        for entry in entries {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(Page::read(&path)?);
            }
        }
    }
    pages.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(pages)
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &str) -> Result<Page> {
        let text = std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))?;
        Ok(Page { path: path.to_owned(), text })
    }

    /// Writes it to where it belongs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> Result<()> {
        let file = root().join(&self.path);
        let folder = file.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(&file, &self.text).with_context(|| format!("cannot write {}", self.path))
    }

    /// Its fenced blocks, in order.
    pub fn fences(&self) -> Vec<Fence> {
        fence::all(&self.text)
    }

    /// Its lines outside of fenced blocks, with their numbers from 1.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let mut lines = Vec::new();
        let mut inside = false;
        for (index, line) in self.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                lines.push((index + 1, line));
            }
        }
        lines
    }

    /// The names by which its headings are linked: as mdBook and GitHub make them.
    pub fn anchors(&self) -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut anchors = Vec::new();
        for (_, line) in self.prose() {
            let Some((_, title)) = line.split_once(' ').filter(|(marks, _)| is_heading(marks)) else { continue };
            let anchor = anchor_of(title);
            let again = seen.entry(anchor.clone()).or_default();
            anchors.push(if *again == 0 { anchor } else { format!("{anchor}-{again}") });
            *again += 1;
        }
        anchors
    }
}

fn is_heading(marks: &str) -> bool {
    !marks.is_empty() && marks.chars().all(|mark| mark == '#')
}

fn anchor_of(title: &str) -> String {
    let kept = title.trim().chars().filter_map(|letter| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_linked_as_the_renderers_do() {
        let text = "# The ledger's files\n```sh\n# no heading\n```\n## `a b`, c: d\n## Two\n### Two\n#none\n";
        let page = Page { path: "docs/x.md".into(), text: text.into() };
        assert_eq!(page.anchors(), ["the-ledgers-files", "a-b-c-d", "two", "two-1"]);
    }
}

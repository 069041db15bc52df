//! Links between pages: every file and every heading that one names is there, and every page is in the book.
//!
//! What leads out of the repository is not fetched.

use std::collections::{BTreeMap, BTreeSet};

use super::page::Page;
use crate::command::root;

/// Where the book's chapters are listed.
const SUMMARY: &str = "docs/SUMMARY.md";

/// A sentence for each link that leads nowhere, and for each page that the book lacks.
pub fn faults(pages: &[Page]) -> Vec<String> {
    let anchors: BTreeMap<&str, Vec<String>> = pages.iter().map(|page| (page.path.as_str(), page.anchors())).collect();
    let mut faults = Vec::new();
    for page in pages {
        for (line, link) in links(page) {
            let here = format!("{}:{line}", page.path);
            if let Some(fault) = fault(page, &link, &anchors) {
                faults.push(format!("{here}: {fault}"));
            }
        }
    }
    let summary = pages.iter().find(|page| page.path == SUMMARY);
    let listed: BTreeSet<String> =
        summary.iter().flat_map(|page| links(page)).map(|(_, link)| format!("docs/{link}")).collect();
    for page in pages.iter().filter(|page| page.path.starts_with("docs/") && page.path != SUMMARY) {
        if !listed.contains(&page.path) {
            faults.push(format!("{}: {SUMMARY} does not list it", page.path));
        }
    }
    faults
}

fn fault(page: &Page, link: &str, anchors: &BTreeMap<&str, Vec<String>>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
    if page.path.starts_with("docs/") && !path.starts_with("docs/") {
        return Some(format!("{link} leads out of the book"));
    }
    if !file.is_empty() && !root().join(&path).exists() {
        return Some(format!("{link}: there is no {path}"));
    }
    let known =
        anchor.is_empty() || anchors.get(path.as_str()).is_some_and(|of| of.iter().any(|other| other == anchor));
    (!known).then(|| format!("{link}: {path} has no heading of that name"))
}

/// A relative path from a page, from the top of the repository.
fn resolve(page: &str, file: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What a page links to and shows, with the lines, code apart.
pub fn links(page: &Page) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in page.prose() {
        let text = without_code(line);
        for (mark, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            let starts = text.match_indices(mark).map(|(at, _)| at + mark.len());
            let targets = starts.filter_map(|start| text[start..].split(end).next());
            found.extend(targets.map(|target| (number, target.to_owned())));
        }
    }
    found
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_found_once() {
        let page = |path: &str, text: &str| Page { path: path.into(), text: text.into() };
        let text = "# Here\n[a](LEDGER.md) [b](LEDGER.md#backup) [c](#here) [`d`](https://example.org/x)\n\
                    `[no](link)` [e](LEDGER.md#nothing) [f](none.md) [g](../Cargo.toml)\n```\n[no](link)\n```\n";
        let pages = [
            page("docs/LEDGER.md", "# Ledger\n## Backup\n"),
            page("docs/SUMMARY.md", "- [x](LEDGER.md)\n"),
            page("docs/x.md", text),
        ];
        assert_eq!(
            faults(&pages),
            [
                "docs/x.md:3: LEDGER.md#nothing: docs/LEDGER.md has no heading of that name",
                "docs/x.md:3: none.md: there is no docs/none.md",
                "docs/x.md:3: ../Cargo.toml leads out of the book",
                "docs/x.md: docs/SUMMARY.md does not list it",
            ]
        );
    }
}

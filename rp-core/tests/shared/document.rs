//! docs/PROTOCOL.md as data: its hex blocks by name, and its tables by the heading they stand under.

use std::path::PathBuf;

/// The document's lines, and what was found in them.
pub struct Document {
    pub lines: Vec<String>,
    pub examples: Vec<Example>,
    pub tables: Vec<Table>,
}

/// A block fenced by ```` ```hex name ````.
pub struct Example {
    pub name: String,
    /// Lines of the document between the fences.
    pub lines: std::ops::Range<usize>,
    /// As they travel: the first word of each line.
    pub bytes: Vec<u8>,
    /// As they were before they were sealed: the word behind the sign of equality, where a line has one.
    pub plain: Vec<u8>,
}

/// A table, without its head and rule.
pub struct Table {
    /// The heading it stands under, without the hashes.
    pub heading: String,
    /// The titles of its columns.
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md")
}

impl Document {
    pub fn read() -> Document {
        let text = std::fs::read_to_string(path()).expect("docs/PROTOCOL.md is part of the repository");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let (mut examples, mut tables, mut heading) = (Vec::new(), Vec::<Table>::new(), String::new());
        let mut fence: Option<(String, usize)> = None;
        for (at, line) in lines.iter().enumerate() {
            if let Some(info) = line.strip_prefix("```") {
                fence = match fence {
                    None => Some((info.to_owned(), at + 1)),
                    Some((info, from)) => {
                        if let Some(name) = info.strip_prefix("hex ") {
                            let (bytes, plain) = bytes_of(&lines[from..at], name);
                            examples.push(Example { name: name.to_owned(), lines: from..at, bytes, plain });
                        }
                        None
                    }
                };
            } else if fence.is_some() {
            } else if let Some(title) = line.strip_prefix('#') {
                heading = title.trim_start_matches('#').trim().to_owned();
            } else if line.starts_with("|---") {
                tables.push(Table { heading: heading.clone(), head: cells(&lines[at - 1]), rows: Vec::new() });
            } else if line.starts_with('|')
                && let Some(table) = tables.last_mut()
                && at > 0
                && lines[at - 1].starts_with('|')
            {
                table.rows.push(cells(line));
            }
        }
        Document { lines, examples, tables }
    }

    /// The tables of bytes: those whose first columns are offset, size and field.
    pub fn layouts(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(|table| table.head.starts_with(&["offset".into(), "size".into(), "field".into()]))
    }

    /// The rows of the one table whose first column has this title.
    pub fn table(&self, first_column: &str) -> &Table {
        let mut found = self.tables.iter().filter(|table| table.head[0] == first_column);
        let table = found.next().expect("the table is there");
        assert!(found.next().is_none(), "two tables start with {first_column}");
        table
    }
}

/// The first word of each line is hex; the rest of the line says what it is, and what it was before it was sealed.
fn bytes_of(lines: &[String], name: &str) -> (Vec<u8>, Vec<u8>) {
    let (mut bytes, mut plain) = (Vec::new(), Vec::new());
    for line in lines {
        let first = line.split_whitespace().next().unwrap_or_default();
        let last = line.split_once(" = ").map_or(first, |(_, plain)| plain);
        for (hex, out) in [(first, &mut bytes), (last, &mut plain)] {
            assert!(hex.len().is_multiple_of(2) && hex.is_ascii(), "{name}: {hex}");
            for at in (0..hex.len()).step_by(2) {
                out.push(u8::from_str_radix(&hex[at..at + 2], 16).expect("an example holds hex"));
            }
        }
    }
    (bytes, plain)
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

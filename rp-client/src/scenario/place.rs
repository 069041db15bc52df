//! Where in the text of a scenario a key stands; and which keys are none, each with the nearest that is one.

use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::rules::{BLAST_KEYS, PHASE_KEYS, SEND_KEYS};
use crate::nearest;

/// Looks at every key.
///
/// # Errors
/// The text is no TOML, or has a key that is none of a scenario's.
pub fn check_keys(text: &str) -> Result<(), Fault> {
    let table = DeTable::parse(text).map_err(|error| of_error(text, &error))?;
    check(text, "", table.get_ref(), &["phase"])?;
    for phase in phases(table.get_ref()) {
        check(text, "", phase, PHASE_KEYS)?;
        for (name, keys) in [("send", SEND_KEYS), ("blast", BLAST_KEYS)] {
            if let Some(below) = phase.get(name).and_then(|value| value.get_ref().as_table()) {
                check(text, &format!("{name}."), below, keys)?;
            }
        }
    }
    Ok(())
}

fn check(text: &str, prefix: &str, table: &DeTable<'_>, known: &[&str]) -> Result<(), Fault> {
    let unknown = table.keys().filter(|key| !known.contains(&&**key.get_ref()));
    // The table has its keys in an order of its own.
    let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
    let advice = match nearest::word(key.get_ref(), known.iter().copied()) {
        Some(near) => format!("did you mean `{prefix}{near}`?"),
        None => format!("there are {}", known.join(", ")),
    };
    Err(Fault::at(line(text, key.span().start), format!("`{prefix}{}` is no key; {advice}", key.get_ref())))
}

fn phases<'a, 'i>(table: &'a DeTable<'i>) -> impl Iterator<Item = &'a DeTable<'i>> {
    let list = table.get("phase").and_then(|value| value.get_ref().as_array());
    list.into_iter().flat_map(|list| list.iter()).filter_map(|value| value.get_ref().as_table())
}

/// The line of a key of phase `index`; that of the phase when the key is absent. `send.fen` is a key of a table in it.
pub fn line_of(text: &str, index: usize, key: &str) -> usize {
    let Ok(table) = DeTable::parse(text) else { return 1 };
    let Some(list) = table.get_ref().get("phase").and_then(|value| value.get_ref().as_array()) else { return 1 };
    let Some(phase) = list.get(index) else { return 1 };
    let (mut at, mut here): (usize, Option<&DeTable<'_>>) = (phase.span().start, phase.get_ref().as_table());
    for name in key.split('.') {
        let Some((found, value)) = here.and_then(|table| table.get_key_value(name)) else { break };
        at = found.span().start;
        here = DeValue::as_table(value.get_ref());
    }
    line(text, at)
}

/// What the reader of TOML says, and where.
pub fn of_error(text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map_or(0, |span| span.start);
    let found = text.lines().nth(line(text, at) - 1).unwrap_or("").trim();
    let shown = if found.is_empty() { String::new() } else { format!(" in `{found}`") };
    Fault::at(line(text, at), format!("{}{shown}", error.message()))
}

fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

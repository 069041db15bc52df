//! Figures as the page writes them, written once more from its rules, and looked for in a snapshot.

use serde_json::Value;

const GAP: char = '\u{202f}';

/// What is at a path such as `clients.0.sessions`.
pub fn at<'a>(snapshot: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(snapshot, |inside, name| match name.parse::<usize>() {
        Ok(index) if inside.is_array() => inside.get(index).unwrap_or(&Value::Null),
        _ => inside.get(name).unwrap_or(&Value::Null),
    })
}

/// A figure in the way that `data-as` names.
pub fn write(value: &Value, way: &str) -> String {
    let number = || value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    match (value, way) {
        (Value::Null, _) => "–".to_string(),
        (_, "plain") => value.as_str().map_or_else(|| value.to_string(), str::to_string),
        (_, "on") => (if value == true { "on" } else { "off" }).to_string(),
        (_, "balanced") => (if value == true { "balanced" } else { "not balanced" }).to_string(),
        (_, "count") => count(whole(value)),
        (_, "yuan") => yuan(whole(value)),
        (_, "rate") => rate(number()),
        (_, "us") => us(whole(value)),
        (_, "percent") => format!("{}{GAP}%", tenths((number() * 1000.0).round() as i64)),
        (_, "bytes") => format!("{}{GAP}MB", tenths((number() / 100_000.0).round() as i64)),
        (_, "seconds") => seconds(number() as i64),
        (_, other) => panic!("the page writes something as {other}"),
    }
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// Thousands apart.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut written = String::from(if number < 0 { "−" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            written.push(GAP);
        }
        written.push(digit);
    }
    written
}

/// Per second.
pub fn rate(number: f64) -> String {
    let in_tenths = (number * 10.0).round() as i64;
    if number < 10.0 && in_tenths % 10 != 0 { tenths(in_tenths) } else { count(number.round() as i64) }
}

fn tenths(number: i64) -> String {
    format!("{}.{}", number / 10, number % 10)
}

fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "−" } else { "" };
    format!("{sign}{}.{:02}", count(fen.abs() / 100), fen.abs() % 100)
}

fn us(us: i64) -> String {
    match us {
        ..=999 => format!("{us}{GAP}µs"),
        1_000..=999_999 => format!("{}{GAP}ms", tenths((us + 50) / 100)),
        _ => format!("{}.{:02}{GAP}s", (us + 5_000) / 1_000_000, (us + 5_000) / 10_000 % 100),
    }
}

fn seconds(whole: i64) -> String {
    match (whole / 3600, whole / 60 % 60) {
        (0, 0) => format!("{whole}{GAP}s"),
        (0, minutes) => format!("{minutes}{GAP}min {}{GAP}s", whole % 60),
        (hours, minutes) => format!("{}{GAP}h {minutes}{GAP}min", count(hours)),
    }
}

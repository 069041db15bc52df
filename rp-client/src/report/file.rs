//! Reports in files: written whole, and read with a clear sentence about each that is none, is damaged or of another shape.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Latency, Report, SCHEMA};

/// Counts stay below this.
const COUNT_END: f64 = 9_007_199_254_740_992.0;

/// Opens a report's file before there is a report, so that a wrong path costs no run. What it holds stays until then.
///
/// # Errors
/// The file cannot be written.
pub fn begin(path: &Path) -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.with_context(|| {
        format!("cannot write {}: name a file in a folder that is there and yours (--json)", path.display())
    })
}

/// Writes a report.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, report: &Report) -> Result<()> {
    finish(begin(path)?, path, report)
}

/// Writes a report into the file that was begun at a path.
///
/// # Errors
/// The file cannot be written.
pub fn finish(file: File, path: &Path, report: &Report) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    // A pipe or a terminal holds nothing that would have to go.
    if file.metadata().with_context(cannot)?.is_file() {
        file.set_len(0).with_context(cannot)?;
    }
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, report).with_context(cannot)?;
    file.write_all(b"\n").and_then(|()| file.flush()).with_context(cannot)
}

/// Reads a report.
///
/// # Errors
/// It cannot be read, is no report, is of another schema, or contradicts itself.
pub fn read(path: &Path) -> Result<Report> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the report {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is not a report that this rp-client reads", path.display()))
}

/// The report in a text.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> Result<Report> {
    let value: Value = serde_json::from_str(text)
        .context("it is not JSON, or cut off: was it copied whole? (`rp-client run --json FILE` writes one)")?;
    match value.get("schema") {
        Some(schema) if schema.as_u64() == Some(u64::from(SCHEMA)) => {}
        Some(schema) => bail!("its schema is {schema}, ours is {SCHEMA}: read it by the rp-client that wrote it"),
        None => bail!("it has no `schema`: it is something else, or of an rp-client before schema 1"),
    }
    countable(&value, "")?;
    let report: Report = serde_json::from_value(value).context("a field is missing or has another type")?;
    hold_together(&report)?;
    Ok(report)
}

/// No count of a run comes near 2^53, where JSON's numbers end for most readers; so sums of reports need no checks.
fn countable(value: &Value, key: &str) -> Result<()> {
    match value {
        Value::Number(number) => {
            let is_fit = number.as_f64().is_some_and(|number| number.abs() < COUNT_END) || key == "seed";
            ensure!(is_fit, "its `{key}` is {number}, which is no count of a run");
        }
        Value::Array(rows) => rows.iter().try_for_each(|row| countable(row, key))?,
        Value::Object(table) => table.iter().try_for_each(|(key, value)| countable(value, key))?,
        _ => {}
    }
    Ok(())
}

/// Reports are summed and compared by their histograms: those must be what the rest of the file says of them.
fn hold_together(report: &Report) -> Result<()> {
    ensure!(!report.machines.is_empty(), "it names no client machine");
    for users in report.machines.iter().map(|machine| machine.users).chain([report.users]) {
        ensure!(users[0] <= users[1], "its users are {users:?}");
    }
    for phase in &report.phases {
        let damaged = || format!("its phase \"{}\" is damaged", phase.name);
        for (packed, said) in
            [(&phase.latency_histogram, &phase.latency_us), (&phase.money_latency_histogram, &phase.money_latency_us)]
        {
            let latency = Latency::of(&packed.unpacked().with_context(damaged)?);
            ensure!(latency == *said, "{}: its histogram and its percentiles are of different runs", damaged());
        }
        for row in &phase.latency_per_second {
            row.histogram.unpacked().with_context(damaged)?;
        }
        let ended = phase.answered.checked_add(phase.refused).and_then(|sum| sum.checked_add(phase.lost));
        ensure!(ended.is_some_and(|ended| ended <= phase.due), "{}: more shakes ended than were due", damaged());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::super::schema;
    use super::*;

    fn text() -> String {
        serde_json::to_string(&report(1, 100)).expect("a report is JSON")
    }

    #[test]
    fn a_report_is_as_its_schema_says_and_is_read_back_whole() {
        let value: Value = serde_json::from_str(&text()).expect("a report is JSON");
        assert_eq!(schema::faults(&value), Vec::<String>::new());
        assert_eq!(parse(&text()).expect("a report"), report(1, 100));
        let mut other = value.clone();
        other["phases"][1]["answered"] = "many".into();
        other["sesions"] = 1.into();
        other.as_object_mut().expect("a table").remove("ok");
        let found = schema::faults(&other).join("; ");
        assert!(
            ["answered", "/sesions is not", "\"ok\" is missing"].iter().all(|word| found.contains(word)),
            "{found}"
        );
    }

    #[test]
    fn a_file_that_is_begun_keeps_what_it_has_until_the_report_is_there() {
        let path = std::env::temp_dir().join(format!("rp-report-{}.json", std::process::id()));
        std::fs::write(&path, format!("{:9999}", "old")).expect("a temporary folder");
        let file = begin(&path).expect("it can be written");
        let old = std::fs::read_to_string(&path).expect("it is there");
        let written = finish(file, &path, &report(1, 100)).and_then(|()| read(&path));
        std::fs::remove_file(&path).expect("it is ours");
        assert!(old.starts_with("old") && written.expect("nothing old is left") == report(1, 100));
    }

    #[test]
    fn what_is_no_report_is_refused_with_a_reason() {
        let good = text();
        let damaged = |from: &str, to: &str| {
            assert!(good.contains(from), "{from}");
            good.replacen(from, to, 1)
        };
        for (text, word) in [
            (String::new(), "not JSON"),
            (good[..good.len() / 2].to_string(), "cut off"),
            ("[1, 2]".to_string(), "no `schema`"),
            (damaged("\"schema\":1", "\"schema\":2"), "its schema is 2, ours is 1"),
            (damaged("\"sessions\":100", "\"sessions\":-1"), "field"),
            (damaged("\"sessions\":100", "\"sessions\":1e300"), "no count"),
            (damaged("\"total\":200,", ""), "total"),
            (damaged("\"answered\":3000", "\"answered\":3001"), "more shakes ended"),
            (damaged("\"p50\":1599", "\"p50\":1598"), "histogram and its percentiles"),
            (damaged("\"latency_histogram\":\"", "\"latency_histogram\":\"!"), "base64"),
        ] {
            let error = format!("{:#}", parse(&text).expect_err(word));
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

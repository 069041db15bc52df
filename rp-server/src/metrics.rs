//! What /metrics says: every metric in one table, and a snapshot written as Prometheus' text format 0.0.4.
//!
//! Names and units follow Prometheus' conventions: base units, `_total` for what only grows, money as `_fen`. No label takes
//! more values than a limit of the server allows. The table is also the reference that the documents print.

mod machine;
mod money;
mod traffic;

use std::fmt::{Display, Write as _};

use crate::snapshot::{STEPS_US, Snapshot, Steps};

/// Of what [`text`] makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is to Prometheus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Only grows while the server lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// One metric.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Type,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
    fill: fn(&Snapshot, &mut Samples<'_>),
}

/// Every metric, in the order of /metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    traffic::METRICS.iter().chain(money::METRICS).chain(machine::METRICS)
}

impl Type {
    /// As the text format and the documents say it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// What it is measured in, as its name says.
    pub fn unit(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes", "fen", "ratio"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
    }
}

/// A snapshot in the text format.
pub fn text(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(64 << 10);
    for metric in all() {
        let begun = out.len();
        write(&mut out, format_args!("# HELP {0} {1}\n# TYPE {0} {2}\n", metric.name, metric.help, metric.kind.name()));
        let mut samples = Samples { metric, out: &mut out, count: 0 };
        (metric.fill)(snapshot, &mut samples);
        if samples.count == 0 {
            // Of what is not here, like a gate, nothing is said.
            out.truncate(begun);
        }
    }
    out
}

fn write(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("a string takes everything");
}

/// Where one metric's samples go.
pub(crate) struct Samples<'a> {
    metric: &'static Metric,
    out: &'a mut String,
    count: usize,
}

impl Samples<'_> {
    /// The metric's only sample.
    fn is(&mut self, value: impl Display) {
        self.add(&[], value);
    }

    /// A sample with these values of the metric's labels.
    fn add(&mut self, values: &[&dyn Display], value: impl Display) {
        self.line("", values, None, value);
        self.count += 1;
    }

    /// Times; the buckets' ends in seconds.
    fn times(&mut self, steps: &Steps) {
        for (us, below) in STEPS_US.iter().zip(&steps.below) {
            self.line("_bucket", &[], Some(&(*us as f64 / 1e6)), below);
        }
        self.line("_bucket", &[], Some(&"+Inf"), steps.count);
        self.line("_sum", &[], None, steps.sum_us as f64 / 1e6);
        self.line("_count", &[], None, steps.count);
        self.count += 1;
    }

    fn line(&mut self, suffix: &str, values: &[&dyn Display], le: Option<&dyn Display>, value: impl Display) {
        assert_eq!(values.len(), self.metric.labels.len(), "{}", self.metric.name);
        write(self.out, format_args!("{}{suffix}", self.metric.name));
        let mut opens = '{';
        let labels = self.metric.labels.iter().copied().zip(values.iter().copied());
        for (label, value) in labels.chain(le.map(|le| ("le", le))) {
            let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            write(self.out, format_args!("{opens}{label}=\"{value}\""));
            opens = ',';
        }
        write(self.out, format_args!("{} {value}\n", if opens == ',' { "}" } else { "" }));
    }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    fill: fn(&Snapshot, &mut Samples<'_>),
) -> Metric {
    Metric { name, kind: Type::Counter, labels, help, fill }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    fill: fn(&Snapshot, &mut Samples<'_>),
) -> Metric {
    Metric { name, kind: Type::Gauge, labels, help, fill }
}

const fn histogram(name: &'static str, help: &'static str, fill: fn(&Snapshot, &mut Samples<'_>)) -> Metric {
    Metric { name, kind: Type::Histogram, labels: &[], help, fill }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every word of a text that looks like a metric.
    fn named_in(text: &str) -> BTreeSet<&str> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("redpacket_") || word.starts_with("process_")).collect()
    }

    #[test]
    fn dashboard_and_alerts_name_only_metrics_that_there_are() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/grafana/red-packet.json");
        let text = std::fs::read_to_string(path).expect("the dashboard is among the documents");
        let dashboard: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let panels: Vec<&serde_json::Value> = dashboard["panels"].as_array().into_iter().flatten().collect();
        let mut named = BTreeSet::new();
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            assert!(panel["title"].is_string() && panel["gridPos"]["w"].is_u64() && panel["id"].is_u64(), "{panel}");
            let targets = panel["targets"].as_array().filter(|targets| !targets.is_empty());
            for target in targets.unwrap_or_else(|| panic!("{panel} asks nothing")) {
                named.extend(named_in(target["expr"].as_str().expect("each target asks in PromQL")));
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/grafana/alerts.yml");
        let alerts = std::fs::read_to_string(path).expect("the rules are among the documents");
        let rules: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
        assert!(rules.len() >= 7, "{rules:?}");
        named.extend(rules.into_iter().flat_map(named_in));
        let is_there = |name: &str| {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            all().any(|metric| match metric.kind {
                Type::Histogram => of_histogram == Some(metric.name),
                _ => metric.name == name,
            })
        };
        assert!(named.len() > 30 && panels.len() > 15, "{named:?}");
        for name in named {
            assert!(is_there(name), "nobody has {name}");
        }
    }

    #[test]
    fn names_follow_the_conventions_and_none_comes_twice() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, help, labels, .. } in all() {
            assert!(names.insert(name), "{name} comes twice");
            assert_eq!(name.ends_with("_total"), *kind == Type::Counter, "{name}");
            assert!(name.starts_with("redpacket_") || name.starts_with("process_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!help.is_empty() && !help.contains('\n') && help.ends_with('.'), "{name}: {help}");
            assert!(labels.iter().all(|label| !label.starts_with("le")), "{name}");
        }
        assert!(names.len() > 50);
    }
}

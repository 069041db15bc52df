//! Two runs side by side: each figure of both, how far they are apart, and whether that is within limits.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

use super::{Latency, Phase, Report};

/// A figure of a run.
struct Figure {
    name: String,
    unit: &'static str,
    value: f64,
}

/// Why two runs cannot be compared; empty when they can.
pub fn obstacles(a: &Report, b: &Report) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: &str, one: String, two: String| {
        if one != two {
            found.push(format!("{what}: {one} and {two}"));
        }
    };
    same("users", users_of(a), users_of(b));
    same("--total", a.total.to_string(), b.total.to_string());
    same("--time-scale", a.play.time_scale.to_string(), b.play.time_scale.to_string());
    same("--pace", a.play.pace.clone(), b.play.pace.clone());
    same("--transport", a.play.transport.clone(), b.play.transport.clone());
    same("--bare", format!("{:?}", a.play.bare), format!("{:?}", b.play.bare));
    same("client machines", a.machines.len().to_string(), b.machines.len().to_string());
    if a.play.scenario_text != b.play.scenario_text {
        found.push(format!("the scenarios differ: {} and {}", a.play.scenario, b.play.scenario));
    }
    for (report, which) in [(a, "first"), (b, "second")] {
        if report.interrupted {
            found.push(format!("the {which} was ended before its scenario was over"));
        }
    }
    found
}

fn users_of(report: &Report) -> String {
    report.machines.iter().map(|machine| machine.users[1] - machine.users[0] + 1).sum::<u64>().to_string()
}

/// Other machines than before: worth knowing, and often the point.
fn remarks(a: &Report, b: &Report) -> Vec<String> {
    let of = |report: &Report| {
        let machine = |m: &super::Machine| format!("{} ({}, {} CPUs, {})", m.host, m.processor, m.cpus, m.kernel);
        report.machines.iter().map(machine).collect::<Vec<_>>().join("; ")
    };
    let rows = [
        ("machines", of(a), of(b)),
        ("servers", a.play.server.clone(), b.play.server.clone()),
        ("versions", a.program.version.clone(), b.program.version.clone()),
        ("sealing", format!("{:?}", a.sealing), format!("{:?}", b.sealing)),
    ];
    rows.into_iter().filter(|(_, a, b)| a != b).map(|(what, a, b)| format!("{what}: {a} / {b}")).collect()
}

fn figures(report: &Report) -> Vec<Figure> {
    let mut all = vec![
        figure("sessions", "", report.sessions as f64),
        figure("log-in", "s", report.login.seconds),
        figure("log-ins again", "", report.login.retries as f64),
    ];
    report.phases.iter().for_each(|phase| all.extend(phase_figures(report, phase)));
    let money = &report.money;
    all.push(figure("prizes won", "", money.prizes.count as f64));
    all.push(figure("packets made", "", money.sent.count as f64));
    all.push(figure("shares taken", "", money.taken.count as f64));
    all.push(figure("fired late", "%", report.generator_late.share * 100.0));
    all.push(figure("differences between the books", "", report.reconciled.differences.len() as f64));
    all
}

fn phase_figures(report: &Report, phase: &Phase) -> Vec<Figure> {
    let mut all = Vec::new();
    let mut add = |name: &str, unit: &'static str, value: f64| {
        all.push(figure(&format!("{}: {name}", phase.name), unit, value));
    };
    if phase.due > 0 {
        let served = report.served(phase);
        let rates = || served.iter().map(|(rate, _)| rate.round());
        add("answered", "1/s", phase.answered as f64 / f64::from(phase.seconds.max(1)));
        add("lowest second", "1/s", rates().reduce(f64::min).unwrap_or_default());
        add("highest second", "1/s", rates().reduce(f64::max).unwrap_or_default());
        add("lost", "", phase.lost as f64);
        add("refused", "", phase.refused as f64);
        add("sent again", "", phase.retries as f64);
        if phase.answered > 0 {
            percentiles("latency", &phase.latency_us).for_each(|(name, us)| add(&name, "us", us));
        }
    }
    if phase.sends.answered + phase.grabs.answered > 0 {
        percentiles("packets and grabs", &phase.money_latency_us).for_each(|(name, us)| add(&name, "us", us));
    }
    all
}

fn percentiles(of: &str, latency: &Latency) -> impl Iterator<Item = (String, f64)> {
    let Latency { p50, p90, p99, p999, max } = *latency;
    [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)]
        .map(|(name, us)| (format!("{of} {name}"), us as f64))
        .into_iter()
}

fn figure(name: &str, unit: &'static str, value: f64) -> Figure {
    Figure { name: name.to_string(), unit, value }
}

/// By how much a figure rose, as a share of what it was; none from nothing to something.
fn change(a: f64, b: f64) -> Option<f64> {
    if a == b { Some(0.0) } else { (a != 0.0).then(|| (b - a) / a) }
}

/// Both runs, figure by figure; a figure that one run lacks is left out.
pub fn table(a: &Report, b: &Report) -> String {
    let mut text = String::new();
    for remark in remarks(a, b) {
        let _ = writeln!(text, "{remark}");
    }
    let theirs = figures(b);
    let ours = figures(a);
    let both = ours.iter().filter_map(|one| Some((one, theirs.iter().find(|two| two.name == one.name)?)));
    let _ = writeln!(text, "{:<44} {:>14} {:>14} {:>9}", "", "first", "second", "");
    for (one, two) in both {
        let name = if one.unit.is_empty() { one.name.clone() } else { format!("{} [{}]", one.name, one.unit) };
        let change = match change(one.value, two.value) {
            Some(0.0) => "=".to_string(),
            Some(change) => format!("{:+.1} %", change * 100.0),
            None => "new".to_string(),
        };
        let _ = writeln!(text, "{name:<44} {:>14} {:>14} {change:>9}", short(one.value), short(two.value));
    }
    text
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// How far the second run may be from the first.
#[derive(Clone, PartialEq, Debug)]
pub struct Limit {
    text: String,
    name: String,
    is_upper: bool,
    takes_edge: bool,
    change: f64,
    is_share: bool,
}

/// Reads a list of limits, such as `p99<+10%,qps>-1%`.
///
/// # Errors
/// Names the limit that cannot be read.
pub fn limits(list: &str) -> Result<Vec<Limit>> {
    let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.map(|text| limit(text).with_context(|| format!("--limits '{text}'"))).collect()
}

fn limit(text: &str) -> Result<Limit> {
    let how = "write NAME<+CHANGE or NAME>-CHANGE, such as 'p99<+10%' or 'p50<=+200us'";
    let at = text.find(['<', '>']).context(how)?;
    let (name, rest) = (text[..at].trim(), &text[at..]);
    let (is_upper, rest) = (rest.starts_with('<'), &rest[1..]);
    let (takes_edge, rest) = rest.strip_prefix('=').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim();
    if !rest.starts_with(['+', '-']) {
        bail!("a change has a sign: {how}");
    }
    let units = [("%", 0.01), ("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (digits, factor) = units.iter().find_map(|(u, f)| Some((rest.strip_suffix(u)?, *f))).unwrap_or((rest, 1.0));
    let change: f64 = digits.trim().parse().with_context(|| format!("'{rest}' is no number with %, us, ms or s"))?;
    if !change.is_finite() {
        bail!("'{rest}' is not finite");
    }
    let (name, text, is_share) = (name.to_string(), text.to_string(), rest.ends_with('%'));
    if !NAMES.contains(&name.as_str()) {
        bail!("'{name}' is not compared; choose {}", NAMES.join(", "));
    }
    Ok(Limit { text, name, is_upper, takes_edge, change: change * factor, is_share })
}

const NAMES: [&str; 11] = ["p50", "p90", "p99", "p99.9", "max", "qps", "login", "loss", "refused", "late", "mismatch"];

/// The worst of any phase, as `rp-client run --expect` has it; the answers a second over all phases; the log-in, in us.
fn value(name: &str, report: &Report) -> f64 {
    let measured = report.measured();
    match name {
        "p50" => measured.p50,
        "p90" => measured.p90,
        "p99" => measured.p99,
        "p99.9" => measured.p999,
        "max" => measured.max,
        "loss" => measured.loss,
        "refused" => measured.refused,
        "late" => measured.late,
        "mismatch" => measured.mismatch,
        "login" => report.login.seconds * 1e6,
        _ => {
            let shaken = || report.phases.iter().filter(|phase| phase.due > 0);
            let seconds: u32 = shaken().map(|phase| phase.seconds).sum();
            shaken().map(|phase| phase.answered).sum::<u64>() as f64 / f64::from(seconds.max(1))
        }
    }
}

impl Limit {
    /// Says how the second run is beyond the limit, if it is.
    pub fn failure(&self, a: &Report, b: &Report) -> Option<String> {
        let (one, two) = (value(&self.name, a), value(&self.name, b));
        if one.is_infinite() || two.is_infinite() {
            let which = if two.is_infinite() { "second" } else { "first" };
            return Some(format!(
                "expected {}, but no shake of a phase of the {which} run was answered: all were refused or lost",
                self.text
            ));
        }
        let rose = if self.is_share { change(one, two).unwrap_or(f64::INFINITY) } else { two - one };
        let edge = self.takes_edge && rose == self.change;
        let holds = edge || if self.is_upper { rose < self.change } else { rose > self.change };
        let by = if self.is_share { format!("{:+.1} %", rose * 100.0) } else { format!("{rose:+}") };
        (!holds).then(|| format!("expected {}, but {} went from {one} to {two} ({by})", self.text, self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::report;
    use super::*;

    type Change = fn(&mut Report);

    #[test]
    fn limits_hold_or_say_why_not() {
        let (mut a, mut b) = (report(1, 100), report(1, 100));
        (a.login.seconds, b.login.seconds) = (2.0, 2.1);
        for (list, failures) in [
            ("", 0),
            ("login<+10%", 0),
            ("login<+5%", 1),
            ("login<=+100ms,login<+99ms", 1),
            ("login>-1%,p99<=+0%,loss<=+0", 0),
            ("login<-1%,login>+10%", 2),
            ("qps>-1%,qps>=+0%", 0),
        ] {
            let failed: Vec<_> = limits(list).expect(list).iter().filter_map(|l| l.failure(&a, &b)).collect();
            assert_eq!(failed.len(), failures, "{list}: {failed:?}");
        }
        // A phase without an answer is beyond all.
        let mut mute = b.clone();
        (mute.phases[2].answered, mute.phases[2].lost) = (0, mute.phases[2].due);
        for pair in [(&a, &mute), (&mute, &a), (&mute, &mute)] {
            let failure = limits("p99<=+0").expect("good")[0].failure(pair.0, pair.1).expect("beyond");
            assert!(failure.contains("was answered"), "{failure}");
        }
        // From nothing to something is beyond any share.
        b.phases[1].lost = 1;
        assert!(limits("loss<+900%").expect("good")[0].failure(&a, &b).is_some());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["p98<+1%", "p99", "p99<10%", "p99<+fast", "p99<+inf", "p99=+1%"] {
            let error = format!("{:#}", limits(text).expect_err(text));
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn runs_of_another_kind_are_not_compared() {
        let a = report(1, 100);
        assert!(obstacles(&a, &report(1, 100)).is_empty());
        let changes: [(&str, Change); 4] = [
            ("users", |b| b.machines[0].users[1] = 7),
            ("scenarios", |b| b.play.scenario_text.push('#')),
            ("--pace", |b| b.play.pace = "seed".to_string()),
            ("ended before", |b| b.interrupted = true),
        ];
        for (word, change) in changes {
            let mut b = report(1, 100);
            change(&mut b);
            let found = obstacles(&a, &b);
            assert!(found.len() == 1 && found[0].contains(word), "{word}: {found:?}");
        }
        assert!(table(&a, &a).lines().skip(1).all(|line| line.ends_with('=')));
    }
}

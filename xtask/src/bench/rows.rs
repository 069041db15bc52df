//! The figures: medians of turns, each beside its baseline of the same run, and what it has to reach.

mod admin;
mod ledger;

use serde::Serialize;

use super::Results;
use super::churn::GROWTH_MAX_PERCENT;
use super::login::Login;
use super::plan::{COMMON_RATE, HOSTILE, PHASE_RATE};
use super::subject::Subject;
use super::turn::{Load, Sample, median};
use crate::demo::table::Target;

/// Loss up to which a rate counts as answered.
pub const LOSS_MAX: f64 = 0.001;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it says.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// What was measured.
    pub figure: f64,
    /// What it is held against: its name and its figure.
    pub baseline: Option<(String, f64)>,
    /// The figure over the baseline.
    pub ratio: Option<f64>,
    /// What the ratio, or the figure where there is no baseline, has to reach.
    pub target: Option<Target>,
    /// Whether it does.
    pub met: Option<bool>,
    /// What else there is to know: of how many turns it is, and which.
    pub note: String,
}

impl Row {
    fn new(name: impl Into<String>, unit: &'static str, figure: f64) -> Row {
        let (name, note) = (name.into(), String::new());
        Row { name, unit, figure, baseline: None, ratio: None, target: None, met: None, note }
    }

    fn beside(mut self, name: impl Into<String>, baseline: f64) -> Row {
        self.ratio = Some(self.figure / baseline);
        self.baseline = Some((name.into(), baseline));
        self
    }

    fn note(self, note: String) -> Row {
        Row { note, ..self }
    }

    fn target(mut self, target: Target) -> Row {
        self.met = Some(target.is_met_by(self.ratio.unwrap_or(self.figure)));
        self.target = Some(target);
        self
    }
}

/// Turns of one kind: the quiet ones, or all when too few were.
pub struct Group<'a> {
    samples: Vec<&'a Sample>,
    note: String,
}

impl<'a> Group<'a> {
    /// Those that fit and were left alone; all that fit when none was.
    fn left_alone(samples: &'a [Sample], fits: impl Fn(&Sample) -> bool) -> Group<'a> {
        let all: Vec<&Sample> = samples.iter().filter(|sample| fits(sample)).collect();
        let alone: Vec<&Sample> = all.iter().copied().filter(|sample| sample.was_left_alone()).collect();
        match alone.len() {
            0 => Group { note: format!("none of {} turns left alone", all.len()), samples: all },
            count => Group { note: format!("{count} of {} turns, left alone", all.len()), samples: alone },
        }
    }

    /// Are its turns those that were left alone?
    fn is_left_alone(&self) -> bool {
        self.samples.iter().all(|sample| sample.was_left_alone())
    }

    /// Those that fit.
    pub fn of(samples: &'a [Sample], fits: impl Fn(&Sample) -> bool) -> Group<'a> {
        let all: Vec<&Sample> = samples.iter().filter(|sample| fits(sample)).collect();
        let quiet: Vec<&Sample> = all.iter().copied().filter(|sample| sample.is_quiet()).collect();
        let enough = quiet.len() * 2 > all.len();
        let note = format!("{} of {} turns disturbed", all.len() - quiet.len(), all.len());
        if enough { Group { samples: quiet, note: String::new() } } else { Group { samples: all, note } }
    }

    fn of_load(samples: &'a [Sample], chapter: &str, subject: Subject, load: Load) -> Group<'a> {
        Group::of(samples, |sample| sample.turn.is_of(chapter, subject, load))
    }

    /// The median of something; none without turns.
    pub fn median(&self, value: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples.iter().map(|sample| value(sample)))
    }

    fn row(&self, name: impl Into<String>, unit: &'static str, value: impl Fn(&Sample) -> f64) -> Option<Row> {
        Some(Row::new(name, unit, self.median(value)?).note(self.note.clone()))
    }
}

/// All figures.
pub fn rows(results: &Results) -> Vec<Row> {
    let samples = &results.samples;
    let mut rows = Vec::new();
    datapaths(samples, &mut rows);
    sizes(results, &mut rows);
    capacity(samples, &mut rows);
    flood(samples, &mut rows);
    sockets(samples, &mut rows);
    rest(results, &mut rows);
    past_the_stack(results, &mut rows);
    ledger::rows(&results.ledger, &mut rows);
    admin::rows(&results.admin, &mut rows);
    rows
}

/// Clients by AF_XDP are never in a row with clients by sockets.
fn past_the_stack(results: &Results, rows: &mut Vec<Row>) {
    let sessions = results.extent.churn.0;
    let name = format!("log-in of {sessions}, AF_XDP at both ends, one server core");
    let of = |value: fn(&Login) -> f64| median(results.logins.iter().map(value));
    rows.extend(of(|login| login.seconds).map(|seconds| {
        let row = Row::new(&name, "s", seconds);
        if sessions == 1_000_000 { row.target(Target::AtMost(6.0)) } else { row }
    }));
    rows.extend(of(|login| login.server_us).map(|us| Row::new(format!("{name}: CPU each"), "us", us)));
    rows.extend(of(|login| login.again as f64).map(|again| Row::new(format!("{name}: asked again"), "log-ins", again)));
}

fn datapaths(samples: &[Sample], rows: &mut Vec<Row>) {
    let common = |subject| Group::of_load(samples, "datapaths", subject, Load::live(COMMON_RATE));
    let laden = |subject: Subject| Group::of_load(samples, "laden", subject, Load::live(subject.laden_rate()));
    against_each_other(&format!("{COMMON_RATE}/s"), common, rows);
    against_each_other("well laden", laden, rows);
}

fn against_each_other<'a>(how: &str, of: impl Fn(Subject) -> Group<'a>, rows: &mut Vec<Row>) {
    let cpu = |subject| of(subject).median(|sample| sample.cpu_us);
    for subject in Subject::ALL {
        let row = of(subject).row(format!("CPU per answer, {how}: {}", subject.name()), "us", |sample| sample.cpu_us);
        let plain = cpu(Subject::Plain);
        rows.extend(row.zip(plain).map(|(row, plain)| row.beside(Subject::Plain.name(), plain)));
    }
    for (subject, baseline, limit) in [
        (Subject::Gate, Subject::Plain, 0.12),
        (Subject::Gate, Subject::Mirror, 2.5),
        (Subject::Gate, Subject::Knot, 1.0 / 3.0),
        (Subject::Worker, Subject::Batched, 1.15),
        (Subject::Xsk, Subject::Batched, 0.45),
    ] {
        let name = format!("{how}: {} / {}", subject.name(), baseline.name());
        let row = of(subject).row(name, "us", |sample| sample.cpu_us);
        let judge = |(row, against): (Row, f64)| row.beside(baseline.name(), against).target(Target::AtMost(limit));
        rows.extend(row.zip(cpu(baseline)).map(judge));
    }
}

fn sizes(results: &Results, rows: &mut Vec<Row>) {
    let samples = &results.samples;
    let Some((&least, &most)) = results.extent.sizes.first().zip(results.extent.sizes.last()) else { return };
    for (subject, limit) in [(Subject::Gate, 1.9), (Subject::Worker, 1.05), (Subject::Xsk, 1.05)] {
        let all = Load::live(COMMON_RATE);
        let of = |load| Group::of_load(samples, "sizes", subject, load);
        let base = of(Load { sessions: least, ..all }).median(|sample| sample.cpu_us);
        for &size in &results.extent.sizes {
            let name = format!("{}: {size} sessions", subject.name());
            let row = of(Load { sessions: size, ..all }).row(name, "us", |sample| sample.cpu_us);
            rows.extend(row.zip(base).map(|(row, base)| {
                let row = row.beside(format!("{least} sessions"), base);
                if size == most { row.target(Target::AtMost(limit)) } else { row }
            }));
        }
        let name = format!("{}: {} sessions, skewed", subject.name(), results.extent.sessions);
        let row = of(Load { skewed: true, ..all }).row(name, "us", |sample| sample.cpu_us);
        rows.extend(row.zip(base).map(|(row, base)| row.beside(format!("{least} sessions"), base)));
    }
}

/// The turns of a subject's ladder.
fn ladder(samples: &[Sample], subject: Subject) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |sample| (sample.turn.chapter, sample.turn.subject) == ("capacity", subject))
}

/// The turns at one rate of a ladder that were left alone: what others took from a machine, no server can answer.
struct Rung<'a> {
    rate: u64,
    turns: Vec<&'a Sample>,
    /// Those among them that were not left alone.
    others: usize,
}

impl Rung<'_> {
    fn sent(&self) -> u64 {
        self.turns.iter().map(|sample| sample.sent).sum()
    }

    fn lost(&self) -> u64 {
        self.turns.iter().map(|sample| sample.sent.saturating_sub(sample.answered)).sum()
    }

    fn was_answered(&self) -> bool {
        self.lost() as f64 <= LOSS_MAX * self.sent() as f64
            && !self.turns.iter().any(|sample| sample.is_generators_fault())
    }

    fn note(&self) -> String {
        let lost = self.lost() as f64 * 100.0 / self.sent() as f64;
        format!("{lost:.3} % lost in {} of {} turns, left alone", self.turns.len(), self.turns.len() + self.others)
    }

    fn median(&self, value: impl Fn(&Sample) -> f64) -> f64 {
        median(self.turns.iter().map(|sample| value(sample))).expect("a rung has turns")
    }
}

/// The rungs of a subject's ladder on which any turn was left alone, from below.
fn rungs(samples: &[Sample], subject: Subject) -> Vec<Rung<'_>> {
    let mut rungs: Vec<Rung<'_>> = Vec::new();
    for sample in ladder(samples, subject) {
        let rate = sample.turn.load.rate;
        let at = rungs.iter().position(|rung| rung.rate == rate).unwrap_or_else(|| {
            rungs.push(Rung { rate, turns: Vec::new(), others: 0 });
            rungs.len() - 1
        });
        match sample.was_left_alone() {
            true => rungs[at].turns.push(sample),
            false => rungs[at].others += 1,
        }
    }
    rungs.retain(|rung| !rung.turns.is_empty());
    rungs.sort_by_key(|rung| rung.rate);
    rungs
}

/// The highest rate of the ladder up to which all were answered.
fn highest(samples: &[Sample], subject: Subject) -> Option<Rung<'_>> {
    rungs(samples, subject).into_iter().take_while(Rung::was_answered).last()
}

/// Half of the highest rate, or the next below it.
fn half(samples: &[Sample], subject: Subject) -> Option<Rung<'_>> {
    let rate = highest(samples, subject)?.rate;
    rungs(samples, subject).into_iter().rfind(|rung| rung.rate * 2 <= rate)
}

/// A target that could not be tried is not met.
fn untried(name: &str, unit: &'static str, target: Target) -> Row {
    let name = format!("{name}: NOT SHOWN, no rate without loss");
    Row { target: Some(target), met: Some(false), ..Row::new(name, unit, 0.0) }
}

fn capacity(samples: &[Sample], rows: &mut Vec<Row>) {
    for subject in Subject::ALL.into_iter().filter(|subject| ladder(samples, *subject).next().is_some()) {
        let name = format!("answered, one core: {}", subject.name());
        let target = Target::AtLeast(0.999e6);
        rows.extend(match (highest(samples, subject), subject) {
            (Some(best), _) => {
                let row = Row::new(name, "1/s", best.median(Sample::answered_per_s)).note(best.note());
                Some(if subject == Subject::Gate { row.target(target) } else { row })
            }
            (None, Subject::Gate) => Some(untried(&name, "1/s", target)),
            (None, _) => None,
        });
        let most = ladder(samples, subject).max_by(|a, b| a.answered_per_s().total_cmp(&b.answered_per_s()));
        rows.extend(most.map(|sample| {
            let (name, lost) = (subject.name(), sample.loss() * 100.0);
            let is_last = ladder(samples, subject).all(|other| other.turn.load.rate <= sample.turn.load.rate);
            let whose = match sample.is_generators_fault() {
                true => ", the generator at its end",
                false if is_last => ", more was not asked",
                false => "",
            };
            let note = format!("{lost:.1} % lost{whose}");
            Row::new(format!("the most: {name}"), "1/s", sample.answered_per_s()).note(note)
        }));
    }
    if ladder(samples, Subject::Gate).next().is_none() {
        return;
    }
    let (name, target) = ("p99.9 at half load", Target::AtMost(0.5));
    rows.push(match (half(samples, Subject::Gate), half(samples, Subject::Plain)) {
        (Some(gate), Some(plain)) => {
            let p999 = |rung: &Rung<'_>| rung.median(|sample| sample.latency_us[2]);
            let against = format!("{} at {}/s", Subject::Plain.name(), plain.rate);
            let row = Row::new(format!("{name} ({}/s)", gate.rate), "us", p999(&gate));
            row.note(gate.note()).beside(against, p999(&plain)).target(target)
        }
        _ => untried(name, "us", target),
    });
    for subject in [Subject::Gate, Subject::Worker, Subject::Xsk] {
        let (name, target) = ("lost at half load, in bursts", Target::Exactly(0.0));
        rows.push(match half(samples, subject) {
            Some(half) => {
                let (sent, rate) = (half.sent(), half.rate);
                let name = format!("{name}, of {sent} at {rate}/s: {}", subject.name());
                Row::new(name, "shakes", half.lost() as f64).note(half.note()).target(target)
            }
            None => untried(&format!("{name}: {}", subject.name()), "shakes", target),
        });
    }
}

fn flood(samples: &[Sample], rows: &mut Vec<Row>) {
    let all = Load::live(COMMON_RATE).spread();
    let flooded = Load { hostile: HOSTILE, ..all };
    let fits = |subject| move |sample: &Sample| sample.turn.is_of("flood", subject, flooded);
    let of = |subject| Group::left_alone(samples, fits(subject));
    let (mut gate, mut bare) = (of(Subject::Gate), of(Subject::Mirror));
    if gate.is_left_alone() != bare.is_left_alone() {
        // Like with like.
        (gate, bare) = (Group::of(samples, fits(Subject::Gate)), Group::of(samples, fits(Subject::Mirror)));
    }
    let name = format!("honest shakes lost beside {HOSTILE} times as many hostile datagrams");
    let loss = gate.row(name, "%", |sample| sample.loss() * 100.0);
    let of_bare = bare.median(|sample| sample.loss() * 100.0);
    rows.extend(loss.zip(of_bare).map(|(row, bare)| {
        let limit = Target::AtMost(bare);
        let met = Some(limit.is_met_by(row.figure));
        let row = row.beside(Subject::Mirror.name(), bare);
        Row { ratio: None, target: Some(limit), met, ..row }
    }));
    let share = |group: &Group<'_>| group.median(|sample| sample.process_share * 100.0);
    let calm = share(&Group::of_load(samples, "flood", Subject::Gate, all));
    rows.extend(share(&gate).zip(calm).map(|(flooded, calm)| {
        let name = format!("a core's share that the flood takes from workers and control ({calm:.1} without)");
        Row::new(name, "%", flooded - calm).target(Target::AtMost(1.0))
    }));
    rows.extend(gate.row("p99.9 of honest shakes in the flood", "us", |sample| sample.latency_us[2]));
}

fn sockets(samples: &[Sample], rows: &mut Vec<Row>) {
    for rate in [PHASE_RATE, COMMON_RATE] {
        let of = |subject| Group::of_load(samples, "sockets", subject, Load::sockets(rate));
        let base = of(Subject::Batched).median(|sample| sample.cpu_us);
        let limits = [
            (Subject::Batched, None),
            (Subject::Worker, Some(1.15)),
            (Subject::Xsk, Some(0.45)),
            (Subject::Gate, None),
        ];
        for (subject, limit) in limits {
            let name = format!("socket clients, {rate}/s: {}", subject.name());
            let row = of(subject).row(name, "us", |sample| sample.cpu_us);
            rows.extend(row.zip(base).map(|(row, base)| {
                let row = row.beside(Subject::Batched.name(), base);
                limit.map_or(row.clone(), |limit| row.target(Target::AtMost(limit)))
            }));
        }
        let name = format!("socket clients, {rate}/s: p99.9, answered in the gate");
        let alone = |sample: &Sample| sample.turn.is_of("sockets", Subject::Gate, Load::sockets(rate));
        let latency = Group::left_alone(samples, alone).row(name, "us", |sample| sample.latency_us[2]);
        let judged = |row: Row| if rate == PHASE_RATE { row.target(Target::AtMost(1000.0)) } else { row };
        rows.extend(latency.map(judged));
    }
}

fn rest(results: &Results, rows: &mut Vec<Row>) {
    let samples = &results.samples;
    // Paced, it spins between bursts: where it has the least time for that, its CPU is what shakes cost.
    let to_gate = |sample: &&Sample| (sample.turn.chapter, sample.turn.subject) == ("capacity", Subject::Gate);
    let made = samples.iter().filter(to_gate).map(|sample| 1e6 / sample.generator_us).fold(0.0, f64::max);
    let row = Row::new("the generator, shakes per second of its CPU, at least", "1/s", made);
    rows.extend((made > 0.0).then(|| row.target(Target::AtLeast(2.5e6))));
    for sample in samples.iter().filter(|sample| sample.turn.chapter == "prizes") {
        let (shakes, released) = (sample.turn.load.rate, sample.turn.load.prizes);
        let row = Row::new(format!("prizes won, {released} released at {shakes} shakes/s"), "1/s", sample.prizes_per_s);
        let sent = sample.sent / sample.turn.seconds;
        let note = if sample.is_generators_fault() { format!("only {sent} shakes/s were sent") } else { String::new() };
        let row = row.note(note).beside("released", released as f64);
        rows.push(if shakes == 1_000_000 { row.target(Target::AtLeast(0.99)) } else { row });
    }
    let Some(churn) = &results.churn else { return };
    if let Some(seconds) = median(churn.login_s.iter().copied()) {
        let row = Row::new(format!("log-in of {}, clients by sockets", churn.sessions), "s", seconds);
        rows.push(if churn.sessions == 1_000_000 { row.target(Target::AtMost(6.0)) } else { row });
    }
    let name = format!("memory after {} log-ins and log-outs, growth", churn.logins);
    rows.push(Row::new(name, "%", churn.growth_percent).target(Target::AtMost(GROWTH_MAX_PERCENT)));
    let name = format!("on the wrong worker, of {} datagrams", churn.received);
    rows.push(Row::new(name, "datagrams", churn.mis_steered as f64).target(Target::Exactly(0.0)));
}

//! Turns: who is loaded when, with what, and what came of it.
//!
//! All generators run the whole time, and each plays its own turns and holds still during the others'; so subjects and
//! baselines are measured in the same minutes, and each log-in is paid for once.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::ground::STRANDS;
use super::plan::CHAPTERS;
use super::subject::{CpuTime, Subject};
use crate::answers::Phase;
use crate::machine;

/// Seconds after a turn for its last answers, and for the generator to lay out the next.
pub const REST_S: u64 = 2;
/// Share of a turn that others may have of the subjects' CPU, and the hypervisor of all, before it counts as disturbed.
const OTHERS_MAX: f64 = 0.15;
const STOLEN_MAX: f64 = 0.03;

/// What is sent.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Load {
    /// By a kernel program, not by sockets.
    pub live_frames: bool,
    /// Shakes per second.
    pub rate: u64,
    /// Only so many of the sessions shake; 0: all.
    pub sessions: u64,
    /// Nine shakes of ten are of a tenth of the sessions.
    pub skewed: bool,
    /// Hostile datagrams beside each shake.
    pub hostile: u64,
    /// Prizes released per second.
    pub prizes: u64,
    /// Strands of the cable that live frames go over, in turn: each is woken for its part, as the queues of a card are.
    pub strands: u64,
}

impl Load {
    /// Live frames from all sessions.
    pub fn live(rate: u64) -> Load {
        Load { live_frames: true, rate, sessions: 0, skewed: false, hostile: 0, prizes: 0, strands: 1 }
    }

    /// The same over all strands, where losses are what is asked.
    pub fn spread(self) -> Load {
        Load { strands: STRANDS as u64, ..self }
    }

    /// By sockets from all sessions.
    pub fn sockets(rate: u64) -> Load {
        Load { live_frames: false, ..Load::live(rate) }
    }

    /// Live frames that are due together: a quarter of a strand's ring, or of a millisecond where that is more; fewer honest ones
    /// with hostile ones between them.
    fn burst(self) -> u64 {
        (self.rate / 4000).clamp(64, 128 * self.strands) / (self.hostile + 1)
    }

    fn phase(self, name: &str, seconds: u64) -> String {
        let Load { rate, sessions, skewed, hostile, strands, .. } = self;
        let kind = if self.live_frames { "blast" } else { "shake" };
        let mut text = format!("[[phase]]\nkind = \"{kind}\"\nname = \"{name}\"\nseconds = {seconds}\nrate = {rate}\n");
        if self.live_frames {
            let part = if sessions > 0 { format!(", sessions = {sessions}") } else { String::new() };
            let burst = self.burst();
            text += &format!(
                "blast = {{ burst = {burst}, skewed = {skewed}, hostile = {hostile}, links = {strands}{part} }}\n"
            );
        }
        text
    }
}

/// One of [`CHAPTERS`]. By this name it is not taken for something borrowed from the text that a turn is read from.
pub type Chapter = &'static str;

/// One turn of one subject.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// What it is for.
    #[serde(deserialize_with = "chapter")]
    pub chapter: Chapter,
    /// Who is loaded.
    pub subject: Subject,
    /// With what.
    pub load: Load,
    /// For so long.
    pub seconds: u64,
}

/// One of those that there are.
fn chapter<'de, D: Deserializer<'de>>(from: D) -> Result<Chapter, D::Error> {
    let name = String::deserialize(from)?;
    let known = CHAPTERS.into_iter().find(|known| *known == name);
    known.ok_or_else(|| D::Error::custom(format!("there is no chapter {name}")))
}

impl Turn {
    /// Is it one of these?
    pub fn is_of(&self, chapter: &str, subject: Subject, load: Load) -> bool {
        (self.chapter, self.subject, self.load) == (chapter, subject, load)
    }
}

/// What came of a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Which it was.
    pub turn: Turn,
    /// Shakes that had to be sent.
    pub due: u64,
    /// Shakes sent.
    pub sent: u64,
    /// Shakes answered.
    pub answered: u64,
    /// Hostile datagrams sent.
    pub hostile: u64,
    /// CPU time of the subject per answer, in microseconds; its receive work and XDP programs included.
    pub cpu_us: f64,
    /// The part of it that its own threads had.
    pub process_us: f64,
    /// CPU time of the subject's threads, in seconds per second of the turn.
    pub process_share: f64,
    /// CPU time of the kernel program that made live frames, per shake sent, in microseconds.
    pub generator_us: f64,
    /// Shakes that the generator sent late or gave up.
    pub generator_late: u64,
    /// Prizes won per second, in the middle one.
    pub prizes_per_s: f64,
    /// From the due time to the answer: median, 99 % and 99.9 %, in microseconds.
    pub latency_us: [f64; 3],
    /// Share of the subjects' CPU that neither a subject nor idling had.
    pub others: f64,
    /// Share of all CPUs that the hypervisor took.
    pub stolen: f64,
}

impl Sample {
    /// Nobody else used the CPUs to speak of.
    pub fn is_quiet(&self) -> bool {
        self.others <= OTHERS_MAX && self.stolen <= STOLEN_MAX
    }

    /// Nobody else had the CPUs for a moment: what was lost was lost by the subject, its cable or the generator.
    pub fn was_left_alone(&self) -> bool {
        self.is_quiet() && self.stolen == 0.0
    }

    /// The generator gave up or was late with more than one of a hundred: it is measured, not the subject.
    pub fn is_generators_fault(&self) -> bool {
        self.generator_late * 100 > self.due
    }

    /// Share of the shakes sent that were never answered.
    pub fn loss(&self) -> f64 {
        self.sent.saturating_sub(self.answered) as f64 / self.sent.max(1) as f64
    }

    /// Answers per second of the turn.
    pub fn answered_per_s(&self) -> f64 {
        self.answered as f64 / self.turn.seconds as f64
    }
}

/// The scenario of one subject's generator: its own turns, and stillness during the others'.
pub fn scenario(subject: Subject, turns: &[Turn]) -> String {
    let mut text = if subject.is_ours() { "[[phase]]\nkind = \"login\"\n".to_string() } else { String::new() };
    // The first hold gives every generator the same beginning, whoever is first.
    let mut still_s = 1;
    for (number, turn) in turns.iter().enumerate() {
        if turn.subject == subject {
            text += &hold(still_s);
            text += &turn.load.phase(&number.to_string(), turn.seconds);
            still_s = REST_S;
        } else {
            still_s += turn.seconds + REST_S;
        }
    }
    text + &hold(still_s)
}

fn hold(seconds: u64) -> String {
    format!("[[phase]]\nkind = \"hold\"\nseconds = {seconds}\n")
}

/// Seconds that all turns take.
pub fn seconds_of(turns: &[Turn]) -> u64 {
    1 + turns.iter().map(|turn| turn.seconds + REST_S).sum::<u64>()
}

/// The clocks of all that is measured, at the beginnings of unix seconds.
#[derive(Default)]
pub struct Meter {
    readings: BTreeMap<u64, Reading>,
}

/// One reading.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Wall clock.
    pub at_us: u64,
    /// Of each subject.
    pub subjects: BTreeMap<Subject, CpuTime>,
    /// Idle time of the subjects' CPU.
    pub idle_ns: u64,
    /// Stolen and all clock ticks of all CPUs.
    pub stolen_ticks: (u64, u64),
}

impl Meter {
    /// Keeps a reading of a second.
    pub fn keep(&mut self, second: u64, reading: Reading) {
        self.readings.insert(second, reading);
    }

    /// What came of a turn that was played as `phase`; none when a reading is missing.
    pub fn sample(&self, turn: &Turn, phase: &Phase) -> Option<Sample> {
        let start_s = phase.per_second.first()?.second;
        let (first, last) = (self.readings.get(&start_s)?, self.readings.get(&(start_s + turn.seconds + REST_S - 1))?);
        let length = (last.at_us - first.at_us) as f64 / 1e6;
        let process_ns = last.subjects[&turn.subject].process_ns - first.subjects[&turn.subject].process_ns;
        let receive_ns = last.subjects[&turn.subject].receive_ns - first.subjects[&turn.subject].receive_ns;
        let all_ns: u64 = first
            .subjects
            .iter()
            .map(|(subject, before)| {
                let now = last.subjects[subject];
                now.process_ns - before.process_ns + now.receive_ns - before.receive_ns
            })
            .sum();
        let idle_ns = last.idle_ns.saturating_sub(first.idle_ns);
        // Its last answers were there long before the second after it was over.
        let over = self.readings.get(&(start_s + turn.seconds))?;
        let (stolen, ticks) = (over.stolen_ticks.0 - first.stolen_ticks.0, over.stolen_ticks.1 - first.stolen_ticks.1);
        let answers = phase.answered.max(1) as f64;
        Some(Sample {
            turn: *turn,
            due: phase.due,
            sent: phase.sent,
            answered: phase.answered,
            hostile: phase.hostile,
            cpu_us: (process_ns + receive_ns) as f64 / 1e3 / answers,
            process_us: process_ns as f64 / 1e3 / answers,
            process_share: process_ns as f64 / 1e9 / turn.seconds as f64,
            generator_us: phase.generator_cpu_us as f64 / phase.sent.max(1) as f64,
            generator_late: phase.generator_late,
            prizes_per_s: median(phase.per_second.iter().map(|second| second.prizes as f64)).unwrap_or(0.0),
            latency_us: [phase.latency_us.p50, phase.latency_us.p99, phase.latency_us.p999],
            others: (1.0 - (all_ns + idle_ns) as f64 / 1e9 / length).max(0.0),
            stolen: stolen as f64 / ticks.max(1) as f64,
        })
    }
}

/// The middle value; of an even number of values, the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Now, for a reading.
pub fn clocks(subjects: BTreeMap<Subject, CpuTime>, subject_cpu: usize) -> Reading {
    Reading {
        at_us: machine::unix_us(),
        subjects,
        idle_ns: machine::idle_ns_of(subject_cpu),
        stolen_ticks: machine::stolen_ticks(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(subject: Subject, seconds: u64) -> Turn {
        Turn { chapter: "test", subject, load: Load::live(1000), seconds }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, middle) in
            [(vec![], None), (vec![3.0], Some(3.0)), (vec![9.0, 1.0], Some(5.0)), (vec![5.0, 1.0, 100.0], Some(5.0))]
        {
            assert_eq!(median(values.clone()), middle, "{values:?}");
        }
    }

    #[test]
    fn turns_of_one_are_stillness_of_all_others() {
        let turns = [turn(Subject::Gate, 3), turn(Subject::Plain, 5), turn(Subject::Gate, 4)];
        let seconds = |subject| {
            let lines = scenario(subject, &turns);
            lines.lines().filter_map(|line| line.strip_prefix("seconds = ")?.parse::<u64>().ok()).collect::<Vec<_>>()
        };
        // A second before all; two after each turn.
        assert_eq!(seconds(Subject::Gate), [1, 3, 2 + 5 + 2, 4, 2]);
        assert_eq!(seconds(Subject::Plain), [1 + 3 + 2, 5, 2 + 4 + 2]);
        for subject in [Subject::Gate, Subject::Plain, Subject::Tokio] {
            assert_eq!(seconds(subject).iter().sum::<u64>(), seconds_of(&turns));
        }
        assert!(scenario(Subject::Gate, &turns).starts_with("[[phase]]\nkind = \"login\""));
    }

    #[test]
    fn a_sample_is_of_its_subject_and_tells_who_disturbed_it() {
        let mut meter = Meter::default();
        let reading = |at_s: u64, process_ms: u64, receive_ms: u64, idle_ms: u64| Reading {
            at_us: at_s * 1_000_000,
            subjects: BTreeMap::from([(
                Subject::Plain,
                CpuTime { process_ns: process_ms * 1_000_000, receive_ns: receive_ms * 1_000_000 },
            )]),
            idle_ns: idle_ms * 1_000_000,
            stolen_ticks: (0, at_s * 200),
        };
        meter.keep(10, reading(10, 0, 0, 0));
        meter.keep(12, reading(12, 300, 100, 1_600));
        meter.keep(13, reading(13, 300, 100, 2_500));
        let second = |second| crate::answers::Second { second, due: 0, sent: 0, answered: 0, prizes: 0 };
        let phase = Phase {
            name: "0".into(),
            rate: 1000.0,
            due: 2000,
            sent: 2000,
            answered: 2000,
            refused: 0,
            lost: 0,
            retries: 0,
            generator_late: 0,
            generator_cpu_us: 300_000,
            hostile: 0,
            sends: Default::default(),
            grabs: Default::default(),
            histories: Default::default(),
            refusals: Default::default(),
            latency_us: Default::default(),
            money_latency_us: Default::default(),
            per_second: vec![second(10), second(11)],
        };
        let sample = meter.sample(&turn(Subject::Plain, 2), &phase).expect("both readings are there");
        assert!((sample.cpu_us - 200.0).abs() < 1e-6 && (sample.process_us - 150.0).abs() < 1e-6, "{sample:?}");
        assert!((sample.others - 0.1 / 3.0).abs() < 1e-6 && sample.is_quiet(), "{sample:?}");
        assert!((sample.generator_us - 150.0).abs() < 1e-6, "{sample:?}");
        meter.keep(13, reading(13, 300, 100, 1_000));
        assert!(!meter.sample(&turn(Subject::Plain, 2), &phase).expect("as before").is_quiet());
        assert!(meter.sample(&turn(Subject::Plain, 3), &phase).is_none(), "no reading at its end");
    }
}

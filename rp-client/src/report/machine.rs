//! A client machine: what it is, and what is its own in a run that others play, too.

use std::ffi::OsString;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::GeneratorLate;
use crate::cli::Flags;

/// One client machine.
#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Debug)]
#[allow(missing_docs)]
pub struct Machine {
    pub host: String,
    pub processor: String,
    pub cpus: usize,
    pub kernel: String,
    /// First and last.
    pub users: [u64; 2],
    /// The words of the command that was given.
    pub command: Vec<String>,
    pub seed: u64,
    pub sockets: u16,
    /// Datagrams of one length were handed to the kernel as one.
    pub segment: bool,
    /// Addresses it sent from, when they were named.
    pub sources: Vec<String>,
    /// Microseconds since 1970.
    pub started_us: u64,
    pub ended_us: u64,
    pub sessions: u64,
    pub login_s: f64,
    pub due: u64,
    pub answered: u64,
    pub clock_offset_us: Option<i64>,
    pub generator_late: GeneratorLate,
    pub stolen_ms: u64,
    pub ok: bool,
}

impl Default for GeneratorLate {
    fn default() -> Self {
        Self { ms_max: 0.0, share: 0.0 }
    }
}

impl Machine {
    /// This machine, of which nothing is known but what it is.
    pub fn here() -> Self {
        let line = |path: &str| std::fs::read_to_string(path).map(|text| text.trim().to_string()).unwrap_or_default();
        let processors = line("/proc/cpuinfo");
        let name = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let word = |name: &str| line(&format!("/proc/sys/kernel/{name}"));
        Self {
            host: word("hostname"),
            processor: name.map_or_else(|| std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string()),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("{} {}", word("ostype"), word("osrelease")),
            command: command(std::env::vars_os(), std::env::args_os()),
            ..Self::default()
        }
    }

    /// The command once more, as a shell takes it.
    pub fn command_line(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
        let quoted = |word: &String| match !word.is_empty() && word.chars().all(plain) {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        };
        self.command.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }

    /// The command that plays the same once more: its words, but for a time that has passed, and the seed when it was drawn.
    pub fn again(&self) -> String {
        let mut machine = self.clone();
        let words = &mut machine.command;
        if let Some(at) = words.iter().position(|word| word == "--start-at") {
            words.drain(at..words.len().min(at + 2));
        }
        words.retain(|word| !["--start-at=", "RP_START_AT="].iter().any(|start| word.starts_with(start)));
        if !words.iter().any(|word| word == "--seed" || word.starts_with("--seed=") || word.starts_with("RP_SEED=")) {
            words.extend(["--seed".to_string(), self.seed.to_string()]);
        }
        machine.command_line()
    }
}

/// Our words, and before them the flags that the environment had; no other variable, which may hold a secret.
fn command(
    variables: impl Iterator<Item = (OsString, OsString)>,
    words: impl Iterator<Item = OsString>,
) -> Vec<String> {
    let run = Flags::augment_args(clap::Command::new("run"));
    let mut ours: Vec<String> = variables
        .filter(|(name, _)| run.get_arguments().any(|flag| flag.get_env() == Some(name.as_os_str())))
        .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
        .collect();
    ours.sort();
    if !ours.is_empty() {
        ours.insert(0, "env".to_string());
    }
    ours.extend(words.map(|word| word.to_string_lossy().into_owned()));
    ours
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_command_has_the_variables_that_are_its_flags_and_no_secret() {
        let no_text = || OsString::from_vec(b"a\xff.toml".to_vec());
        let variables = [
            ("RP_TICKET".into(), "secret".into()),
            ("RP_USERS".into(), "1..=9".into()),
            ("RP_SCENARIO".into(), no_text()),
            ("RP_USERS_".into(), "1..=9".into()),
            (no_text(), "1".into()),
        ];
        let words = command(variables.into_iter(), ["rp-client".into(), no_text()].into_iter());
        assert_eq!(words, ["env", "RP_SCENARIO=a\u{fffd}.toml", "RP_USERS=1..=9", "rp-client", "a\u{fffd}.toml"]);
    }

    #[test]
    fn a_command_is_given_again_as_a_shell_takes_it() {
        let words = |words: &[&str]| Machine {
            command: words.iter().map(ToString::to_string).collect(),
            seed: 7,
            ..Machine::default()
        };
        for (command, again) in [
            (words(&["rp-client", "--users", "1..=9"]), "rp-client --users 1..=9 --seed 7"),
            (words(&["rp-client", "--seed", "9"]), "rp-client --seed 9"),
            (words(&["rp-client", "--seed=9"]), "rp-client --seed=9"),
            (words(&["rp-client", "--expect", "p99<1ms"]), "rp-client --expect 'p99<1ms' --seed 7"),
            (words(&["rp-client", "--start-at", "9", "--sockets", "2"]), "rp-client --sockets 2 --seed 7"),
            (words(&["env", "RP_SEED=3", "RP_START_AT=9", "rp-client"]), "env RP_SEED=3 rp-client"),
            (words(&["it's", ""]), r"'it'\''s' '' --seed 7"),
        ] {
            assert_eq!(command.again(), again);
        }
    }
}

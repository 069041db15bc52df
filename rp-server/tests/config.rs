//! Where a setting comes from, as the program itself shows it: flag before environment before file before default.

use std::path::PathBuf;
use std::process::{Command, Output};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rp-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Folder(path)
    }

    fn write(&self, text: &str) -> String {
        let path = self.0.join("server.toml");
        std::fs::write(&path, text).expect("our own folder");
        path.display().to_string()
    }

    /// A command in this folder, with an environment of its own.
    fn run(&self, env: &[(&str, &str)], words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
        let ours = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("RP_"));
        for name in ours {
            command.env_remove(name);
        }
        command.args(words).envs(env.iter().copied()).current_dir(&self.0);
        command.output().expect("the server was built for this test")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("it prints text")
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).expect("it prints text")
}

const FILE: &str = "idle = 20\nsets = 8\nsession-rate = 5\nlisten = [\"[::]:2016\", \"0.0.0.0:2017\"]\ntrace-gate = true\n\
                    [campaign]\nbudget-fen = 500\nrate = 3\n";

#[test]
fn a_flag_goes_before_the_environment_that_before_the_file_and_that_before_the_default() {
    let folder = Folder::new("order");
    let path = folder.write(FILE);
    let env = [("RP_CONFIG", path.as_str()), ("RP_SETS", "9"), ("RP_IDLE", "30"), ("RP_CAMPAIGN_RATE", "4")];
    let words = ["config", "show", "--effective", "--json", "--", "--idle", "40"];
    let shown: serde_json::Value = serde_json::from_str(&said(&folder.run(&env, &words))).expect("it prints JSON");
    for (key, value, from) in [
        ("idle", "40", "flag"),
        ("sets", "9", "environment"),
        ("session-rate", "5", "file"),
        ("listen", "[\"[::]:2016\",\"0.0.0.0:2017\"]", "file"),
        ("trace-gate", "true", "file"),
        ("packet-life", "86400", "default"),
        ("workers", "null", "unset"),
        ("campaign.budget-fen", "500", "file"),
        ("campaign.rate", "4", "environment"),
    ] {
        assert_eq!((shown[key]["value"].to_string().as_str(), &shown[key]["from"]), (value, &from.into()), "{key}");
    }
    assert_eq!(shown["session-rate"]["line"], 3);
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let folder = Folder::new("again");
    let path = folder.write(FILE);
    let env = [("RP_CONFIG", path.as_str()), ("RP_SETS", "9")];
    let first = said(&folder.run(&env, &["config", "show", "--effective", "--", "--sealing", "off"]));
    folder.write(&first);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(" # ").next().unwrap_or("").trim_end().to_owned()).collect()
    };
    let again = said(&folder.run(&env[..1], &["config", "show", "--effective"]));
    assert_eq!(values(&again), values(&first));
    assert!(
        first.contains("sets = 9") && first.contains("sealing = false") && first.contains("# environment: RP_SETS")
    );
}

#[test]
fn a_key_feeds_each_command_whose_flag_it_is() {
    let folder = Folder::new("shared");
    let path = folder.write("data = \"nowhere\"\n[audit]\njson = true\n");
    let output = folder.run(&[("RP_CONFIG", path.as_str())], &["audit"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("there is no ledger in nowhere"), "{said}");
}

#[test]
fn a_wrong_file_ends_every_command_and_says_its_line() {
    let folder = Folder::new("wrong");
    let path = folder.write("\nidel = 20\n");
    let flags: &[&[&str]] = &[&[], &["run"], &["status"], &["config", "show"], &["config", "check", &path]];
    for words in flags {
        let said = refused(&folder.run(&[("RP_CONFIG", path.as_str())], words));
        assert_eq!(said, format!("rp-server: {path}, line 2: unknown key `idel`: did you mean `idle`?\n"), "{words:?}");
    }
    // Neither help nor a file named instead needs the wrong one.
    said(&folder.run(&[("RP_CONFIG", path.as_str())], &["run", "-h"]));
    said(&folder.run(&[("RP_CONFIG", path.as_str())], &["config", "show", "--effective", "--config", "off"]));
    folder.write("[campaign]\nrate = 5\n");
    let said = refused(&folder.run(&[], &["config", "check", &path]));
    assert_eq!(said, format!("rp-server: {path}, table [campaign]: budget-fen is missing\n"));
}

#[test]
fn the_example_says_nothing_and_uncommented_it_says_the_defaults() {
    let folder = Folder::new("example");
    let example = said(&folder.run(&[], &["config", "example"]));
    let path = folder.write(&example);
    let checked = said(&folder.run(&[], &["config", "check", &path]));
    assert_eq!(checked, format!("{path}: 0 keys, all known, every value taken\n"));
    let is_key = |line: &&str| line.starts_with("# ") && line.contains(" = ") && !line.ends_with("= ");
    let keys: Vec<&str> = example.lines().filter(is_key).map(|line| &line[2..]).collect();
    let path = folder.write(&keys[..keys.len() - 3].join("\n"));
    said(&folder.run(&[], &["config", "check", &path]));
    assert!(keys.contains(&"session-rate = 20") && keys.contains(&"listen = [\"[::]:2015\"]"), "{keys:?}");
}

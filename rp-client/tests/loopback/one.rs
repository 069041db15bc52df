//! One user by hand: every command of `rp-client one` against a real server, its answers and its exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::server::{Folder, Server, free_port, until};
use super::words;

fn command(server: &str, folder: &Folder, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp-client"));
    command.arg("one").args(flags).args(["--server", server, "--json", "--realm-key"]).arg(folder.file("realm.key"));
    // The machine may be busy; whoever tests patience gives a flag.
    command.env("RP_PATIENCE", "120");
    command
}

fn one(server: &str, folder: &Folder, flags: &[&str]) -> Output {
    command(server, folder, flags).output().expect("our program starts")
}

/// The answers, an object each, and the exit code.
fn answers(output: &Output) -> (Vec<Value>, Option<i32>) {
    let text = String::from_utf8_lossy(&output.stdout);
    let objects = text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    (objects, output.status.code())
}

#[test]
fn one_user_sends_and_another_takes_and_each_is_told() {
    let house = Server::start("127.0.0.1");
    house.order(&["mint", "--users", "1..=4", "--fen", "10000"]);
    let server = format!("127.0.0.1:{}", house.port);
    let ask = |flags: &[&str]| {
        let output = one(&server, &house.folder, flags);
        let (objects, code) = answers(&output);
        assert_eq!(code, Some(0), "{flags:?}: {}", words(&output));
        objects
    };
    let welcome = &ask(&["login", "--user", "1"])[0];
    assert_eq!(
        (&welcome["answer"], &welcome["sealed"], &welcome["request_highest"]),
        (&"welcome".into(), &true.into(), &0.into())
    );
    assert_eq!(ask(&["ping", "--times", "2"]).len(), 2);
    let shakes = ask(&["shake", "--times", "3"]);
    assert!(shakes.iter().all(|shake| shake["answer"] == "nothing"), "no campaign: {shakes:?}");

    let sent =
        &ask(&["send", "--fen", "300", "--shares", "2", "--to", "2,3", "--split", "equal", "--greeting", "luck"])[0];
    assert_eq!((&sent["answer"], &sent["balance_fen"], &sent["request"]), (&"sent".into(), &9_700.into(), &1.into()));
    let packet = sent["packet"].to_string();
    let again = &ask(&[
        "send",
        "--fen",
        "300",
        "--shares",
        "2",
        "--to",
        "2,3",
        "--split",
        "equal",
        "--greeting",
        "luck",
        "--request",
        "1",
    ])[0];
    assert_eq!(again["packet"], sent["packet"], "a number that is asked again is done once");
    let listens = (0..60).map(|_| ask(&["listen", "--user", "2", "--seconds", "1"]));
    let told = listens.into_iter().find(|told| !told.is_empty()).expect("it comes within a minute");
    assert!(told.iter().any(|told| told["what"] == "packet" && told["about"] == sent["packet"]), "{told:?}");
    assert_eq!(ask(&["notices", "--user", "2", "--seconds", "1"]), Vec::<Value>::new(), "it was acknowledged");
    assert_eq!(ask(&["grab", &packet, "--user", "2"])[0]["share_fen"], 150);
    let balance = ask(&["balance", "--user", "2"]);
    assert_eq!(balance[0]["balance_fen"], 10_150);
    let detail = &ask(&["detail", &packet, "--user", "3"])[0];
    assert_eq!(
        (&detail["greeting"], &detail["rows"][0]["user"], &detail["left_fen"]),
        (&"luck".into(), &2.into(), &150.into())
    );
    assert_eq!(ask(&["history", "sent"])[0]["fen"], 300);
    assert_eq!(ask(&["history", "received", "--user", "2"])[0]["fen"], 150);

    for (flags, refusal, code) in [
        (&["grab", &packet, "--user", "2"][..], "already_yours", 13),
        (&["grab", &packet, "--user", "4"], "not_for_you", 14),
        (&["grab", "1", "--user", "4"], "unknown_packet", 15),
        (&["send", "--fen", "20000", "--to", "2"], "insufficient", 16),
        (&["send", "--fen", "2", "--to", "2", "--request", "1"], "conflict", 18),
        (&["send", "--fen", "20001", "--to", "2"], "malformed", 20),
    ] {
        let output = one(&server, &house.folder, flags);
        let (objects, ended) = answers(&output);
        assert_eq!((&objects[0]["refusal"], ended), (&refusal.into(), Some(code)), "{flags:?}: {}", words(&output));
        assert!(words(&output).contains(&format!("refused, {refusal}: ")), "{}", words(&output));
    }

    let ticket = house.key_order(&["ticket", "--user", "3", "--json"]);
    assert_eq!(ask(&["balance", "--ticket", &ticket])[0]["balance_fen"], 10_000);
}

#[test]
fn silence_says_what_was_tried_and_for_how_long() {
    let folder = Folder::new();
    std::fs::write(folder.file("realm.key"), format!("1 {}\n", "5a".repeat(32))).expect("our own folder");
    let nobody = format!("127.0.0.1:{}", free_port("127.0.0.1"));
    let output = one(&nobody, &folder, &["ping", "--patience", "2"]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    for word in ["no answer", nobody.as_str(), " times in ", "refused", "is rp-server running", "--server"] {
        assert!(words(&output).to_lowercase().contains(word), "no {word:?} in {}", words(&output));
    }
    let house = Server::start("127.0.0.1");
    let output = one(&format!("127.0.0.1:{}", house.port), &folder, &["balance", "--patience", "4"]);
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("answers HELLO but not LOGIN"), "{}", words(&output));
}

fn signal(program: &Child) {
    let kill = Command::new("kill").args(["-TERM", &program.id().to_string()]).status().expect("kill is there");
    assert!(kill.success());
}

#[test]
fn a_signal_ends_what_is_asked_and_says_goodbye_once() {
    let house = Server::start("127.0.0.1");
    house.order(&["mint", "--users", "1..=2", "--fen", "10000"]);
    let server = format!("127.0.0.1:{}", house.port);
    assert!(one(&server, &house.folder, &["send", "--fen", "100", "--to", "1", "--user", "2"]).status.success());
    let byes = || house.status()["received"]["bye"].as_u64().unwrap_or_default();
    for (order, code, answer) in
        [(&["listen", "--seconds", "60"][..], 0, None), (&["ping", "--times", "100000000"], 130, Some("interrupted"))]
    {
        let before = byes();
        let mut order = command(&server, &house.folder, order);
        let mut asking = order.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("our program starts");
        // What it says first, it says once it is let in.
        let mut lines = BufReader::new(asking.stdout.take().expect("it was piped")).lines().map_while(Result::ok);
        assert!(lines.next().is_some(), "{}", words(&asking.wait_with_output().expect("it ends")));
        signal(&asking);
        let last = lines.last();
        let output = asking.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(code), "{}", words(&output));
        if let Some(answer) = answer {
            let last: Value = serde_json::from_str(&last.expect("it says how it ended")).expect("an object a line");
            assert_eq!(last["answer"], answer, "{last}");
        }
        until("the session is closed", || house.status()["sessions"] == 0);
        assert!((1..=2).contains(&(byes() - before)), "{} times, and not as often as the CPU could", byes() - before);
    }
}

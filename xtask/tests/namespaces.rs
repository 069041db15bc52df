//! End to end over real XDP: a server's and several clients' namespaces, and the programs as people use them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use xtask::answers::total;
use xtask::bench::{churn, login};
use xtask::command;
use xtask::demo::books::Books;
use xtask::demo::evidence::Evidence;
use xtask::demo::scenario::{Scenario, Shaking};
use xtask::demo::stage::Stage;
use xtask::demo::{gather, report, watch};
use xtask::fleet::{Fleet, Seat, common_start};
use xtask::lab::{Lab, Namespace, Place, Program, Transmitted, by_sockets, transmitted};
use xtask::programs::{Profile, Programs};
use xtask::server::Server;
use xtask::signal::Signal;

const USERS: u64 = 3_000;
const WORKERS: usize = 2;

fn programs() -> Programs {
    let programs = Programs::find(Profile::Dev);
    for path in [&programs.server, &programs.client, &programs.gate] {
        assert!(path.exists(), "{} is missing; `cargo xtask test` builds it first", path.display());
    }
    programs
}

/// Stands for a socket in the stage's folder, which has its name only when it is set.
const IN_THE_ROOM: &str = "in the room";

fn short_scenario() -> Scenario {
    let phase = |rate| Shaking { rate, seconds: 5, prizes_per_s: 83 };
    Scenario { shaking: vec![phase(1_000), phase(2_000)] }
}

/// What `cargo xtask demo` does, shorter: plays the short scenario with three client machines and a server with `flags`, `beside` something else.
fn play<T>(flags: &[&str], beside: impl FnOnce(&Lab, &Server) -> T) -> (Evidence, T) {
    let stage = Stage::set(3, &programs()).expect("a lab can be built");
    let Stage::Lab(lab) = &stage else { panic!("this test runs as root") };
    play_on(&stage, flags, |server| beside(lab, server))
}

fn play_on<T>(stage: &Stage, flags: &[&str], beside: impl FnOnce(&Server) -> T) -> (Evidence, T) {
    let (programs, scenario, http) = (programs(), short_scenario(), stage.http());
    let flags: Vec<&str> = flags.iter().map(|flag| if *flag == IN_THE_ROOM { &http } else { *flag }).collect();
    let (server, mut fleet) =
        stage.raise_curtain(&programs, USERS, WORKERS, &flags, &scenario).expect("server and clients start");
    let other = beside(&server);
    let seen = watch::watch(&server, &mut fleet, USERS, &scenario).expect("the run ends by itself");
    let evidence = gather(stage, &server, &mut fleet, USERS, seen).expect("everyone answers");
    if flags.contains(&"--http") {
        assert_the_report_shows_the_kernel(stage, &fleet, &evidence);
    }
    server.end().expect("SIGTERM ends the server cleanly");
    (evidence, other)
}

/// The clients' reports as one, as the demo leaves it: what the gate answered, second by second, is what its map has in all.
fn assert_the_report_shows_the_kernel(stage: &Stage, fleet: &Fleet, evidence: &Evidence) {
    let folder = stage.room().file("report");
    report::leave(&programs(), fleet, &folder).expect("rp-client adds the reports up");
    let text = std::fs::read_to_string(folder.join("report.json")).expect("the report is there");
    let sum: serde_json::Value = serde_json::from_str(&text).expect("a report is JSON");
    assert_eq!((&sum["ok"], sum["machines"].as_array().map(Vec::len)), (&true.into(), Some(3)));
    let snapshots = sum["server"]["snapshots"].as_array().expect("seconds");
    let answered = |row: &serde_json::Value| row["gate_per_s"]["answered"].as_f64().unwrap_or(0.0);
    let (seen, all) =
        (snapshots.iter().map(answered).sum::<f64>(), evidence.kernel.as_ref().map(|k| k.place("answered")));
    let all = all.expect("the gate is on") as f64;
    assert!(
        all > 10_000.0 && (seen - all).abs() < 0.05 * all,
        "the gate answered {all}, in the report's seconds {seen}"
    );
    let page = std::fs::read_to_string(folder.join("report.html")).expect("the page is there");
    assert!(page.contains("<figure id=\"gate\"") && page.contains("<figure id=\"prizes\""), "curves of the kernel");
}

fn assert_every_shake_was_answered(evidence: &Evidence) {
    let phases = evidence.shaking_phases();
    let dues: Vec<u64> = phases.iter().map(|phase| phase.sum(|part| part.due)).collect();
    assert_eq!(dues, [5_000, 10_000], "rate times seconds");
    for phase in &phases {
        assert_eq!(phase.sum(|part| part.answered), phase.sum(|part| part.due), "{}", phase.name());
        assert_eq!(phase.sum(|part| part.lost), 0, "{}", phase.name());
    }
}

/// Plays with these flags of the server, and holds all books against each other.
fn assert_kernel_server_and_clients_agree(flags: &[&str]) -> Evidence {
    let (evidence, by_client) = play(flags, |lab, server| {
        while server.status().expect("it answers").sessions < USERS {
            std::thread::sleep(Duration::from_millis(20));
        }
        let addresses: Vec<String> = lab.clients().iter().map(|(_, link)| link.client_v4().to_string()).collect();
        (addresses, server.ask(&["sessions", "--by-client"]).expect("it answers"))
    });
    for address in [0, 2].map(|index| &by_client.0[index]) {
        assert!(by_client.1.contains(address), "a client of {address} is connected: {}", by_client.1);
    }
    assert!(by_client.1.contains("fd00:20:2::2"), "the second client machine speaks IPv6: {}", by_client.1);
    let status = &evidence.status;
    assert_eq!(status.gate.mode, "driver", "veth takes native XDP");
    assert_eq!(status.gate.steering, "xdp");
    assert_eq!(status.gate.interfaces.len(), 3, "{:?}", status.gate.interfaces);
    assert_eq!(status.workers.len(), WORKERS);
    assert!(status.workers.iter().all(|worker| worker.received > 1_000), "both work: {:?}", status.workers);
    assert_every_shake_was_answered(&evidence);
    let (driver, kernel) = (evidence.driver.expect("a veth counts"), evidence.kernel.as_ref().expect("the gate is on"));
    assert_eq!((driver.sent, driver.errors), (kernel.place("answered"), 0));
    let books = Books::of(&evidence);
    assert_eq!(books.differences, Vec::<String>::new());
    assert!(books.checked > 20, "{} equations", books.checked);
    // On a busy machine a client asks again before it is answered, and its copy is stale once the next shake has overtaken it.
    let stale = status.dropped["stale_sequence"];
    let repeated: u64 = evidence.reports.iter().flat_map(|report| &report.phases).map(|phase| phase.retries).sum();
    assert!(stale <= repeated, "{stale} stale, but only {repeated} were sent again");
    assert_eq!(total(&status.dropped), stale, "{:?}", status.dropped);
    assert!(status.money.prizes.count > 100, "campaigns ran: {:?}", status.money);
    assert!(status.money.made.count > 100, "users sent packets: {:?}", status.money);
    evidence
}

#[test]
#[ignore = "needs root"]
fn kernel_server_and_clients_agree_to_the_datagram() {
    let evidence = assert_kernel_server_and_clients_agree(&["--http", IN_THE_ROOM]);
    assert!(evidence.status.xsks.is_empty(), "AF_XDP only when it is asked for");
    assert_eq!(evidence.status.sent_by_xsk, 0);
}

#[test]
#[ignore = "needs root"]
fn past_the_stack_kernel_server_and_clients_agree_to_the_datagram() {
    for (flags, more_than) in
        [(&["--transport", "af-xdp"][..], 1_000), (&["--transport", "af-xdp", "--steer-only"], 7_000)]
    {
        let evidence = assert_kernel_server_and_clients_agree(flags);
        let (status, kernel) = (&evidence.status, evidence.kernel.as_ref().expect("the gate is on"));
        let owners: Vec<_> = status.xsks.iter().map(|xsk| (xsk.interface.as_str(), xsk.worker)).collect();
        assert_eq!(owners, [("s1", 0), ("s2", 0), ("s3", 0)], "a veth has one queue, which is the first worker's");
        assert!(status.from_xsk > more_than, "{flags:?}: {} datagrams came by AF_XDP", status.from_xsk);
        assert_eq!(status.from_xsk, status.workers[0].received, "all of the first worker's, and no other's");
        assert_eq!(kernel.place("sent_to_cpu") + kernel.place("passed_here"), status.workers[1].received);
        assert_eq!((status.xsk_lost, kernel.place("redirect_failed")), (0, 0), "{flags:?}");
        // Also what waited for the disk, over IPv4 and IPv6: one in a hundred, for a neighbour that was silent, is less than any kind
        // of it.
        let (sent, by_xsk) = (status.workers[0].sent, status.sent_by_xsk);
        assert!(by_xsk <= sent && by_xsk * 100 > sent * 99, "{flags:?}: {by_xsk} of {sent} left by AF_XDP");
        for kind in ["sent", "grabbed", "notice"] {
            assert!(status.sent[kind] > sent / 50, "{flags:?}: {:?}", status.sent);
        }
    }
}

#[test]
#[ignore = "needs root"]
fn without_xdp_server_and_clients_agree_to_the_datagram() {
    let stage = Stage::loopback(3).expect("a folder can be made");
    let (evidence, ()) = play_on(&stage, &[], |_| ());
    assert_eq!((evidence.status.gate.mode.as_str(), evidence.status.gate.steering.as_str()), ("off", "cbpf"));
    assert!(evidence.kernel.is_none());
    assert_every_shake_was_answered(&evidence);
    assert_eq!(Books::of(&evidence).differences, Vec::<String>::new());
    assert_eq!(total(&evidence.status.dropped), 0, "none on the wrong worker either: {:?}", evidence.status.dropped);
}

#[test]
#[ignore = "needs root"]
fn hostile_bytes_beside_honest_load_change_nothing() {
    let mut lines = 0;
    let flood = |lab: &Lab, _: &Server| {
        let (namespace, link) = &lab.clients()[1];
        let mut command = namespace.command(env!("CARGO_BIN_EXE_xtask"));
        command.args(["flood", "--datagrams", "200000", "--to", &format!("{}:2015", link.server_v4())]);
        let output = command.stdin(Stdio::null()).output().expect("the flood starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let log = std::fs::read_to_string(lab.room().file("server.log")).expect("the server has a log");
        lines = log.lines().count();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("the flood prints JSON")
    };
    let (evidence, flood) = play(&[], flood);
    assert!((1..100).contains(&lines), "never a line for a datagram: {lines} lines");
    let number = |name: &str| flood[name].as_u64().expect("a count");
    assert!(number("sent") > 100_000, "{flood}");
    assert!(number("bytes_received") <= number("bytes_sent"), "no amplification: {flood}");
    assert_every_shake_was_answered(&evidence);
    assert!(evidence.reports.iter().all(|report| report.ok), "the honest are content");
    assert!(evidence.status.money.balanced);
    let kernel = evidence.kernel.as_ref().expect("the gate is on");
    let went = ["not_ours", "answered", "passed_here", "sent_to_cpu", "sent_to_xsk", "redirect_failed"]
        .map(|place| kernel.place(place));
    assert_eq!(kernel.place("seen"), went.iter().sum::<u64>() + kernel.dropped());
    let status = &evidence.status;
    let received = total(&status.received);
    assert_eq!(received, status.ended(), "every datagram in one place");
    assert!(kernel.dropped() + total(&status.dropped) > 90_000, "{:?} {:?}", kernel.reasons, status.dropped);
    assert_eq!(kernel.place("selected") + kernel.place("select_fallback"), received + status.socket_overflow);
}

#[test]
#[ignore = "needs root"]
fn clients_that_the_gate_holds_back_find_every_datagram_in_their_books() {
    let (evidence, ()) = play(&["--strangers-rate", "20000", "--prefix-rate", "3000"], |_, _| ());
    let kernel = evidence.kernel.as_ref().expect("the gate is on");
    let held_back = ["stranger_limited", "prefix_limited"].map(|reason| kernel.reasons[reason].datagrams);
    assert!(held_back.iter().all(|count| *count > 10), "{held_back:?}");
    // Who logs in late is told of packets when other machines have gone, again and again: what the server says is no matter here.
    let mut differences = Books::of(&evidence).differences;
    differences.retain(|line| line.starts_with("client"));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
#[ignore = "needs root"]
fn a_load_made_in_the_kernel_is_booked_like_any_other() {
    let programs = programs();
    let mut lab = Lab::build_with(1, 2, &programs).expect("a lab can be built");
    lab.free_client_end(0);
    let flags = ["--workers", "1", "--session-rate", "0"];
    let server = Server::start(&programs, Place::inside(lab.server()), lab.room(), &flags).expect("a server starts");
    let scenario = lab.room().file("blast.toml");
    let blast = |rate: u32, how: &str| {
        format!("[[phase]]\nkind = \"blast\"\nrate = {rate}\nseconds = 2\nblast = {{ {how} }}\n")
    };
    let (plain, hostile) = (blast(10_000, "burst = 1"), blast(20_000, "burst = 16, skewed = true, hostile = 2"));
    std::fs::write(&scenario, format!("[[phase]]\nkind = \"login\"\n{plain}{hostile}")).expect("a file");
    let (client, link) = &lab.clients()[0];
    let seat = Seat {
        name: "1".into(),
        place: Place::inside(client),
        server: format!("{}:2015", link.server_v4()),
        sources: Vec::new(),
    };
    let scenario = scenario.display().to_string();
    let mut twice = client.command(&programs.client);
    twice.args(["--server", &seat.server, "--scenario", &scenario, "--blast-through", "eth0,eth0", "--realm-key"]);
    let refused = twice.arg(lab.room().file("realm.key")).output().expect("a client starts");
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("names eth0 twice"));
    let flags = ["--scenario", &scenario, "--blast-through", &link.client_interfaces().join(",")];
    let fleet = Fleet::start(&programs, lab.room(), &[seat], 10_000, &flags);
    let report = fleet.and_then(|mut fleet| fleet.reports(Duration::from_secs(300))).expect("it plays").remove(0);
    assert!(report.ok && report.reconciled.checked, "{:?} {:?}", report.reconciled, report.failures);
    for (phase, least) in [(1, 15_000), (2, 30_000)] {
        let phase = &report.phases[phase];
        assert!(phase.sent > least, "{} shakes were sent", phase.sent);
        assert_eq!((phase.answered, phase.due - phase.sent), (phase.sent, phase.lost), "what was sent was answered");
    }
    let kernel = server.kernel_counts().expect("the gate is on");
    let status = server.status().expect("it answers");
    assert!(kernel.place("answered") > 45_000);
    for strand in link.server_interfaces() {
        let back = transmitted(lab.server(), &strand).expect("a veth counts").sent;
        assert!(back > 20_000, "{back} answers left by {strand}: half of the load came in there");
    }
    let [forged, silent] = ["bad_tag", "stranger_limited"].map(|reason| kernel.reasons[reason].datagrams);
    let spoofed = kernel.answers["challenge"].datagrams + silent;
    assert!(forged > 30_000 && spoofed > 30_000, "false tags and strangers ended in the kernel: {:?}", kernel.reasons);
    assert!(
        status.received.get("shake").copied().unwrap_or(0) < 100,
        "no worker has woken for them: {:?}",
        status.received
    );
    server.end().expect("SIGTERM ends the server cleanly");
}

#[test]
#[ignore = "needs root"]
fn clients_past_the_stack_and_the_server_agree_to_the_datagram() {
    let programs = programs();
    let mut lab = Lab::build(2, &programs).expect("a lab can be built");
    [0, 0].into_iter().for_each(|end| lab.free_client_end(end));
    let scenario = lab.room().file("past.toml");
    let phases = "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"shake\"\nseconds = 5\nrate = 2000\n\
                  send = { rate = 50, fen = 300, shares = 3, recipients = 3 }\n[[phase]]\nkind = \"logout\"\n";
    std::fs::write(&scenario, phases).expect("a file");
    let [(first, link), (second, other)] = lab.clients() else { panic!("two clients") };
    first.ip(["addr", "add", "10.20.1.3/24", "dev", link.client_interface()]).expect("a second address");
    let seat = |name: &str, place, server, sources| Seat { name: name.into(), place, server, sources };
    let sources = vec![link.client_v4().to_string(), "10.20.1.3".into()];
    let seats = [
        seat("1", Place::inside(first), format!("{}:2015", link.server_v4()), sources),
        seat("2", Place::inside(second), format!("[{}]:2015", other.server_v6()), Vec::new()),
    ];
    for transport in ["sockets", "af-xdp"] {
        let flags = ["--workers", "2", "--transport", transport];
        // Each has a ledger of its own: a campaign goes on where the last server left it.
        let place = Place::inside(lab.server());
        let server = Server::start_as(transport, &programs, place, lab.room(), &flags).expect("a server");
        server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "10000"]).expect("the server mints");
        let campaign = ["campaign", "start", "--rate", "50", "--budget-fen", "100000", "--to-fen", "100"];
        server.ask(&campaign).expect("a campaign");
        let read_by_sockets = || [first, second].map(|client| by_sockets(client).expect("the kernel counts").read);
        let before = read_by_sockets();
        let path = scenario.display().to_string();
        let start_s = common_start(USERS, 1_000).to_string();
        let flags = ["--scenario", &path, "--transport", "af-xdp", "--start-at", &start_s];
        let fleet = Fleet::start(&programs, lab.room(), &seats, USERS, &flags);
        let reports = fleet.and_then(|mut fleet| fleet.reports(Duration::from_secs(300))).expect("they play");
        for report in &reports {
            assert!(
                report.ok && report.reconciled.checked,
                "{transport}: {:?} {:?}",
                report.reconciled,
                report.failures
            );
            let phase = &report.phases[1];
            assert_eq!((phase.answered, phase.lost), (phase.due, 0), "{transport}");
            let money = &report.money;
            let counts = [money.sent.count, money.taken.count, money.prizes.count];
            assert!(counts.iter().all(|count| *count > 20), "{transport}: packets, shares, prizes: {counts:?}");
            assert_eq!(report.datagrams.damaged, 0, "{transport}: half a checksum is none that is false");
        }
        assert_eq!(reports.iter().map(|report| report.phases[1].due).sum::<u64>(), 5 * 2000, "{transport}");
        assert_eq!(read_by_sockets(), before, "{transport}: no answer has passed the clients' stacks");
        let log = std::fs::read_to_string(lab.room().file("rp-client-2.log")).expect("a log");
        assert!(log.contains("by AF_XDP at eth0, 1 queues, copy mode"), "{log}");
        server.end().expect("SIGTERM ends the server cleanly");
    }
}

#[test]
#[ignore = "needs root"]
fn a_killed_server_leaves_no_gate_and_starts_again() {
    let programs = programs();
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let start = || Server::start(&programs, Place::inside(lab.server()), lab.room(), &["--workers", "2"]);
    let attached = || lab.server().ip(["link", "show", "dev", "s1"]).expect("ip answers").contains("xdp");
    let mut server = start().expect("the first start");
    assert!(attached(), "the gate is attached");
    server.program().signal(Signal::Kill);
    server.program().wait(Duration::from_secs(120)).expect("kill -9 ends it");
    assert!(!attached(), "the kernel detached the gate");
    let server = start().expect("a start after kill -9");
    assert!(attached(), "the gate is attached again");
    assert_eq!(server.status().expect("it answers").sessions, 0);
    assert_eq!(server.kernel_counts().expect("pins are its own").place("sent_to_cpu"), 0, "counters start anew");
    server.end().expect("SIGTERM ends it cleanly");
    assert!(!attached(), "SIGTERM undoes the gate");
    let pins = std::fs::read_dir(lab.room().pins("server")).map(|entries| entries.count()).unwrap_or(0);
    assert_eq!(pins, 0, "SIGTERM removes the pins");
}

#[test]
#[ignore = "needs root"]
fn memory_is_flat_while_users_come_and_go() {
    let churn = churn::run(&programs(), 20_000, 6).expect("everyone comes and goes");
    let auditors = 6;
    assert_eq!((churn.logins, churn.logouts), (120_000 + auditors, 120_000 + auditors), "{churn:?}");
    assert!(churn.growth_percent < churn::GROWTH_MAX_PERCENT, "{churn:?}");
}

#[test]
#[ignore = "needs root"]
fn coalescing_is_set_while_the_server_runs_and_put_back_behind_it() {
    let programs = programs();
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let inside = |script: &str| {
        let script = format!("cd /sys/class/net/s1 && {script}");
        command::read(Command::new("ip").args(["netns", "exec", lab.server().name(), "sh", "-c", &script])).expect("sh")
    };
    let set = || inside("cat gro_flush_timeout napi_defer_hard_irqs").split_whitespace().collect::<Vec<_>>().join(" ");
    inside("echo 7000 > gro_flush_timeout && echo 3 > napi_defer_hard_irqs");
    for transport in ["sockets", "af-xdp"] {
        let flags = ["--workers", "1", "--transport", transport, "--coalesce-us", "50", "--busy-poll-us", "20"];
        let server =
            Server::start(&programs, Place::inside(lab.server()), lab.room(), &flags).expect("a server starts");
        assert_eq!(set(), "50000 1", "{transport}");
        let log = std::fs::read_to_string(lab.room().file("server.log")).expect("it has a log");
        for words in ["s1: 50 us after each batch (before: gro_flush_timeout 7000", "its sockets poll their queue"] {
            assert!(log.contains(words), "{words}: {log}");
        }
        server.end().expect("SIGTERM ends the server cleanly");
        assert_eq!(set(), "7000 3", "{transport}");
    }
    let refusal = |flags: &[&str]| {
        let output = lab
            .server()
            .command(&programs.server)
            .arg("run")
            .args(["--http", "off"])
            .args(flags)
            .output()
            .expect("it starts");
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for value in ["0", "10001", "-1", "soon"] {
        let said = refusal(&[&format!("--coalesce-us={value}")]);
        assert!(said.contains(value) && said.contains("--coalesce-us"), "{said}");
    }
    let key = lab.room().file("realm.key").display().to_string();
    let said = refusal(&[
        "--xdp",
        "off",
        "--coalesce-us",
        "50",
        "--realm-key",
        &key,
        "--admin",
        &format!("{key}.sock"),
        "--durability",
        "none",
    ]);
    assert!(said.contains("--coalesce-us") && said.contains("ethtool -C"), "{said}");
}

#[test]
#[ignore = "needs root"]
fn answers_that_the_driver_loses_are_in_the_books() {
    const HELLOS: u64 = 40;
    let programs = programs();
    let mut stage = Stage::set(1, &programs).expect("a lab can be built");
    let server = stage.start_server(&programs, &["--workers", "1"]).expect("a server starts");
    let Stage::Lab(lab) = &mut stage else { panic!("this test runs as root") };
    let gather = |lab: &Lab, hellos: u64| {
        let (client, link) = &lab.clients()[0];
        say_hello(client, &link.server_v4().to_string(), HELLOS);
        let since = std::time::Instant::now();
        let kernel = loop {
            let kernel = server.kernel_counts().expect("the gate is on");
            if kernel.place("answered") == hellos || since.elapsed() > Duration::from_secs(60) {
                break kernel;
            }
        };
        let status = server.status().expect("it answers");
        let driver = transmitted(lab.server(), "s1").expect("a veth counts");
        let (reports, seen) = (Vec::new(), watch::Seen::default());
        let stack = Some(by_sockets(lab.server()).expect("the kernel counts"));
        Evidence { users: 0, reports, status, kernel: Some(kernel), driver: Some(driver), stack, seen }
    };
    // Its own program lets answers in at the client's end; without one, none.
    let there = gather(lab, HELLOS);
    assert_eq!(there.driver, Some(Transmitted { sent: HELLOS, errors: 0 }));
    lab.free_client_end(0);
    let gone = gather(lab, 2 * HELLOS);
    assert_eq!(gone.driver, Some(Transmitted { sent: HELLOS, errors: HELLOS }));
    // The first came to bash, which keeps no books; the drivers own up to the others.
    let found = [
        "clients sent hello: 0, but gate or server received hello: 80",
        "gate and server sent: 80, but clients received or the drivers lost: 40",
        "gate and server sent challenge: 80, but clients received challenge: 0",
    ];
    assert_eq!(Books::of(&gone).differences, found);
    server.end().expect("SIGTERM ends the server cleanly");
}

#[test]
#[ignore = "needs root"]
fn everyone_logs_in_past_the_stack_at_both_ends() {
    let logins = login::run(&programs(), 20_000, 2).expect("everyone logs in");
    assert!(logins.len() == 2 && logins.iter().all(|login| login.server_us > 0.0 && login.seconds > 0.0), "{logins:?}");
}

/// So many HELLOs, from bash: one write is one datagram.
fn say_hello(client: &Namespace, to: &str, count: u64) {
    let hello = format!("\\x41{}", "\\x00".repeat(31));
    let script = format!("exec 3>/dev/udp/{to}/2015; for ((i = 0; i < {count}; i++)); do printf '{hello}' >&3; done");
    command::read(client.command("bash").args(["-c", &script])).expect("bash sends");
}

/// Where a server with default flags pinned its maps.
fn default_pins() -> PathBuf {
    let places = ["/sys/fs/bpf/red-packet", "/run/red-packet/bpf"];
    let found = places.iter().map(Path::new).find(|path| path.join("gate_counters").exists());
    found.unwrap_or_else(|| panic!("no pinned map called gate_counters in {places:?}")).to_owned()
}

#[test]
#[ignore = "needs root"]
fn the_four_steps_by_hand_work_with_defaults() {
    // Step one, `cargo xtask build-ebpf`, was a rung of its own.
    let programs = programs();
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let mut command = lab.server().command(&programs.server);
    command.current_dir(lab.room().path());
    let mut server = Program::start("rp-server", command, &lab.room().file("server.log")).expect("step two starts");
    let status = || Command::new(&programs.server).args(["status", "--json"]).output().expect("rp-server starts");
    while !status().status.success() {
        assert!(server.ended().expect("it can be asked").is_none(), "step two: {}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let (client, link) = &lab.clients()[0];
    let mut command = client.command(&programs.client);
    command.current_dir(lab.room().path()).args(["--server", &format!("{}:2015", link.server_v4())]);
    // At 60 000 a second a machine that is lent out for a moment loses some on the cable; whether the books agree is asked
    // elsewhere, of loads that it can carry.
    command.args(["--time-scale", "0.01", "--no-reconcile"]);
    let mut fleet = Program::start("rp-client", command, &lab.room().file("client.log")).expect("step three starts");
    let ended = fleet.wait(Duration::from_secs(120)).expect("step three ends by itself");
    assert!(ended.success(), "step three: {}", fleet.log());
    let pps = command::read(Command::new(&programs.server).args(["pps", "--once"])).expect("step four");
    assert!(pps.contains("shake") && pps.contains("login"), "{pps}");
    let map = default_pins().join("gate_counters");
    let bpftool = xtask::setup::find_program("bpftool").expect("set-up found it");
    let dump = command::read(Command::new(bpftool).args(["map", "dump", "pinned"]).arg(map)).expect("bpftool");
    for name in ["seen", "shake", "bad_length", "datagrams"] {
        assert!(dump.contains(name), "bpftool shows no field {name}: {dump}");
    }
    server.end(Duration::from_secs(120)).expect("SIGTERM ends the server cleanly");
}

#[test]
#[ignore = "needs root"]
fn what_the_stack_would_refuse_is_dropped_past_it_too() {
    let programs = programs();
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let flags = ["--workers", "1", "--transport", "af-xdp", "--steer-only"];
    let server = Server::start(&programs, Place::inside(lab.server()), lab.room(), &flags).expect("a server starts");
    let (client, link) = &lab.clients()[0];
    // Shakes of nobody, from bash: one write is one datagram.
    let shake = |to: &str| {
        let script = format!(
            "exec 3>/dev/udp/{to}/2015; for i in 1 2 3 4 5 6 7 8 9 10; do \
             printf '\\x44\\x00\\x00\\x00\\x40\\x00\\x00\\x00\\x00\\x01SHAKEME!' >&3; done"
        );
        command::read(client.command("bash").args(["-c", &script])).expect("bash sends");
    };
    let (own, foreign) = (link.server_v4().to_string(), "10.20.99.99");
    client.ip(["route", "add", foreign, "via", &own]).expect("a route");
    shake(&own);
    shake(foreign);
    let ethtool = xtask::setup::find_program("ethtool").expect("set-up found it");
    // The frame carries half a checksum then, and no card to complete it.
    command::read(client.command(ethtool).args(["-K", link.client_interface(), "tx", "on"])).expect("offload on");
    shake(&own);
    let since = std::time::Instant::now();
    let status = loop {
        let status = server.status().expect("it answers");
        if total(&status.received) == 30 || since.elapsed() > Duration::from_secs(60) {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((total(&status.received), status.from_xsk, status.ended()), (30, 30, 30), "{status:?}");
    let dropped = |reason: &str| status.dropped[reason];
    assert_eq!((dropped("not_our_address"), dropped("bad_checksum")), (10, 10), "{:?}", status.dropped);
    let hints = || {
        let log = std::fs::read_to_string(lab.room().file("server.log")).expect("it has a log");
        log.matches("`ethtool -K NAME tx off`").count()
    };
    while hints() == 0 && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    shake(&own);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(hints(), 1, "the remedy is told once");
    server.end().expect("SIGTERM ends the server cleanly");
}

#[test]
#[ignore = "needs root"]
fn what_cannot_leave_past_the_stack_any_more_is_counted_at_the_end() {
    const HELLOS: u64 = 40;
    let programs = programs();
    let lab = Lab::build(1, &programs).expect("a lab can be built");
    let flags = ["--workers", "1", "--transport", "af-xdp", "--steer-only"];
    let mut server =
        Server::start(&programs, Place::inside(lab.server()), lab.room(), &flags).expect("a server starts");
    let signal = |name: &str, pid: u32| {
        command::read(Command::new("kill").args([name, &pid.to_string()])).expect("there is a kill");
    };
    // While it is stopped, they wait in its queue; then the cable is pulled.
    signal("-STOP", server.pid());
    let (client, link) = &lab.clients()[0];
    say_hello(client, &link.server_v4().to_string(), HELLOS);
    lab.server().ip(["link", "set", "dev", "s1", "down"]).expect("it is ours");
    signal("-TERM", server.pid());
    signal("-CONT", server.pid());
    let ended = server.program().wait(Duration::from_secs(120)).expect("SIGTERM ends it");
    let log = server.program().log();
    assert!(ended.success(), "{ended}: {log}");
    assert!(log.contains("40 requests received, 0 dropped, 0 lost at the sockets, 40 replies not sent"), "{log}");
}

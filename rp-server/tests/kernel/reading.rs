//! The counters from outside while the server runs: by `rp-server pps` and, with names, by bpftool.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rp_core::gate_counters::{Kinds, Place, Places, Reasons};
use rp_server::gate::{self, Gate, Started, object};
use serde_json::Value;

use crate::leftovers::PinFolder;
use crate::{namespace, select};

const SHAKES: u64 = 40;
const FALSE: u64 = 5;

/// A gate on loopback that has seen shakes and datagrams of another version.
fn busy_gate(pin: &PinFolder) -> Box<Gate> {
    namespace::enter();
    let Started::On(gate) = gate::start(&select::config(pin, 2), &[]).expect("the gate starts") else {
        panic!("the gate is off");
    };
    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a client's socket");
    let mut shake = [0; 18];
    for number in 0..SHAKES + FALSE {
        shake[0] = if number < SHAKES { 0x44 } else { 0x84 };
        client.send_to(&shake, "127.0.0.1:2015").expect("loopback takes it");
    }
    let seen = |gate: &Gate| gate.counters().read().expect("readable").total().place(Place::Seen).datagrams;
    let deadline = Instant::now() + Duration::from_secs(120);
    while seen(&gate) < SHAKES + FALSE {
        assert!(Instant::now() < deadline, "the gate saw only {} of them", seen(&gate));
        std::thread::yield_now();
    }
    gate
}

fn pps(flags: &[&str], pin: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
    command.arg("pps").args(flags).arg("--pin").arg(pin).output().expect("rp-server starts")
}

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

#[test]
#[ignore = "needs root"]
fn pps_reads_a_living_gate_and_refuses_a_dead_one() {
    let pin = PinFolder::new("pps");
    let none = pps(&["--once"], pin.path());
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no rp-server with a gate runs here"), "{none:?}");
    let gate = busy_gate(&pin);
    let totals = json_of(&pps(&["--once", "--json"], pin.path()).stdout);
    assert_eq!(totals["kinds"]["shake"]["datagrams"], SHAKES);
    assert_eq!(totals["kinds"]["shake"]["bytes"], SHAKES * 60);
    assert_eq!(totals["reasons"]["bad_version"]["datagrams"], FALSE);
    assert_eq!(totals["rates"], Value::Null);
    let by_cpu = totals["cpus"].as_array().expect("by CPU").iter();
    let shakes = by_cpu.map(|cpu| cpu["totals"]["kinds"]["shake"]["datagrams"].as_u64().expect("a number"));
    assert_eq!(shakes.sum::<u64>(), SHAKES);
    let second = json_of(&pps(&["--seconds", "1", "--json"], pin.path()).stdout);
    assert_eq!(second["rates"]["kinds"]["shake"]["datagrams"], 0, "nothing came in that second");
    assert_eq!(second["kinds"]["shake"]["datagrams"], SHAKES);
    let screen = String::from_utf8(pps(&["--once"], pin.path()).stdout).expect("text");
    assert!(screen.contains("shake") && screen.contains("! bad_version"), "{screen}");
    drop(gate);
    assert_eq!(pps(&["--once"], pin.path()).status.code(), Some(1));
}

/// bpftool, where set-up puts it or on the path.
fn bpftool() -> PathBuf {
    let object = object::find(None).expect("the object is built");
    let target = object.ancestors().nth(2).expect("target/bpf/gate.o").to_path_buf();
    let unpacked = target.join("tools/root/usr/sbin/bpftool");
    if unpacked.is_file() { unpacked } else { PathBuf::from("bpftool") }
}

#[test]
#[ignore = "needs root"]
fn bpftool_shows_every_counter_by_name() {
    let pin = PinFolder::new("bpftool");
    let gate = busy_gate(&pin);
    let file = gate.counters().dir().join("gate_counters");
    let dump = Command::new(bpftool()).args(["--json", "map", "dump", "pinned"]).arg(&file).output();
    let dump = dump.expect("`cargo xtask setup` installs bpftool");
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let dump = json_of(&dump.stdout);
    let cpus = dump[0]["formatted"]["values"].as_array().unwrap_or_else(|| panic!("no names in {dump}"));
    let sum = |table: &str, row: &str| -> u64 {
        let of_cpu = |cpu: &Value| cpu["value"][table][row]["datagrams"].as_u64();
        cpus.iter().map(|cpu| of_cpu(cpu).unwrap_or_else(|| panic!("no {table}.{row} in {cpu}"))).sum()
    };
    for (table, names) in [("places", Places::NAMES), ("kinds", Kinds::NAMES), ("reasons", Reasons::NAMES)] {
        assert!(names.iter().map(|name| sum(table, name)).sum::<u64>() >= FALSE, "{table}: {dump}");
    }
    assert_eq!((sum("kinds", "shake"), sum("reasons", "bad_version")), (SHAKES, FALSE));
}

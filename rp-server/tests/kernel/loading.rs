//! Starting the gate where it cannot be, or not as asked: one clear sentence with the remedy.

use std::path::PathBuf;
use std::process::Command;

use rp_core::gate_counters::LAYOUT;
use rp_server::gate::{self, Attached, Gate, GateConfig, Mode, Started, XdpChoice, object};

use crate::leftovers::PinFolder;
use crate::namespace::{self, ip};
use crate::select;

fn start(config: &GateConfig) -> anyhow::Result<Started> {
    gate::start(config, &[])
}

fn refusal(config: &GateConfig) -> String {
    match start(config) {
        Err(error) => format!("{error:#}"),
        Ok(Started::Off(why)) => panic!("off instead of refused: {why}"),
        Ok(Started::On(_)) => panic!("started"),
    }
}

fn started(config: &GateConfig) -> Box<Gate> {
    match start(config) {
        Ok(Started::On(gate)) => gate,
        Ok(Started::Off(why)) => panic!("off: {why}"),
        Err(error) => panic!("{error:#}"),
    }
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rp-{name}-{}.o", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file");
    path
}

#[test]
#[ignore = "needs root"]
fn what_cannot_start_says_why_and_what_to_do() {
    namespace::enter();
    let pin = PinFolder::new("loading");
    let config = select::config(&pin, 2);
    let check = |config: GateConfig, words: &[&str]| {
        let text = refusal(&config);
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} in: {text}");
        // Unless a mode was asked for by name, the server runs without.
        match start(&GateConfig { xdp: XdpChoice::Auto, ..config }) {
            Ok(Started::Off(why)) => assert!(words.iter().all(|word| why.contains(word)), "{words:?} in: {why}"),
            Ok(Started::On(_)) => panic!("started: {words:?}"),
            Err(error) => assert!(words.contains(&"nosuch0"), "{error:#}"),
        }
    };
    let good = std::fs::read(object::find(None).expect("the object is built")).expect("it can be read");
    let at = good.windows(8).position(|word| word == LAYOUT.to_le_bytes()).expect("the object holds its layout");
    let mut other = good.clone();
    other[at] ^= 1;
    let (other, cut, text) = (file("other", &other), file("cut", &good[..good.len() / 2]), file("text", b"not an ELF"));
    let with = |object: &PathBuf| GateConfig { object: Some(object.clone()), ..config.clone() };
    check(with(&"/nonexistent/gate.o".into()), &["/nonexistent/gate.o", "cargo xtask build-ebpf"]);
    check(with(&other), &["layout", "cargo xtask build-ebpf"]);
    check(with(&cut), &["no kernel object"]);
    check(with(&text), &["no kernel object"]);
    check(GateConfig { interfaces: vec!["nosuch0".to_string()], ..config.clone() }, &["nosuch0", "lo"]);
    check(GateConfig { interfaces: vec![], ..config.clone() }, &["--interface"]);
    [other, cut, text].iter().for_each(|path| std::fs::remove_file(path).expect("it was made above"));
    assert!(!pin.path().exists(), "a refused start leaves no folder");
    let off = start(&GateConfig { xdp: XdpChoice::Off, ..config }).expect("off is no error");
    assert!(matches!(off, Started::Off(why) if why.contains("--xdp off")));
}

#[test]
#[ignore = "needs root"]
fn a_kernel_too_old_is_named_with_the_one_it_takes() {
    namespace::enter();
    ip("link add v0 type veth peer name v1");
    ip("link set v0 up");
    // The kernel itself can say that it is of the 2.6 line, for programs that expect one.
    let old = Command::new("setarch")
        .args(["--uname-2.6", env!("CARGO_BIN_EXE_rp-server"), "--xdp", "driver", "--durability", "none"])
        .output();
    let old = old.expect("setarch is part of every Debian");
    let said = String::from_utf8_lossy(&old.stderr);
    assert_eq!(old.status.code(), Some(1), "{said}");
    assert!(["Linux 2.6 is too old", "5.15 or newer", "--xdp off"].iter().all(|words| said.contains(words)), "{said}");
}

#[test]
#[ignore = "needs root"]
fn the_mode_is_the_best_there_is_or_the_one_asked_for() {
    namespace::enter();
    ip("link add v0 type veth peer name v1");
    ip("link add w0 mtu 9000 type veth peer name w1 mtu 9000");
    for name in ["v0", "v1", "w0", "w1"] {
        ip(&format!("link set {name} up"));
    }
    let pin = PinFolder::new("modes");
    let auto = GateConfig { xdp: XdpChoice::Auto, interfaces: vec![], ..select::config(&pin, 2) };
    let gate = started(&auto);
    let mode_of = |name: &str| {
        let found = gate.attached().iter().find(|attached| attached.name == name);
        found.map(|Attached { mode, why, .. }| (*mode, why.is_some()))
    };
    assert_eq!(mode_of("v0"), Some((Mode::Driver, false)), "{:?}", gate.attached());
    assert_eq!(mode_of("w0"), Some((Mode::Skb, true)), "large frames: {:?}", gate.attached());
    assert_eq!(mode_of("lo"), None, "loopback is taken only by name");
    assert_eq!(gate.mode(), Mode::Skb, "the weakest");
    assert!(ip("-d link show v0").contains("prog/xdp"));
    let second = refusal(&GateConfig { xdp: XdpChoice::Driver, interfaces: vec!["v0".to_string()], ..auto.clone() });
    assert!(second.contains("another rp-server"), "{second}");
    drop(gate);
    assert!(!ip("-d link show").contains("xdp"), "the links died with the gate");
    assert!(!pin.path().exists() || pin.path().read_dir().is_ok_and(|mut files| files.next().is_none()));
    let large = refusal(&GateConfig { xdp: XdpChoice::Driver, interfaces: vec!["w0".to_string()], ..auto.clone() });
    assert!(large.contains("MTU") && large.contains("--xdp auto"), "{large}");
    let exact = GateConfig { xdp: XdpChoice::Driver, interfaces: vec!["v0".to_string()], ..auto.clone() };
    assert_eq!(started(&exact).mode(), Mode::Driver);
    let skb = GateConfig { xdp: XdpChoice::Skb, ..exact };
    assert_eq!(started(&skb).mode(), Mode::Skb);
}

//! `rp-server xdp-pass`: a redirected frame reaches the far end of a veth only while it runs there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::namespace::{self, ip};

#[test]
#[ignore = "needs root"]
fn the_passing_program_is_there_until_it_is_killed() {
    namespace::enter();
    ip("link add v0 type veth peer name v1");
    ["v0", "v1"].iter().for_each(|name| drop(ip(&format!("link set {name} up"))));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rp-server"));
    command.args(["xdp-pass", "--interface", "v0", "--interface", "v1"]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("rp-server starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says when it is there");
    let while_it_runs = ip("-d link show");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(line.trim(), "passing: v0 v1");
    assert_eq!(while_it_runs.matches("prog/xdp").count(), 2, "{while_it_runs}");
    assert!(!ip("-d link show").contains("xdp"), "killing it takes the program away");
}

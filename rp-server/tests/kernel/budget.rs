//! The programs' size: what the verifier follows has a limit of a million instructions, and so has the patience of who waits
//! for a server to start.

use rp_server::gate::object;
use rp_server::gate::verifying::verify_gate;
use rp_server::gate::xsks::Transport;

/// Instructions that the verifier may follow: it gives up at a million.
const FOLLOWED_MAX: u32 = 400_000;
/// Bytes of machine code: what is used of it must stay in a core's cache.
const CODE_MAX: u32 = 48 << 10;

#[test]
#[ignore = "needs root"]
fn every_program_stays_within_its_budget() {
    let path = object::find(None).expect("`cargo xtask build-ebpf` was run");
    for transport in [Transport::Sockets, Transport::AfXdp] {
        let programs = verify_gate(&path, transport).expect("the verifier accepts all programs");
        assert!(programs.iter().any(|program| program.name == "gate"));
        for program in programs {
            let (name, code) = (program.name, program.code_bytes);
            let followed = program.followed.expect("Linux 5.16 or newer counts them");
            println!("{name}: the verifier followed {followed} instructions; {code} bytes of machine code");
            assert!((1..=FOLLOWED_MAX).contains(&followed), "{name}: {followed} instructions");
            assert!((1..=CODE_MAX).contains(&code), "{name}: {code} bytes");
        }
    }
}

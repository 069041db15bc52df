//! The bpf file system, where counters are pinned.

use rp_net::disk;

use super::disk::nearest;
use super::finding::{Finding, as_root, with_rights};
use crate::gate::pins::{self, Prospect};
use crate::gate::privilege::{self, CAP_SYS_ADMIN};
use crate::run::Asked;

const CHECK: &str = "bpf file system";

/// Is there one, may we write to it, and has another server the folder?
pub fn folder(asked: &Asked) -> Finding {
    if !asked.wants_gate() {
        return Finding::pass(CHECK, "not needed with --xdp off");
    }
    match pins::look(asked.pin.as_deref()) {
        Ok(prospect) => {
            let may_write = disk::may_write(&nearest(&prospect.dir)).is_ok();
            judge(&prospect, may_write, privilege::may(CAP_SYS_ADMIN))
        }
        Err(error) => Finding::fail(CHECK, format!("{error:#}"), as_root("mount -t proc proc /proc")),
    }
}

fn judge(prospect: &Prospect, may_write: bool, may_mount: bool) -> Finding {
    let dir = prospect.dir.display();
    match prospect {
        Prospect { is_held: true, .. } => Finding::fail(
            CHECK,
            format!("another rp-server has its counters in {dir}"),
            as_root("systemctl stop rp-server") + "  # or: --pin DIR",
        ),
        Prospect { is_on_bpf: false, .. } if !may_mount => Finding::fail(
            CHECK,
            format!("{dir} is on none, and this user may not mount one"),
            as_root("mount -t bpf bpf /sys/fs/bpf"),
        ),
        _ if !may_write => Finding::fail(
            CHECK,
            format!("this user may not write to {dir}"),
            with_rights(
                "mount -o remount,rw /sys/fs/bpf  # if it can only be read; or another folder: --pin DIR",
                "the packaged unit mounts one for its user",
            ),
        ),
        Prospect { is_on_bpf: false, .. } => Finding::pass(CHECK, format!("one is mounted on {dir} at the start")),
        Prospect { .. } => Finding::pass(CHECK, format!("counters go to {dir}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass};

    #[test]
    fn a_folder_must_be_ours_to_pin_in() {
        let check = |is_on_bpf, is_held, may_write, may_mount, verdict| {
            let prospect = Prospect { dir: "/sys/fs/bpf/red-packet".into(), is_on_bpf, is_held };
            let finding = judge(&prospect, may_write, may_mount);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
        };
        check(true, false, true, false, Pass);
        check(true, true, true, true, Fail);
        check(true, false, false, false, Fail);
        check(false, false, true, true, Pass);
        check(false, false, true, false, Fail);
    }
}

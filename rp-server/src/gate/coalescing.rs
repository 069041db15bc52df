//! Interrupt coalescing of the gate's interfaces: set while the server runs, and put back behind it.
//!
//! After a batch the kernel lets a queue's interrupt rest, and looks at it by a timer: many datagrams then share one waking,
//! and each may wait that much longer. A server that is killed leaves it set.

use std::path::PathBuf;

use rp_net::sysfs::Sysfs;
use tracing::warn;

/// How long the interrupt rests, and after how many empty looks it is let loose again. The second turns the first on.
const TIMEOUT: &str = "gro_flush_timeout";
const DEFER: &str = "napi_defer_hard_irqs";
const EMPTY_LOOKS: &str = "1";

/// What was set, and what stood there before.
pub struct Coalescing {
    before: Vec<(PathBuf, String)>,
    said: Vec<String>,
    // The paths lead through it.
    _sysfs: Option<Sysfs>,
}

impl Coalescing {
    /// Sets it on each of the interfaces; one that cannot be set serves without, and [`Coalescing::said`] says why.
    pub fn set<'a>(interfaces: impl Iterator<Item = &'a str>, rest_us: u32) -> Coalescing {
        let sysfs = match Sysfs::of_this_namespace() {
            Ok(sysfs) => sysfs,
            Err(error) => {
                let said = format!(
                    "not set: the kernel mounts no sysfs of this namespace ({error}): run as root, or grant CAP_SYS_ADMIN, \
                     or write {DEFER} and {TIMEOUT} in /sys/class/net/NAME yourself"
                );
                return Coalescing { before: Vec::new(), said: vec![said], _sysfs: None };
            }
        };
        let mut set = Coalescing { before: Vec::new(), said: Vec::new(), _sysfs: None };
        for interface in interfaces {
            let said = match set.set_one(&sysfs, interface, rest_us) {
                Ok(before) => format!("{interface}: {rest_us} us after each batch (before: {before})"),
                Err(why) => format!("{interface}: not set: {why}"),
            };
            set.said.push(said);
        }
        set._sysfs = Some(sysfs);
        set
    }

    /// What stood there before, in words.
    fn set_one(&mut self, sysfs: &Sysfs, interface: &str, rest_us: u32) -> Result<String, String> {
        let mut before = Vec::new();
        for (file, value) in [(TIMEOUT, (u64::from(rest_us) * 1000).to_string()), (DEFER, EMPTY_LOOKS.to_string())] {
            let path = sysfs.of_interface(interface, file);
            let wrong = |error| format!("{file} of {interface} takes no {value} ({error}): Linux 5.6 or newer has it");
            let old = std::fs::read_to_string(&path).map_err(wrong)?.trim().to_string();
            std::fs::write(&path, &value).map_err(wrong)?;
            before.push(format!("{file} {old}"));
            self.before.push((path, old));
        }
        Ok(before.join(", "))
    }

    /// For the start-up block: a line per interface.
    pub fn said(&self) -> &[String] {
        &self.said
    }
}

impl Drop for Coalescing {
    fn drop(&mut self) {
        for (path, value) in &self.before {
            // An interface that is gone takes its files with it.
            if let Err(error) = std::fs::write(path, value)
                && path.exists()
            {
                warn!("{value} was not put back into {}: {error}", path.display());
            }
        }
    }
}

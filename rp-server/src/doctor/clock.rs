//! The wall clock: phases of several machines, tickets and packets go by it.

use rp_net::discipline::{self, Discipline};

use super::finding::{Finding, as_root};

const CHECK: &str = "clock";
/// Clients warn above this, too.
const OFFSET_MAX_US: i64 = 10_000;

/// Is it kept by somebody, and how far off may it be?
pub fn synchronised() -> Finding {
    match discipline::of_clock() {
        Ok(told) => judge(told),
        Err(error) => Finding::warn(CHECK, format!("the kernel does not say: {error}"), "timedatectl"),
    }
}

fn judge(told: Discipline) -> Finding {
    let Discipline { is_synchronised, offset_us, error_max_us } = told;
    let off = format!("{:.1} ms left to correct, {:.1} ms off at most", ms(offset_us), ms(error_max_us));
    if !is_synchronised {
        return Finding::warn(
            CHECK,
            "nobody keeps it: machines would start their phases apart, and tickets might not be valid yet",
            as_root("timedatectl set-ntp true")
                + "  # or, where nothing is installed that keeps it: apt-get install chrony",
        );
    }
    if offset_us.abs() > OFFSET_MAX_US {
        return Finding::warn(
            CHECK,
            format!("kept, but {off}"),
            "timedatectl timesync-status  # shows why; of chrony: `chronyc tracking`, and `chronyc makestep` sets it at once",
        );
    }
    Finding::pass(CHECK, format!("kept; {off}"))
}

fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Pass, Warn};

    #[test]
    fn a_clock_that_nobody_keeps_or_that_is_far_off_is_a_warning() {
        for (is_synchronised, offset_us, verdict) in [(true, -300, Pass), (true, -10_001, Warn), (false, 0, Warn)] {
            let told = Discipline { is_synchronised, offset_us, error_max_us: 1_000 };
            assert_eq!(judge(told).verdict, verdict, "{told:?}");
        }
    }
}

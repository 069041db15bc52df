//! The kernel programs: are they there, and built for this version?

use anyhow::Result;

use super::finding::Finding;
use crate::gate::object;
use crate::run::Asked;

/// Found, and of this server's layout.
pub fn built(asked: &Asked) -> Finding {
    let found = object::find(asked.gate_object.as_deref());
    let checked = found.and_then(|path| object::check(&path).map(|()| path.display().to_string()));
    judge(checked, asked.wants_gate())
}

fn judge(checked: Result<String>, wants_gate: bool) -> Finding {
    match checked {
        _ if !wants_gate => Finding::pass("object", "not needed with --xdp off"),
        Ok(path) => Finding::pass("object", format!("{path}, built for this version")),
        Err(error) => Finding::fail(
            "object",
            format!("{error:#}"),
            "cargo xtask build-ebpf  # of a package: sudo apt-get install --reinstall red-packet",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass};

    #[test]
    fn an_object_of_another_version_is_as_bad_as_none() {
        for (checked, wants_gate, verdict) in [
            (Ok("/gate.o".to_string()), true, Pass),
            (Err(anyhow::anyhow!("built for another layout")), true, Fail),
            (Err(anyhow::anyhow!("not built")), false, Pass),
        ] {
            assert_eq!(judge(checked, wants_gate).verdict, verdict);
        }
    }
}

//! The realm keys: there, ours alone, and keys.

use std::io::ErrorKind;
use std::path::Path;

use super::finding::{Finding, quoted};
use crate::realm;
use crate::run::Asked;

const CHECK: &str = "realm key";

/// All of them, as one finding: the worst.
pub fn keys(asked: &Asked) -> Finding {
    let findings = asked.realm_keys.iter().map(|file| judge(file, look(file)));
    findings.max_by_key(|finding| finding.verdict).unwrap_or_else(|| Finding::pass(CHECK, "none asked for"))
}

/// A key's number; none where there is no file.
fn look(file: &Path) -> Result<Option<u32>, String> {
    match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => realm::read(file).map(|key| Some(key.id)).map_err(|error| format!("{error:#}")),
    }
}

fn judge(file: &Path, key: Result<Option<u32>, String>) -> Finding {
    let (word, file) = (quoted(file), file.display());
    match key {
        Ok(Some(id)) => Finding::pass(CHECK, format!("{file}: realm {id}, readable by its owner alone")),
        Ok(None) => Finding::warn(
            CHECK,
            format!("there is no {file}: the first start makes one, of which the account service knows nothing"),
            format!("install -m 600 KEY {word}  # the account service's; or let the start make it and give it to them"),
        ),
        Err(error) => Finding::fail(CHECK, error, format!("chmod 600 {word}  # or another: --realm-key FILE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn a_key_that_others_may_read_is_none() {
        for (key, verdict) in [(Ok(Some(1)), Pass), (Ok(None), Warn), (Err("may be read by others".into()), Fail)] {
            assert_eq!(judge(Path::new("realm.key"), key).verdict, verdict);
        }
    }
}

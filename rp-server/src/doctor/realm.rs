//! The realm keys: there, ours alone, and keys.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::{Finding, as_root, quoted};
use crate::realm;
use crate::run::Asked;

const CHECK: &str = "realm key";

/// All of them, as one finding: the worst.
pub fn keys(asked: &Asked) -> Finding {
    let findings = asked.realm_keys.iter().map(|file| judge(file, look(file)));
    findings.max_by_key(|finding| finding.verdict).unwrap_or_else(|| Finding::pass(CHECK, "none asked for"))
}

/// A key's number; none where there is no file.
fn look(file: &Path) -> Result<Option<u32>, (String, Remedy)> {
    let remedy = match std::fs::metadata(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if found.mode() & 0o077 != 0 => Remedy::Close,
        _ => Remedy::Look,
    };
    realm::read(file).map(|key| Some(key.id)).map_err(|error| (format!("{error:#}"), remedy))
}

/// What is to be done about a file that cannot serve.
#[derive(Clone, Copy)]
enum Remedy {
    /// Others may read it.
    Close,
    /// It is another user's, or no key.
    Look,
}

fn judge(file: &Path, key: Result<Option<u32>, (String, Remedy)>) -> Finding {
    let (word, file) = (quoted(file), file.display());
    match key {
        Ok(Some(id)) => Finding::pass(CHECK, format!("{file}: realm {id}, readable by its owner alone")),
        Ok(None) => Finding::warn(
            CHECK,
            format!("there is no {file}: the first start makes one, of which the account service knows nothing"),
            format!("install -m 600 KEY {word}  # the account service's; or let the start make it and give it to them"),
        ),
        Err((error, Remedy::Close)) => {
            Finding::fail(CHECK, error, format!("chmod 600 {word}  # or another: --realm-key FILE"))
        }
        Err((error, Remedy::Look)) => Finding::fail(
            CHECK,
            error,
            as_root(&format!("ls -l {word}"))
                + "  # shows whose it is; as the server's user, or with another key: --realm-key FILE",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass, Warn};

    #[test]
    fn a_key_that_others_may_read_is_none() {
        for (key, verdict) in [
            (Ok(Some(1)), Pass),
            (Ok(None), Warn),
            (Err(("others may read it".into(), Remedy::Close)), Fail),
            (Err(("no key".into(), Remedy::Look)), Fail),
        ] {
            assert_eq!(judge(Path::new("realm.key"), key).verdict, verdict);
        }
    }
}

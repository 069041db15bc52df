//! What a server leaves behind: nothing when it ends, and pins that the next start removes when it was killed.

use std::path::{Path, PathBuf};

/// A folder for pins that is gone after the test.
pub struct PinFolder(PathBuf);

impl PinFolder {
    pub fn new(name: &str) -> PinFolder {
        PinFolder(std::env::temp_dir().join(format!("rp-pins-{name}-{}", std::process::id())))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PinFolder {
    fn drop(&mut self) {
        // Gone already, when the gate that mounted it went; what is left would be a finding of the test itself.
        let _gone = std::fs::remove_dir(&self.0);
    }
}

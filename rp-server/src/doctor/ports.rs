//! What the server listens on, free? Its UDP ports, the HTTP port and the admin socket.

use std::os::unix::net::UnixStream;
use std::path::Path;

use rp_net::disk;
use rp_net::socket::{Buffers, UdpSocket};

use super::disk::nearest;
use super::finding::{Finding, as_root, by_flag};
use crate::admin::AdminArgs;
use crate::run::Asked;

/// One finding for each address, one for HTTP, and one for the admin socket.
pub fn all(asked: &Asked, admin: &AdminArgs) -> Vec<Finding> {
    let buffers = Buffers { receive_bytes: 1 << 16, send_bytes: 1 << 16 };
    let mut findings = Vec::new();
    for address in &asked.listen {
        // Bound as the server binds, and closed at once.
        let bound = UdpSocket::listen(*address, 1, buffers).map(drop).map_err(|error| format!("{error:#}"));
        findings.push(judge_port(&address.to_string(), address.port(), bound));
    }
    findings.push(judge_http(asked.http.try_out().map_err(|error| format!("{error:#}"))));
    findings.push(admin_socket(&admin.path()));
    findings
}

fn judge_port(address: &str, port: u16, bound: Result<(), String>) -> Finding {
    let check = format!("port {address}");
    match bound {
        Ok(()) => Finding::pass(check, "free"),
        Err(error) => Finding::fail(
            check,
            error,
            format!("ss -ulpn sport = :{port}  # shows who has it; stop that, or take another: --listen ADDR:PORT"),
        ),
    }
}

fn judge_http(tried: Result<String, String>) -> Finding {
    match tried {
        Ok(place) => Finding::pass("http", format!("{place} is free")),
        Err(error) => {
            Finding::fail("http", error, "ss -tlpn  # shows who has it; or take another: --http ADDR:PORT, or off")
        }
    }
}

fn admin_socket(path: &Path) -> Finding {
    let folder = path.parent().map(nearest).unwrap_or_default();
    judge_admin(path, UnixStream::connect(path).is_ok(), disk::may_write(&folder).is_ok())
}

fn judge_admin(path: &Path, answers: bool, may_write: bool) -> Finding {
    let (check, path) = ("admin socket", path.display());
    if answers {
        return Finding::fail(
            check,
            format!("another server listens at {path}"),
            as_root("systemctl stop rp-server") + "  # or take another: --admin SOCKET",
        );
    }
    if !may_write {
        return Finding::fail(
            check,
            format!("this user may not make {path}"),
            by_flag("--admin SOCKET", "in a folder of your own"),
        );
    }
    Finding::pass(check, format!("{path} is free"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict::{Fail, Pass};

    #[test]
    fn what_is_taken_fails() {
        assert_eq!(judge_port("[::]:2015", 2015, Ok(())).verdict, Pass);
        let taken = judge_port("[::]:2015", 2015, Err("in use".into()));
        assert!(taken.verdict == Fail && taken.remedy.is_some_and(|remedy| remedy.contains(":2015")));
        assert_eq!(judge_http(Ok("off".into())).verdict, Pass);
        assert_eq!(judge_http(Err("in use".into())).verdict, Fail);
        for (answers, may_write, verdict) in [(false, true, Pass), (true, true, Fail), (false, false, Fail)] {
            assert_eq!(judge_admin(Path::new("/run/a.sock"), answers, may_write).verdict, verdict);
        }
    }
}

//! How the program ends: its exit codes, which scripts rely on.

/// All was well.
pub const WELL: u8 = 0;
/// There is a report, but an expectation was missed, the run was ended before it could be met, the books do not agree, or
/// users could not log in.
pub const FAILED: u8 = 1;
/// A wrong flag, a missing file, or a server that could not be reached or went on no more: there is no result.
pub const NO_RESULT: u8 = 2;
/// `one`: the server did not answer.
pub const NO_ANSWER: u8 = 3;
/// `one`: the server refused; the code is this and the number of the refusal, as in docs/PROTOCOL.md.
pub const REFUSED: u8 = 10;
/// Ended by a second signal, without a report, or `one` before the answer came: what a shell says of a program that Ctrl-C ended.
pub const BROKEN_OFF: u8 = 130;

/// The same for people, at the end of the help.
pub const HELP: &str =
    "Exit codes: 0 well, 1 expectation missed or books differ, 2 wrong flag or no server, 130 second ^C";

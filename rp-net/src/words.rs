//! What a program says, line by line, to somebody who may have stopped listening: `rp-server | head -1` goes on serving, and
//! an order that was carried out is no failure because its answer was not read to the end. `println!` would panic.

use std::fmt::Arguments;
use std::io::{self, Write as _};

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::words::to_output(format_args!($($words)*)) };
}

/// Prints a line where errors go.
#[macro_export]
macro_rules! complain {
    ($($words:tt)*) => { $crate::words::to_error(format_args!($($words)*)) };
}

/// What [`say!`](crate::say) does.
pub fn to_output(words: Arguments<'_>) {
    let _unheard = writeln!(io::stdout().lock(), "{words}");
}

/// What [`complain!`](crate::complain) does.
pub fn to_error(words: Arguments<'_>) {
    let _unheard = writeln!(io::stderr().lock(), "{words}");
}

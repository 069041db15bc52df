//! What a running server says: events of `tracing`, as text for people or as one object of JSON a line. Never one per datagram.
//!
//! As text an event is its sentence alone, which a journal gives its time; warnings and errors go where errors go. What
//! commands print for whoever gave them is no event: that stays with `rp_net::words`.

mod text;

use std::io::{self, Write};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

/// The filter of what is said, once it is said anywhere.
static FILTER: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// How events are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, ValueEnum)]
pub enum LogForm {
    /// A line for people.
    #[default]
    Text,
    /// An object of JSON a line.
    Json,
}

/// Flags about what the server says.
#[derive(Args, Clone)]
#[command(next_help_heading = "Operator")]
pub struct LogArgs {
    /// How the server writes what it says
    #[arg(long, env = "RP_LOG", value_name = "FORM", default_value = "text")]
    pub log: LogForm,
    /// What it says: a level, or by room: info,rp_server::gate=debug
    #[arg(long, env = "RP_LOG_LEVEL", value_name = "FILTER", default_value = "info", value_parser = filter_in_words)]
    pub log_level: String,
}

impl Default for LogArgs {
    fn default() -> Self {
        Self { log: LogForm::Text, log_level: "info".to_owned() }
    }
}

/// Has events written from here on.
///
/// # Errors
/// They are written already.
pub fn begin(args: &LogArgs) -> Result<()> {
    let (filter, handle) = reload::Layer::new(filter(&args.log_level)?);
    let written = match args.log {
        LogForm::Text => {
            layer().event_format(text::Sentence).with_writer(Streams::ByLevel).log_internal_errors(false).boxed()
        }
        LogForm::Json => {
            let json = layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            json.with_writer(Streams::One).log_internal_errors(false).boxed()
        }
    };
    tracing_subscriber::registry().with(filter).with(written).try_init().context("starting the log")?;
    // The first is the only one.
    let _set = FILTER.set(handle);
    Ok(())
}

/// Changes what is said.
///
/// # Errors
/// That is no filter.
pub fn change(level: &str) -> Result<()> {
    let filter = filter(level)?;
    match FILTER.get() {
        Some(handle) => handle.reload(filter).context("changing the log's filter"),
        None => Ok(()),
    }
}

fn filter(words: &str) -> Result<EnvFilter> {
    for word in words.split(',').filter(|word| !word.contains(['=', '[', ':'])) {
        // The filter would take any other word for a room, and say nothing.
        let is_level = word.trim().parse::<LevelFilter>().is_ok();
        ensure!(is_level, "`{word}` is no level: off, error, warn, info, debug or trace, or ROOM=LEVEL");
    }
    EnvFilter::try_new(words).with_context(|| format!("`{words}` is no filter"))
}

fn filter_in_words(words: &str) -> Result<String, String> {
    filter(words).map(|_| words.to_owned()).map_err(|error| format!("{error:#}"))
}

/// Where events go.
enum Streams {
    /// Warnings and errors to the error stream, the rest to the output.
    ByLevel,
    /// All to the output, in their order.
    One,
}

impl<'a> MakeWriter<'a> for Streams {
    type Writer = Unheard<Box<dyn Write>>;

    fn make_writer(&'a self) -> Self::Writer {
        Unheard(Box::new(io::stdout()))
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Self::Writer {
        match self {
            Streams::ByLevel if *of.level() <= Level::WARN => Unheard(Box::new(io::stderr())),
            _ => self.make_writer(),
        }
    }
}

/// Nothing ends because nobody listens.
struct Unheard<W>(W);

impl<W: Write> Write for Unheard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _unheard = self.0.write_all(bytes).and_then(|()| self.0.flush());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_filters_by_room_are_taken() {
        for (words, is_taken) in [
            ("info", true),
            ("warn,rp_server::gate=debug", true),
            ("rp_server=trace", true),
            ("off", true),
            ("inf", false),
            ("info,loud", false),
            ("rp_server=loud", false),
        ] {
            assert_eq!(filter_in_words(words).is_ok(), is_taken, "{words}");
        }
    }
}

//! An event as a line for people: its sentence, and before it what it is about, in the column of the start-up block.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as text.
pub struct Sentence;

impl<S, N> FormatEvent<S, N> for Sentence
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut words = Words::default();
        event.record(&mut words);
        let sentence = words.sentence;
        match (words.about.as_str(), *event.metadata().level()) {
            ("", Level::ERROR) => writeln!(line, "rp-server: {sentence}"),
            ("", Level::WARN) => writeln!(line, "warning: {sentence}"),
            ("", _) => writeln!(line, "{sentence}"),
            // The block is read as a whole.
            (about, _) => writeln!(line, "  {about:<11} {sentence}"),
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Words {
    about: String,
    sentence: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "about" => self.about = value.to_owned(),
            "message" => self.sentence = value.to_owned(),
            // The other fields are said in the sentence.
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _infallible = write!(self.sentence, "{value:?}");
        }
    }
}

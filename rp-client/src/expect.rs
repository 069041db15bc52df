//! Expectations: `p99<1ms,loss<0.01%,mismatch=0` becomes checks of the report, and a failed one an exit code.

use anyhow::{Context, Result, bail};

/// What can be expected; latencies are the worst of any phase, in microseconds, and infinite when one had no answer; shares
/// are of all shakes due.
#[derive(Clone, Copy, Default, Debug)]
pub struct Measured {
    /// Median latency.
    pub p50: f64,
    /// 90 % latency.
    pub p90: f64,
    /// 99 % latency.
    pub p99: f64,
    /// 99.9 % latency.
    pub p999: f64,
    /// Largest latency.
    pub max: f64,
    /// Share of shakes lost.
    pub loss: f64,
    /// Share of shakes refused.
    pub refused: f64,
    /// Share of shakes that the generator sent late.
    pub late: f64,
    /// Differences between the books.
    pub mismatch: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Relation {
    Below,
    AtMost,
    Equal,
    AtLeast,
    Above,
}

/// One expectation.
#[derive(Clone, PartialEq, Debug)]
pub struct Expectation {
    text: String,
    name: String,
    relation: Relation,
    value: f64,
}

/// Reads a list of expectations; an empty text is an empty list.
///
/// # Errors
/// Names the expectation that cannot be read.
pub fn parse(list: &str) -> Result<Vec<Expectation>> {
    let texts = list.split(',').map(str::trim).filter(|text| !text.is_empty());
    texts.map(|text| one(text).with_context(|| format!("--expect '{text}'"))).collect()
}

fn one(text: &str) -> Result<Expectation> {
    let at = text.find(['<', '>', '=']).context("write NAME<VALUE, NAME>VALUE or NAME=VALUE")?;
    let (name, rest) = text.split_at(at);
    let (relation, value) = match rest.as_bytes() {
        [b'<', b'=', ..] => (Relation::AtMost, &rest[2..]),
        [b'>', b'=', ..] => (Relation::AtLeast, &rest[2..]),
        [b'<', ..] => (Relation::Below, &rest[1..]),
        [b'>', ..] => (Relation::Above, &rest[1..]),
        _ => (Relation::Equal, &rest[1..]),
    };
    let name = name.trim().to_string();
    measure(&name, &Measured::default())?;
    Ok(Expectation { text: text.to_string(), name, relation, value: number(value.trim())? })
}

/// A number with an optional unit: us, ms and s become microseconds, % a share.
fn number(text: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("%", 0.01)];
    let (digits, factor) = units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, *factor)))
        .unwrap_or((text, 1.0));
    let value: f64 = digits.trim().parse().with_context(|| format!("'{text}' is no number with us, ms, s or %"))?;
    if !value.is_finite() {
        bail!("'{text}' is not finite");
    }
    Ok(value * factor)
}

fn measure(name: &str, measured: &Measured) -> Result<f64> {
    Ok(match name {
        "p50" => measured.p50,
        "p90" => measured.p90,
        "p99" => measured.p99,
        "p999" | "p99.9" => measured.p999,
        "max" => measured.max,
        "loss" => measured.loss,
        "refused" => measured.refused,
        "late" => measured.late,
        "mismatch" => measured.mismatch,
        _ => bail!("'{name}' is not measured; choose p50, p90, p99, p999, max, loss, refused, late or mismatch"),
    })
}

impl Expectation {
    /// Says how the expectation failed, if it did.
    pub fn failure(&self, measured: &Measured) -> Option<String> {
        let value = measure(&self.name, measured).ok()?;
        if value.is_infinite() {
            return Some(format!(
                "expected {}, but no shake of a phase was answered: all were refused or lost",
                self.text
            ));
        }
        let holds = match self.relation {
            Relation::Below => value < self.value,
            Relation::AtMost => value <= self.value,
            Relation::Equal => value == self.value,
            Relation::AtLeast => value >= self.value,
            Relation::Above => value > self.value,
        };
        (!holds).then(|| format!("expected {}, but {} is {value}", self.text, self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_hold_or_say_why_not() {
        let measured = Measured { p99: 900.0, loss: 0.0002, mismatch: 1.0, ..Measured::default() };
        for (text, failures) in [
            ("", 0),
            ("p99<1ms", 0),
            ("p99 < 900us", 1),
            ("p99<=900us, p99>=0.0009s", 0),
            ("loss<0.01%", 1),
            ("loss<0.03%,mismatch=0", 1),
            ("p99>1ms,loss=0,mismatch=0", 3),
        ] {
            let list = parse(text).expect(text);
            let failed: Vec<String> = list.iter().filter_map(|e| e.failure(&measured)).collect();
            assert_eq!(failed.len(), failures, "{text}: {failed:?}");
        }
    }

    #[test]
    fn no_answer_keeps_within_no_limit() {
        let measured = Measured { p99: f64::INFINITY, ..Measured::default() };
        for text in ["p99<1s", "p99>1s"] {
            let failure = parse(text).expect(text)[0].failure(&measured).expect(text);
            assert!(failure.contains("was answered"), "{failure}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for text in ["p98<1ms", "p99", "p99<fast", "p99<1h", "p99<inf"] {
            let error = format!("{:#}", parse(text).expect_err(text));
            assert!(error.contains(text), "{error}");
        }
    }
}

//! A histogram of latencies as text: HdrHistogram's V2 format, deflated, in base64, as in its interval logs.
//!
//! Reports carry it beside its percentiles, so that reports of several machines are added, and runs compared, exactly.

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use crate::record::latencies;

/// A histogram in base64.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(String);

impl Packed {
    /// Packs a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
        written.expect("memory takes all bytes, and the bounds are those of record.rs");
        Self(STANDARD.encode(bytes))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The histogram, with the bounds that all of ours have.
    ///
    /// # Errors
    /// The text is damaged.
    pub fn unpacked(&self) -> Result<Histogram<u64>> {
        let bytes = STANDARD.decode(&self.0).context("a histogram is no base64")?;
        let read: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| anyhow!("a histogram is damaged: {e:?}"))?;
        let mut histogram = latencies();
        ensure!(read.sigfig() == histogram.sigfig(), "a histogram has {} significant digits, not 3", read.sigfig());
        histogram.add(&read).map_err(|e| anyhow!("a histogram has values that no report of ours has: {e}"))?;
        Ok(histogram)
    }
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl Latency {
    /// Those of a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |share: f64| histogram.value_at_quantile(share);
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: histogram.max() }
    }
}

/// The sum of packed histograms.
///
/// # Errors
/// One is damaged.
pub fn sum<'a>(all: impl IntoIterator<Item = &'a Packed>) -> Result<Histogram<u64>> {
    let mut sum = latencies();
    for packed in all {
        sum.add(packed.unpacked()?).map_err(|e| anyhow!("adding histograms: {e}"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_sums_are_exact() {
        let mut all = latencies();
        let parts: Vec<Packed> = [[1, 300, 2_000_000], [300, 301, 119_999_999]]
            .iter()
            .map(|values| {
                let mut part = latencies();
                for value in values {
                    part.saturating_record(*value);
                    all.saturating_record(*value);
                }
                Packed::of(&part)
            })
            .collect();
        assert_eq!(sum(&parts).expect("whole"), all);
        assert_eq!(Latency::of(&sum(&parts).expect("whole")), Latency::of(&all));
    }

    #[test]
    fn damage_is_said() {
        let Packed(good) = Packed::of(&latencies());
        for text in ["", "?", "AAAA", &good[..good.len() / 8 * 4]] {
            assert!(Packed(text.to_string()).unpacked().is_err(), "{text}");
        }
    }
}

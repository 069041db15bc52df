//! Files of percentiles (`.hgrm`), as HdrHistogram's own tools write and plot them.

use std::fmt::Write;

use hdrhistogram::Histogram;

/// Steps to each halving of what is left above, as HdrHistogram's tools take by default.
const TICKS_PER_HALF: u32 = 5;
/// Of a histogram with three significant digits: 2 * 10^3, and on to a power of two.
const SUB_BUCKETS: u32 = 2048;

/// The percentiles of a histogram; values stay in microseconds.
pub fn text_of(histogram: &Histogram<u64>) -> String {
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        count += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to(), step.quantile_iterated_to());
        let _ = write!(text, "{value:>12}.000 {quantile:>14.12} {count:>10}");
        let above = 1.0 - quantile;
        let _ = if above > 0.0 { writeln!(text, " {:>14.2}", 1.0 / above) } else { writeln!(text) };
    }
    let buckets = histogram.buckets();
    let _ = writeln!(text, "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]", histogram.mean(), histogram.stdev());
    let _ = writeln!(text, "#[Max     = {:>12}.000, Total count    = {:>12}]", histogram.max(), histogram.len());
    let _ = writeln!(text, "#[Buckets = {buckets:>12}, SubBuckets     = {SUB_BUCKETS:>12}]");
    text
}

/// Reads a file of percentiles: value, percentile and count of each line.
pub fn rows_of(text: &str) -> Vec<(f64, f64, u64)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("Value"));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::latencies;

    #[test]
    fn the_file_says_what_the_histogram_says() {
        let mut histogram = latencies();
        (1..=10_000).for_each(|us| histogram.saturating_record(us));
        let text = text_of(&histogram);
        let rows = rows_of(&text);
        for pair in rows.windows(2) {
            assert!(pair[0].1 < pair[1].1 && pair[0].0 <= pair[1].0 && pair[0].2 <= pair[1].2, "{pair:?}");
        }
        let last = rows.last().expect("the last row is the maximum");
        assert_eq!((last.1, last.2), (1.0, 10_000));
        let median = rows.iter().find(|row| row.1 >= 0.5).expect("half of them");
        assert_eq!(median.0 as u64, histogram.value_at_quantile(0.5));
        assert!(text.contains("#[Mean    =     5000") && text.contains("Total count    =        10000]"), "{text}");
    }
}

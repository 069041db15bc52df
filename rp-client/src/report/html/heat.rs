//! Latency over time as a heat map: for each second, how its answers spread over latencies.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use super::canvas::{self, Axis, Height, SIZES};
use super::chart::figure_of;
use super::words::{count, time};
use crate::report::LatencySecond;

/// Rows to a tenfold.
const ROWS: f64 = 10.0;
/// Columns at most: of longer runs several seconds share one.
const COLUMNS_MAX: u64 = 240;
/// Shades; each is for a share of a second's answers four times as large as the one before, up to all of them.
const SHADES: i32 = 8;
const ID: &str = "heat";
const TITLE: &str = "Latency over time";
const ABOUT: &str = "Each column is a second, each row a latency from the due time to the answer; the stronger a cell, the \
                     more of the second's answers took so long.";

/// The figure, or nothing when no second is known.
///
/// # Errors
/// A histogram is damaged, or it cannot be drawn.
pub fn figure(seconds: &[LatencySecond], axis: &Axis, start_s: u64) -> Result<String> {
    if seconds.is_empty() {
        return Ok(String::new());
    }
    let (first, last) = (seconds[0].second, seconds[seconds.len() - 1].second);
    let step = (last - first + 1).div_ceil(COLUMNS_MAX).max(1);
    let mut columns = BTreeMap::<u64, BTreeMap<i32, u64>>::new();
    for row in seconds {
        let column = columns.entry((row.second - first) / step).or_default();
        for value in row.histogram.unpacked()?.iter_recorded() {
            *column.entry(row_of(value.value_iterated_to())).or_default() += value.count_at_value();
        }
    }
    let rows = || columns.values().flat_map(|column| column.keys().copied());
    let (low, high) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0) + 1);
    let low_power = (f64::from(low) / ROWS).floor();
    let high_power = (f64::from(high) / ROWS).ceil().max(low_power + 1.0);
    let label = |power: &f64| time(10f64.powf(*power));
    let height = Height { span: (low_power, high_power), labels: (high_power - low_power) as usize + 1, label: &label };
    let worst = seconds.iter().map(|row| row.latency_us.max).max().unwrap_or_default();
    let about = format!("{ABOUT} The slowest of all took {}.", time(worst as f64));
    let mut drawings = String::new();
    for (class, size) in SIZES {
        let svg = canvas::draw(axis, &height, size, |canvas| {
            let mut shades = BTreeMap::<i32, String>::new();
            for (column, cells) in &columns {
                let all: u64 = cells.values().sum();
                let from = (first + column * step) as f64 - start_s as f64;
                for (row, answers) in cells {
                    let power = f64::from(*row) / ROWS;
                    let (left, top) = canvas.backend_coord(&(from, power + 1.0 / ROWS));
                    let (right, bottom) = canvas.backend_coord(&(from + step as f64, power));
                    let path = shades.entry(shade(*answers, all)).or_default();
                    let _ = write!(path, "M{left} {top}H{right}V{bottom}H{left}z");
                }
            }
            Ok(shades.iter().map(|(n, path)| format!("<path class=\"h{n}\" d=\"{path}\"/>")).collect())
        })?;
        drawings += &canvas::framed(&svg, ID, class, size, TITLE, &about);
    }
    let legend: String = (1..=SHADES)
        .map(|n| {
            let share = 100.0 * 0.25f64.powi(SHADES - n);
            format!("<li class=\"h{n}\">{}</li>", if n == SHADES { "most".into() } else { share_of(share) })
        })
        .collect();
    Ok(figure_of(ID, TITLE, &about, "", &legend, &drawings, &table(seconds, start_s)))
}

fn share_of(percent: f64) -> String {
    let digits = if percent >= 1.0 { 0 } else { 2 };
    format!("\u{2264} {percent:.digits$} %")
}

fn row_of(us: u64) -> i32 {
    ((us.max(1) as f64).log10() * ROWS).floor() as i32
}

fn shade(answers: u64, all: u64) -> i32 {
    let share = answers as f64 / all.max(1) as f64;
    (SHADES + (share.log(4.0)).ceil() as i32).clamp(1, SHADES)
}

fn table(seconds: &[LatencySecond], start_s: u64) -> String {
    let mut text = "<table><thead><tr><th scope=\"col\">second".to_string();
    for name in ["answers", "p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(text, "<th scope=\"col\">{name}");
    }
    text += "<tbody>";
    let step = seconds.len().div_ceil(400).max(1);
    for row in seconds.iter().step_by(step) {
        let l = &row.latency_us;
        let _ = write!(text, "<tr><th scope=\"row\">{}<td>{}", row.second.saturating_sub(start_s), count(row.answers));
        for us in [l.p50, l.p90, l.p99, l.p999, l.max] {
            let _ = write!(text, "<td>{}", time(us as f64));
        }
    }
    text + "</table>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_stronger_the_larger_its_share() {
        assert_eq!([1, 10, 250, 251, 1000].map(|answers| shade(answers, 1000)), [4, 5, 7, 8, 8]);
        assert_eq!(shade(1, 10_000_000), 1);
        assert_eq!([1, 99, 100, 1000].map(row_of), [0, 19, 20, 30]);
    }
}

//! A chart of lines over the seconds of a run, with its figures beside it as a table.

use std::fmt::Write;

use anyhow::Result;
use plotters::prelude::*;

use super::canvas::{self, Axis, Height, LINES_MAX, SIZES, colour};
use super::words::{escaped, figure, time};

/// Rows of a table of figures; of longer runs every second, third and so on is shown.
const ROWS_MAX: usize = 400;
/// Points further apart than this, in seconds, are not joined.
const GAP_S: f64 = 2.5;

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Shown beside the chart.
    pub name: String,
    /// Seconds since the run began, and values.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Names it in the page.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it shows, in a sentence or two.
    pub about: String,
    /// Of all its lines.
    pub unit: &'static str,
    /// Are these times of many sizes, in microseconds?
    pub is_log: bool,
    /// The lines; further ones than there are colours are in the table alone.
    pub lines: Vec<Line>,
}

impl Chart {
    /// The figure, as HTML.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn figure(&self, axis: &Axis) -> Result<String> {
        let mut drawings = String::new();
        for (class, size) in SIZES {
            let svg = self.draw(axis, size)?;
            drawings += &canvas::framed(&svg, self.id, class, size, self.title, &self.summary());
        }
        let lines = self.lines.iter().take(LINES_MAX).enumerate();
        let mut legend: String =
            lines.map(|(n, line)| format!("<li class=\"c{n}\">{}</li>", escaped(&line.name))).collect();
        let undrawn = self.lines.len().saturating_sub(LINES_MAX);
        if undrawn > 0 {
            legend += &format!("<li class=\"undrawn\">{undrawn} more in the table</li>");
        }
        Ok(figure_of(self.id, self.title, &self.about, self.unit, &legend, &drawings, &self.table()))
    }

    /// What somebody who does not see the lines should know of them.
    fn summary(&self) -> String {
        let line = |line: &Line| {
            let values = || line.points.iter().map(|(_, value)| *value);
            let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
            format!("{}: {} to {} {}", line.name, figure(least), figure(most), self.unit)
        };
        let lines: Vec<String> = self.lines.iter().filter(|line| !line.points.is_empty()).map(line).collect();
        format!("{} {}.", self.about, lines.join("; "))
    }

    fn draw(&self, axis: &Axis, size: (u32, u32)) -> Result<String> {
        let values = || self.lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
        let most = values().fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let least = values().filter(|value| *value > 0.0).fold(most, f64::min);
        let log = (least.log10().floor(), (most.log10() + 1e-9).ceil());
        let (plain, powers) = (|value: &f64| figure(*value), |power: &f64| time(10f64.powf(*power)));
        let height = match self.is_log {
            true => {
                Height { span: (log.0, log.1.max(log.0 + 1.0)), labels: (log.1 - log.0) as usize + 1, label: &powers }
            }
            false => Height { span: (0.0, most * 1.06), labels: 6, label: &plain },
        };
        let at = |(second, value): &(f64, f64)| match self.is_log {
            true => (*second, value.max(1e-9).log10().max(log.0)),
            false => (*second, *value),
        };
        canvas::draw(axis, &height, size, |canvas| {
            for (n, line) in self.lines.iter().take(LINES_MAX).enumerate() {
                for part in line.points.chunk_by(|(before, _), (after, _)| after - before < GAP_S) {
                    canvas.draw_series(LineSeries::new(part.iter().map(at), colour(n).stroke_width(4)))?;
                }
            }
            Ok(String::new())
        })
    }

    fn table(&self) -> String {
        let mut seconds: Vec<f64> = self.lines.iter().flat_map(|line| line.points.iter().map(|(s, _)| *s)).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.dedup();
        let step = seconds.len().div_ceil(ROWS_MAX).max(1);
        let mut text = "<table><thead><tr><th scope=\"col\">second".to_string();
        for line in &self.lines {
            let _ = write!(text, "<th scope=\"col\">{}", escaped(&line.name));
        }
        text += "<tbody>";
        for second in seconds.iter().step_by(step) {
            let _ = write!(text, "<tr><th scope=\"row\">{}", second.floor());
            for line in &self.lines {
                let at = line.points.binary_search_by(|(s, _)| s.total_cmp(second));
                text += "<td>";
                text += &at.map_or_else(|_| String::new(), |at| figure(line.points[at].1));
            }
        }
        text + "</table>"
    }
}

/// A figure: title, words, legend, drawings, and a table that opens.
pub fn figure_of(id: &str, title: &str, about: &str, unit: &str, legend: &str, drawings: &str, table: &str) -> String {
    format!(
        "<figure id=\"{id}\"><figcaption><h3>{} <small>{}</small></h3><p>{}</p></figcaption>\
         <ul class=\"legend\">{legend}</ul>{drawings}\
         <details class=\"data\"><summary>The figures of this chart</summary>\
         <div class=\"scroll\" tabindex=\"0\">{table}</div></details></figure>\n",
        escaped(title),
        escaped(unit),
        escaped(about)
    )
}

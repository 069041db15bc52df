//! Axes over the seconds of a run, to draw on: in two sizes, so that words are as large on a phone as on a desk.
//!
//! Colours are stand-ins for names that the page's style sheet resolves, by day, by night and on paper.

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::words::escaped;

/// The drawing's pixels to one of the page's; plotters knows whole ones only.
const FINE: u32 = 2;
/// The sizes that all is drawn in, by class.
pub const SIZES: [(&str, (u32, u32)); 2] = [("wide", (960, 260)), ("narrow", (400, 250))];

const INK: RGBColor = RGBColor(1, 2, 3);
const GRID: RGBColor = RGBColor(1, 2, 4);
const MARK: RGBColor = RGBColor(1, 2, 5);
/// Lines that one chart may have.
pub const LINES_MAX: usize = 6;

/// Axes, ready to be drawn on.
pub type Canvas<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What is on the time axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// From and to, in seconds since the run began.
    pub span: (f64, f64),
    /// Where phases begin.
    pub marks: Vec<f64>,
}

/// What is on the other.
pub struct Height<'a> {
    /// From and to.
    pub span: (f64, f64),
    /// Labels at most.
    pub labels: usize,
    /// What a label says.
    pub label: &'a dyn Fn(&f64) -> String,
}

/// The stand-in for the colour of line `n`.
pub fn colour(n: usize) -> RGBColor {
    RGBColor(1, 3, n as u8)
}

/// Draws axes and what `paint` adds; `after` is put behind it, as it is.
///
/// # Errors
/// It cannot be drawn.
pub fn draw(
    axis: &Axis,
    height: &Height<'_>,
    size: (u32, u32),
    paint: impl FnOnce(&mut Canvas<'_>) -> Result<String, Box<dyn std::error::Error>>,
) -> Result<String> {
    paint_on(axis, height, size, paint).map_err(|error| anyhow!("drawing a chart: {error}"))
}

fn paint_on(
    axis: &Axis,
    height: &Height<'_>,
    size: (u32, u32),
    paint: impl FnOnce(&mut Canvas<'_>) -> Result<String, Box<dyn std::error::Error>>,
) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    let more;
    {
        let area = SVGBackend::with_string(&mut svg, (size.0 * FINE, size.1 * FINE)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6 * FINE)
            .margin_right(18 * FINE)
            .x_label_area_size(24 * FINE)
            .y_label_area_size(64 * FINE)
            .build_cartesian_2d(axis.span.0..axis.span.1, height.span.0..height.span.1)?;
        let letters = ("sans-serif", 13 * FINE).into_font().color(&INK);
        chart
            .configure_mesh()
            .x_labels(if size.0 > 600 { 12 } else { 5 })
            .y_labels(height.labels)
            .x_label_formatter(&|second| format!("{second} s"))
            .y_label_formatter(height.label)
            .label_style(letters)
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        more = paint(&mut chart)?;
        let (low, high) = height.span;
        for mark in &axis.marks {
            chart.draw_series([PathElement::new([(*mark, low), (*mark, high)], MARK.stroke_width(FINE))])?;
        }
        area.present()?;
    }
    // Behind the lines, and before the end.
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.insert_str(end, &more);
    Ok(svg)
}

/// A drawing with words for who does not see it, and with the style sheet's colours.
pub fn framed(svg: &str, id: &str, class: &str, (w, h): (u32, u32), title: &str, about: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let names = [(INK, "ink".to_string()), (GRID, "grid".to_string()), (MARK, "mark".to_string())];
    let names = names.into_iter().chain((0..LINES_MAX).map(|n| (colour(n), format!("c{n}"))));
    let body = names.fold(body.replace('\n', "").replace(" opacity=\"1\"", ""), |body, (RGBColor(r, g, b), name)| {
        body.replace(&format!("\"#{r:02X}{g:02X}{b:02X}\""), &format!("\"var(--{name})\""))
    });
    let id = format!("{id}-{class}");
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>{body}",
        w * FINE,
        h * FINE,
        escaped(title),
        escaped(about)
    )
}

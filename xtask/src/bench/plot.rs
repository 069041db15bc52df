//! Plots of the bench: what an answer costs by datapath, by sessions, and how many a core gives.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::Results;
use super::rows::Row;
use super::subject::Subject;

const SIZE: (u32, u32) = (900, 420);

/// Draws all of them into `folder`; their files and titles.
///
/// # Errors
/// When a file cannot be written.
pub fn draw(folder: &Path, results: &Results, rows: &[Row]) -> Result<Vec<(&'static str, &'static str)>> {
    let mut drawn = Vec::new();
    let cost = ("cost.svg", "CPU per answer, each subject well laden, us");
    let capacity = ("capacity.svg", "Answers per second of one core, less than 0.1 % lost");
    for (plot, prefix) in [(cost, "CPU per answer, well laden: "), (capacity, "answered, one core: ")] {
        let bars: Vec<(&str, f64)> =
            rows.iter().filter_map(|row| Some((row.name.strip_prefix(prefix)?, row.figure))).collect();
        if !bars.is_empty() {
            bar_chart(&folder.join(plot.0), plot.1, &bars).map_err(|error| anyhow!("drawing {}: {error}", plot.0))?;
            drawn.push(plot);
        }
    }
    let sizes = ("sizes.svg", "CPU per answer by sessions that shake, us");
    let lines =
        [Subject::Gate, Subject::Worker, Subject::Xsk].map(|subject| (subject.name(), by_size(results, rows, subject)));
    if lines.iter().all(|(_, points)| points.len() > 1) {
        line_chart(&folder.join(sizes.0), sizes.1, &lines).map_err(|error| anyhow!("drawing {}: {error}", sizes.0))?;
        drawn.push(sizes);
    }
    Ok(drawn)
}

fn by_size(results: &Results, rows: &[Row], subject: Subject) -> Vec<(f64, f64)> {
    let point = |size: &u64| {
        let name = format!("{}: {size} sessions", subject.name());
        rows.iter().find(|row| row.name == name).map(|row| (*size as f64, row.figure))
    };
    results.extent.sizes.iter().filter_map(point).collect()
}

fn bar_chart(path: &Path, title: &str, bars: &[(&str, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let most = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(230)
        .build_cartesian_2d(0.0..most * 1.15, (0..bars.len() as i32 - 1).into_segmented())?;
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(index) => bars.get(*index as usize).map_or_else(String::new, |bar| bar.0.to_string()),
        _ => String::new(),
    };
    chart.configure_mesh().disable_y_mesh().y_labels(bars.len()).y_label_formatter(&name).draw()?;
    chart.draw_series(bars.iter().zip(0i32..).map(|((name, value), index)| {
        let colour = if name.starts_with("rp-server") { RGBColor(190, 40, 40) } else { RGBColor(130, 140, 150) };
        let mut bar = Rectangle::new(
            [(0.0, SegmentValue::Exact(index)), (*value, SegmentValue::Exact(index + 1))],
            colour.filled(),
        );
        bar.set_margin(4, 4, 0, 0);
        bar
    }))?;
    chart.draw_series(bars.iter().zip(0i32..).map(|((_, value), index)| {
        let text = crate::demo::table::Short(*value).to_string();
        Text::new(text, (value + most * 0.01, SegmentValue::CenterOf(index)), ("sans-serif", 14))
    }))?;
    Ok(area.present()?)
}

fn line_chart(path: &Path, title: &str, lines: &[(&str, Vec<(f64, f64)>)]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|(_, points)| points.iter());
    let (least, most) =
        points().fold((f64::MAX, 0.0f64), |(least, most), (size, _)| (least.min(*size), most.max(*size)));
    let highest = points().map(|(_, value)| *value).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(30)
        .y_label_area_size(50)
        .build_cartesian_2d((least..most * 1.1).log_scale(), 0.0..highest * 1.2)?;
    chart.configure_mesh().x_desc("sessions").draw()?;
    for ((name, points), colour) in
        lines.iter().zip([RGBColor(190, 40, 40), RGBColor(40, 80, 160), RGBColor(200, 140, 0)])
    {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(4))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK).draw()?;
    Ok(area.present()?)
}

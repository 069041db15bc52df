//! The view: the run on one screen, from 80 columns and 24 lines on; more room gives the curves more.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Clear, Dataset, Gauge, GraphType, Paragraph};

use super::picture::{Picture, Second};

/// A generator that fires a larger share late is the bottleneck.
const LATE_SHARE_WARN: f64 = 0.01;
/// Clocks that differ by more are warned of.
const OFFSET_WARN_US: i64 = 10_000;

/// Draws a picture.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture, is_help: bool) {
    let rows = [
        Constraint::Length(1),
        Constraint::Length(2),
        Constraint::Min(8),
        Constraint::Length(7),
        Constraint::Length(1),
    ];
    let [title, progress, curves, figures, keys] = Layout::vertical(rows).areas(frame.area());
    let elapsed = clock(picture.elapsed_s);
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(12)]).areas(title);
    frame.render_widget(Paragraph::new(picture.title.as_str()).bold(), left);
    frame.render_widget(Paragraph::new(elapsed).right_aligned(), right);
    draw_progress(frame, progress, picture);
    let [rates, latency] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(38.max(curves.width * 2 / 5))]).areas(curves);
    draw_rates(frame, rates, picture);
    draw_latency(frame, latency, picture);
    draw_figures(frame, figures, picture);
    let said = if picture.is_stopping {
        " ending: what is under way is waited for and the books are compared; Ctrl-C ends at once, without a report"
    } else {
        " q end with a report   ? help"
    };
    frame.render_widget(Paragraph::new(said).reversed(), keys);
    if is_help {
        draw_help(frame);
    }
}

fn draw_progress(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let progress = &picture.progress;
    let number = progress.number.map_or_else(String::new, |number| format!(" ({number} of {})", progress.phases));
    let left = match (progress.begins_in_s, progress.left_s) {
        (0, Some(left_s)) => format!(", {} left", clock(left_s)),
        (0, None) => String::new(),
        (wait_s, _) => format!(", begins in {}", clock(wait_s)),
    };
    let whole = progress.whole_left_s.filter(|_| progress.number.is_some());
    let whole = whole.map_or_else(String::new, |left_s| format!("whole run: about {} left", clock(left_s)));
    let [above, below] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let [now, rest] = Layout::horizontal([Constraint::Min(0), Constraint::Length(30)]).areas(above);
    frame.render_widget(Line::from(vec![Span::from(progress.stage.as_str()).bold(), Span::from(number + &left)]), now);
    frame.render_widget(Paragraph::new(whole).right_aligned(), rest);
    let share = progress.share.unwrap_or(0.0).clamp(0.0, 1.0);
    let label = if progress.share.is_some() { format!("{:.0} %", 100.0 * share) } else { String::new() };
    frame.render_widget(Gauge::default().ratio(share).label(label).use_unicode(true).cyan(), below);
}

/// As many seconds as there are columns for, two in one.
fn recent(picture: &Picture, area: Rect) -> Vec<(f64, Second)> {
    let room = usize::from(area.width.max(20)) * 2;
    let skip = picture.seconds.len().saturating_sub(room);
    let count = picture.seconds.len() - skip;
    let ago = |i: usize| -((count - 1 - i) as f64);
    picture.seconds.iter().skip(skip).enumerate().map(|(i, second)| (ago(i), *second)).collect()
}

fn draw_rates(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let seconds = recent(picture, area);
    let of = |pick: fn(&Second) -> u64| seconds.iter().map(|(x, s)| (*x, pick(s) as f64)).collect::<Vec<_>>();
    let (due, sent, answered) = (of(|s| s.due), of(|s| s.sent), of(|s| s.answered));
    let last = picture.seconds.back().copied().unwrap_or_default();
    let group = if area.width < 60 { |number: u64| number.to_string() } else { thousands };
    let title = format!(" due {} sent {} answered {} ", group(last.due), group(last.sent), group(last.answered));
    let highest = [&due, &sent, &answered].into_iter().flatten().map(|(_, y)| *y).fold(10.0, f64::max);
    let line = |data, name, style| curve(data, Marker::Braille, style).name(name);
    let sets = vec![
        line(&due[..], "due", Style::new().yellow()),
        line(&sent, "sent", Style::new().blue()),
        line(&answered, "answered", Style::new().green()),
    ];
    frame.render_widget(chart(sets, title, seconds.len(), highest, thousands(highest as u64)), area);
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let seconds = recent(picture, area);
    let of = |pick: fn(&Second) -> u64| {
        let some = seconds.iter().filter(|(_, s)| s.p50_us > 0);
        some.map(|(x, s)| (*x, (pick(s).max(1) as f64).log10())).collect::<Vec<_>>()
    };
    let (p50, p99, p999) = (of(|s| s.p50_us), of(|s| s.p99_us), of(|s| s.p999_us));
    let last = picture.seconds.back().copied().unwrap_or_default();
    let title = match last.p50_us {
        0 => " latency ".to_string(),
        _ => format!(" p50 {} p99 {} p99.9 {} ", time(last.p50_us), time(last.p99_us), time(last.p999_us)),
    };
    let highest = p999.iter().map(|(_, y)| *y).fold(3.0, f64::max).ceil();
    let line = |data, style| curve(data, Marker::Braille, style);
    let sets =
        vec![line(&p50[..], Style::new().green()), line(&p99, Style::new().yellow()), line(&p999, Style::new().red())];
    // Powers of ten from 10 us: what matters happens in all of them.
    let top = time(10f64.powf(highest) as u64);
    let sheet = chart(sets, title, seconds.len(), highest, top.clone());
    frame.render_widget(sheet.y_axis(Axis::default().bounds([1.0, highest]).labels(["10us".to_string(), top])), area);
}

fn curve<'a>(data: &'a [(f64, f64)], marker: Marker, style: Style) -> Dataset<'a> {
    Dataset::default().marker(marker).graph_type(GraphType::Line).style(style).data(data)
}

fn chart<'a>(sets: Vec<Dataset<'a>>, title: String, seconds: usize, highest: f64, top: String) -> Chart<'a> {
    let span = seconds.max(30) as f64 - 1.0;
    let ago = Axis::default().bounds([-span, 0.0]).labels([format!("-{span:.0} s"), "now".to_string()]);
    let up = Axis::default().bounds([0.0, highest * 1.05]).labels(["0".to_string(), top]);
    Chart::new(sets).block(Block::bordered().title(title)).x_axis(ago).y_axis(up)
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let block = Block::bordered();
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [left, right] = Layout::horizontal([Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)]).areas(inner);
    let sums = &picture.sums;
    let rows = vec![
        row("sessions", format!("{} of {}", thousands(sums.up), thousands(picture.users)), false),
        row("prizes", format!("{}, {} fen", thousands(sums.prizes), thousands(picture.prizes_fen)), false),
        row("packets made", format!("{}, {} fen", thousands(sums.packets), thousands(picture.packets_fen)), false),
        row("shares taken", format!("{}, {} fen", thousands(sums.shares), thousands(picture.shares_fen)), false),
        row("books", picture.progress.books.to_string(), picture.progress.books.contains("NOT")),
    ];
    frame.render_widget(Paragraph::new(rows), left);
    let late = sums.late as f64 / (sums.due as f64).max(1.0);
    let off = picture.clock_offset_us;
    let off_text = off.map_or("not known yet".to_string(), |us| format!("{:+.3} ms off ours", us as f64 / 1e3));
    let lost_again = format!(
        "{} lost, {} again, {} open",
        thousands(sums.lost),
        thousands(sums.retries + picture.logins_again),
        thousands(picture.outstanding)
    );
    let generator = format!("{:.2} % late, max {}", 100.0 * late, time(sums.late_us_max));
    let sealing = match picture.is_sealed {
        Some(true) => "on",
        Some(false) => "OFF: money travels readable",
        None => "not known yet",
    };
    let rows = vec![
        row("refused", thousands(sums.refused), sums.refused > 0),
        row("requests", lost_again, sums.lost > 0),
        row("generator", generator, late > LATE_SHARE_WARN),
        row("server clock", off_text, off.is_some_and(|us| us.abs() > OFFSET_WARN_US)),
        row("sealing", sealing.to_string(), picture.is_sealed == Some(false)),
    ];
    frame.render_widget(Paragraph::new(rows), right);
}

fn row(name: &'static str, value: String, is_bad: bool) -> Line<'static> {
    let value = if is_bad { Span::from(format!("! {value}")).red().bold() } else { Span::from(value) };
    Line::from(vec![Span::from(format!("{name:<13} ")).add_modifier(Modifier::DIM), value])
}

fn draw_help(frame: &mut Frame<'_>) {
    const TEXT: [&str; 11] = [
        "q       end: what is under way is waited for, the books",
        "        are compared, the report is written",
        "Ctrl-C  the same; once more ends at once, without a report",
        "?       this help; Esc closes it",
        "",
        "due: what the scenario asks for; sent: what left in time;",
        "answered: what came back. Where they part, the generator",
        "(due, sent) or the server (sent, answered) falls behind.",
        "Latency counts from the due time, in powers of ten:",
        "p50 green, p99 yellow, p99.9 red.",
        "! marks what spoils a measurement.",
    ];
    let area = frame.area();
    let (width, height) = (62.min(area.width), (TEXT.len() as u16 + 2).min(area.height));
    let at = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    frame.render_widget(Clear, at);
    let text: Vec<Line<'_>> = TEXT.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title(" help ")), at);
}

fn clock(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02} min"),
        (h, m, s) => format!("{h}:{m:02}:{s:02} h"),
    }
}

fn time(us: u64) -> String {
    match us {
        0..=999 => format!("{us}us"),
        1_000..=99_999 => format!("{:.1}ms", us as f64 / 1e3),
        100_000..=999_999 => format!("{}ms", us / 1000),
        _ => format!("{:.1}s", us as f64 / 1e6),
    }
}

/// Digits in groups of three.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::picture::Second;
    use super::*;
    use crate::conductor::progress::Progress;

    fn drawn(width: u16, height: u16, is_help: bool) -> String {
        let second = Second {
            due: 30_000,
            sent: 29_000,
            answered: 28_000,
            prizes: 1,
            p50_us: 250,
            p99_us: 900,
            p999_us: 15_000,
        };
        let progress = Progress {
            stage: "30 000 QPS".into(),
            number: Some(2),
            phases: 3,
            share: Some(0.25),
            left_s: Some(45),
            seconds: Some(60),
            whole_left_s: Some(105),
            ..Progress::default()
        };
        let seconds = std::iter::repeat_n(second, 40).collect();
        let picture = Picture { title: "rp-client: users 1..=10".into(), progress, seconds, ..Picture::default() };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
        terminal.draw(|frame| draw(frame, &picture, is_help)).expect("a buffer");
        terminal.backend().to_string()
    }

    #[test]
    fn every_figure_is_there_on_the_smallest_screen_and_on_a_large_one() {
        for (width, height) in [(80, 24), (200, 60)] {
            let text = drawn(width, height, false);
            for words in [
                "30 000 QPS (2 of 3), 45 s left",
                "about 1:45 min left",
                "25 %",
                "sent 29",
                "answered 28",
                "p50 250us p99 900us p99.9 15.0ms",
                "generator",
                "q end with a report",
            ] {
                assert!(text.contains(words), "{width} x {height}: no {words:?} in\n{text}");
            }
        }
        assert!(drawn(80, 24, true).contains("the report is written"));
    }

    #[test]
    fn no_screen_is_too_small_to_live() {
        for (width, height) in [(1, 1), (20, 5), (79, 12)] {
            drawn(width, height, true);
        }
    }
}

//! Words and figures as the page shows them: escaped, grouped, and times that people read.

/// Text that is no markup.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A figure with its thousands apart and as many digits as tell something.
pub fn figure(value: f64) -> String {
    if !value.is_finite() {
        return "\u{2013}".to_string();
    }
    let digits = match value.abs() {
        v if v >= 1000.0 || v.fract() == 0.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let plain = format!("{:.digits$}", value.abs());
    let (whole, rest) = plain.split_once('.').map_or((plain.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut text = if value < 0.0 { "\u{2212}".to_string() } else { String::new() };
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    rest.into_iter().for_each(|rest| text.extend(['.'].into_iter().chain(rest.chars())));
    text
}

/// A count.
pub fn count(value: u64) -> String {
    figure(value as f64)
}

/// A latency, in the unit that suits it.
pub fn time(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{} us", figure(us.round())),
        us if us < 1e6 => format!("{} ms", figure((us / 10.0).round() / 100.0)),
        us => format!("{} s", figure((us / 1e4).round() / 100.0)),
    }
}

/// A moment, UTC: by the civil calendar from days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub fn moment(unix_us: u64) -> String {
    let (days, second) = (unix_us / 86_400_000_000, unix_us / 1_000_000 % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_times_and_moments_are_read_by_people() {
        for (value, text) in [(0.0, "0"), (1234.5, "1\u{202f}234"), (0.25, "0.250"), (-12.5, "\u{2212}12.50")] {
            assert_eq!(figure(value), text);
        }
        for (us, text) in [(291.0, "291 us"), (20_111.0, "20.11 ms"), (2_500_000.0, "2.50 s"), (1000.0, "1 ms")] {
            assert_eq!(time(us), text);
        }
        for (unix_s, text) in [(0, "1970-01-01 00:00:00 UTC"), (951_782_400, "2000-02-29 00:00:00 UTC")] {
            assert_eq!(moment(unix_s * 1_000_000), text);
        }
        assert_eq!(escaped("<b a=\"1\">&\u{7}"), "&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}");
    }
}

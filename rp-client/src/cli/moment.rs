//! A moment to start at, the same on all client machines without a word between them: `+30s`, `21:00:00` (UTC, today), RFC 3339, or
//! Unix seconds. What is past is refused: a machine that starts late would fire at once what the others have fired already.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;
/// Further ahead is a slip of the keyboard.
const AHEAD_MAX_S: u64 = 30 * DAY_S;

/// The Unix second that `text` means, if it is still to come.
///
/// # Errors
/// It is no moment, or past; says how to write it.
pub fn start_at(text: &str) -> Result<u64, String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| format!("the clock is before 1970: {e}"))?;
    moment(text.trim(), now_s.as_secs())
}

fn moment(text: &str, now_s: u64) -> Result<u64, String> {
    let at_s = ahead(text, now_s)
        .or_else(|| text.parse().ok())
        .or_else(|| time_of_day(text).map(|s| now_s / DAY_S * DAY_S + s))
        .or_else(|| rfc3339(text))
        .ok_or("write +30s, HH:MM:SS (UTC, today), 2026-12-31T23:59:50+08:00 or Unix seconds")?;
    if at_s <= now_s {
        let past_s = now_s - at_s;
        return Err(format!(
            "that was {past_s} s ago by this machine's clock, {}; name a later one",
            clock_face(now_s)
        ));
    }
    match at_s - now_s {
        ahead_s if ahead_s > AHEAD_MAX_S => Err(format!("that is {} days ahead; name a nearer one", ahead_s / DAY_S)),
        _ => Ok(at_s),
    }
}

/// `+30s`, `+5m`, `+30`.
fn ahead(text: &str, now_s: u64) -> Option<u64> {
    let text = text.strip_prefix('+')?;
    let (digits, unit_s) = match text.strip_suffix(['s', 'm']) {
        Some(digits) => (digits, if text.ends_with('m') { 60 } else { 1 }),
        None => (text, 1),
    };
    now_s.checked_add(digits.parse::<u64>().ok()?.checked_mul(unit_s)?)
}

/// `HH:MM:SS`, with or without a `Z`, in seconds.
fn time_of_day(text: &str) -> Option<u64> {
    let mut parts = text.strip_suffix('Z').unwrap_or(text).split(':').map(two_digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let is_time = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    is_time.then_some(hour * 3600 + minute * 60 + second)
}

fn two_digits(text: &str) -> Option<u64> {
    (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// A moment of RFC 3339, section 5.6, without a fraction.
fn rfc3339(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let (time, offset) = rest.split_at_checked(8)?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    let year: u64 = (year.len() == 4 && parts.next().is_none()).then(|| year.parse().ok())??;
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && day >= 1 && day <= days_of(year, month);
    let offset_s = match offset {
        "Z" | "z" => 0,
        _ => {
            let (hour, minute) = offset.get(1..)?.split_once(':')?;
            let offset_s = (two_digits(hour)? * 3600 + two_digits(minute)? * 60) as i64;
            match offset.as_bytes()[0] {
                b'+' => offset_s,
                b'-' => -offset_s,
                _ => return None,
            }
        }
    };
    let local_s = is_date.then(|| days_before(year, month, day))? * DAY_S + time_of_day(time)?;
    local_s.checked_add_signed(-offset_s)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    years + (1..month).map(|month| days_of(year, month)).sum::<u64>() + day - 1
}

/// The time of day of a Unix second.
pub fn clock_face(unix_s: u64) -> String {
    let s = unix_s % DAY_S;
    format!("{:02}:{:02}:{:02} UTC", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28T10:00:00Z.
    const NOW_S: u64 = 1_795_860_000;

    #[test]
    fn a_moment_is_said_in_four_ways() {
        for (text, ahead_s) in [
            ("+30s", 30),
            ("+2m", 120),
            ("+5", 5),
            ("1795860007", 7),
            ("10:00:09", 9),
            ("10:01:00Z", 60),
            ("2026-11-28T10:00:05Z", 5),
            ("2026-11-28T18:00:05+08:00", 5),
            ("2026-11-28t04:30:07-05:30", 7),
            ("2026-12-01 10:00:00Z", 3 * DAY_S),
        ] {
            assert_eq!(moment(text, NOW_S), Ok(NOW_S + ahead_s), "{text}");
        }
    }

    #[test]
    fn what_is_past_or_no_moment_is_refused_with_a_remedy() {
        for (text, word) in [
            ("09:59:59", "1 s ago"),
            ("1", "10:00:00 UTC"),
            ("+0s", "later"),
            ("noon", "+30s"),
            ("25:00:00", "HH:MM:SS"),
            ("1:2:3", "HH:MM:SS"),
            ("2026-02-29T00:00:00Z", "+30s"),
            ("2026-11-28T10:00:05", "+30s"),
            ("+99999999999999999999s", "+30s"),
            ("+50000m", "34 days"),
            ("9999-01-01T00:00:00Z", "nearer"),
        ] {
            let said = moment(text, NOW_S).expect_err(text);
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}

//! The end of a server that lets nothing more in: when what is under way has come to rest, or has had its time.

use std::time::Instant;

/// How far it is.
pub(super) struct Drain {
    until: Instant,
    /// All workers said so at the last look.
    was_at_rest: bool,
}

impl Drain {
    pub(super) fn begin(until: Instant) -> Drain {
        Drain { until, was_at_rest: false }
    }

    /// One look, at which all workers say that they rest, or do not: is it over? They rest when all did at two looks in a row:
    /// between one's word and another's, work may have gone from this to that.
    pub(super) fn is_over(&mut self, is_at_rest: bool, now: Instant) -> bool {
        let was_at_rest = std::mem::replace(&mut self.was_at_rest, is_at_rest);
        now >= self.until || was_at_rest && is_at_rest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_over_at_the_second_look_in_a_row_that_finds_rest_or_when_its_time_is() {
        let begun = Instant::now();
        let until = begun + Duration::from_secs(1);
        let looks = |looks: &[bool]| {
            let mut drain = Drain::begin(until);
            looks.iter().map(|is_at_rest| drain.is_over(*is_at_rest, begun)).collect::<Vec<_>>()
        };
        assert_eq!(looks(&[true, true]), [false, true]);
        assert_eq!(looks(&[false, true, false, true, true]), [false, false, false, false, true]);
        let is_over = |now| Drain::begin(until).is_over(false, now);
        assert_eq!([until - Duration::from_nanos(1), until].map(is_over), [false, true]);
    }
}

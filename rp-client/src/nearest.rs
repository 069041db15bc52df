//! The nearest of the words that are known, for whoever mistyped one.

/// Words less alike than this share nothing but letters.
const LIKENESS_MIN: f64 = 0.6;

/// The known word that is most like `word`, if one is like it.
pub fn word<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(&word.to_lowercase(), known);
    let (best, best_likeness) =
        known.into_iter().map(|known| (known, likeness(known))).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (best_likeness >= LIKENESS_MIN).then_some(best)
}

/// `; did you mean X?`, or nothing.
pub fn advice<'a>(mistyped: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    word(mistyped, known).map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_finds_its_word_and_nonsense_none() {
        let known = ["seconds", "rate", "rate_to", "recipients"];
        for (typed, expected) in
            [("second", Some("seconds")), ("Rate", Some("rate")), ("receipents", Some("recipients")), ("xyz", None)]
        {
            assert_eq!(word(typed, known), expected, "{typed}");
        }
        assert_eq!(advice("ratte", known), "; did you mean `rate`?");
    }
}

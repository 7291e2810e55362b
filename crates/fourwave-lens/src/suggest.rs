//! The name that a person probably meant, for every command, setting and word that has a name.

/// How alike two names are at least, by Jaro and Winkler from 0 to 1.
const ALIKE: f64 = 0.75;

/// The one of `known` that `name` was probably meant to be, if one is near: letters' case, `-`,
/// `_` and blanks make no difference, nor does a `tcp_` that was left out.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let name = plain(name);
    let similarity = |known: &str| {
        let known = plain(known);
        let bare = strsim::jaro_winkler(&name, known.trim_start_matches("tcp_"));
        strsim::jaro_winkler(&name, &known).max(bare)
    };
    known
        .into_iter()
        .map(|known| (similarity(known), known))
        .filter(|(similarity, _)| *similarity > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// [`nearest`] as a question: "did you mean tcp_fin_timeout?".
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|known| format!("did you mean {known}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_forgiven_and_what_is_unlike_everything_is_not_guessed_at() {
        let known = ["tcp_fin_timeout", "tcp_keepalive_time", "CLOSE_WAIT", "rst-after"];
        let meant = |name| nearest(name, known);
        assert_eq!(meant("tcp_fin_timeot"), Some("tcp_fin_timeout"));
        assert_eq!(meant("fin_timeout"), Some("tcp_fin_timeout"), "the prefix was left out");
        assert_eq!(meant("close-wiat"), Some("CLOSE_WAIT"));
        assert_eq!(meant("rst"), Some("rst-after"));
        assert_eq!(meant("xyz"), None);
        assert_eq!(meant(""), None);
        assert_eq!(nearest("anything", []), None);
        let question = did_you_mean("fin timeout", known);
        assert_eq!(question.as_deref(), Some("did you mean tcp_fin_timeout?"));
    }
}

//! `--fault SPEC`.

use fourwave_gateway::{FaultSpec, FaultSpecError};
use fourwave_lens::suggest::did_you_mean;

/// Reads one specification.
pub(crate) fn parse_fault(text: &str) -> Result<FaultSpec, String> {
    text.parse().map_err(|error: FaultSpecError| {
        let question = match &error {
            FaultSpecError::UnknownFault { name } => did_you_mean(name, FaultSpec::NAMES),
            _ => None,
        };
        question.map_or_else(|| error.to_string(), |question| format!("{error}; {question}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_or_refused_with_the_nearest_known_one() {
        assert_eq!(parse_fault("drop:fin:2@:80").unwrap().to_string(), "drop:fin:2@:80");
        let refused = |text: &str| parse_fault(text).unwrap_err();
        assert!(refused("los:1%").ends_with("did you mean loss?"), "{}", refused("los:1%"));
        assert!(refused("rst:1000").ends_with("did you mean rst-after?"));
        assert!(refused("duplicate:1%").ends_with("did you mean dup?"));
        let unlike = refused("xyz:1");
        assert!(unlike.starts_with("there is no fault \"xyz\": drop, delay"), "{unlike}");
        assert!(!unlike.contains("did you mean"), "{unlike}");
    }
}

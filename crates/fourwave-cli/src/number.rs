//! Whole numbers on the command line.

use std::ops::RangeInclusive;

/// The parser of a whole number within `range`, whose mistakes say what is asked for.
pub(crate) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match *range.end() {
            u64::MAX => format!("it takes a whole number of at least {}", range.start()),
            end => format!("it takes a whole number from {} to {end}", range.start()),
        })
    }
}

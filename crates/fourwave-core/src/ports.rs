//! The port of an outgoing connection (RFC 6056).

/// A port from `first..=last` for which `is_free` holds: the search starts at a place that is
/// secret for each destination and moves on with each choice (RFC 6056 §3.3.3). O(1) while the
/// range is mostly free, O(range) at worst. `None` when every port is taken.
pub(crate) fn choose(
    (first, last): (u16, u16),
    start: u32,
    mut is_free: impl FnMut(u16) -> bool,
) -> Option<u16> {
    let count = u32::from(last) - u32::from(first) + 1;
    (0..count).map(|i| first + ((start % count + i) % count) as u16).find(|&port| is_free(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_fails_while_one_is_free() {
        for start in [0, 7, 12_345, u32::MAX] {
            assert_eq!(choose((100, 109), start, |p| p == 104), Some(104));
            assert_eq!(choose((100, 109), start, |_| false), None);
        }
        assert_eq!(choose((1, 65_535), u32::MAX, |p| p == 65_535), Some(65_535));
    }
}

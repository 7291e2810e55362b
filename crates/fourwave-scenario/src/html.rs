//! A performance as one page.

use crate::Performance;

/// The page.
pub fn render(_performance: &Performance) -> String {
    String::new()
}

//! What the system said, for a person.

use std::io;

/// An error in the system's words, without the number that Rust puts after them: "No space left
/// on device". What an error of one's own quotes loses its number too.
pub fn reason(error: &io::Error) -> String {
    const NUMBER: &str = " (os error ";
    let mut text = error.to_string();
    while let Some(from) = text.find(NUMBER) {
        let Some(length) = text[from..].find(')') else { break };
        text.replace_range(from..=from + length, "");
    }
    text
}

/// The kernel's words for an error's number.
pub fn reason_of(errno: i32) -> String {
    reason(&io::Error::from_raw_os_error(errno))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn the_words_stay_and_the_number_goes() {
        let full = io::Error::from(Errno::NOSPC);
        assert_eq!(reason(&full), "No space left on device");
        let quoted = io::Error::other(format!("cannot write x: {full}; {full}."));
        let words = "cannot write x: No space left on device; No space left on device.";
        assert_eq!(reason(&quoted), words);
        assert_eq!(reason(&io::ErrorKind::UnexpectedEof.into()), "unexpected end of file");
        assert_eq!(reason(&io::Error::other("odd (os error ")), "odd (os error ");
    }
}

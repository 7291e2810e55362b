//! Text to tokens, for the three languages of a script.
//!
//! | language | where |
//! | --- | --- |
//! | packetdrill's own | `script.rs`, for [`lang`](crate::lang) |
//! | the code of `%{ … }%`, Python in form | `code.rs` |
//! | the shell's, in commands | `shell.rs` |
//! | what they share: places, runs of characters, comments | `scan.rs` |
//! | … quotes, escapes, whole numbers | `text.rs` |

pub(crate) mod code;
mod scan;
pub(crate) mod script;
pub(crate) mod shell;
pub(crate) mod text;

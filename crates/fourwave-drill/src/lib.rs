//! packetdrill scripts, played against the engine in virtual time or against Linux in real time.
//!
//! | step | where |
//! | --- | --- |
//! | text → script | [`lang`] makes an [`ast::Script`]; errors name line, column and what was expected |
//! | script → calls, packets and checks | `run`: the same for every target |
//! | calls and packets → a stack | a [`target::Target`]: `virt` (the engine) or `linux` |
//! | what came out → lines for people and machines | [`report`] |
//! | capture → script | [`capture`] |

pub mod ast;
pub mod capture;
pub mod lang;
pub mod linux;
pub mod report;
pub mod run;
mod setup;
pub mod symbols;
pub mod syscall;
pub mod target;
pub mod virt;

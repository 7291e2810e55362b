//! packetdrill scripts, played against the engine in virtual time or against Linux in real time.
//!
//! | step | where |
//! | --- | --- |
//! | text → tokens, of scripts, their code and their commands | `lex` |
//! | tokens → [`ast::Script`] | [`lang`]; its errors name line, column and what was expected |
//! | [`ast::Script`] → calls, packets and checks | [`run`], the same for every target |
//! | names of constants → numbers, and back | [`symbols`]; socket options `sockopt` |
//! | a call ([`syscall::SysCall`]) or packet → a stack | a [`target::Target`] |
//! | … the engine in virtual time | [`virt`] |
//! | … the running kernel in a namespace, in real time | [`linux`] |
//! | what came out → lines for people and machines | [`report`] |
//! | a capture's connection → a script's text | [`capture`] |
//!
//! A part of the command `fourwave`: this crate promises nothing about its interface, which changes
//! with any release.
#![forbid(unsafe_code)]

pub mod ast;
pub mod capture;
pub mod lang;
mod lex;
pub mod linux;
mod profile;
pub mod report;
pub mod run;
mod setup;
mod sockopt;
pub mod symbols;
pub mod syscall;
pub mod target;
pub mod virt;

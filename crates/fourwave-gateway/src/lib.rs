//! `fourwave run`: an unmodified program in a network namespace of its own, and the relay of
//! that namespace's packets to host sockets.

pub mod addresses;

//! fourwave
fn main() {}

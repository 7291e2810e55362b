//! What the two ends are called.

use std::net::{IpAddr, SocketAddr};

use crate::words::Role;

/// How one end is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its title above a ladder; `{}` stands for address and port.
    pub title: String,
    /// The word for it in sentences: `the program`.
    pub word: String,
}

/// The names of the ends: by address, and for all other addresses by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of single hosts; the first that fits counts.
    pub hosts: Vec<(IpAddr, Name)>,
    /// Title of every other end; `{}` stands for address and port. Empty for `{}` alone.
    pub other_title: String,
}

impl Names {
    /// Names for a gateway's program: it lives at `addresses`, and fourwave speaks for everyone
    /// else.
    pub fn gateway(addresses: &[IpAddr]) -> Self {
        let name = Name { title: "program {}".to_owned(), word: "the program".to_owned() };
        Self {
            hosts: addresses.iter().map(|&host| (host, name.clone())).collect(),
            other_title: "{} (fourwave)".to_owned(),
        }
    }

    /// Whether the end has a name of its own.
    pub fn is_named(&self, addr: SocketAddr) -> bool {
        self.find(addr).is_some()
    }

    fn find(&self, addr: SocketAddr) -> Option<&Name> {
        self.hosts.iter().find(|(host, _)| *host == addr.ip()).map(|(_, name)| name)
    }

    /// The title above the ladder: `program 10.4.0.100:40000`.
    pub fn title(&self, addr: SocketAddr) -> String {
        let title = self.find(addr).map_or(self.other_title.as_str(), |name| &name.title);
        let title = if title.is_empty() { "{}" } else { title };
        title.replace("{}", &addr.to_string())
    }

    /// The word in sentences: `the program`, or by role `the client`, `the server`.
    pub fn word(&self, role: Role, addr: SocketAddr) -> String {
        match (self.find(addr), role) {
            (Some(name), _) => name.word.clone(),
            (None, Role::Client) => "the client".to_owned(),
            (None, Role::Server) => "the server".to_owned(),
        }
    }
}

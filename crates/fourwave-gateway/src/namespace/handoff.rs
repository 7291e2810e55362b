//! What the parent and the child stage tell each other.

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What the parent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) mtu: u16,
    /// The program is the user's shell: it ignores SIGTERM, but not SIGHUP.
    pub(super) interactive: bool,
}

/// One message of either side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// To the child, first.
    Request(Request),
    /// From the child, with a descriptor: its network namespace.
    Namespace,
    /// From the child: the namespace is ready. With the descriptors of the TUN and, where it may be
    /// had, of the socket that hears refusals on the loopback.
    Ready { warnings: Vec<String> },
    /// To the child: become the program.
    Go,
    /// From the child: nothing will run.
    Failed(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::AsFd;

    use rustix::io::Errno;

    use crate::channel::Channel;

    #[test]
    fn messages_and_a_descriptor_cross_whole_and_a_closed_end_is_none() {
        let (a, b) = Channel::pair().unwrap();
        let request = Message::Request(Request { mtu: 1500, interactive: true });
        a.send(&request, &[]).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let ready = Message::Ready { warnings: vec!["w".into()] };
        a.send(&ready, &[reader.as_fd()]).unwrap();
        drop((a, reader));
        assert_eq!(b.receive::<Message>().unwrap().unwrap().0, request);
        let (message, mut descriptors) = b.receive::<Message>().unwrap().unwrap();
        assert_eq!(message, ready);
        let mut passed = std::fs::File::from(descriptors.remove(0));
        (&writer).write_all(b"through").unwrap();
        drop(writer);
        assert_eq!(std::io::read_to_string(&mut passed).unwrap(), "through");
        assert!(b.receive::<Message>().unwrap().is_none());
    }

    #[test]
    fn a_failure_crosses_as_the_same_value() {
        let (a, b) = Channel::pair().unwrap();
        let failed = Message::Failed(Failure::step("mounting", Errno::PERM));
        a.send(&failed, &[]).unwrap();
        assert_eq!(b.receive::<Message>().unwrap().unwrap().0, failed);
    }
}

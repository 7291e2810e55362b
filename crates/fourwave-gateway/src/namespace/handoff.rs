//! The socket pair between the parent and the child stage: whole messages, some of them with
//! descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Failure;

/// Longest message: warnings and paths, nothing that grows.
const MAX_MESSAGE: usize = 16 * 1024;
/// Most descriptors of one message.
const MAX_DESCRIPTORS: usize = 2;

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

/// One end of the pair; close-on-exec.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> Result<(Self, Self), Failure> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|errno| Failure::step("socketpair", errno))?;
        Ok((Self(ours), Self(theirs)))
    }

    pub(crate) const fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn send<M: Serialize>(
        &self,
        message: &M,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Failure> {
        let text = serde_json::to_vec(message).map_err(|_| Failure::Vanished)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        loop {
            let parts = [IoSlice::new(&text)];
            match sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::step("sendmsg to the other process", errno)),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The next message and the descriptors that came with it; none when the other end is closed.
    pub(crate) fn receive<M: DeserializeOwned>(
        &self,
    ) -> Result<Option<(M, Vec<OwnedFd>)>, Failure> {
        let mut text = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut text)];
            match recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Ok(None),
                Err(errno) => return Err(Failure::step("recvmsg from the other process", errno)),
                Ok(received) => break received,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        let message =
            serde_json::from_slice(&text[..received.bytes]).map_err(|_| Failure::Vanished)?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

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

//! TCP Fast Open (RFC 7413): the cookies that a listener gives out, and those that a client
//! remembers. How a connection opens with them stands in `engine::fast`.

use core::hash::Hasher;
use core::net::IpAddr;

use fourwave_wire::options::FastOpen;
use siphasher::sip::SipHasher24;

use crate::by_host::ByHost;
use crate::event::ListenerId;
use crate::secret::KeyedHash;
use crate::time::{Duration, Instant};

/// Bits of `tcp_fastopen`, as in Linux.
pub(crate) mod bit {
    /// Outgoing connections may send text on the SYN.
    pub(crate) const CLIENT: u64 = 1;
    /// Listeners that ask for it take text on SYNs.
    pub(crate) const SERVER: u64 = 2;
    /// Outgoing connections send text without a cookie.
    pub(crate) const CLIENT_NO_COOKIE: u64 = 4;
    /// Listeners take text without a cookie.
    pub(crate) const SERVER_NO_COOKIE: u64 = 0x200;
    /// All listeners take part, asked or not.
    pub(crate) const EVERY_LISTENER: u64 = 0x400;
}

/// Hosts whose cookie is remembered.
const REMEMBERED: usize = 1024;

/// A key from which cookies are made: 128 bits.
pub type FastOpenKey = [u8; 16];

/// The keys of an engine or a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastOpenKeys {
    /// New cookies are made with it.
    pub primary: FastOpenKey,
    /// The key before it: its cookies are still believed, and replaced.
    pub backup: Option<FastOpenKey>,
}

/// What a cookie is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Made with the primary key.
    Valid,
    /// Made with the backup key: a new one is due.
    Old,
    /// Made with none.
    Wrong,
}

/// The cookie of one pair of hosts (RFC 7413 §4.1.2): as Linux makes it, so that machines of
/// both kinds behind one address may share a key.
fn cookie(key: &FastOpenKey, client: IpAddr, server: IpAddr) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(key);
    for ip in [client, server] {
        match ip {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
    }
    hasher.finish().to_le_bytes()
}

impl FastOpenKeys {
    /// The cookie that a server with these keys gives to a client.
    pub fn cookie(&self, client: IpAddr, server: IpAddr) -> [u8; 8] {
        cookie(&self.primary, client, server)
    }

    /// The option that gives a client its cookie, in the kind of option that it used.
    pub(crate) fn give(&self, client: IpAddr, server: IpAddr, like: &FastOpen) -> Option<FastOpen> {
        FastOpen::new(&self.cookie(client, server), like.experimental)
    }

    pub(crate) fn judge(&self, client: IpAddr, server: IpAddr, option: &FastOpen) -> Worth {
        let made_with = |key: &FastOpenKey| cookie(key, client, server)[..] == *option.cookie();
        match self.backup {
            _ if made_with(&self.primary) => Worth::Valid,
            Some(key) if made_with(&key) => Worth::Old,
            _ => Worth::Wrong,
        }
    }
}

/// What is remembered of a host.
#[derive(Clone, Copy, Debug)]
struct Host {
    /// None where only its MSS is known.
    cookie: Option<FastOpen>,
    mss: u16,
    /// Requests that were not answered: after one in the standard option comes one in the
    /// experimental option, then the standard one for good.
    unanswered: Unanswered,
    /// Until when it is left alone (`tcp_fastopen_path_disable_sec`).
    paused_until: Instant,
}

/// See [`Host::unanswered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    None,
    Standard,
    Both,
}

impl Host {
    fn new(mss: u16) -> Self {
        Self { cookie: None, mss, unanswered: Unanswered::None, paused_until: Instant::ZERO }
    }
}

/// What clients remember of the hosts they opened connections to (RFC 7413 §4.1.3). O(1).
#[derive(Clone)]
pub(crate) struct Cookies {
    hosts: ByHost<Host>,
    /// When Fast Open was last found to be blocked on the way, and how often in a row.
    blocked: Option<(Instant, u32)>,
}

/// A connection's part in Fast Open.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Part {
    /// Goes onto the first SYN, or SYN ACK.
    pub(crate) option: Option<FastOpen>,
    /// Bytes of text on our SYN.
    pub(crate) text: u32,
    /// The text of a SYN was taken: ours by the peer, or the peer's by us (TCPI_OPT_SYN_DATA).
    pub(crate) taken: bool,
    /// We answered a SYN with a connection before the handshake was through.
    pub(crate) passive: bool,
    /// The listener whose queue of such connections it stands in, until the handshake is through.
    pub(crate) waits_at: Option<ListenerId>,
}

/// How a SYN takes part in Fast Open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Goes onto the SYN; none where no cookie is used.
    pub(crate) option: Option<FastOpen>,
    /// Text may ride on the SYN, in a segment of this MSS at most (RFC 7413 §4.1.3).
    pub(crate) mss: Option<u16>,
}

impl Cookies {
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self { hosts: ByHost::new(hash, REMEMBERED), blocked: None }
    }

    /// What the SYN to `host` carries.
    pub(crate) fn offer(&self, host: IpAddr, no_cookie: bool) -> Offer {
        let known = self.hosts.get(host);
        let mss = known.map_or(u16::MAX, |known| known.mss);
        if no_cookie {
            return Offer { option: None, mss: Some(mss) };
        }
        match known.and_then(|known| known.cookie) {
            Some(cookie) => Offer { option: Some(cookie), mss: Some(mss) },
            None => {
                let experimental =
                    known.is_some_and(|known| known.unanswered == Unanswered::Standard);
                Offer { option: FastOpen::new(&[], experimental), mss: None }
            }
        }
    }

    /// Whether a SYN to `host` would carry text.
    pub(crate) fn knows(&self, host: IpAddr) -> bool {
        self.hosts.get(host).is_some_and(|known| known.cookie.is_some())
    }

    /// `host` refused: it is left alone for `pause`.
    pub(crate) fn pause(&mut self, host: IpAddr, now: Instant, pause: Duration) {
        let empty = Host::new(u16::MAX);
        self.hosts.get_or_insert(host, empty).paused_until = now + pause;
    }

    pub(crate) fn is_paused(&self, host: IpAddr, now: Instant) -> bool {
        self.hosts.get(host).is_some_and(|known| now < known.paused_until)
    }

    /// A SYN ACK came. `asked`: our SYN asked for a cookie, in this kind of option.
    pub(crate) fn learn(
        &mut self,
        host: IpAddr,
        mss: u16,
        cookie: Option<FastOpen>,
        asked: Option<FastOpen>,
    ) {
        let cookie = cookie.filter(|option| !option.cookie().is_empty());
        let empty = Host::new(mss);
        let known = self.hosts.get_or_insert(host, empty);
        known.mss = mss;
        match (cookie, asked) {
            (Some(cookie), _) => known.cookie = Some(cookie),
            // An old host may know the experimental option only.
            (None, Some(asked)) if asked.experimental => known.unanswered = Unanswered::Both,
            (None, Some(_)) if known.unanswered == Unanswered::None => {
                known.unanswered = Unanswered::Standard;
            }
            (None, _) => {}
        }
    }

    pub(crate) fn clear(&mut self) {
        self.hosts.clear();
    }

    /// Fast Open was found to be blocked on the way (RFC 7413 §4.2.1's middleboxes): nobody tries
    /// it for `pause`, twice as long for each time in a row, up to 64 times.
    pub(crate) fn block(&mut self, now: Instant) {
        let times = self.blocked.map_or(0, |(_, times)| times + 1);
        self.blocked = Some((now, times));
    }

    pub(crate) fn is_blocked(&self, now: Instant, pause: Duration) -> bool {
        let Some((at, times)) = self.blocked else { return false };
        !pause.is_zero() && now.since(at) < pause * (1 << times.min(6))
    }

    /// It works again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const KEYS: FastOpenKeys = FastOpenKeys {
        primary: [
            0xa1, 0xa1, 0xa1, 0xa1, 0xb2, 0xb2, 0xb2, 0xb2, 0xc3, 0xc3, 0xc3, 0xc3, 0xd4, 0xd4,
            0xd4, 0xd4,
        ],
        backup: Some([0; 16]),
    };

    #[test]
    fn cookies_are_those_of_linux() {
        // As a Linux 6.18 with tcp_fastopen_key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4 gives them.
        let (client, server) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 168, 0, 1]));
        assert_eq!(cookie(&KEYS.primary, client, server), 0x3021_b9d8_8901_7eeb_u64.to_be_bytes());
        assert_eq!(cookie(&[0; 16], client, server), 0xb7c1_2350_a90d_c8f5_u64.to_be_bytes());
    }

    #[test]
    fn rfc7413_4_1_2_the_key_before_is_believed_and_replaced() {
        let (client, server) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([5, 6, 7, 8]));
        let ask = FastOpen::new(&[], false).unwrap();
        let given = KEYS.give(client, server, &ask).unwrap();
        assert_eq!(KEYS.judge(client, server, &given), Worth::Valid);
        assert_eq!(KEYS.judge(server, client, &given), Worth::Wrong);
        assert_eq!(KEYS.judge(client, server, &ask), Worth::Wrong);
        let old = FastOpen::new(&cookie(&[0; 16], client, server), false).unwrap();
        assert_eq!(KEYS.judge(client, server, &old), Worth::Old);
    }

    #[test]
    fn rfc7413_4_1_3_1_a_host_that_refused_is_left_alone_for_a_while() {
        let mut cookies = Cookies::new(Secret::new(&[0; 32]).keyed_hash());
        let (host, other) = (IpAddr::from([1, 2, 3, 4]), IpAddr::from([1, 2, 3, 5]));
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        cookies.pause(host, at(100), Duration::from_secs(50));
        assert!(cookies.is_paused(host, at(149)) && !cookies.is_paused(host, at(150)));
        assert!(!cookies.is_paused(other, at(120)));
    }

    #[test]
    fn a_blocked_way_is_tried_again_later_each_time() {
        let mut cookies = Cookies::new(Secret::new(&[0; 32]).keyed_hash());
        let pause = Duration::from_secs(10);
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        cookies.block(at(0));
        assert!(cookies.is_blocked(at(9), pause) && !cookies.is_blocked(at(10), pause));
        cookies.block(at(10));
        assert!(cookies.is_blocked(at(29), pause) && !cookies.is_blocked(at(30), pause));
        cookies.unblock();
        assert!(!cookies.is_blocked(at(11), pause));
    }
}

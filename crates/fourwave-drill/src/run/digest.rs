//! RFC 2385's digests, and whether they are right.

use std::net::IpAddr;

use md5::{Digest, Md5};

use crate::run::raw::{Envelope, Segment};

/// The digest of a segment under a secret (RFC 2385 §2.0): pseudo-header, header without options
/// and with a checksum of 0, payload, secret.
pub(crate) fn of(ip: Envelope, tcp: &Segment, secret: &[u8]) -> [u8; 16] {
    let bytes = tcp.bytes();
    let mut md5 = Md5::new();
    for address in [ip.src, ip.dst] {
        match address {
            IpAddr::V4(address) => md5.update(address.octets()),
            IpAddr::V6(address) => md5.update(address.octets()),
        }
    }
    let len = bytes.len() as u32;
    if ip.src.is_ipv6() {
        md5.update(len.to_be_bytes());
        md5.update([0, 0, 0, 6]);
    } else {
        md5.update([0, 6]);
        md5.update((len as u16).to_be_bytes());
    }
    md5.update(&bytes[..20]);
    md5.update(&bytes[20 + tcp.options.len()..]);
    md5.update(secret);
    md5.finalize().into()
}

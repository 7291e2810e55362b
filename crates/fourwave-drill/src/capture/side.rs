//! Which side of a connection the stack under test plays.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use fourwave_lens::Role;

use super::packet::{ACK, SYN};
use super::{CaptureError, Connection};

/// Why a side was taken for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for.
    Asked,
    /// The capture marks its packets as outgoing.
    Outgoing,
    /// Of the two addresses it is the one of a private network.
    Private,
    /// It answered sooner in the handshake, so the capture was made there.
    Nearer,
    /// It opened the connection, and nothing tells more.
    Opener,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as asked for",
            Self::Outgoing => "whose packets the capture marks as outgoing",
            Self::Private => "the one with a private address",
            Self::Nearer => "which answered sooner in the handshake",
            Self::Opener => "which opened the connection",
        })
    }
}

/// The side, and why.
pub(super) fn choose(
    conn: &Connection,
    local: Option<IpAddr>,
) -> Result<(Role, Reason), CaptureError> {
    if let Some(local) = local {
        let ends = [conn.client, conn.server];
        return match (conn.client.ip() == local, conn.server.ip() == local) {
            (true, _) => Ok((Role::Client, Reason::Asked)),
            (false, true) => Ok((Role::Server, Reason::Asked)),
            (false, false) => Err(CaptureError::NotAnEnd { number: conn.number, local, ends }),
        };
    }
    let sends = |role| conn.segs.iter().any(|seg| seg.outgoing == Some(true) && seg.from == role);
    // Within one host both are outgoing.
    match (sends(Role::Client), sends(Role::Server)) {
        (true, false) => return Ok((Role::Client, Reason::Outgoing)),
        (false, true) => return Ok((Role::Server, Reason::Outgoing)),
        _ => {}
    }
    match (is_private(conn.client.ip()), is_private(conn.server.ip())) {
        (true, false) => return Ok((Role::Client, Reason::Private)),
        (false, true) => return Ok((Role::Server, Reason::Private)),
        _ => {}
    }
    Ok(match nearer(conn) {
        Some(role) => (role, Reason::Nearer),
        None => (Role::Client, Reason::Opener),
    })
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

/// Who takes less time to answer: the server the SYN, or the client the SYN ACK.
fn nearer(conn: &Connection) -> Option<Role> {
    let syn = conn.segs.iter().find(|seg| seg.is_syn())?;
    let syn_ack = conn.segs.iter().find(|seg| seg.has(SYN) && seg.has(ACK))?;
    let ack = conn.segs.iter().find(|seg| {
        seg.at >= syn_ack.at && seg.from == syn.from && seg.has(ACK) && !seg.has(SYN)
    })?;
    let server = syn_ack.at.checked_sub(syn.at)?;
    let client = ack.at.checked_sub(syn_ack.at)?;
    // Within a machine both are as quick.
    let margin = Duration::from_micros(200);
    if server + margin < client {
        Some(Role::Server)
    } else if client + margin < server {
        Some(Role::Client)
    } else {
        None
    }
}

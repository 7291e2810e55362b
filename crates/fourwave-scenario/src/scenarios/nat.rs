//! Many clients behind one address.

use std::net::Ipv4Addr;

use fourwave_core::time::Duration;
use fourwave_core::{ConnId, EndReason};
use fourwave_lens::Name;
use fourwave_lens::units::{count, counted, span};

use super::Scenario;
use crate::failure::Failure;
use crate::nat::Nat;
use crate::script::{Script, expect};
use crate::world::{CLIENT, SERVER, World};

/// The second client.
const OTHER: usize = 2;
/// The address that the server sees.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
/// The first client's clock of timestamps is ahead of the second's with this seed.
const OTHER_SEED: u8 = 4;

pub(super) const NAT_RECYCLE: Scenario = Scenario {
    name: "nat-recycle",
    title: "tcp_tw_recycle and two clients behind one NAT: why Linux removed it",
    about: "tcp_tw_recycle shortens TIME_WAIT to 3.5 retransmission timeouts and makes up for it \
            by remembering the newest timestamp of each host: a SYN with an older one is taken \
            for an old duplicate and dropped without a word. Behind a NAT many machines share \
            one address, and each has a timestamp clock of its own. The one whose clock is \
            behind cannot connect while another one does: no error, no RST, only silence.",
    script: nat_recycle,
};

fn nat_recycle(s: &mut Script) -> Result<(), Failure> {
    let off = behind_one_nat(s, "with tcp_tw_recycle=0 at the server", "0")?;
    let on = behind_one_nat(s, "with tcp_tw_recycle=1 at the server", "1")?;
    expect("the second client's connection with tcp_tw_recycle=0", "orderly", off.reason.name())?;
    let reason = on.reason.name();
    expect("the second client's connection with tcp_tw_recycle=1", "connect-timeout", reason)?;
    expect("SYNs dropped with tcp_tw_recycle=0 (TcpExtPAWSPassive)", 0, off.dropped)?;
    let syns = s.config().tcp_syn_retries + 1;
    expect("SYNs dropped with tcp_tw_recycle=1 (TcpExtPAWSPassive)", syns, on.dropped)?;
    s.outcome("without it, both clients are served");
    s.outcome(format!(
        "with it, the server dropped {} of the second client, whose connect() failed after {}; the \
         first client was served all the while",
        counted(on.dropped, "SYN"),
        span(on.lasted)
    ));
    s.metric("syns_dropped", on.dropped);
    s.metric("connect_failed_after_seconds", on.lasted.as_secs());
    Ok(())
}

/// What became of the second client.
struct Second {
    reason: EndReason,
    lasted: Duration,
    dropped: u64,
}

/// The first client comes every twenty seconds, the second one once; the server closes first.
fn behind_one_nat(s: &mut Script, title: &str, recycle: &str) -> Result<Second, Failure> {
    let server = s.config_with(&[("tcp_tw_recycle", recycle)])?;
    let mut w = World::new(s.config(), server);
    w.add("second client", Ipv4Addr::new(192, 0, 2, 2), s.config(), OTHER_SEED);
    w.filter.nat = Some(Nat::new(OUTSIDE, &[CLIENT, OTHER]));
    w.filter.narrators = vec![SERVER, OTHER];
    let name = Name { title: "NAT {}".to_owned(), word: "the client behind the NAT".to_owned() };
    w.names.hosts.push((OUTSIDE.into(), name));

    let first = w.connect(CLIENT, 0).map_err(failed)?;
    serve(&mut w, CLIENT, first)?;
    let other = w.connect(OTHER, 0).map_err(failed)?;
    w.run_ms(40);
    if let [first, .., second] = w.filter.syn_timestamps[..] {
        let word = format!(
            "its timestamp is {}; the first client, from the same address, had {}",
            count(second.into()),
            count(first.into())
        );
        w.note(OTHER, other, &word);
    }
    if recycle == "0" {
        serve_accepted(&mut w, OTHER, other)?;
    }
    for _ in 0..12 {
        w.run_for(Duration::from_secs(20));
        let again = w.connect(CLIENT, 0).map_err(failed)?;
        serve(&mut w, CLIENT, again)?;
    }
    w.run_to_the_end()?;
    let report = w.report(OTHER, other)?;
    let seen = s.show_some(title, w, vec![1, 2]);
    Ok(Second {
        reason: report.reason,
        lasted: report.ended.since(report.opened),
        dropped: seen.counters(SERVER).paws_passive,
    })
}

fn failed(error: fourwave_core::error::ConnectError) -> Failure {
    Failure::new("connect", "done", error.to_string())
}

/// One short connection that the server closes first.
fn serve(w: &mut World, client: usize, conn: ConnId) -> Result<(), Failure> {
    w.run_ms(40);
    serve_accepted(w, client, conn)
}

fn serve_accepted(w: &mut World, client: usize, conn: ConnId) -> Result<(), Failure> {
    let peer = w
        .accept(SERVER)
        .ok_or_else(|| Failure::new("the server's queue", "a connection", "none".to_owned()))?;
    w.send(client, conn, b"GET /")?;
    w.run_ms(20);
    w.read(SERVER, peer);
    w.send(SERVER, peer, b"hello")?;
    w.close(SERVER, peer)?;
    w.run_ms(20);
    w.read(client, conn);
    w.close(client, conn)?;
    w.run_ms(40);
    Ok(())
}

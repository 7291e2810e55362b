//! A crowd: many hosts, most of them clients of one server, and many short connections on few
//! ports, so that numbers come again while TIME_WAIT remembers them.

use std::collections::BTreeSet;
use std::time::Duration;

use fourwave_core::{Config, Instant};

use super::draw::{address, end, host, impolite, pipe, start};
use super::{ConnPlan, EndPlan, Finish, HostPlan, Open, PipePlan, Plan};
use crate::dice::Dice;

/// The most hosts.
const MOST_HOSTS: u64 = 12;
/// The least and the most connections.
const CONNS: (u64, u64) = (40, 400);
/// The most that one end sends, and writes of it at most. So little, and the pace so slow, that
/// the clock of the ISNs is ahead of what an earlier connection on the same port sent: otherwise
/// its old duplicates could be taken for new data where nothing remembers it (RFC 9293 §3.4.1).
const MOST_BYTES: (u64, u64) = (20_000, 40);
/// Least time between two connections of a host: see [`MOST_BYTES`].
const PACE: Duration = Duration::from_millis(100);

pub(super) fn plan(seed: u64) -> Plan {
    let mut dice = Dice::new(seed, 0);
    let strict = dice.chance(0.5);
    let count = dice.between(4, MOST_HOSTS) as u8;
    let servers = dice.between(1, u64::from(count / 3));
    let hosts: Vec<HostPlan> = (0..count)
        .map(|n| {
            let mut host = host(&mut dice, vec![address(n, false), address(n, true)]);
            host.listener.backlog = dice.pick(&[1, 2, 5, 16, 128]);
            crowded(&mut dice, &mut host.config, strict);
            host
        })
        .collect();
    let v6 = dice.pick(&[0.0, 0.5, 0.5, 1.0]);
    let span = Duration::from_secs(dice.between(5, 60));
    let total = CONNS.0 + dice.magnitude(CONNS.1 - CONNS.0);
    let conns: Vec<ConnPlan> = (0..total)
        .map(|_| {
            // Most of them to one destination.
            let server = if dice.chance(0.8) { 0 } else { dice.below(servers) } as usize;
            let client = dice.between(servers, u64::from(count) - 1) as usize;
            let start = within(&mut dice, span);
            let family = usize::from(dice.chance(v6));
            conn(&mut dice, [client, server], start, family, strict)
        })
        .collect();
    let mut pipes = pipes(&mut dice, &conns);
    if !strict && dice.chance(0.3) {
        // A host falls off the network.
        let dark = dice.below(u64::from(count)) as usize;
        let at = within(&mut dice, span);
        for pipe in pipes.iter_mut().filter(|pipe| pipe.from == dark || pipe.to == dark) {
            pipe.dead_after = Some(at);
        }
    }
    let mut plan = Plan { seed, start: Instant::ZERO, hosts, pipes, conns, strict, pace: PACE };
    plan.start = start(&mut dice, &plan);
    plan
}

/// Any time of a span, all equally likely.
fn within(dice: &mut Dice, span: Duration) -> Duration {
    Duration::from_micros(dice.below(span.as_micros() as u64))
}

/// Knobs for many short connections: few ports, and where it is not strict, TIME_WAITs that are
/// short, few, or taken over, and limits that are met.
fn crowded(dice: &mut Dice, config: &mut Config, strict: bool) {
    config.ip_local_port_first = 40_000;
    config.ip_local_port_last = 40_000 + dice.pick(&[4, 8, 16, 64]);
    config.tcp_timewait_len = dice.pick(&[30, 60, 120]);
    if strict {
        config.tcp_tw_reuse = dice.pick(&[0, 2]);
        return;
    }
    config.tcp_tw_reuse = dice.pick(&[0, 1, 1]);
    config.tcp_tw_reuse_delay = dice.pick(&[1, 100, 1000]);
    config.tcp_timewait_len = dice.pick(&[4, 10, 30, 60]);
    config.tcp_max_tw_buckets = dice.pick(&[0, 3, 20, 262_144, 262_144]);
    config.tw_overflow = dice.below(3);
    config.tcp_max_orphans = dice.pick(&[0, 2, 10, 65_536, 65_536, 65_536]);
    config.tcp_orphan_retries = dice.pick(&[1, 3, 15]);
    config.tcp_fin_timeout = dice.pick(&[0, 1, 5, 60]);
    config.tcp_max_syn_backlog = dice.pick(&[1, 4, 4096]);
    config.tcp_abort_on_overflow = dice.pick(&[0, 0, 0, 1]);
    config.tcp_synack_retries = dice.pick(&[0, 2, 20]);
    config.tcp_syn_retries = dice.pick(&[3, 6]);
    config.tcp_retries2 = dice.pick(&[5, 15]);
}

fn conn(
    dice: &mut Dice,
    hosts: [usize; 2],
    start: Duration,
    family: usize,
    strict: bool,
) -> ConnPlan {
    let mut ends = hosts.map(|host| end(dice, host, MOST_BYTES));
    let [a, b] = finishes(dice);
    // Lives are short: no reader takes a byte at a time.
    ends.iter_mut().for_each(|end| end.read = end.read.max(512));
    let slow = ends.each_ref().map(|end| end.read_pause.0 > 0.0);
    ends[0].patient = strict && slow[1];
    ends[1].patient = strict && slow[0];
    for (end, finish) in ends.iter_mut().zip([a, b]) {
        end.finish = finish;
        linger(dice, end);
        if !strict && dice.chance(0.1) {
            end.user_timeout = Some(dice.time(Duration::from_secs(20)));
        }
    }
    let open = match dice.below(20) {
        0 => Open::Simultaneous,
        1 => Open::Refused,
        _ => Open::Ordinary,
    };
    ConnPlan { open, start, family, ends }
}

/// Either end may be the first to close; of two polite ends, one at least does not wait for the
/// other.
fn finishes(dice: &mut Dice) -> [Finish; 2] {
    use Finish::{CloseAtEnd, ReplyAfterEof, ShutdownThenDrain};
    let mut ends = [ShutdownThenDrain, dice.pick(&[ShutdownThenDrain, ReplyAfterEof, CloseAtEnd])];
    for end in &mut ends {
        if dice.chance(0.2) {
            *end = impolite(dice, MOST_BYTES.0);
        }
    }
    if dice.chance(0.5) {
        ends.reverse();
    }
    ends
}

/// An end that leaves early may say how long it is to be waited for.
fn linger(dice: &mut Dice, end: &mut EndPlan) {
    if end.finish == Finish::CloseAfterSend && dice.chance(0.5) {
        end.linger2 = Some(Duration::from_secs(dice.pick(&[0, 1, 10])));
    }
}

/// A link between any two that talk. What is on the way does not stay there for long.
fn pipes(dice: &mut Dice, conns: &[ConnPlan]) -> Vec<PipePlan> {
    let level = dice.pick(&[0.0, 0.2, 1.0, 1.0, 2.0]);
    let pairs: BTreeSet<(usize, usize)> = conns
        .iter()
        .map(|conn| (conn.ends[0].host, conn.ends[1].host))
        .flat_map(|(a, b)| [(a, b), (b, a)])
        .collect();
    let mut bounded = |(from, to)| {
        let mut pipe = pipe(dice, from, to, level);
        if pipe.faults.rate.is_some() {
            pipe.faults.rate = Some(1_250_000);
        }
        pipe
    };
    pairs.into_iter().map(&mut bounded).collect()
}

//! From a seed to a plan: a world of few, and what every plan is drawn of.

use std::net::IpAddr;
use std::time::Duration;

use fourwave_core::{Config, Engine, Instant};
use fourwave_fault::{FaultConfig, Probability};
use fourwave_wire::tcp::TcpHeader;
use fourwave_wire::{Link, TxPacket};

use super::{ConnPlan, EndPlan, Finish, HostPlan, LISTENS_ON, ListenerPlan, Open, PipePlan, Plan};
use crate::dice::Dice;

/// The most that one end sends, and writes of it at most.
const MOST_BYTES: (u64, u64) = (300_000, 2000);
/// The most connections of a world of few.
const MOST_CONNS: u64 = 8;
/// Two or three hosts and a few connections.
pub(super) fn few(seed: u64) -> Plan {
    let mut dice = Dice::new(seed, 0);
    let v6 = dice.chance(0.4);
    let count = if dice.chance(0.85) { 2 } else { 3 };
    let hosts: Vec<HostPlan> = (0..count).map(|n| host(&mut dice, vec![address(n, v6)])).collect();
    let pipes = pipes(&mut dice, hosts.len());
    let mut conns: Vec<ConnPlan> = Vec::new();
    let count = if dice.chance(0.4) { 1 } else { dice.between(1, MOST_CONNS) };
    for n in 0..count as usize {
        let conn = conn(&mut dice, n, &conns, hosts.len());
        conns.push(conn);
    }
    let start = Instant::ZERO;
    let mut plan = Plan { seed, start, hosts, pipes, conns, strict: true, pace: Duration::ZERO };
    plan.start = self::start(&mut dice, &plan);
    plan
}

/// Address of a host by its index.
pub(super) fn address(host: u8, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host) + 1])
    } else {
        IpAddr::from([10, 0, 0, host + 1])
    }
}

/// When it begins: anywhere, or shortly before a clock or a sequence number wraps.
pub(super) fn start(dice: &mut Dice, plan: &Plan) -> Instant {
    /// Microseconds after which the ISN's clock of 4 µs has gone round.
    const ISN_ROUND: u64 = 4 << 32;
    /// Microseconds after which the timestamp's clock has gone round.
    const TS_ROUND: u64 = 1000 << 32;
    let how = dice.below(4);
    let anywhere = Instant::from_micros(dice.below(ISN_ROUND * 8));
    match how {
        0 => anywhere,
        1 => Instant::ZERO,
        _ => {
            let Some(syn) = first_syn(plan, anywhere) else { return anywhere };
            let left = if how == 2 {
                u64::from(syn.seq.value().wrapping_neg()) * 4
            } else {
                let ts = syn.options.timestamps.map_or(0, |ts| ts.value);
                u64::from(ts.wrapping_neg()) * 1000
            };
            let before = if how == 2 { dice.below(400_000 * 4) } else { dice.below(5_000_000) };
            let round = if how == 2 { ISN_ROUND } else { TS_ROUND };
            Instant::from_micros(anywhere.as_micros() + left + round - before)
        }
    }
}

/// The SYN of a connection like the first one, were it opened at `now`.
fn first_syn(plan: &Plan, now: Instant) -> Option<TcpHeader> {
    let [client, server] = [0, 1].map(|side| plan.conns[0].ends[side].host);
    let host = &plan.hosts[client];
    let mut engine = Engine::new(host.config.clone(), host.link, host.seed);
    let family = plan.conns[0].family;
    let server = (plan.hosts[server].ips[family], LISTENS_ON).into();
    engine.connect(now, (host.ips[family], 0).into(), server).ok()?;
    let mut out = TxPacket::default();
    if !engine.poll_transmit(now, &mut out) {
        return None;
    }
    let ip_len = if host.ips[family].is_ipv6() { 40 } else { 20 };
    TcpHeader::parse(out.header.get(ip_len..)?).ok().map(|(header, _)| header)
}

pub(super) fn host(dice: &mut Dice, ips: Vec<IpAddr>) -> HostPlan {
    let mut seed = [0; 32];
    for part in seed.chunks_mut(8) {
        part.copy_from_slice(&dice.any().to_le_bytes());
    }
    let mtu = match dice.below(4) {
        0 => 1500,
        1 => 1280,
        2 => 9000,
        _ => dice.between(1280, 9000) as u16,
    };
    let link = Link {
        mtu,
        gso_max: dice.pick(&[0, 0, 65_535, 65_535, 16_000]),
        checksum_offload: dice.chance(0.5),
    };
    let deferred = dice.chance(0.3);
    HostPlan {
        ips,
        config: config(dice),
        link,
        seed,
        listener: ListenerPlan {
            backlog: dice.pick(&[1, 2, 128, 128]),
            decides_after: deferred.then(|| dice.time(Duration::from_secs(3))),
            ignores_first: deferred && dice.chance(0.2),
            accepts_after: if dice.chance(0.7) {
                Duration::ZERO
            } else {
                dice.time(Duration::from_secs(2))
            },
        },
        batch: dice.pick(&[1, 1, 2, 8, 64]),
        late: if dice.chance(0.7) { Duration::ZERO } else { dice.time(Duration::from_millis(20)) },
    }
}

fn config(dice: &mut Dice) -> Config {
    let rmem = dice.pick(&[4096, 8192, 16_384, 65_536, 131_072, 131_072, 1 << 20]);
    let mut config = Config {
        tcp_timestamps: u64::from(dice.chance(0.75)),
        tcp_window_scaling: u64::from(dice.chance(0.75)),
        tcp_rmem_default: rmem,
        tcp_rmem_max: dice.pick(&[rmem, 65_536, 6 << 20, 1 << 30]).max(rmem),
        tcp_wmem_max: dice.pick(&[4096, 16_384, 65_536, 4 << 20]),
        tcp_delack_ms: dice.pick(&[1, 40, 40, 200, 500]),
        tcp_init_cwnd: dice.pick(&[1, 2, 10, 10, 40]),
        tcp_rto_min_ms: dice.pick(&[5, 20, 200, 200, 1000]),
        tcp_rto_max_ms: dice.pick(&[120_000, 120_000, 10_000]),
        tcp_tw_reuse: dice.below(3),
        tcp_rfc1337: dice.below(2),
        tcp_invalid_ratelimit: dice.pick(&[500, 500, 20]),
        tcp_challenge_ack_limit: dice.pick(&[1000, 1000, 5]),
        // So many, and so long, that no link of these worlds is bad enough for giving up.
        tcp_timewait_len: 900,
        tcp_syn_retries: 127,
        tcp_synack_retries: 20,
        tcp_retries2: 15,
        tcp_orphan_retries: 15,
        ..Config::default()
    };
    // No draw of its own, or each seed would be another world.
    config.tcp_ecn = config.tcp_tw_reuse + 3 * config.tcp_rfc1337;
    if config.tcp_tw_reuse == 1 && config.tcp_rfc1337 == 1 {
        // Pressure that a few connections make; beyond the limit orphans would be reset.
        (config.tcp_mem_low, config.tcp_mem_pressure) = (65_536, 65_536);
    }
    config.tcp_mtu_probing = (config.tcp_tw_reuse + 2 * config.tcp_rfc1337) % 3;
    config
}

/// A link between any two hosts, each direction by itself.
fn pipes(dice: &mut Dice, hosts: usize) -> Vec<PipePlan> {
    let level = dice.pick(&[0.0, 0.2, 1.0, 1.0, 1.0, 2.0]);
    let ways = (0..hosts).flat_map(|from| (0..hosts).map(move |to| (from, to)));
    ways.filter(|(from, to)| from != to).map(|(from, to)| pipe(dice, from, to, level)).collect()
}

pub(super) fn pipe(dice: &mut Dice, from: usize, to: usize, level: f64) -> PipePlan {
    let mut p = |most: f64| {
        let share = dice.pick(&[0.0, 0.5, 1.0, 1.0]);
        Probability::new(most * level * share).unwrap_or_default()
    };
    let (loss, reorder, duplicate, corrupt) = (p(0.05), p(0.05), p(0.05), p(0.01));
    let delay = dice.time(Duration::from_millis(200));
    let jitter = if dice.chance(0.5) { delay.mul_f64(0.5) } else { Duration::ZERO };
    let rate = dice.chance(0.3).then(|| dice.pick(&[30_000, 125_000, 1_250_000]));
    let queue = rate.filter(|_| dice.chance(0.3)).map(|_| 16_000);
    let burst = None;
    let mtu = None;
    let faults =
        FaultConfig { loss, burst, reorder, duplicate, corrupt, delay, jitter, mtu, rate, queue };
    let cut = dice.pick(&[0.0, 0.5, 1.0, 1.0]);
    let mtu = dice.chance(0.15).then(|| dice.between(1280, 1500) as u16);
    PipePlan { from, to, faults, cut, mtu, dead_after: None }
}

fn conn(dice: &mut Dice, n: usize, before: &[ConnPlan], hosts: usize) -> ConnPlan {
    let start = if dice.chance(0.5) { Duration::ZERO } else { dice.time(Duration::from_secs(5)) };
    let client = dice.below(hosts as u64) as usize;
    let server = (client + dice.between(1, hosts as u64 - 1) as usize) % hosts;
    let mut ends = [client, server].map(|host| end(dice, host, MOST_BYTES));
    let (a, b) = finishes(dice);
    ends[0].finish = a;
    ends[1].finish = b;
    let slow = |end: &EndPlan| end.read_pause.0 > 0.0;
    ends[0].patient = slow(&ends[1]);
    ends[1].patient = slow(&ends[0]);
    let mut open = match dice.below(20) {
        0 | 1 => Open::Simultaneous,
        2 => Open::Refused,
        3..=5 if n > 0 => {
            let of = dice.below(n as u64) as usize;
            Open::Again { of, after: dice.time(Duration::from_secs(100)) }
        }
        _ => Open::Ordinary,
    };
    if let Open::Again { of, .. } = open {
        let taken = |c: &ConnPlan| matches!(c.open, Open::Again { of: o, .. } if o == of);
        if before[of].open != Open::Ordinary || before.iter().any(taken) {
            open = Open::Ordinary;
        } else {
            ends[0].host = before[of].ends[0].host;
            ends[1].host = before[of].ends[1].host;
        }
    }
    ConnPlan { open, start, family: 0, ends }
}

/// An end of up to `most` bytes in so many writes.
pub(super) fn end(dice: &mut Dice, host: usize, (most, writes): (u64, u64)) -> EndPlan {
    let bytes = match dice.below(4) {
        0 => 0,
        1 => dice.below(most + 1),
        _ => dice.magnitude(most),
    };
    // Small writes of much data would only cost time.
    let smallest = 1 + bytes / writes;
    let largest = smallest.max(dice.magnitude(100_000));
    let pause = |dice: &mut Dice, p: f64, most: Duration| {
        if dice.chance(0.6) { (0.0, Duration::ZERO) } else { (dice.pick(&[p, p / 10.0]), most) }
    };
    EndPlan {
        host,
        bytes,
        chunk: (smallest, largest),
        write_pause: pause(dice, 0.3, Duration::from_millis(500)),
        read: dice.pick(&[1 << 30, 1 << 30, 100_000, 4096, 1 + 4 * bytes / writes]),
        read_pause: pause(dice, 0.3, Duration::from_secs(3)),
        early: dice.chance(0.5),
        nodelay: dice.chance(0.5),
        keepalive: dice.chance(0.1),
        peer_first: dice.chance(0.1).then(|| dice.time(Duration::from_secs(10))),
        linger2: None,
        user_timeout: None,
        patient: false,
        finish: Finish::ShutdownThenDrain,
        finish_after: if dice.chance(0.7) {
            Duration::ZERO
        } else {
            dice.time(Duration::from_secs(5))
        },
    }
}

/// How the two ends finish. Of two polite ends, one at least closes without waiting for the
/// other.
fn finishes(dice: &mut Dice) -> (Finish, Finish) {
    use Finish::{CloseAtEnd, ReplyAfterEof, ShutdownThenDrain};
    let polite = dice.pick(&[ShutdownThenDrain, ReplyAfterEof, CloseAtEnd]);
    let second = if dice.chance(0.15) { impolite(dice, MOST_BYTES.0) } else { polite };
    let first = if dice.chance(0.05) { impolite(dice, MOST_BYTES.0) } else { ShutdownThenDrain };
    if dice.chance(0.5) { (first, second) } else { (second, first) }
}

pub(super) fn impolite(dice: &mut Dice, most: u64) -> Finish {
    match dice.below(4) {
        0 => Finish::CloseAfterSend,
        1 => Finish::LingerAfterSend,
        2 => Finish::AbortAfter(dice.magnitude(most) - 1),
        _ => Finish::AbortAt(dice.time(Duration::from_secs(10))),
    }
}

use proptest::prelude::*;

use super::*;
use crate::Probability;

fn parse(text: &str) -> FaultSpec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn lifecycle(text: &str) -> LifecycleFault {
    match parse(text).fault {
        Fault::Lifecycle(fault) => fault,
        Fault::Link(config) => panic!("{text}: {config}"),
    }
}

#[test]
fn every_form_is_read() {
    use Farewell::{Fin, LastAck};
    let once = Some(NonZeroU32::MIN);
    let drop = |what, from, times| LifecycleFault::Drop { what, from, times };
    assert_eq!(lifecycle("drop:last-ack"), drop(LastAck, None, once));
    assert_eq!(lifecycle("drop:fin:2"), drop(Fin, None, NonZeroU32::new(2)));
    assert_eq!(lifecycle("drop:fin:peer"), drop(Fin, Some(Side::Peer), once));
    assert_eq!(lifecycle("drop:fin:program:all"), drop(Fin, Some(Side::Program), None));
    let by = Duration::from_millis(200);
    assert_eq!(lifecycle("delay:fin:200ms"), LifecycleFault::Delay { what: Fin, from: None, by });
    let delay = LifecycleFault::Delay { what: LastAck, from: Some(Side::Program), by };
    assert_eq!(lifecycle("delay:last-ack:program:200ms"), delay);
    let reset = |from, bytes| LifecycleFault::RstAfter { from, bytes };
    assert_eq!(lifecycle("rst-after:64kb"), reset(None, 64_000));
    assert_eq!(lifecycle("rst-after:peer:0"), reset(Some(Side::Peer), 0));
    assert_eq!(lifecycle("stall:zero-window"), LifecycleFault::ZeroWindow { after: 0 });
    assert_eq!(lifecycle("stall:zero-window:10"), LifecycleFault::ZeroWindow { after: 10 });
    let Fault::Link(config) = parse("delay:20ms±5ms,loss:1%").fault else { panic!() };
    assert_eq!((config.delay, config.loss.value()), (Duration::from_millis(20), 0.01));
    assert_eq!(parse("none").fault, Fault::Link(FaultConfig::default()));
}

#[test]
fn targets_are_read_and_match_either_end() {
    let target = |text: &str| parse(&format!("drop:fin{text}")).target;
    assert_eq!(target(""), Target::default());
    assert_eq!(target("@:80"), Target { host: None, port: Some(80) });
    let v4: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(target("@192.0.2.1"), Target { host: Some(v4), port: None });
    assert_eq!(target("@192.0.2.1:80"), Target { host: Some(v4), port: Some(80) });
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(target("@[2001:db8::1]"), Target { host: Some(v6), port: None });
    assert_eq!(target("@[2001:db8::1]:80"), Target { host: Some(v6), port: Some(80) });

    let program: SocketAddr = "10.4.0.100:40000".parse().unwrap();
    let ends = |peer: &str| [program, peer.parse().unwrap()];
    let both = target("@192.0.2.1:80");
    assert!(both.matches_connection(ends("192.0.2.1:80")));
    assert!(!both.matches_connection(ends("192.0.2.1:81")));
    assert!(!both.matches_connection(ends("192.0.2.2:80")));
    // The address of one end and the port of the other are no match.
    let mixed = target("@192.0.2.1:40000");
    assert!(!mixed.matches_connection(ends("192.0.2.1:80")));
    assert!(target("@:40000").matches_connection(ends("192.0.2.1:80")));
    assert!(!target("@:80").matches([(v4, None), (v4, None)]));
    assert!(target("@192.0.2.1").matches([(v6, None), (v4, None)]));
}

#[test]
fn mistakes_are_named_with_what_would_be_right() {
    for (text, says) in [
        ("drp:fin", "there is no fault \"drp\": drop, delay, rst-after, stall, loss"),
        ("", "there is no fault \"\""),
        ("loss", "\"loss\" is no fault: write name:value"),
        ("loss:200%", "0% to 100%"),
        ("rate:10mb", "as in 512kbit"),
        ("drop", "\"drop\": expected drop:fin or drop:last-ack"),
        ("drop:syn", "drop:fin or drop:last-ack"),
        ("drop:fin:0", "1 or more, or all"),
        ("drop:fin:-1", "1 or more, or all"),
        ("drop:fin:server", ":program or :peer"),
        ("drop:fin:2:program", ":program or :peer"),
        ("delay:fin", "a time of up to 3600s"),
        ("delay:fin:200", "as in 200ms"),
        ("delay:fin:3601s", "3600s"),
        ("delay:20", "as in 20ms"),
        ("rst-after", "rst-after, then"),
        ("rst-after:1x", "as in 1000 or 64kb"),
        ("rst-after:9999999999999", "as in 1000 or 64kb"),
        ("stall:window", "stall:zero-window"),
        ("stall:zero-window:x", "stall:zero-window"),
        ("loss:1%,drop:fin", "\"drop:fin\" goes alone"),
        ("drop:fin,loss:1%", "\"drop:fin\" goes alone"),
        ("drop:fin@", "\"\" is no target: expected HOST"),
        ("drop:fin@example.org:80", "an IP address, no name"),
        ("drop:fin@::1", "an IPv6 address in brackets"),
        ("drop:fin@[::1", "an IPv6 address in brackets"),
        ("drop:fin@[::1]80", "an IPv6 address in brackets"),
        ("drop:fin@[192.0.2.1]:80", "an IPv6 address in brackets"),
        ("drop:fin@192.0.2.1:0", "a port from 1 to 65535"),
        ("drop:fin@:65536", "a port from 1 to 65535"),
    ] {
        let error = text.parse::<FaultSpec>().unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
        assert!(!error.contains('\n'));
    }
}

fn any_side() -> impl Strategy<Value = Option<Side>> {
    prop_oneof![Just(None), Just(Some(Side::Program)), Just(Some(Side::Peer))]
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let what = prop_oneof![Just(Farewell::Fin), Just(Farewell::LastAck)];
    let times = proptest::option::of((1..=u32::MAX).prop_map(|n| NonZeroU32::new(n).unwrap()));
    let micros = (0..=3_600_000_000u64).prop_map(Duration::from_micros);
    let bytes = 0..=1_000_000_000_000u64;
    let drop = (what.clone(), any_side(), times)
        .prop_map(|(what, from, times)| LifecycleFault::Drop { what, from, times });
    let delay = (what, any_side(), micros.clone())
        .prop_map(|(what, from, by)| LifecycleFault::Delay { what, from, by });
    let reset = (any_side(), bytes.clone())
        .prop_map(|(from, bytes)| LifecycleFault::RstAfter { from, bytes });
    let stall = bytes.prop_map(|after| LifecycleFault::ZeroWindow { after });
    let link = (0..=100u32, micros).prop_map(|(dup, delay)| {
        let duplicate = Probability::new(f64::from(dup) / 100.0).unwrap();
        Fault::Link(FaultConfig { duplicate, delay, ..FaultConfig::default() })
    });
    prop_oneof![prop_oneof![drop, delay, reset, stall].prop_map(Fault::Lifecycle), link,]
}

#[test]
fn what_is_shown_is_what_people_write() {
    for text in [
        "drop:last-ack",
        "drop:fin:peer:2@:80",
        "mtu:1400b@:80",
        "delay:fin:200ms",
        "rst-after:1460",
        "rst-after:program:64kb@[2001:db8::1]",
        "rst-after:1mb@192.0.2.1:80",
        "rst-after:0",
        "stall:zero-window:1500",
        "loss:1%,delay:20ms±5ms,rate:10mbit,queue:64kb",
        "none",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_read_again(
        fault in any_fault(),
        host in proptest::option::of(any::<IpAddr>()),
        port in proptest::option::of(1..=u16::MAX),
    ) {
        let spec = FaultSpec { fault, target: Target { host, port } };
        let shown = spec.to_string();
        prop_assert_eq!(shown.parse::<FaultSpec>(), Ok(spec), "{}", shown);
    }

    #[test]
    fn no_text_panics(
        head in "(drop|delay|stall|rst-after|loss)?",
        text in "[a-z:,.%±@0-9\\[\\] -]{0,40}",
    ) {
        let text = head + &text;
        if let Ok(spec) = text.parse::<FaultSpec>() {
            prop_assert!(!spec.to_string().is_empty());
        }
    }
}

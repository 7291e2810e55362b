//! A capture of 1 GiB: only with `FOURWAVE_LONG=1`, as it needs a minute and 1 GiB of disk.

use std::fs;
use std::process::Command;
use std::time::Instant;

use fourwave_testkit::{not_here, this_test};

use crate::lab::{Lab, can, say};
use crate::told::agree;

/// Bulk data in segments of an Ethernet's size, eight connections at a time, one in 1000 lost.
const BULK: &str = r#"
s iperf3 -s >iperf.log &
listening 5201
tap bulk.pcap c -B 262144
while [ $(stat -c %s bulk.pcap) -lt 1073741824 ]; do
    c iperf3 -c $S -P 8 -n 200M >>bulk.log
done
SETTLE=3 untap
"#;

/// The most memory that a child had, in MB, from what it left in /proc.
fn peak(capture: &str) -> (f64, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fourwave"));
    child.args(["trace", capture]).stdout(fs::File::create("/dev/null").unwrap());
    let start = Instant::now();
    let mut child = child.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return (start.elapsed().as_secs_f64(), most / 1024);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_capture_of_one_gibibyte() {
    if std::env::var_os("FOURWAVE_LONG").is_none() {
        not_here(&this_test(), "a capture of 1 GiB takes a minute (FOURWAVE_LONG=1)");
        return;
    }
    if !can(&["iperf3"]) {
        return;
    }
    let lab = Lab::run(BULK, &[("LOSS", "1")]);
    let capture = lab.path("bulk.pcap");
    let size = fs::metadata(&capture).unwrap().len() as f64 / 1e6;
    let (seconds, peak) = peak(&capture);
    say(&format!("{size:.0} MB in {seconds:.2} s: {:.0} MB/s, peak {peak} MB", size / seconds));
    let agreed = agree(&capture);
    say(&format!("1 GiB: {agreed:?}"));
    assert!(size > 1073.0 && agreed.retransmitted > 100, "{agreed:?}");
}

//! Captures: what Wireshark reads in them, and what is left when something goes wrong.

#[path = "../../fourwave-device/tests/common/mod.rs"]
mod common;

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::*;
use fourwave_capture::{
    COMMENT_WINDOW, PacketId, PcapngError, PcapngObserver, PcapngOptions, PcapngWriter,
};
use fourwave_device::Device;
use fourwave_device::memory::pair;
use fourwave_device::tap::{Direction, PacketView, Tapped};
use fourwave_testkit::{Bounded, command, find, missing, skip_test};
use fourwave_wire::tcp::{Flags, TcpHeader};
use fourwave_wire::{Link, RxChecksum, RxPacket, SeqNum, TxPacket};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::{Block, PcapNgReader};

/// A directory that goes when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("fourwave-pcapng-{}-{serial}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("capture.pcapng")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const AT: Duration = Duration::new(1_700_000_000, 123_456_789);

fn tcp(family: usize, flags: Flags, payload_len: usize, gso_size: u16) -> TxPacket {
    let addresses: (IpAddr, IpAddr) =
        (OURS[family].parse().unwrap(), KERNEL[family].parse().unwrap());
    let header = TcpHeader {
        flags,
        src_port: 40_000,
        dst_port: 80,
        seq: SeqNum::new(1000),
        ..Default::default()
    };
    let payload = pattern(payload_len).chunks(999).map(Bytes::copy_from_slice).collect();
    tcp_packet(addresses, &header, payload, gso_size)
}

fn send(writer: &mut PcapngWriter, packet: &TxPacket) -> PacketId {
    writer.push(Direction::Sent, &PacketView::sent(packet, AT, Duration::ZERO)).unwrap()
}

fn create(path: &Path) -> PcapngWriter {
    create_with(path, PcapngOptions::default())
}

fn create_with(path: &Path, options: PcapngOptions) -> PcapngWriter {
    let file = std::fs::File::create(path).unwrap();
    PcapngWriter::to_stream(Box::new(file), "capture.pcapng", options).unwrap()
}

fn packets(path: &Path) -> Vec<EnhancedPacketBlock<'static>> {
    let mut reader = PcapNgReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut packets = vec![];
    while let Some(block) = reader.next_block() {
        let (block, _) = block.unwrap();
        if let Block::EnhancedPacket(packet) = block {
            packets.push(packet.into_owned());
        }
    }
    packets
}

fn comments(packet: &EnhancedPacketBlock<'_>) -> Vec<String> {
    let comment = |option: &EnhancedPacketOption<'_>| match option {
        EnhancedPacketOption::Common(CommonOption::Comment(text)) => Some(text.to_string()),
        _ => None,
    };
    packet.options.iter().filter_map(comment).collect()
}

/// One line of tab-separated `fields` for each packet; `None` (and a visible line) without tshark.
fn tshark(test: &str, path: &Path, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = command("tshark");
    command.arg("-r").arg(path).args(["-T", "fields", "-o", "tcp.check_checksum:TRUE"]);
    command.args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    if find("tshark").is_none() {
        skip_test(test, missing("tshark"));
        return None;
    }
    let output = command.bounded();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    Some(text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect())
}

#[test]
fn wireshark_finds_nothing_wrong() {
    let directory = Directory::new();
    let path = directory.file();
    let mut writer = create(&path);
    for family in [0, 1] {
        send(&mut writer, &tcp(family, Flags::SYN, 0, 0));
        send(&mut writer, &tcp(family, Flags::ACK, 65_000, 1400));
        let fin = tcp(family, Flags::FIN | Flags::ACK, 3, 0);
        let bytes = Bytes::from(fin.to_vec());
        let received = RxPacket { bytes, gso_size: 0, checksum: RxChecksum::Trusted };
        let view = PacketView::received(&received, AT, Duration::ZERO);
        let id = writer.push(Direction::Received, &view).unwrap();
        assert!(writer.comment(id, "B closed first: shutdown, 3 µs ago"));
        let from = SocketAddr::new(OURS[family].parse().unwrap(), 4001);
        let to = SocketAddr::new(KERNEL[family].parse().unwrap(), 4002);
        send(&mut writer, &udp_packet(from, to, vec![Bytes::from_static(b"odd")], 0));
    }
    assert_eq!(writer.finish().unwrap(), 8);
    let fields = [
        "frame.time_epoch",
        "frame.len",
        "frame.packet_flags_direction",
        "frame.comment",
        "tcp.checksum.status",
        "udp.checksum.status",
        "_ws.malformed",
        "frame.interface_name",
    ];
    let Some(mut rows) = tshark("wireshark_finds_nothing_wrong", &path, &fields) else { return };
    // Some versions print the direction in hexadecimal.
    rows.iter_mut().for_each(|row| row[2] = row[2].trim_start_matches("0x0000000").to_owned());
    // A checksum's status is 1 for "good".
    let row = |len: &str, direction: &str, comment: &str, tcp: &str, udp: &str| {
        let time = "1700000000.123456789";
        [time, len, direction, comment, tcp, udp, "", "fourwave"].map(str::to_owned).to_vec()
    };
    let why = "B closed first: shutdown, 3 µs ago";
    let expected = [
        row("40", "2", "", "1", ""),
        row("65040", "2", "", "1", ""),
        row("43", "1", why, "1", ""),
        row("31", "2", "", "", "1"),
        row("60", "2", "", "1", ""),
        row("65060", "2", "", "1", ""),
        row("63", "1", why, "1", ""),
        row("51", "2", "", "", "1"),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn checksums_may_be_left_as_they_stand_and_damage_stays() {
    let directory = Directory::new();
    let sent = tcp(0, Flags::ACK, 100, 0);
    let damaged = RxPacket {
        bytes: Bytes::from(sent.to_vec()),
        gso_size: 0,
        checksum: RxChecksum::Unverified,
    };
    for finish_checksums in [false, true] {
        let options = PcapngOptions { finish_checksums, ..Default::default() };
        let mut writer = create_with(&directory.file(), options);
        send(&mut writer, &sent);
        let view = PacketView::received(&damaged, AT, Duration::ZERO);
        writer.push(Direction::Received, &view).unwrap();
        writer.finish().unwrap();
        let packets = packets(&directory.file());
        assert_eq!(packets[0].data == sent.to_vec(), !finish_checksums);
        assert_eq!(packets[1].data, sent.to_vec(), "an unverified packet is written as it came");
    }
}

#[test]
fn a_snap_length_cuts_after_the_checksum_is_finished() {
    let directory = Directory::new();
    let sent = tcp(0, Flags::ACK, 1000, 0);
    let mut whole = sent.to_vec();
    assert!(fourwave_wire::checksum::complete_checksum(&mut whole));
    let options = PcapngOptions { snap_len: 60, ..Default::default() };
    let mut writer = create_with(&directory.file(), options);
    send(&mut writer, &sent);
    writer.finish().unwrap();
    let packets = packets(&directory.file());
    assert_eq!((packets[0].original_len, &packets[0].data[..]), (1040, &whole[..60]));
}

#[test]
fn a_comment_may_come_until_256_newer_packets_have_come() {
    let directory = Directory::new();
    let mut writer = create(&directory.file());
    let first = send(&mut writer, &tcp(0, Flags::FIN, 0, 0));
    assert_eq!(first.number(), 1);
    for _ in 1..COMMENT_WINDOW {
        send(&mut writer, &tcp(0, Flags::ACK, 0, 0));
    }
    assert!(writer.comment(first, "in time"));
    assert!(writer.comment(first, "twice"));
    let last = send(&mut writer, &tcp(0, Flags::ACK, 0, 0));
    assert!(!writer.comment(first, "too late"));
    assert!(writer.comment(last, &"µ".repeat(100_000)));
    writer.finish().unwrap();
    let packets = packets(&directory.file());
    assert_eq!(packets.len(), COMMENT_WINDOW + 1);
    assert_eq!(comments(&packets[0]), ["in time", "twice"]);
    assert!(packets[1..COMMENT_WINDOW].iter().all(|p| comments(p).is_empty()));
    assert_eq!(comments(&packets[COMMENT_WINDOW]), ["µ".repeat(2048)]);
}

#[test]
fn large_packets_do_not_wait_beyond_a_bound_of_bytes() {
    let directory = Directory::new();
    let mut writer = create(&directory.file());
    let ids: Vec<_> =
        (0..200).map(|_| send(&mut writer, &tcp(0, Flags::ACK, 65_000, 1400))).collect();
    assert!(!writer.comment(ids[0], "13 MB later"));
    assert!(writer.comment(ids[199], "the last"));
    assert!(writer.comment(ids[100], "6.5 MB later"));
    assert_eq!(writer.finish().unwrap(), 200);
    let packets = packets(&directory.file());
    assert_eq!(comments(&packets[100]), ["6.5 MB later"]);
    assert_eq!(packets.len(), 200);
}

/// A stream that fails after some bytes, as a full disk does.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::Error::new(ErrorKind::StorageFull, "no space left"));
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_capture_and_is_told_at_the_end_too() {
    let stream = Box::new(Full(1_000_000));
    let mut writer = PcapngWriter::to_stream(stream, "full", PcapngOptions::default()).unwrap();
    let packet = tcp(0, Flags::ACK, 60_000, 1400);
    let mut push = || {
        let view = PacketView::sent(&packet, AT, Duration::ZERO);
        writer.push(Direction::Sent, &view)
    };
    let taken = (0..1000).take_while(|_| push().is_ok()).count();
    assert!((16..1000).contains(&taken), "{taken} packets of 60 kB");
    let again = push().unwrap_err();
    let finished = writer.finish().unwrap_err();
    for error in [again, finished] {
        let PcapngError::Write { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
        assert_eq!(error.to_string(), "the capture full is given up: no space left");
    }
}

#[test]
fn a_tapped_device_is_captured() {
    let directory = Directory::new();
    let capture = Arc::new(PcapngObserver::new(create(&directory.file())));
    let (a, b) = pair(Link::offloading(1500), Link::offloading(1500), 4);
    let a = Tapped::new(a, Arc::clone(&capture));
    a.try_send(&tcp(0, Flags::SYN, 0, 0)).unwrap();
    b.try_send(&tcp(0, Flags::ACK, 20_000, 1460)).unwrap();
    a.try_recv().unwrap();
    drop(a);
    let capture = Arc::into_inner(capture).unwrap().into_inner();
    assert_eq!(capture.finish().unwrap(), 2);
    let lens: Vec<_> = packets(&directory.file()).iter().map(|p| p.original_len).collect();
    assert_eq!(lens, [40, 20_040]);
}
